"""The scenario that started it, from its own files: what its author saw."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_interface

import pytest

from pytest_multinet.cluster.kind_cluster import KindCluster
from pytest_multinet.cluster.stack import Pod

pytestmark = pytest.mark.filterwarnings("ignore:Multus ignores the key")


@pytest.fixture(scope="module")
def pods(cluster: KindCluster) -> Iterator[tuple[Pod, Pod]]:
    (nad,) = cluster.apply("nad.yaml")
    pod1, pod2 = cluster.apply("pod.yaml")
    yield pod1, pod2
    cluster.delete_pods([pod1, pod2])
    nad.delete()


def test_nodes_have_kinds_names_and_an_address_on_dockers_network(cluster: KindCluster) -> None:
    assert [n.name for n in cluster.nodes] == [
        "multus-cluster-control-plane",
        "multus-cluster-worker",
        "multus-cluster-worker2",
    ]
    for node in cluster.nodes:
        assert node.address in [a.ip for a in node.interface("eth0").ipv4]


def test_pods_have_eth0_and_net1_up_with_mtu_1500(
    cluster: KindCluster, pods: tuple[Pod, Pod]
) -> None:
    for pod, net1, worker in zip(
        pods, ("10.1.1.101/24", "10.1.1.102/24"), ("worker", "worker2"), strict=True
    ):
        assert pod.node == cluster.node(worker)
        assert pod.interface("net1").ipv4 == (ip_interface(net1),)
        assert pod.interface("net1").type == "macvlan"
        assert pod.interface("eth0").ipv4[0].network.prefixlen == 24
        assert str(pod.ip("eth0")).startswith("10.244.")
        for name in ("eth0", "net1"):
            assert (pod.interface(name).state, pod.interface(name).mtu) == ("up", 1500)


def test_the_node_has_a_veth_to_its_pod_and_eth1_without_ipv4(
    cluster: KindCluster, pods: tuple[Pod, Pod]
) -> None:
    node = cluster.node("worker")
    gateway = next(r.gateway for r in pods[0].routes if r.default and r.interface == "eth0")
    veths = [i for i in node.interfaces if ip_interface(f"{gateway}/32") in i.ipv4]
    assert {i.type for i in veths} == {"veth"}
    assert node.interface("eth1").ipv4 == ()
    assert node.interface("eth1").state == "up"


def test_net1_reaches_the_other_pod_with_ttl_64(pods: tuple[Pod, Pod]) -> None:
    pod1, pod2 = pods
    assert pod1.ping("10.1.1.102", interface="net1").ttl == 64
    assert pod2.ping("10.1.1.101", interface="net1").ttl == 64


def test_eth0_reaches_the_other_pod_over_two_nodes_with_ttl_62(pods: tuple[Pod, Pod]) -> None:
    pod1, pod2 = pods
    # Two default routes: the first packet may leave by net1, whose gateway does not answer.
    assert pod1.ping(pod2, interface="eth0", count=5, interval=0.3).ttl == 62


def test_the_gateway_of_eth0_answers_with_ttl_64(pods: tuple[Pod, Pod]) -> None:
    gateway = next(r.gateway for r in pods[1].routes if r.default and r.interface == "eth0")
    assert gateway is not None
    assert pods[1].ping(gateway, interface="eth0").ttl == 64


def test_two_default_routes_net1_first(pods: tuple[Pod, Pod]) -> None:
    defaults = [r for r in pods[0].routes if r.default and r.destination.version == 4]
    assert [r.interface for r in defaults] == ["net1", "eth0"]
    assert str(defaults[0].gateway) == "10.1.1.1"


def test_network_status_names_both_networks(pods: tuple[Pod, Pod]) -> None:
    default, second = pods[0].network_status
    assert (default.name, default.interface, default.default) == ("kindnet", "eth0", True)
    assert (second.name, second.interface) == ("default/macvlan-conf", "net1")
    assert [str(ip) for ip in second.ips] == ["10.1.1.101"]
    assert second.mac == pods[0].interface("net1").mac


def test_the_program_in_the_pod_sees_the_same(pods: tuple[Pod, Pod]) -> None:
    assert pods[0].exec(["ip", "route"]).stdout.startswith("default via 10.1.1.1")
