"""What the seed's author saw, line by line, from the author's own files."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from pytest_multinet import assert_interface, assert_ping
from pytest_multinet.model.attachment import NETWORK_STATUS_ANNOTATION


def test_nodes_are_named_and_addressed_as_kind_does(seed_cluster):
    names = [node.name for node in seed_cluster.nodes]
    assert names == [
        "multus-cluster-control-plane",
        "multus-cluster-worker",
        "multus-cluster-worker2",
    ]
    for node in seed_cluster.nodes:
        assert node.address in ip_network("172.18.0.0/16")
        assert_interface(node, "eth0", address=f"{node.address}/16", state="up", type="veth")


def test_pods_have_the_addresses_that_the_author_saw(seed_pods):
    pod1, pod2 = seed_pods
    for pod, eth0, net1 in (
        (pod1, "10.244.1.2/24", "10.1.1.101/24"),
        (pod2, "10.244.2.2/24", "10.1.1.102/24"),
    ):
        assert_interface(pod, "eth0", address=eth0, state="up", mtu=1500, type="veth")
        assert_interface(
            pod, "net1", address=net1, state="up", mtu=1500, type="macvlan", mode="bridge"
        )


def test_worker_has_the_host_end_of_the_pod_and_a_bare_link(seed_cluster):
    worker = seed_cluster.node("worker")
    host_ends = [
        i for i in worker.interfaces if ip_address("10.244.1.1") in [a.ip for a in i.ipv4]
    ]
    assert [(i.type, str(i.ipv4[0])) for i in host_ends] == [("veth", "10.244.1.1/32")]
    assert worker.interface("eth1").ipv4 == ()
    assert worker.interface("eth1").up


def test_net1_is_one_link_away(seed_pods):
    pod1, pod2 = seed_pods
    assert assert_ping(pod1, "10.1.1.102", ttl=64).attempts == 1
    assert assert_ping(pod2, "10.1.1.101", ttl=64).attempts == 1


def test_eth0_is_two_nodes_away(seed_pods):
    pod1, _ = seed_pods
    assert_ping(pod1, "10.244.2.2", interface="eth0", ttl=62)


def test_a_pod_reaches_its_own_node(seed_pods):
    _, pod2 = seed_pods
    assert_ping(pod2, "10.244.2.1", ttl=64)


def test_routes_stand_in_the_order_that_a_real_cluster_has(seed_pods):
    pod1, _ = seed_pods
    assert [str(route) for route in pod1.routes if route.destination.version == 4] == [
        "default via 10.1.1.1 dev net1",
        "default via 10.244.1.1 dev eth0",
        "10.1.1.0/24 dev net1 scope link src 10.1.1.101",
        "10.244.1.0/24 via 10.244.1.1 dev eth0 src 10.244.1.2",
        "10.244.1.1 dev eth0 scope link src 10.244.1.2",
    ]


def test_network_status_is_what_multus_writes(seed_pods):
    pod1, _ = seed_pods
    default, net1 = pod1.network_status
    assert (default.name, default.interface, default.default) == ("kindnet", "eth0", True)
    assert default.gateway == ("<nil>",)
    assert (net1.name, net1.interface, net1.default) == ("default/macvlan-conf", "net1", False)
    assert net1.ips == (ip_address("10.1.1.101"),)
    assert net1.gateway == ("10.1.1.1",)
    assert net1.mac == pod1.interface("net1").mac
    assert net1.mtu is None
    assert '"ips": [\n' in pod1.annotations[NETWORK_STATUS_ANNOTATION]


def test_two_default_routes_lose_packets_only_where_the_result_says_so(seed_pods):
    """The reply may leave by net1, whose gateway does not exist: the tries are told."""
    pod1, pod2 = seed_pods
    seen = assert_ping(pod1, pod2, interface="eth0", ttl=62)
    assert seen.total_sent is not None
    assert seen.total_sent == seen.attempts
    assert seen.total_received == 1


def test_net1_answers_every_packet(seed_pods):
    pod1, pod2 = seed_pods
    seen = pod1.ping(pod2, interface="net1", count=100, interval=0)
    assert (seen.sent, seen.received) == (100, 100)


def test_programs_in_the_pod_see_the_same(seed_pods):
    pod1, _ = seed_pods
    assert pod1.exec(["ip", "route"]).stdout.startswith("default via 10.1.1.1 dev net1")
    assert pod1.exec(["hostname"]).stdout == "pod1\n"
    assert "10.244.1.2\tpod1\n" in pod1.exec(["cat", "/etc/hosts"]).stdout
