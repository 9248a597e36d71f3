"""Native CNI plugins on the kernel: what each sets up, what it refuses, what it leaves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from ipaddress import ip_address
from typing import Any

import pytest
import tenacity

from pytest_multinet.cni import binary
from pytest_multinet.cni.result import Result
from pytest_multinet.cni.runtime import Sandbox
from pytest_multinet.errors import CniError, NeedsCapability
from pytest_multinet.model.interface import Interface
from pytest_multinet.model.nad import NetworkConfList, parse_network_config
from pytest_multinet.net import decode, requests
from pytest_multinet.net.holder import HeldNamespace, Holder
from tests.cni_site import CNI_PATH, MASTER_MAC, SECOND_MAC, Site

STATIC = {"type": "static", "addresses": [{"address": "10.1.1.101/24", "gateway": "10.1.1.1"}]}
HOST_LOCAL = {"type": "host-local", "ranges": [[{"subnet": "10.7.0.0/24"}]]}
MACVLAN = {"type": "macvlan", "master": "eth1", "ipam": STATIC}
BRIDGE = {"type": "bridge", "bridge": "br0", "isGateway": True, "ipam": HOST_LOCAL}
PTP = {"type": "ptp", "ipam": {**HOST_LOCAL, "routes": [{"dst": "0.0.0.0/0"}]}}


@pytest.fixture(scope="module")
def holder() -> Iterator[Holder]:
    holder = Holder.start()
    assert holder.hub is not None
    holder.hub.close()
    yield holder
    holder.close()


@pytest.fixture
def site(holder: Holder) -> Iterator[Site]:
    site = Site(holder)
    yield site
    site.close()


def network(*plugins: dict[str, Any], version: str = "1.0.0") -> NetworkConfList:
    return parse_network_config({"cniVersion": version, "name": "net", "plugins": list(plugins)})


def add(site: Site, *plugins: dict[str, Any], ifname: str = "net1", **kwargs: Any) -> Result:
    return site.runtime.add(network(*plugins), site.sandbox, ifname, **kwargs)


def add_or_skip(site: Site, capability: str, *plugins: dict[str, Any], **kwargs: Any) -> Result:
    """ADD, where the kernel can."""
    try:
        return add(site, *plugins, **kwargs)
    except NeedsCapability as error:
        if error.capability != capability:
            raise
        pytest.skip(error.reason)


def refusal(site: Site, *plugins: dict[str, Any], **kwargs: Any) -> CniError:
    with pytest.raises(CniError) as raised:
        add(site, *plugins, **kwargs)
    return raised.value


def interface(namespace: HeldNamespace, name: str) -> Interface:
    found = {i.name: i for i in decode.interfaces(namespace.rtnl)}
    return found[name]


def names(namespace: HeldNamespace) -> list[str]:
    return [link.name for link in decode.links(namespace.rtnl)]


def routes(namespace: HeldNamespace) -> list[str]:
    by_index = {link.index: link.name for link in decode.links(namespace.rtnl)}
    return [str(r) for r in decode.routes(namespace.rtnl, by_index) if r.destination.version == 4]


# --- macvlan --------------------------------------------------------------------------------


def test_macvlan_sits_on_its_master_with_the_address_asked_for(site):
    result = add(site, MACVLAN)
    net1 = interface(site.pod, "net1")
    assert (net1.type, net1.mode, net1.state) == ("macvlan", "bridge", "up")
    assert [str(a) for a in net1.ipv4] == ["10.1.1.101/24"]
    assert result.interfaces[0].mac == net1.mac
    assert result.interfaces[0].sandbox == site.sandbox.path
    assert result.ips[0].interface == 0


@pytest.mark.parametrize("mode", ["private", "vepa", "bridge", "passthru"])
def test_macvlan_takes_all_four_modes(site, mode):
    add(site, {**MACVLAN, "mode": mode})
    assert interface(site.pod, "net1").mode == mode


def test_macvlan_without_a_master_takes_the_interface_of_the_default_route(site):
    add(site, {"type": "macvlan", "mode": "passthru"})
    assert interface(site.pod, "net1").mac == MASTER_MAC  # passthru shows which master it is


def test_macvlan_announces_its_addresses(site):
    add(site, MACVLAN)
    assert site.pod.sysctl("ipv4/conf/net1/arp_notify") == "1"
    assert site.pod.sysctl("ipv6/conf/net1/ndisc_notify") == "1"


def test_a_missing_master_is_named_with_its_node(site):
    error = refusal(site, {**MACVLAN, "master": "eth7"})
    assert error.msg == "Link not found"
    assert "eth7" in str(error.hint)
    assert "worker" in str(error.hint)


def test_an_unknown_mode_is_refused(site):
    assert refusal(site, {**MACVLAN, "mode": "sideways"}).msg == (
        'unknown macvlan mode: "sideways"'
    )


def test_an_mtu_above_the_masters_is_refused(site):
    error = refusal(site, {**MACVLAN, "mtu": 9000})
    assert error.msg == "invalid MTU 9000, must be [0, master MTU(1500)]"


def test_second_pod_in_passthru_mode_is_refused(site):
    plugin = {**MACVLAN, "mode": "passthru"}
    add(site, plugin)
    second = site.another_pod()
    with pytest.raises(CniError, match="failed to create macvlan: invalid argument") as raised:
        site.runtime.add(network(plugin), second, "net1")
    assert "eth1" in str(raised.value.hint)
    second.namespace.close()


def test_second_pod_with_the_same_mac_is_refused_and_goes_with_delete(site):
    plugin = {**MACVLAN, "mac": "02:00:00:00:00:07"}
    add(site, plugin)
    second = site.another_pod()
    with pytest.raises(CniError) as raised:
        site.runtime.add(network(plugin), second, "net1")
    assert raised.value.msg == 'failed to set "net1" UP: address already in use'
    assert "02:00:00:00:00:07" in str(raised.value.hint)
    assert not interface(second.namespace, "net1").up
    site.runtime.delete(network(plugin), second, "net1")
    assert names(second.namespace) == ["lo"]
    second.namespace.close()


def test_a_multicast_mac_is_refused(site):
    error = refusal(site, {**MACVLAN, "mac": "01:00:5e:00:00:01"})
    assert error.msg == "failed to create macvlan: cannot assign requested address"


def test_the_same_mac_serves_again_after_delete(site):
    plugin = {**MACVLAN, "mac": "02:00:00:00:00:07"}
    for _ in range(3):
        add(site, plugin)
        site.runtime.delete(network(plugin), site.sandbox, "net1")


def test_an_address_without_prefix_length_is_told_as_the_plugin_does(site):
    args = {"IgnoreUnknown": "true", "IP": "10.7.18.1"}
    error = refusal(site, {"type": "macvlan", "ipam": {"type": "static"}}, args=args)
    assert error.msg == "the 'ip' field is expected to be in CIDR notation, got: '10.7.18.1'"
    assert error.plugin == "macvlan"


def test_no_address_is_a_failure_that_leaves_the_link_down_until_delete(site):
    plugin = {"type": "macvlan", "master": "eth1", "ipam": {"type": "static"}}
    assert refusal(site, plugin).msg == "IPAM plugin returned missing IP config"
    assert not interface(site.pod, "net1").up
    site.runtime.delete(network(plugin), site.sandbox, "net1")
    assert names(site.pod) == ["lo"]


def test_macs_come_from_capability_then_args_then_configuration(site):
    plugin = {**MACVLAN, "mac": "02:00:00:00:00:01", "capabilities": {"mac": True}}
    args = {"IgnoreUnknown": "1", "MAC": "02:00:00:00:00:02"}
    asked = {"mac": "02:00:00:00:00:03"}
    for expected, kwargs in (
        ("02:00:00:00:00:01", {}),
        ("02:00:00:00:00:02", {"args": args}),
        ("02:00:00:00:00:03", {"args": args, "runtime_config": asked}),
    ):
        result = add(site, plugin, **kwargs)
        assert result.interfaces[0].mac == expected
        site.runtime.delete(network(plugin), site.sandbox, "net1")


# --- ptp ------------------------------------------------------------------------------------


def test_ptp_leads_everything_by_the_gateway(site):
    add(site, PTP, ifname="eth0")
    assert routes(site.pod) == [
        "default via 10.7.0.1 dev eth0",
        "10.7.0.0/24 via 10.7.0.1 dev eth0 src 10.7.0.2",
        "10.7.0.1 dev eth0 scope link src 10.7.0.2",
    ]
    assert site.namespace.sysctl("ipv4/ip_forward") == "1"


def test_a_default_route_of_a_later_network_comes_first(site):
    add(site, PTP, ifname="eth0")
    seed = {**STATIC, "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.1.1"}]}
    add(site, {**MACVLAN, "ipam": seed})
    assert routes(site.pod) == [
        "default via 10.1.1.1 dev net1",
        "default via 10.7.0.1 dev eth0",
        "10.1.1.0/24 dev net1 scope link src 10.1.1.101",
        "10.7.0.0/24 via 10.7.0.1 dev eth0 src 10.7.0.2",
        "10.7.0.1 dev eth0 scope link src 10.7.0.2",
    ]


def test_ptp_leaves_nothing_behind(site):
    before = names(site.namespace)
    add(site, PTP, ifname="eth0")
    site.runtime.delete(network(PTP), site.sandbox, "eth0")
    assert names(site.pod) == ["lo"]
    assert names(site.namespace) == before


def test_masquerading_needs_the_real_plugin(holder):
    site = Site(holder, cni_path="/nowhere")
    with pytest.raises(NeedsCapability, match="ptp with ipMasq"):
        add(site, {**PTP, "ipMasq": True}, ifname="eth0")
    site.close()


# --- bridge ---------------------------------------------------------------------------------


def test_bridge_is_made_once_and_holds_the_gateway(site):
    result = add(site, BRIDGE)
    second = site.another_pod()
    site.runtime.add(network(BRIDGE), second, "net1")
    br0 = interface(site.namespace, "br0")
    assert [str(a) for a in br0.ipv4] == ["10.7.0.1/24"]
    assert result.interfaces[0].name == "br0"
    ports = [i for i in decode.interfaces(site.namespace.rtnl) if i.master == "br0"]
    assert len(ports) == 2
    site.runtime.delete(network(BRIDGE), second, "net1")
    site.runtime.delete(network(BRIDGE), site.sandbox, "net1")
    assert "br0" in names(site.namespace)
    second.namespace.close()


def test_something_else_of_the_bridges_name_is_refused(site):
    assert refusal(site, {**BRIDGE, "bridge": "eth2"}).msg == (
        'failed to create bridge "eth2": "eth2" already exists but is not a bridge'
    )


def test_another_address_on_the_bridge_is_refused_unless_forced(site):
    add(site, BRIDGE)
    other = {"type": "host-local", "ranges": [[{"subnet": "10.8.0.0/24"}]]}
    plugin = {**BRIDGE, "ipam": other}
    error = refusal(site, plugin, ifname="net2")
    assert error.msg == (
        'failed to set bridge addr: "br0" already has an IP address different from 10.8.0.1/24'
    )
    site.runtime.delete(network(plugin), site.sandbox, "net2")
    add(site, {**plugin, "forceAddress": True}, ifname="net2")
    assert [str(a) for a in interface(site.namespace, "br0").ipv4] == ["10.8.0.1/24"]


def test_hairpin_and_promiscuous_mode_exclude_each_other(site):
    error = refusal(site, {**BRIDGE, "hairpinMode": True, "promiscMode": True})
    assert "cannot set hairpin mode and promiscuous mode" in error.msg


# --- tuning ---------------------------------------------------------------------------------


def test_tuning_sets_and_delete_gives_the_attributes_back(site):
    plugins = (
        MACVLAN,
        {
            "type": "tuning",
            "mac": "02:00:00:00:00:09",
            "mtu": 1400,
            "promisc": True,
            "allmulti": True,
            "txQLen": 77,
            "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"},
        },
    )
    result = add(site, *plugins)
    net1 = interface(site.pod, "net1")
    assert (net1.mac, net1.mtu) == ("02:00:00:00:00:09", 1400)
    assert {"PROMISC", "ALLMULTI"} <= set(net1.flags)
    assert result.interfaces[0].mac == "02:00:00:00:00:09"
    assert site.pod.sysctl("ipv4/conf/net1/arp_filter") == "1"
    site.runtime.check(network(*plugins), site.sandbox, "net1")
    site.runtime.delete(network({"type": "loopback"}, plugins[1]), site.sandbox, "net1")
    net1 = interface(site.pod, "net1")
    assert net1.mac != "02:00:00:00:00:09"
    assert net1.mtu == 1500
    assert not {"PROMISC", "ALLMULTI"} & set(net1.flags)
    assert site.pod.sysctl("ipv4/conf/net1/arp_filter") == "1"


def test_tuning_reaches_no_other_sysctl_than_the_networks(site):
    tuning = {"type": "tuning", "sysctl": {"kernel.hostname": "x"}}
    assert refusal(site, MACVLAN, tuning).msg == 'invalid net sysctl key: "kernel/hostname"'


def test_tuning_alone_is_refused(site):
    assert refusal(site, {"type": "tuning"}).msg == "Required prevResult missing"


# --- host-device ----------------------------------------------------------------------------


def test_host_device_moves_a_link_in_and_back(site):
    plugin = {"type": "host-device", "device": "eth2", "ipam": STATIC}
    result = add(site, plugin)
    assert "eth2" not in names(site.namespace)
    assert [str(a) for a in interface(site.pod, "net1").ipv4] == ["10.1.1.101/24"]
    assert result.interfaces[0].mac == SECOND_MAC
    site.runtime.check(network(plugin), site.sandbox, "net1")
    site.runtime.delete(network(plugin), site.sandbox, "net1")
    assert names(site.pod) == ["lo"]
    assert not interface(site.namespace, "eth2").up


def test_a_second_delete_of_host_device_finds_nothing(site):
    plugin = {"type": "host-device", "hwaddr": SECOND_MAC}
    add(site, plugin)
    site.runtime.delete(network(plugin), site.sandbox, "net1")
    with pytest.raises(CniError, match='failed to find "net1": Link not found'):
        site.runtime.delete(network(plugin), site.sandbox, "net1")


# --- ipvlan, vlan, dummy: where this kernel has them ----------------------------------------


@pytest.mark.parametrize(
    "plugin",
    [
        {"type": "ipvlan", "master": "eth1", "ipam": STATIC},
        {"type": "vlan", "master": "eth1", "vlanId": 7, "ipam": STATIC},
        {"type": "dummy", "ipam": STATIC},
    ],
    ids=lambda p: p["type"],
)
def test_a_kind_of_link_that_the_kernel_may_lack(site, plugin):
    add_or_skip(site, plugin["type"], plugin)
    net1 = interface(site.pod, "net1")
    assert net1.type == plugin["type"]
    assert [str(a) for a in net1.ipv4] == ["10.1.1.101/24"]
    site.runtime.check(network(plugin), site.sandbox, "net1")
    site.runtime.delete(network(plugin), site.sandbox, "net1")
    assert names(site.pod) == ["lo"]


def test_vrf_takes_the_interface_with_its_routes_along(site):
    ipam = {**STATIC, "routes": [{"dst": "10.50.0.0/16"}]}
    chain = ({**MACVLAN, "ipam": ipam}, {"type": "vrf", "vrfname": "red", "table": 1007})
    add_or_skip(site, "vrf", *chain)
    assert interface(site.pod, "net1").master == "red"
    assert routes(site.pod) == []
    site.runtime.check(network(*chain), site.sandbox, "net1")
    site.runtime.delete(network(*chain), site.sandbox, "net1")
    assert names(site.pod) == ["lo"]


# --- tap ------------------------------------------------------------------------------------


def test_a_tap_device_stays_and_can_be_opened(site):
    plugin = {"type": "tap", "mtu": 1400, "mac": "02:00:00:00:00:07", "ipam": STATIC}
    result = add_or_skip(site, "tun", plugin)
    net1 = interface(site.pod, "net1")
    assert (net1.type, net1.mac, net1.mtu) == ("tun", "02:00:00:00:00:07", 1400)
    assert result.interfaces[0].mac == net1.mac
    assert [str(a) for a in net1.ipv4] == ["10.1.1.101/24"]
    site.runtime.check(network(plugin), site.sandbox, "net1")
    site.runtime.delete(network(plugin), site.sandbox, "net1")
    assert names(site.pod) == ["lo"]


# --- bandwidth ------------------------------------------------------------------------------


def test_bandwidth_limits_both_directions_at_the_nodes_end(site):
    limits = {"ingressRate": 8_000_000, "ingressBurst": 80_000}
    limits |= {"egressRate": 800_000, "egressBurst": 80_000}
    chain = (BRIDGE, {"type": "bandwidth", "capabilities": {"bandwidth": True}})
    runtime = {"bandwidth": limits}
    result = add_or_skip(site, "bandwidth", *chain, runtime_config=runtime)
    device = result.interfaces[-1].name
    assert device.startswith("bwp")
    assert device in names(site.namespace)
    told = site.picture()["node"]["traffic control"]
    assert sorted({line.split()[1] for line in told}) == ["htb", "ingress", "u32"]
    site.runtime.check(network(*chain), site.sandbox, "net1", runtime_config=runtime)
    site.runtime.delete(network(*chain), site.sandbox, "net1", runtime_config=runtime)
    assert device not in names(site.namespace)
    assert site.picture()["node"]["traffic control"] == []


def test_bandwidth_finds_no_veth_on_a_macvlan(site):
    limit = {"type": "bandwidth", "ingressRate": 8, "ingressBurst": 8}
    error = refusal(site, MACVLAN, limit)
    assert error.msg == (
        'container interface net1 has no veth peer: interface "net1" was not a veth interface'
    )


# --- route-override: what its README says ---------------------------------------------------

ROUTED = {
    **MACVLAN,
    "ipam": {
        **STATIC,
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "192.168.0.0/24"}, {"dst": "10.50.0.0/16"}],
    },
}
CONNECTED = "10.1.1.0/24 dev net1 scope link src 10.1.1.101"


def overridden(site: Site, **conf: Any) -> tuple[list[str], list[str]]:
    """The pod's routes and those of the result, after route-override with this configuration."""
    chain = (ROUTED, {"type": "route-override", **conf})
    result = add(site, *chain)
    return routes(site.pod), [str(route.dst) for route in result.routes]


