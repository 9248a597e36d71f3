"""Kinds of links that not every kernel has; where it lacks one, the row is unproven."""

from __future__ import annotations

from typing import Any

from .scenario import bridge, host_local, macvlan, network, on, pod, scenario
from .stage import Stage


def static(type: str, **more: Any) -> dict[str, Any]:
    """A plugin on the node link, with the addresses that the pod asks for."""
    return {
        "type": type,
        "capabilities": {"ips": True},
        "ipam": {"type": "static"},
        **more,
    }


@scenario(network("ipvlan", static("ipvlan", master="ipv0", mode="l2")), links=("ipv0",))
def test_ipvlan_joins_the_nodes_with_the_masters_mac(stage: Stage) -> None:
    stage.apply_if_possible(
        pod("ipvlan-a", on("ipvlan", "10.66.1.1/24")),
        pod("ipvlan-c", on("ipvlan", "10.66.1.3/24"), node="worker2"),
    )
    assert stage.reach() == {"ipvlan-a>ipvlan-c": 64, "ipvlan-c>ipvlan-a": 64}
    master = stage.cluster.node("worker").interface("ipv0").mac
    assert stage.pod("ipvlan-a").interface("net1").mac == master


@scenario(
    network("vlan5", static("vlan", master="eth1", vlanId=5)),
    network("vlan6", static("vlan", master="eth1", vlanId=6)),
)
def test_vlans_part_pods_with_addresses_of_one_subnet(stage: Stage) -> None:
    stage.apply_if_possible(
        pod("vlan-a", on("vlan5", "10.66.2.1/24")),
        pod("vlan-b", on("vlan6", "10.66.2.2/24")),
        pod("vlan-c", on("vlan5", "10.66.2.3/24"), node="worker2"),
    )
    assert stage.ping("vlan-a", "vlan-c") == 64
    assert stage.ping("vlan-b", "vlan-c") is None


@scenario(network("dummy", static("dummy")))
def test_dummy_holds_an_address(stage: Stage) -> None:
    stage.apply_if_possible(pod("dummy-a", on("dummy", "10.66.3.1/24")))
    assert stage.interface("dummy-a", "net1").startswith("net1 dummy mtu 1500 unknown")


@scenario(network("vrf", macvlan(), {"type": "vrf", "vrfname": "red"}))
def test_vrf_takes_the_interface_in(stage: Stage) -> None:
    stage.apply_if_possible(pod("vrf-a", on("vrf", "10.66.4.1/24")))
    assert stage.pod("vrf-a").interface("net1").master == "red"


@scenario(network("tap", static("tap")))
def test_tap_gives_a_tun_device(stage: Stage) -> None:
    stage.apply_if_possible(pod("tap-a", on("tap", "10.66.5.1/24")))
    assert stage.status("tap-a") == [("default/tap", "net1", ["10.66.5.1"])]


@scenario(
    network(
        "slow",
        bridge("kbr6", capabilities={}, ipam=host_local("10.66.6.0/24")),
        {
            "type": "bandwidth",
            "ingressRate": 8_000_000,
            "ingressBurst": 800_000,
            "egressRate": 4_000_000,
            "egressBurst": 400_000,
        },
    )
)
def test_bandwidth_limits_both_ways(stage: Stage) -> None:
    stage.apply_if_possible(pod("slow-a", on("slow")))
    node, net1 = stage.cluster.node("worker"), stage.pod("slow-a").interface("net1")
    (veth,) = [i for i in node.interfaces if i.index == net1.parent]
    assert stage.limits("worker", veth.name) == ["800Gbit", "8Mbit"]
