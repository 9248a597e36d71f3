"""macvlan on the node link, every mode, on one node and on two."""

from __future__ import annotations

import pytest

from .scenario import macvlan, network, on, pod, scenario
from .stage import Stage

A_NODE, B_NODE = "worker", "worker2"


def three(name: str, subnet: int, **fields: object):
    """Two pods on one node and one on the other, on a network of their own."""
    return (
        network(name, macvlan(**fields)),
        pod(f"{name}-a", on(name, f"10.60.{subnet}.1/24")),
        pod(f"{name}-b", on(name, f"10.60.{subnet}.2/24")),
        pod(f"{name}-c", on(name, f"10.60.{subnet}.3/24"), node="worker2"),
    )


def answers(name: str, *pairs: str) -> dict[str, int | None]:
    """Of all pairs of the three pods, those named answer with TTL 64."""
    letters = ["a>b", "a>c", "b>a", "b>c", "c>a", "c>b"]
    return {
        ">".join(f"{name}-{end}" for end in pair.split(">")): 64 if pair in pairs else None
        for pair in letters
    }


ALL = ("a>b", "a>c", "b>a", "b>c", "c>a", "c>b")
ACROSS = ("a>c", "b>c", "c>a", "c>b")


@scenario(*three("mvbridge", 1, mode="bridge"))
def test_in_bridge_mode_all_pods_reach_each_other(stage: Stage) -> None:
    assert stage.reach() == answers("mvbridge", *ALL)
    assert stage.arp("mvbridge-a", "mvbridge-b")
    assert stage.arp("mvbridge-a", "mvbridge-c")


@scenario(*three("mvdefault", 2))
def test_without_a_mode_it_is_bridge_mode(stage: Stage) -> None:
    assert "macvlan bridge" in stage.interface("mvdefault-a", "net1")
    assert stage.reach() == answers("mvdefault", *ALL)


@scenario(*three("mvprivate", 3, mode="private"))
def test_in_private_mode_pods_of_one_node_do_not_reach_each_other(stage: Stage) -> None:
    assert "macvlan private" in stage.interface("mvprivate-a", "net1")
    assert stage.reach() == answers("mvprivate", *ACROSS)


@scenario(*three("mvvepa", 4, mode="vepa"))
def test_in_vepa_mode_pods_of_one_node_do_not_reach_each_other(stage: Stage) -> None:
    assert "macvlan vepa" in stage.interface("mvvepa-a", "net1")
    assert stage.reach() == answers("mvvepa", *ACROSS)


@scenario(
    network("mvpass", macvlan(mode="passthru", master="pass0")),
    pod("mvpass-a", on("mvpass", "10.60.5.1/24")),
    pod("mvpass-c", on("mvpass", "10.60.5.3/24"), node="worker2"),
    refused=(pod("mvpass-b", on("mvpass", "10.60.5.2/24")),),
    links=("pass0",),
)
def test_in_passthru_mode_the_first_pod_has_the_master_alone(stage: Stage) -> None:
    assert stage.reach() == {"mvpass-a>mvpass-c": 64, "mvpass-c>mvpass-a": 64}
    assert stage.refused("failed to create macvlan: invalid argument")


@scenario(
    network("mvnode", macvlan(master="own0")),
    pod("mvnode-a", on("mvnode", "10.60.6.1/24")),
    links=("own0",),
)
def test_a_node_does_not_reach_its_own_pods_macvlan(stage: Stage) -> None:
    node = stage.cluster.node("worker")
    node.exec(["ip", "address", "add", "10.60.6.100/24", "dev", "own0"], check=True)
    try:
        assert stage.ping("worker", "mvnode-a", via="own0") is None
        assert stage.ping("mvnode-a", "10.60.6.100") is None
    finally:
        node.exec(["ip", "address", "del", "10.60.6.100/24", "dev", "own0"], check=True)


@scenario(
    network("mvother", macvlan(master="far0")),
    pod("mvother-a", on("mvother", "10.60.7.1/24")),
    links=("far0",),
)
def test_the_node_at_the_links_other_end_reaches_it(stage: Stage) -> None:
    node = stage.cluster.node("worker2")
    node.exec(["ip", "address", "add", "10.60.7.100/24", "dev", "far0"], check=True)
    try:
        assert stage.ping("worker2", "mvother-a", via="far0") == 64
        assert stage.ping("mvother-a", "10.60.7.100") == 64
    finally:
        node.exec(["ip", "address", "del", "10.60.7.100/24", "dev", "far0"], check=True)


