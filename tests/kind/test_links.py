"""Links between nodes: veth pairs made in the node containers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_multinet.cluster.kind_cluster import KindCluster
from pytest_multinet.cluster.kind_node import KindNode
from pytest_multinet.errors import LinkError, UsageError
from pytest_multinet.link.veth_nodes import NodeVeth
from pytest_multinet.model.topology import LinkConfig


def test_a_link_has_the_name_mtu_and_addresses_asked_for(clean: KindCluster) -> None:
    worker, worker2 = clean.node("worker"), clean.node("worker2")
    with clean.link(
        "worker", "worker2", name="storage", mtu=9000, addresses=["10.5.0.1/30", "10.5.0.2/30"]
    ):
        for node, address in ((worker, "10.5.0.1/30"), (worker2, "10.5.0.2/30")):
            end = node.interface("storage")
            assert (end.type, end.state, end.mtu) == ("veth", "up", 9000)
            assert [str(a) for a in end.ipv4] == [address]
        assert worker.ping("10.5.0.2", interface="storage").ttl == 64
        assert worker.ping("10.5.0.2", size=8000, dont_fragment=True)
    assert all(i.name != "storage" for n in (worker, worker2) for i in n.interfaces)


def test_several_links_between_any_two_nodes(clean: KindCluster) -> None:
    first = clean.link("control-plane", "worker", name="up1")
    second = clean.link("control-plane", "worker2", name="up2")
    names = [i.name for i in clean.node("control-plane").interfaces]
    assert {"up1", "up2"} <= set(names)
    first.delete()
    second.delete()


def test_the_pair_never_shows_in_the_hosts_namespace(clean: KindCluster) -> None:
    before = set(Path("/sys/class/net").iterdir())
    with clean.link("worker", "worker2", name="hidden"):
        assert set(Path("/sys/class/net").iterdir()) == before


def test_the_same_link_again_is_the_living_one_and_another_is_an_error(clean: KindCluster) -> None:
    first = clean.link("worker", "worker2", name="same")
    assert clean.link("worker", "worker2", name="same") is first
    with pytest.raises(UsageError, match="exists with other arguments"):
        clean.link("worker", "worker2", name="same", mtu=1400)
    first.delete()
    first.delete()
    with pytest.raises(LinkError, match="was deleted"):
        first.up()


def test_down_up_and_cut(clean: KindCluster) -> None:
    worker, worker2 = clean.node("worker"), clean.node("worker2")
    with clean.link(
        "worker", "worker2", name="cutme", addresses=["10.5.1.1/30", "10.5.1.2/30"]
    ) as link:
        link.down()
        assert not worker.interface("cutme").up
        assert not worker2.interface("cutme").up
        link.up()
        assert worker.ping("10.5.1.2", count=3)
        with link.cut():
            assert not worker.ping("10.5.1.2", timeout=0.3)
        assert worker.ping("10.5.1.2", count=3)


def test_a_strangers_interface_of_that_name_is_left_alone(clean: KindCluster) -> None:
    worker = clean.node("worker")
    worker.exec(["ip", "link", "add", "theirs", "type", "bridge"], check=True)
    with pytest.raises(LinkError, match=r"already has an interface 'theirs'.*left alone"):
        clean.link("worker", "worker2", name="theirs")
    assert worker.interface("theirs").type == "bridge"
    worker.exec(["ip", "link", "delete", "theirs"], check=True)


def test_a_link_of_ours_that_differs_is_remade(clean: KindCluster) -> None:
    nodes = (_kind(clean, "worker"), _kind(clean, "worker2"))
    names = tuple(n.name for n in nodes)
    old = NodeVeth(LinkConfig(*names, name="differs", mtu=1400), nodes, clean.run_helper)
    assert old.ensure() is True
    assert old.ensure() is False
    new = NodeVeth(LinkConfig(*names, name="differs", mtu=1500), nodes, clean.run_helper)
    assert new.ensure() is True
    assert nodes[0].interface("differs").mtu == 1500
    new.delete()


def test_without_root_a_helper_container_makes_the_same_link(clean: KindCluster) -> None:
    indirect = (_indirect(clean, "worker"), _indirect(clean, "worker2"))
    names = tuple(n.name for n in indirect)
    config = LinkConfig(*names, name="helped", mtu=1450, addresses=("10.5.2.1/30", "10.5.2.2/30"))
    assert indirect[0].namespace is None
    link = NodeVeth(config, indirect, clean.run_helper)
    assert link.ensure() is True
    assert link.ensure() is False
    worker = clean.node("worker")
    assert (worker.interface("helped").mtu, worker.interface("helped").state) == (1450, "up")
    assert worker.ping("10.5.2.2")
    # What one way made, the other recognises.
    direct = NodeVeth(config, (_kind(clean, "worker"), _kind(clean, "worker2")), clean.run_helper)
    assert direct.ensure() is False
    link.set_up(False)
    assert not worker.interface("helped").up
    link.delete()
    assert not link.exists()
    assert clean.engine.containers("io.pytest-multinet") == []


def test_macvlans_on_a_cut_link_lose_each_other(clean: KindCluster) -> None:
    from .conftest import network, pod

    with clean.link("worker", "worker2", name="fragile") as link:
        clean.apply(
            network(
                "fragile",
                {
                    "type": "macvlan",
                    "master": "fragile",
                    "capabilities": {"ips": True},
                    "ipam": {"type": "static"},
                },
            )
        )
        a, b = clean.apply(
            [
                pod(
                    f"fragile-{n}",
                    json.dumps([{"name": "fragile", "ips": [f"10.5.3.{n}/24"]}]),
                    clean.node(w).name,
                )
                for n, w in ((1, "worker"), (2, "worker2"))
            ]
        )
        assert a.ping(b, interface="net1")
        with link.cut():
            assert a.interface("net1").state != "up"
            assert not a.ping(b, interface="net1", timeout=0.3)
        assert a.ping(b, interface="net1", count=3)


def test_a_link_that_was_in_a_pod_is_removed_all_the_same(clean: KindCluster) -> None:
    """host-device takes our mark off a link that it moves."""
    from .conftest import network, pod

    clean.apply(
        network(
            "moved",
            {
                "type": "host-device",
                "device": "moved0",
                "capabilities": {"ips": True},
                "ipam": {"type": "static"},
            },
        )
    )
    worker, worker2 = clean.node("worker"), clean.node("worker2")
    with clean.link("worker", "worker2", name="moved0"):
        pods = clean.apply(
            [
                pod(
                    f"mover-{n}",
                    json.dumps([{"name": "moved", "ips": [f"10.5.4.{n}/24"]}]),
                    w.name,
                )
                for n, w in ((1, worker), (2, worker2))
            ]
        )
        assert all(i.name != "moved0" for n in (worker, worker2) for i in n.interfaces)
        clean.delete_pods(pods)
        assert worker.interface("moved0").type == "veth"
    assert all(i.name != "moved0" for n in (worker, worker2) for i in n.interfaces)


def _kind(cluster: KindCluster, name: str) -> KindNode:
    return cluster.kind_node(cluster.node(name).name)


def _indirect(cluster: KindCluster, name: str) -> KindNode:
    node = _kind(cluster, name)
    return KindNode(
        cluster.engine, cluster.config, node.container, node.role, str(node.address), direct=False
    )