def test_route_override_without_orders_changes_nothing(site):
    seen, told = overridden(site)
    assert len(seen) == 4
    assert told == ["0.0.0.0/0", "192.168.0.0/24", "10.50.0.0/16"]


def test_flushroutes_leaves_the_interfaces_own_network(site):
    assert overridden(site, flushroutes=True) == ([CONNECTED], [])


def test_flushgateway_takes_the_default_route_and_the_gateway(site):
    chain = (ROUTED, {"type": "route-override", "flushgateway": True})
    result = add(site, *chain)
    assert "default via 10.1.1.1 dev net1" not in routes(site.pod)
    assert len(routes(site.pod)) == 3
    assert [str(ip.gateway) for ip in result.ips] == ["0.0.0.0"]
    assert [str(route.dst) for route in result.routes] == ["192.168.0.0/24", "10.50.0.0/16"]


def test_delroutes_takes_routes_of_the_result_and_no_others(site):
    wanted = [{"dst": "192.168.0.0/24"}, {"dst": "10.1.1.0/24"}, {"dst": "10.77.0.0/16"}]
    seen, told = overridden(site, delroutes=wanted)
    assert CONNECTED in seen
    assert not [route for route in seen if route.startswith("192.168.0.0")]
    assert told == ["0.0.0.0/0", "10.50.0.0/16"]