@scenario(
    network(
        "mvmaster", {"type": "macvlan", "ipam": {"type": "static"}, "capabilities": {"ips": True}}
    ),
    pod("mvmaster-a", on("mvmaster", "10.60.8.1/24")),
    pod("mvmaster-c", on("mvmaster", "10.60.8.3/24"), node="worker2"),
)
def test_without_a_master_it_is_the_interface_of_the_default_route(stage: Stage) -> None:
    parent = stage.pod("mvmaster-a").interface("net1").parent
    assert parent == stage.cluster.node("worker").interface("eth0").index
    assert stage.interface("mvmaster-a", "net1").startswith("net1 macvlan bridge mtu 1500 up")


@scenario(*three("mvmtu", 9, mtu=1400))
def test_an_mtu_below_the_masters_is_set_and_larger_packets_are_refused(stage: Stage) -> None:
    assert "mtu 1400" in stage.interface("mvmtu-a", "net1")
    assert stage.ping("mvmtu-a", "mvmtu-c", size=1372, dont_fragment=True) == 64
    assert stage.ping("mvmtu-a", "mvmtu-c", size=1373, dont_fragment=True) is None
    assert stage.ping("mvmtu-a", "mvmtu-c", size=1373) == 64


@scenario(
    network("mvl2", {**macvlan(), "ipam": {}}),
    pod("mvl2-a", on("mvl2")),
)
def test_without_ipam_the_interface_has_no_address(stage: Stage) -> None:
    assert stage.pod("mvl2-a").interface("net1").ipv4 == ()
    assert stage.status("mvl2-a") == [("default/mvl2", "net1", [])]


@scenario(
    network("mvpromisc", macvlan(), {"type": "tuning", "promisc": True, "allmulti": True}),
    pod("mvpromisc-a", on("mvpromisc", "10.60.11.1/24")),
)
def test_tuning_sets_promisc_and_allmulti(stage: Stage) -> None:
    assert " promisc allmulti" in stage.interface("mvpromisc-a", "net1")


@scenario(
    network("mvtwice", macvlan()),
    pod("mvtwice-a", on("mvtwice", "10.60.12.1/24")),
    pod("mvtwice-b", on("mvtwice", "10.60.12.1/24"), node="worker2"),
)
def test_two_pods_with_one_address_both_start(stage: Stage) -> None:
    assert {str(p.ip("net1")) for p in stage.pods.values()} == {"10.60.12.1"}


@scenario(
    network("mvmac", macvlan()),
    pod("mvmac-a", on("mvmac", "10.60.13.1/24", mac="02:00:00:60:13:01")),
    refused=(pod("mvmac-b", on("mvmac", "10.60.13.2/24", mac="02:00:00:60:13:01")),),
)
def test_two_pods_with_one_mac_on_one_master_the_second_is_refused(stage: Stage) -> None:
    assert "mac 02:00:00:60:13:01" in stage.interface("mvmac-a", "net1")
    assert stage.refused("UP: address already in use")


@scenario(
    network("mvmacs", macvlan()),
    pod("mvmacs-a", on("mvmacs", "10.60.14.1/24", mac="02:00:00:60:14:01")),
    pod("mvmacs-c", on("mvmacs", "10.60.14.2/24", mac="02:00:00:60:14:01"), node="worker2"),
)
def test_one_mac_on_two_nodes_is_accepted_and_the_two_do_not_talk(stage: Stage) -> None:
    assert stage.reach() == {"mvmacs-a>mvmacs-c": None, "mvmacs-c>mvmacs-a": None}


@scenario(
    network("mvtcp", macvlan()),
    pod("mvtcp-a", on("mvtcp", "10.60.15.1/24")),
    pod("mvtcp-c", on("mvtcp", "10.60.15.3/24"), node="worker2"),
)
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_connections_over_the_second_network(stage: Stage, protocol: str) -> None:
    a, c = stage.pod("mvtcp-a"), stage.pod("mvtcp-c")
    with c.listen(5600, protocol=protocol):
        outcome = a.connect("10.60.15.3", 5600, protocol=protocol, interface="net1").outcome
    refused = a.connect("10.60.15.3", 5600, protocol=protocol, interface="net1").outcome
    stage.note(f"{protocol} to a listener: {outcome}; to nobody: {refused}")
    assert (outcome, refused) == ({"tcp": "connected", "udp": "answered"}[protocol], "refused")


@scenario(*three("mvcut", 16, master="cut0"), links=("cut0",))
def test_a_cut_link_parts_the_nodes_and_a_healed_one_joins_them(stage: Stage) -> None:
    (link,) = (n for n in stage.cluster.node_links if n.name == "cut0")
    with link.cut():
        assert stage.ping("mvcut-a", "mvcut-c") is None
    assert stage.ping("mvcut-a", "mvcut-c") == 64
