"""What the client of net-attach-defs is tested for, on real pods and on its own data:
github.com/k8snetworkplumbingwg/network-attachment-definition-client, pkg/utils.
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest

from pytest_multinet import Network, NetworkFactory, NodeLink, PodFactory
from pytest_multinet.model.attachment import parse_networks
from pytest_multinet.model.network_status import dump_network_status, parse_network_status

from .conftest import chain


def network_of(
    multinet_network: NetworkFactory, name: str, *routes: dict[str, str], **ipam: Any
) -> Network:
    plugin = {
        "type": "macvlan",
        "master": "eth1",
        "capabilities": {"ips": True},
        "ipam": {"type": "static", "routes": list(routes), **ipam},
    }
    return multinet_network(name, chain(plugin))


def test_a_status_written_and_read_is_the_same() -> None:
    """The case "set network status into pod"."""
    text = json.dumps(
        [
            {
                "name": "cbr0",
                "interface": "eth0",
                "ips": ["10.244.1.2"],
                "mac": "92:79:27:01:7c:ce",
                "mtu": 1500,
            },
            {"name": "nad-1", "interface": "net1", "ips": ["1.1.1.1"], "mac": "ea:0e:fa:63:95:f9"},
        ]
    )
    statuses = parse_network_status(text)
    assert [(s.name, s.mtu) for s in statuses] == [("cbr0", 1500), ("nad-1", None)]
    assert parse_network_status(dump_network_status(statuses)) == statuses


def test_dns_of_a_status() -> None:
    """The case "test convertDNS"."""
    dns = {
        "nameservers": ["ns1"],
        "domain": "testdomain",
        "search": ["testsearch"],
        "options": ["testoption"],
    }
    (status,) = parse_network_status(json.dumps([{"name": "n", "dns": dns}]))
    assert status.dns.to_dict() == dns


def test_device_info_of_a_status() -> None:
    """The case "DeviceInfo is used as an attribute"."""
    info = {
        "type": "pci",
        "version": "v1.1.0",
        "pci": {"pci-address": "0000:01:02.2", "pf-pci-address": "0000:01:02.0"},
    }
    (status,) = parse_network_status(json.dumps([{"name": "n", "device-info": info}]))
    assert status.device_info == info


def test_a_selection_is_of_the_pods_namespace() -> None:
    """The case "parse network selection element in pod"."""
    (selection,) = parse_networks('[{"name": "test-nad", "interface": "test1"}]', "space1")
    assert (selection.name, selection.interface) == ("test-nad", "test1")
    assert selection.namespace == "space1"


def test_addresses_of_both_families_without_prefix_length(
    node_link: NodeLink, multinet_network: NetworkFactory, multinet_pod_factory: PodFactory
) -> None:
    """The case "create network status from cni result"."""
    selection = network_of(multinet_network, "nac-both").attach(
        "10.95.1.3/24", "2001:db8:95::1/64"
    )
    status = multinet_pod_factory("nac-both", networks=selection).network_status[1]
    assert status.interface == "net1"
    assert list(status.ips) == [ip_address("10.95.1.3"), ip_address("2001:db8:95::1")]
    assert not status.default


def test_no_gateway_without_a_default_route(
    node_link: NodeLink, multinet_network: NetworkFactory, multinet_pod_factory: PodFactory
) -> None:
    """The case "routes that are not the default route": the status reports no gateway."""
    network = network_of(
        multinet_network,
        "nac-route",
        {"dst": "10.99.0.0/24", "gw": "10.95.2.10"},
        addresses=[{"address": "10.95.2.1/24"}],
    )
    pod = multinet_pod_factory("nac-route", networks=network)
    assert pod.network_status[1].gateway == ()


def test_the_gateway_of_a_default_route(
    node_link: NodeLink, multinet_network: NetworkFactory, multinet_pod_factory: PodFactory
) -> None:
    """The case "routes with default route": the status reports it."""
    network = network_of(
        multinet_network,
        "nac-gateway",
        {"dst": "0.0.0.0/0", "gw": "10.95.3.10"},
        addresses=[{"address": "10.95.3.1/24"}],
    )
    pod = multinet_pod_factory("nac-gateway", networks=network)
    assert [str(g) for g in pod.network_status[1].gateway] == ["10.95.3.10"]


def test_the_gateways_of_default_routes_of_both_families(
    node_link: NodeLink, multinet_network: NetworkFactory, multinet_pod_factory: PodFactory
) -> None:
    """The case "handles multiple default routes"."""
    network = network_of(
        multinet_network,
        "nac-gateways",
        {"dst": "0.0.0.0/0", "gw": "10.95.4.10"},
        {"dst": "::/0", "gw": "2001:db8:4::10"},
        addresses=[{"address": "10.95.4.1/24"}, {"address": "2001:db8:4::1/64"}],
    )
    pod = multinet_pod_factory("nac-gateways", networks=network)
    seen = [str(g) for g in pod.network_status[1].gateway]
    assert seen == ["10.95.4.10", "2001:db8:4::10"]


def test_interfaces_outside_of_the_pod_are_left_out(
    multinet_network: NetworkFactory, multinet_pod_factory: PodFactory
) -> None:
    """The case "excludes interfaces without a sandbox": bridge and host veth are not told."""
    plugin = {
        "type": "bridge",
        "bridge": "nacbr0",
        "ipam": {"type": "host-local", "subnet": "10.95.5.0/24"},
    }
    multinet_network("nac-bridge", chain(plugin))
    pod = multinet_pod_factory("nac-bridge", networks="nac-bridge")
    assert [s.interface for s in pod.network_status] == ["eth0", "net1"]
    assert pod.network_status[1].mac == pod.interface("net1").mac


@pytest.mark.parametrize("text", ["", "null", "[]"])
def test_an_empty_status_has_no_entry(text: str) -> None:
    """GetNetworkStatus of a pod that Multus has not seen."""
    assert parse_network_status(text) == ()