def test_a_default_route_goes_by_flushgateway_not_by_delroutes(site):
    seen, told = overridden(site, delroutes=[{"dst": "0.0.0.0/0"}])
    assert "default via 10.1.1.1 dev net1" in seen
    assert "0.0.0.0/0" not in told


def test_addroutes_are_added_last(site):
    seen, told = overridden(
        site,
        flushroutes=True,
        addroutes=[{"dst": "192.168.0.0/24", "gw": "10.1.1.254"}, {"dst": "10.60.0.0/16"}],
    )
    assert sorted(seen) == [
        CONNECTED,
        "10.60.0.0/16 dev net1",
        "192.168.0.0/24 via 10.1.1.254 dev net1",
    ]
    assert told == ["192.168.0.0/24", "10.60.0.0/16"]


def test_a_route_that_cannot_be_added_is_no_failure(site):
    seen, told = overridden(site, addroutes=[{"dst": "10.60.0.0/16", "gw": "10.99.0.1"}])
    assert len(seen) == 4
    assert told[-1] == "10.60.0.0/16"


def test_args_override_the_configuration(site):
    seen, _ = overridden(
        site,
        flushroutes=True,
        addroutes=[{"dst": "10.60.0.0/16", "gw": "10.1.1.254"}],
        args={"cni": {"flushroutes": False, "flushgateway": True, "addroutes": []}},
    )
    assert len(seen) == 3
    assert not [route for route in seen if "10.60" in route or "default" in route]


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({}, None),
        ({"flushroutes": True}, None),
        ({"delroutes": [{"dst": "192.168.0.0/24"}]}, "route is not removed"),  # by the default
        # The gateway has gone from the result, and a route of the result leads by it.
        (
            {"delroutes": [{"dst": "192.168.0.0/24"}], "flushgateway": True},
            "cannot find gateway <nil> in result: 10.1.1.1",
        ),
        ({"delroutes": [{"dst": "192.168.0.0/24"}], "skipcheck": True}, None),
        ({"addroutes": [{"dst": "10.60.0.0/16", "gw": "10.1.1.7"}]}, None),
        ({"addroutes": [{"dst": "10.60.0.0/16", "gw": "10.99.0.1"}]}, "failed to match route"),
        ({"addroutes": [{"dst": "10.60.0.0/16"}]}, "cannot find gateway <nil> in result"),
    ],
)
def test_route_override_checks_what_it_did(site, conf, message):
    override = {"type": "route-override", **conf}
    add(site, ROUTED, override)
    told = nullcontext() if message is None else pytest.raises(CniError, match=message)
    with told:  # macvlan would find the routes changed before
        site.runtime.check(network(override), site.sandbox, "net1")


