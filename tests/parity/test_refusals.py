"""Pods that cannot start: the cause, in the same words."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from .scenario import bridge, host_local, macvlan, network, on, pod, scenario
from .stage import Stage

STATIC = {"type": "static", "addresses": [{"address": "10.64.0.1/24"}]}
_numbers = count(1)


def case(id: str, words: str, *plugins: Any, annotation: Any = None, **selection: Any) -> Any:
    """A pod that is refused; its network is made of these plugins, or of this text."""
    name = f"bad{next(_numbers)}"
    networks = (network(name, *plugins),) if plugins else ()
    chosen = [on(name, **selection)] if annotation is None else annotation
    text = chosen if isinstance(chosen, str) else json.dumps(chosen)
    made = pod(f"{name}-a", text.replace("NAME", name))
    marks = scenario(refused=(*networks, made))
    return pytest.param(words.replace("NAME", name), id=id, marks=marks)


MACVLAN = macvlan(ipam=STATIC)
CASES = [
    case(
        "missing master",
        'plugin type="macvlan" failed (add): Link not found',
        macvlan(master="nope0", ipam=STATIC),
    ),
    case(
        "unknown mode", 'unknown macvlan mode: "sideways"', macvlan(mode="sideways", ipam=STATIC)
    ),
    case(
        "unknown plugin",
        'failed to find plugin "notaplugin" in path [/opt/cni/bin',
        {"type": "notaplugin"},
    ),
    case(
        "unknown ipam",
        'failed to find plugin "notanipam" in path [/opt/cni/bin',
        macvlan(ipam={"type": "notanipam"}),
    ),
    case(
        "mtu above the master's",
        "invalid MTU 9000, must be [0, master MTU(1500)]",
        macvlan(mtu=9000, ipam=STATIC),
    ),
    case(
        "configuration not JSON",
        "invalid character 'n' looking for beginning of object key string",
        "{not json}",
    ),
    case("static without ips", "IPAM plugin returned missing IP config", macvlan()),
    case(
        "unknown network",
        "cannot find a network-attachment-definition (not-there) in namespace (default)",
        annotation="not-there",
    ),
    case(
        "trailing comma",
        "cannot find a network-attachment-definition () in namespace (default)",
        MACVLAN,
        annotation="NAME,",
    ),
    case(
        "namespace inside a JSON name",
        "cannot find a network-attachment-definition (default/NAME) in namespace (default)",
        MACVLAN,
        annotation=[{"name": "default/NAME"}],
    ),
    case("mac that is none", "address zz: invalid MAC address", MACVLAN, mac="zz"),
    case("ip that is none", "invalid CIDR address: 300.1.1.1/24", macvlan(), ips=["300.1.1.1/24"]),
    case(
        "address without prefix length",
        "the 'ip' field is expected to be in CIDR notation, got: '10.64.18.1",
        macvlan(),
        ips=["10.64.18.1"],
    ),
    case(
        "ips as a string",
        "json: cannot unmarshal string into Go struct field "
        "NetworkSelectionElement.ips of type []string",
        macvlan(),
        ips="10.64.1.1/24",
    ),
    case(
        "annotation an object", "parsePodNetworkAnnotation", MACVLAN, annotation='{"name": "NAME"}'
    ),
    case(
        "annotation not JSON", "parsePodNetworkAnnotation", MACVLAN, annotation='[{"name": "NAME"'
    ),
    case(
        "interface name of 16 characters",
        'cannot set "" interface name to "abcdefghijklmnop": numerical result out of range',
        MACVLAN,
        interface="abcdefghijklmnop",
    ),
    case(
        "one interface name twice",
        "interface name a0 already exists",
        MACVLAN,
        annotation=[{"name": "NAME", "interface": "a0"}, {"name": "NAME", "interface": "a0"}],
    ),
    case(
        "two default gateways of one family",
        "multus does not support ECMP for default-route",
        macvlan(),
        ips=["10.64.2.1/24"],
        **{"default-route": ["10.64.2.2", "10.64.2.3"]},
    ),
    case(
        "multicast mac",
        "failed to create macvlan: cannot assign requested address",
        MACVLAN,
        mac="01:00:00:64:00:01",
    ),
    case(
        "second of two networks",
        'plugin type="macvlan" failed (add): Link not found',
        macvlan(master="nope1", ipam=STATIC),
    ),
    case(
        "range too small",
        "10.64.3.0/31 too small to allocate from",
        macvlan(ipam=host_local("10.64.3.0/31")),
    ),
    case(
        "ranges that overlap",
        "range set 0 overlaps with 1",
        macvlan(
            ipam={
                "type": "host-local",
                "ranges": [[{"subnet": "10.64.4.0/24"}], [{"subnet": "10.64.4.0/25"}]],
            }
        ),
    ),
    case(
        "range outside of its subnet",
        "RangeStart 10.64.6.1 not in network 10.64.5.0/24",
        macvlan(ipam={"type": "host-local", "subnet": "10.64.5.0/24", "rangeStart": "10.64.6.1"}),
    ),
    case(
        "static address of the network without prefix length",
        "the 'address' field is expected to be in CIDR notation, got: '10.64.7.1",
        macvlan(ipam={"type": "static", "addresses": [{"address": "10.64.7.1"}]}),
    ),
    case("tuning without a plugin before it", "Required prevResult missing", {"type": "tuning"}),
    case(
        "sysctl outside of net",
        "invalid net sysctl key",
        MACVLAN,
        {"type": "tuning", "sysctl": {"kernel.hostname": "x"}},
    ),
    case(
        "bridge with hairpin and promiscuous mode",
        "cannot set hairpin mode and promiscuous mode at the same time",
        bridge("xbr1", hairpinMode=True, promiscMode=True, ipam=STATIC),
    ),
    case(
        "bridge called as an interface that is none",
        "already exists but is not a bridge",
        bridge("eth1", ipam=STATIC),
    ),
    case(
        "host-device that is not there",
        "Link not found",
        {"type": "host-device", "device": "nope2"},
    ),
    case(
        "host-device without a device",
        'specify either "device", "hwaddr", "kernelpath" or "pciBusID"',
        {"type": "host-device"},
    ),
    case(
        "ptp without ipam",
        "IPAM plugin returned missing IP config",
        {"type": "ptp", "ipam": {"type": "static"}},
    ),
    case(
        "unknown cniVersion", "9.9.9", json.dumps({"cniVersion": "9.9.9", "name": "x", **MACVLAN})
    ),
    case(
        "no type",
        "delegate must have the 'type' or 'plugin' field",
        json.dumps({"cniVersion": "0.3.1", "name": "x"}),
    ),
    case(
        "default route to nowhere",
        "network is unreachable",
        macvlan(ipam={**STATIC, "routes": [{"dst": "10.99.0.0/16", "gw": "192.0.2.1"}]}),
    ),
]


@pytest.mark.parametrize("words", CASES)
def test_a_pod_is_refused(stage: Stage, words: str) -> None:
    assert stage.refused(words), stage.refusal
