"""Causes between pods that run: each is made in the kernel and found from outside."""

from __future__ import annotations

import pytest

from pytest_multinet import assert_arp, assert_interface, assert_ping, assert_route
from pytest_multinet.cluster.base import Cluster
from pytest_multinet.cluster.stack import Node

from .conftest import SHORT, at, host_local, named, network, pod, text_of, two_pods

V6 = "fd00:1::"


def _veth(node: Node, name: str) -> None:
    """A master that leads nowhere: a veth whose other end stays on the node."""
    peer = f"{name}p"
    node.exec(["ip", "link", "add", name, "type", "veth", "peer", "name", peer], check=True)
    for end in (name, peer):
        node.exec(["ip", "link", "set", end, "up"], check=True)


def test_masters_that_nothing_joins(cluster: Cluster) -> None:
    cluster.apply([network("mv"), network("apart", master="eth5")])
    for name in ("worker", "worker2"):
        node = cluster.node(name)
        _veth(node, "eth5")
    try:
        a, b = two_pods(cluster, "apart")
        (c,) = cluster.apply(pod(cluster, "c", "worker", at("apart", "10.1.1.103/24")))

        assert named(lambda: assert_ping(a, b, interface="net1", within=SHORT)) == "no-layer-2"
        assert "eth5 of diagnosis-worker and eth5 of diagnosis-worker2" in text_of(
            lambda: assert_ping(a, b, interface="net1", within=SHORT)
        )
        assert assert_ping(a, c, interface="net1").attempts == 1
        assert named(lambda: assert_ping(a, "10.1.1.200", interface="net1", within=SHORT)) == ""
        for gone in (a, b, c):
            gone.delete()
    finally:
        for name in ("worker", "worker2"):
            cluster.node(name).exec(["ip", "link", "delete", "eth5"])
    a, b = two_pods(cluster)
    assert assert_ping(a, b, interface="net1")


def test_a_mac_filter_on_the_underlay(cluster: Cluster) -> None:
    cluster.apply([network("under", master="eth0")])
    a, b = two_pods(cluster, "under")
    assert assert_ping(a, b, interface="net1").attempts == 1
    far = cluster.node("worker2")
    own = cluster.node("worker").interface("eth0").mac
    rules = f"""table netdev filter {{
        chain in {{
            type filter hook ingress device "eth0" priority 0;
            ether saddr != {own} drop
        }}
    }}
    """
    far.exec(["nft", "-f", "-"], input=rules, check=True)
    try:
        assert named(lambda: assert_ping(a, b, interface="net1", within=SHORT)) == "no-layer-2"
        assert "a MAC filter on the underlay" in text_of(
            lambda: assert_ping(a, b, interface="net1", within=SHORT)
        )
    finally:
        far.exec(["nft", "delete", "table", "netdev", "filter"], check=True)
    assert assert_ping(a, b, interface="net1")


def test_a_link_that_is_down_is_not_a_missing_layer_2(cluster: Cluster) -> None:
    cluster.apply([network("mv")])
    a, b = two_pods(cluster)
    (link,) = cluster.node_links

    with link.cut():
        text = text_of(lambda: assert_ping(a, b, interface="net1", within=SHORT))
    assert "broken:   node link" in text
    assert "eth1 is administratively down" in text
    assert "no-layer-2" not in text
    assert assert_ping(a, b, interface="net1")


def test_the_far_end_of_a_link_is_down(cluster: Cluster) -> None:
    cluster.apply([network("mv")])
    a, b = two_pods(cluster)
    far = cluster.node("worker2")
    far.exec(["ip", "link", "set", "eth1", "down"], check=True)

    text = text_of(lambda: assert_ping(a, b, interface="net1", within=SHORT))
    assert "broken:   node link" in text
    assert "its other end, on diagnosis-worker2, is down or gone" in text
    far.exec(["ip", "link", "set", "eth1", "up"], check=True)
    assert assert_ping(a, b, interface="net1")


@pytest.mark.parametrize("source", ["node", "pod"])
def test_a_node_and_its_own_pod(cluster: Cluster, source: str) -> None:
    cluster.apply([network("mv")])
    a, b = two_pods(cluster)
    node = cluster.node("worker")
    node.exec(["ip", "address", "add", "10.1.1.1/24", "dev", "eth1"], check=True)
    ends = (node, a) if source == "node" else (a, node)
    target = "10.1.1.101" if source == "node" else "10.1.1.1"
    interface = "eth1" if source == "node" else "net1"

    text = text_of(lambda: assert_ping(ends[0], target, interface=interface, within=SHORT))
    assert "[own-macvlan]" in text
    assert "a is a macvlan on eth1 of diagnosis-worker" in text or "a's net1" in text
    assert assert_ping(node, b.ip("net1"), interface="eth1").attempts == 1
    assert named(lambda: assert_ping(node, "10.1.1.200", interface="eth1", within=SHORT)) == ""
    node.exec(["ip", "address", "delete", "10.1.1.1/24", "dev", "eth1"], check=True)