def test_route_override_alone_is_refused(site):
    assert refusal(site, {"type": "route-override"}).msg == "overrideConf.PrevResult is nil"


# --- types that only a program can be -------------------------------------------------------

DHCP = binary.find_plugin(CNI_PATH, "dhcp")
QUICK = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


@pytest.mark.skipif(DHCP is None, reason="the real CNI plugin dhcp is not installed")
@pytest.mark.skipif(shutil.which("busybox") is None, reason="needs udhcpd of busybox")
def test_dhcp_works_with_its_daemon_started_on_the_node(holder, tmp_path):
    assert DHCP is not None
    site = Site(holder)
    where = tmp_path / "dhcp.sock"
    (tmp_path / "udhcpd.conf").write_text(
        f"start 10.1.1.20\nend 10.1.1.30\ninterface eth1\nlease_file {tmp_path}/leases\n"
        f"pidfile {tmp_path}/pid\nopt subnet 255.255.255.0\nopt router 10.1.1.1\n"
    )
    (tmp_path / "leases").touch()
    address = requests.address(site.index("eth1", site.switch), ip_address("10.1.1.1"), 24)
    site.switch.rtnl.execute(address)
    plugin = {"type": "macvlan", "master": "eth1"}
    plugin["ipam"] = {"type": "dhcp", "daemonSocketPath": str(where)}
    with ExitStack() as programs:
        nothing = programs.enter_context(open(os.devnull, "r+b")).fileno()
        for namespace, argv in (
            (site.switch, ["busybox", "udhcpd", "-f", str(tmp_path / "udhcpd.conf")]),
            (site.namespace, [DHCP, "daemon", "-socketpath", str(where)]),
        ):
            holder.view(namespace, namespace.name, "127.0.0.1 localhost\n")
            fds = (nothing, nothing, nothing)
            programs.enter_context(holder.run(namespace, argv, fds=fds, env=QUICK))
        _until(where.exists)
        result = add(site, plugin)
        assert [str(ip.gateway) for ip in result.ips] == ["10.1.1.1"]
        assert str(interface(site.pod, "net1").ipv4[0]) == str(result.ips[0].address)
        site.runtime.delete(network(plugin), site.sandbox, "net1")
    site.close()


