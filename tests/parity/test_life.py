"""Deletion, re-creation and what stays behind."""

from __future__ import annotations

from .scenario import bridge, host_local, macvlan, network, on, pod, scenario
from .stage import Stage

MAC = "02:00:00:65:01:01"


@scenario(
    network("again", macvlan()),
    pod("again-c", on("again", "10.65.1.3/24"), node="worker2"),
)
def test_a_pod_made_again_with_the_same_address_and_mac_is_reached(stage: Stage) -> None:
    for _ in range(2):
        stage.apply(pod("again-a", on("again", "10.65.1.1/24", mac=MAC)))
        assert stage.ping("again-c", "again-a") == 64
        assert stage.arp("again-c", "again-a")
        stage.remove("again-a")
        assert stage.ping("again-c", "10.65.1.1") is None


@scenario(
    network("moved", macvlan()),
    pod("moved-c", on("moved", "10.65.2.3/24"), node="worker2"),
)
def test_a_pod_made_again_on_another_node_keeps_its_address(stage: Stage) -> None:
    for node in ("worker", "worker2"):
        stage.apply(pod("moved-a", on("moved", "10.65.2.1/24"), node=node))
        assert stage.ping("moved-c", "moved-a") == 64
        stage.remove("moved-a")


@scenario(network("next", bridge("lbr3", capabilities={}, ipam=host_local("10.65.3.0/24"))))
def test_host_local_hands_out_the_next_address_to_a_pod_made_again(stage: Stage) -> None:
    seen: list[str] = []
    for _ in range(3):
        (made,) = stage.apply(pod("next-a", on("next")))
        seen.append(str(made.ip("net1")))
        stage.remove("next-a")
    stage.note(f"addresses in turn: {seen}")
    assert seen == ["10.65.3.2", "10.65.3.3", "10.65.3.4"]


@scenario(
    network(
        "round",
        macvlan(
            capabilities={},
            ipam={
                "type": "host-local",
                "subnet": "10.65.4.0/24",
                "rangeStart": "10.65.4.10",
                "rangeEnd": "10.65.4.11",
            },
        ),
    )
)
def test_host_local_begins_anew_at_the_ranges_end(stage: Stage) -> None:
    seen: list[str] = []
    for _ in range(3):
        (made,) = stage.apply(pod("round-a", on("round")))
        seen.append(str(made.ip("net1")))
        stage.remove("round-a")
    stage.note(f"addresses in turn: {seen}")
    assert seen == ["10.65.4.10", "10.65.4.11", "10.65.4.10"]


@scenario(network("stays", bridge("lbr5", isGateway=True, ipam=host_local("10.65.5.0/24"))))
def test_a_bridge_stays_when_its_last_pod_has_gone(stage: Stage) -> None:
    stage.apply(pod("stays-a", on("stays")))
    stage.remove("stays-a")
    assert stage.look("worker", "lbr5", "down").startswith("lbr5 bridge mtu 1500 down")


@scenario(
    network(
        "back",
        {
            "type": "host-device",
            "device": "back0",
            "capabilities": {"ips": True},
            "ipam": {"type": "static"},
        },
    ),
    links=("back0",),
)
def test_a_device_comes_back_to_the_node_under_its_name(stage: Stage) -> None:
    before = stage.look("worker", "back0")
    (made,) = stage.apply(pod("back-a", on("back", "10.65.6.1/24", interface="lan")))
    assert "10.65.6.1/24" in stage.interface(made.name, "lan")
    stage.remove("back-a")
    after = stage.look("worker", "back0")
    assert after.split()[:4] == before.split()[:4]


@scenario(network("clean", macvlan(master="clean0")), links=("clean0",))
def test_nothing_of_a_macvlan_stays_on_the_node(stage: Stage) -> None:
    node = stage.cluster.node("worker")
    before = [i.name for i in node.interfaces if i.type != "veth"]
    stage.apply(pod("clean-a", on("clean", "10.65.7.1/24")))
    stage.remove("clean-a")
    assert [i.name for i in node.interfaces if i.type != "veth"] == before


@scenario(
    network("half1", macvlan(master="half0")),
    network("half2", macvlan(master="nope0")),
    refused=(pod("half-a", on("half1", "10.65.8.1/24"), on("half2", "10.65.8.2/24")),),
    links=("half0",),
)
def test_when_the_second_network_fails_the_first_is_taken_down(stage: Stage) -> None:
    assert stage.refused('plugin type="macvlan" failed (add): Link not found')
    stage.apply(pod("half-b", on("half1", "10.65.8.1/24", mac="02:00:00:65:08:01")))
    assert "10.65.8.1/24" in stage.interface("half-b", "net1")