def test_host_local_gives_one_address_on_two_nodes(cluster: Cluster) -> None:
    cluster.apply([network("hl", ipam=host_local("10.7.0.0/24", "10.7.0.10", "10.7.0.20"))])
    a, b = cluster.apply([pod(cluster, "a", "worker", "hl"), pod(cluster, "b", "worker2", "hl")])
    assert a.ip("net1") == b.ip("net1")

    assert (
        named(lambda: assert_ping(a, b, interface="net1", within=SHORT)) == "address-on-two-nodes"
    )
    (c,) = cluster.apply(pod(cluster, "c", "worker", "hl"))
    assert assert_ping(a, c, interface="net1").attempts == 1
    assert named(lambda: assert_ping(a, "10.7.0.99", interface="net1", within=SHORT)) == ""
    for gone in (b, c):
        gone.delete()
    (d,) = cluster.apply(pod(cluster, "d", "worker2", "hl"))
    assert d.ip("net1") != a.ip("net1")
    assert assert_ping(a, d, interface="net1")


def test_a_twin_that_answers_for_a_dead_pod_does_not_pass(cluster: Cluster) -> None:
    cluster.apply([network("twins", ipam=host_local("10.7.0.0/24", "10.7.0.10", "10.7.0.20"))])
    a, b, c = cluster.apply(
        [
            pod(cluster, "a", "worker", "twins"),
            pod(cluster, "b", "worker2", "twins"),
            pod(cluster, "c", "worker", "twins"),
        ]
    )
    b.exec(["ip", "link", "set", "net1", "down"], check=True)

    text = text_of(lambda: assert_ping(c, b, interface="net1", within=SHORT))
    assert "seen:     <PingResult c -> 10.7.0.10 dev net1: 1/1 replies" in text
    assert "b net1" in text
    assert "administratively down" in text
    with pytest.raises(AssertionError):
        assert_arp(c, b, interface="net1", within=SHORT)
    assert assert_arp(c, a, interface="net1")


def test_two_static_pods_with_one_address_are_not_blamed_on_host_local(cluster: Cluster) -> None:
    cluster.apply([network("mv")])
    a, b = cluster.apply(
        [
            pod(cluster, "a", "worker", at("mv", "10.1.1.101/24")),
            pod(cluster, "b", "worker2", at("mv", "10.1.1.101/24")),
        ]
    )

    text = text_of(lambda: assert_ping(a, b, interface="net1", within=SHORT))
    assert "broken:   address" in text
    assert "it would answer itself" in text
    assert "[address-on-two-nodes]" not in text


def test_a_default_route_that_had_no_effect(cluster: Cluster) -> None:
    cluster.apply([network("mv")])
    chosen = at("mv", "10.1.1.101/24", **{"default-route": ["10.1.1.1"]})
    (a,) = cluster.apply(pod(cluster, "a", "worker", chosen))
    assert assert_route(a, "default", gateway="10.1.1.1", interface="net1")
    # What Multus 4.2.2 leaves behind: the old default stays, the failure of the new is swallowed.
    gateway = next(r.gateway for r in a.routes if r.interface == "eth0" and r.gateway)
    a.exec(["ip", "route", "delete", "default"], check=True)
    a.exec(["ip", "route", "add", "default", "via", str(gateway)], check=True)

    def check() -> object:
        return assert_route(a, "default", gateway="10.1.1.1", within=SHORT)

    assert named(check) == "default-route"
    other = text_of(lambda: assert_route(a, "10.99.0.0/16", interface="net9", within=SHORT))
    assert "[default-route]" not in other
    a.exec(["ip", "route", "replace", "default", "via", "10.1.1.1"], check=True)
    assert check()


def test_a_default_route_that_took_eth0s_away(cluster: Cluster) -> None:
    cluster.apply([network("mv")])
    chosen = at("mv", "10.1.1.101/24", **{"default-route": ["10.1.1.1"]})
    a, b = cluster.apply(
        [
            pod(cluster, "a", "worker", chosen),
            pod(cluster, "b", "worker2", at("mv", "10.1.1.102/24")),
        ]
    )

    assert named(lambda: assert_ping(a, b, interface="eth0", within=SHORT)) == "default-route"
    assert named(lambda: assert_ping(b, a, interface="eth0", within=SHORT)) == "default-route"
    assert assert_ping(a, b, interface="net1").attempts == 1
    assert named(lambda: assert_ping(a, "10.1.1.200", interface="net1", within=SHORT)) == ""
    a.delete()
    (a,) = cluster.apply(pod(cluster, "a", "worker", at("mv", "10.1.1.101/24")))
    assert assert_ping(a, b, interface="eth0", ttl=62)