def test_without_its_daemon_dhcp_says_so(holder):
    if DHCP is None:
        pytest.skip("the real CNI plugin dhcp is not installed")
    site = Site(holder)
    error = refusal(site, {**MACVLAN, "ipam": {"type": "dhcp"}})
    assert error.msg.startswith("error dialing DHCP daemon: dial unix /run/cni/dhcp.sock")
    site.close()


def _until(condition: Callable[[], bool]) -> None:
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_delay(20),
        wait=tenacity.wait_fixed(0.05),
        retry=tenacity.retry_if_result(lambda done: not done),
    )
    retrying(condition)


@pytest.mark.parametrize(
    ("plugins", "named"),
    [
        (({**MACVLAN, "ipam": {"type": "dhcp"}},), "dhcp with its daemon"),
        ((BRIDGE, {"type": "firewall"}), "firewall with its packet filter rules"),
    ],
    ids=["dhcp", "firewall"],
)
def test_where_the_program_is_missing_the_reason_names_it(holder, plugins, named):
    site = Site(holder, cni_path="/nowhere")
    with pytest.raises(NeedsCapability, match=named) as raised:
        add(site, *plugins)
    assert raised.value.capability == "cni-plugins"
    site.close()


# --- sbr ------------------------------------------------------------------------------------


def test_sbr_takes_the_interfaces_routes_out_of_the_main_table(site):
    chain = (MACVLAN, {"type": "sbr"})
    add(site, PTP, ifname="eth0")
    before = routes(site.pod)
    add(site, *chain)
    assert routes(site.pod) == before
    told = site.picture()["pod"]["by source"]
    assert [line.split()[:2] for line in told if line.startswith("rule")] == [["rule", "100"]]
    assert len([line for line in told if line.startswith("route 100")]) >= 2
    site.runtime.delete(network(*chain), site.sandbox, "net1")
    assert site.picture()["pod"]["by source"] == []


# --- what all have in common ----------------------------------------------------------------


def test_loopback_goes_up(site):
    result = add(site, {"type": "loopback"})
    assert interface(site.pod, "lo").up
    assert [str(ip.address) for ip in result.ips] == ["127.0.0.1/8", "::1/128"]


@pytest.mark.parametrize("plugin", [MACVLAN, BRIDGE, PTP], ids=lambda p: p["type"])
def test_delete_can_be_repeated_and_needs_no_add(site, plugin):
    site.runtime.delete(network(plugin), site.sandbox, "net1")
    add(site, plugin)
    site.runtime.delete(network(plugin), site.sandbox, "net1")
    site.runtime.delete(network(plugin), site.sandbox, "net1")
    assert names(site.pod) == ["lo"]