def test_two_default_routes_and_a_silent_gateway(cluster: Cluster) -> None:
    routed = {"type": "static", "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.1.1"}]}
    cluster.apply([network("mv", ipam=routed)])
    a, b = two_pods(cluster)

    failing = named(lambda: assert_ping(a, "192.0.2.1", within=SHORT))
    assert failing == "default-route"
    assert assert_ping(a, b, interface="net1").attempts == 1
    assert named(lambda: assert_ping(a, "10.1.1.200", interface="net1", within=SHORT)) == ""


def test_net1_vanishes_with_the_link_it_stood_on(cluster: Cluster) -> None:
    cluster.apply([network("mv")])
    a, b = two_pods(cluster)
    (link,) = cluster.node_links
    link.delete()
    cluster.link("worker", "worker2", name="eth1")

    assert named(lambda: assert_interface(a, "net1", within=SHORT)) == "interface-vanished"
    assert named(lambda: assert_interface(a, "net7", within=SHORT)) == ""
    for gone in (a, b):
        gone.delete()
    a, b = two_pods(cluster)
    assert assert_interface(a, "net1", type="macvlan")
    assert assert_ping(a, b, interface="net1")


def test_bridge_pods_whose_packets_pass_through_forward(cluster: Cluster) -> None:
    net = network("br", type="bridge", master=None, bridge="br7")
    cluster.apply([net])
    a, b = two_pods(cluster, "br", ("worker", "worker"))
    node = cluster.node("worker")
    before = node.sysctl("bridge/bridge-nf-call-iptables")
    if before is None:
        pytest.skip("this kernel has no br_netfilter")
    node.exec(["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0"], check=True)
    assert assert_ping(a, b, interface="net1")
    node.exec(["iptables", "-A", "FORWARD", "-i", "br7", "-j", "DROP"], check=True)
    try:
        assert assert_ping(a, b, interface="net1").attempts == 1, "the rule alone does no harm"
        node.exec(["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1"], check=True)

        text = text_of(lambda: assert_ping(a, b, interface="net1", within=SHORT))
        assert "[bridge-filtered]" in text
        assert "-A FORWARD -i br7 -j DROP" in text
        assert named(lambda: assert_ping(a, "10.1.1.200", interface="net1", within=SHORT)) == ""
    finally:
        node.exec(["iptables", "-D", "FORWARD", "-i", "br7", "-j", "DROP"], check=True)
        node.exec(["sysctl", "-qw", f"net.bridge.bridge-nf-call-iptables={before}"], check=True)
    node.exec(["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0"], check=True)
    assert assert_ping(a, b, interface="net1")
    node.exec(["sysctl", "-qw", f"net.bridge.bridge-nf-call-iptables={before}"], check=True)


def test_ipv6_that_is_switched_off_in_the_pod(cluster: Cluster) -> None:
    cluster.apply([network("mv")])
    a, b = cluster.apply(
        [
            pod(cluster, "a", "worker", at("mv", f"{V6}1/64", "10.1.1.101/24")),
            pod(cluster, "b", "worker2", at("mv", f"{V6}2/64", "10.1.1.102/24")),
        ]
    )
    assert assert_ping(a, f"{V6}2", interface="net1")
    b.exec(["sysctl", "-qw", "net.ipv6.conf.net1.disable_ipv6=1"], check=True)

    assert (
        named(lambda: assert_ping(a, f"{V6}2", interface="net1", within=SHORT)) == "ipv6-disabled"
    )
    assert named(lambda: assert_interface(b, "net1", address=f"{V6}2/64", within=SHORT)) == (
        "ipv6-disabled"
    )
    assert named(lambda: assert_ping(a, f"{V6}9", interface="net1", within=SHORT)) == ""
    assert assert_ping(a, "10.1.1.102", interface="net1").attempts == 1
    b.exec(["sysctl", "-qw", "net.ipv6.conf.net1.disable_ipv6=0"], check=True)
    b.exec(["ip", "address", "add", f"{V6}2/64", "dev", "net1", "nodad"], check=True)
    assert assert_ping(a, f"{V6}2", interface="net1")