@pytest.mark.parametrize("plugin", [MACVLAN, BRIDGE, PTP], ids=lambda p: p["type"])
def test_delete_after_the_namespace_has_gone_releases_the_address(site, plugin):
    second = site.another_pod()
    site.runtime.add(network(plugin), second, "net1")
    second.namespace.close()
    site.runtime.delete(network(plugin), second, "net1")
    again = site.another_pod(second.container_id)
    site.runtime.add(network(plugin), again, "net1")
    again.namespace.close()


@pytest.mark.parametrize("plugin", [MACVLAN, BRIDGE, PTP], ids=lambda p: p["type"])
def test_check_finds_what_has_changed(site, plugin):
    add(site, plugin)
    site.runtime.check(network(plugin), site.sandbox, "net1")
    held = interface(site.pod, "net1").ipv4[0]
    index = site.index("net1", site.pod)
    site.pod.rtnl.execute(requests.address(index, held.ip, held.network.prefixlen, delete=True))
    with pytest.raises(CniError, match="Failed to match addr"):
        site.runtime.check(network(plugin), site.sandbox, "net1")
    site.pod.rtnl.execute(requests.delete_link(index))
    with pytest.raises(CniError, match="not found"):
        site.runtime.check(network(plugin), site.sandbox, "net1")


def test_a_refused_route_leaves_what_was_done_before_it(site):
    ipam = {
        **STATIC,
        "routes": [
            {"dst": "10.50.0.0/16"},
            {"dst": "10.60.0.0/16", "gw": "10.99.0.1"},
            {"dst": "10.70.0.0/16"},
        ],
    }
    error = refusal(site, {**MACVLAN, "ipam": ipam})
    assert error.msg == (
        "failed to add route '{10.60.0.0 ffff0000} via 10.99.0.1 dev net1': network is unreachable"
    )
    assert routes(site.pod) == [
        "10.1.1.0/24 dev net1 scope link src 10.1.1.101",
        "10.50.0.0/16 via 10.1.1.1 dev net1",
    ]


def test_ipv6_is_switched_on_for_an_ipv6_address(site):
    for name in ("all", "default"):
        site.pod.sysctl(f"ipv6/conf/{name}/disable_ipv6", "1")
    ipam = {"type": "static", "addresses": [{"address": "fd00:1::65/64"}]}
    add(site, {**MACVLAN, "ipam": ipam})
    assert "fd00:1::65/64" in [str(a) for a in interface(site.pod, "net1").ipv6]
    assert site.pod.sysctl("ipv6/conf/lo/disable_ipv6") == "0"


def test_real_and_native_plugins_share_a_list(holder, tmp_path):
    """A type that is not native runs as a program, between plugins that are."""
    plugin = tmp_path / "passthrough"
    plugin.write_text(
        "#!/usr/bin/env python3\n"
        "import json, os, sys\n"
        "conf = json.load(sys.stdin)\n"
        "assert os.stat(os.environ['CNI_NETNS']).st_ino\n"
        "result = conf.get('prevResult', {})\n"
        "result['dns'] = {'domain': os.environ['CNI_COMMAND'].lower()}\n"
        "print(json.dumps(result))\n"
    )
    plugin.chmod(0o755)
    tmp_path.chmod(0o755)
    site = Site(holder, cni_path=str(tmp_path))
    chain = (MACVLAN, {"type": "passthrough"}, {"type": "tuning", "mtu": 1400})
    result = add(site, *chain)
    assert result.dns.domain == "add"
    assert interface(site.pod, "net1").mtu == 1400
    site.runtime.check(network(*chain), site.sandbox, "net1")
    site.runtime.delete(network(*chain), site.sandbox, "net1")
    assert names(site.pod) == ["lo"]
    site.close()


def test_a_real_plugin_deletes_after_the_namespace_has_gone(holder, tmp_path):
    plugin = tmp_path / "quiet"
    plugin.write_text('#!/bin/sh\n[ -z "$CNI_NETNS" ] && [ "$CNI_COMMAND" = DEL ]\n')
    plugin.chmod(0o755)
    tmp_path.chmod(0o755)
    site = Site(holder, cni_path=str(tmp_path))
    second = site.another_pod()
    second.namespace.close()
    site.runtime.delete(network({"type": "quiet"}), second, "net1")
    site.close()


def test_a_real_plugin_that_fails_without_a_result_is_quoted(holder, tmp_path):
    plugin = tmp_path / "failing"
    plugin.write_text("#!/bin/sh\necho on stderr >&2\nexit 3\n")
    plugin.chmod(0o755)
    site = Site(holder, cni_path=str(tmp_path))
    error = refusal(site, {"type": "failing"})
    assert error.msg == 'netplugin failed: "on stderr\\n"'
    site.close()


def test_sandbox_is_what_results_show(site):
    sandbox = Sandbox("c0ffee", site.pod, "/somewhere/else")
    result = site.runtime.add(network(MACVLAN), sandbox, "net1")
    assert result.to_dict()["interfaces"][0]["sandbox"] == "/somewhere/else"
