"""whereabouts' end-to-end cases: github.com/k8snetworkplumbingwg/whereabouts, e2e/e2e_test.go.

On embedded, where whereabouts needs no controller; on a real cluster it must be installed.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from pytest_multinet import (
    Cluster,
    Network,
    NetworkFactory,
    NodeLink,
    Pod,
    PodFactory,
    assert_mesh,
    assert_ping,
)

from .conftest import Refuse

pytestmark = [
    pytest.mark.multinet_backend("embedded"),
    pytest.mark.usefixtures("node_link"),
]


@pytest.fixture
def whereabouts(multinet_network: NetworkFactory, request: pytest.FixtureRequest):
    """Makes a macvlan network with addresses by whereabouts; deleted after the test."""
    made: list[Network] = []

    def make(name: str, network_name: str | None = None, **ipam: Any) -> Network:
        config = {
            "cniVersion": "0.3.1",
            "name": name,
            "plugins": [
                {
                    "type": "macvlan",
                    "master": "eth1",
                    "mode": "bridge",
                    "ipam": {"type": "whereabouts", **ipam},
                }
            ],
        }
        made.append(multinet_network(name, config))
        return made[-1]

    yield make
    for network in made:
        network.delete()


def address(pod: Pod, interface: str = "net1") -> str:
    return str(pod.ip(interface, version=4))


def replicas(cluster: Cluster, kind: str, name: str, network: str, count: int) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": cluster.namespace},
        "spec": {
            "replicas": count,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {"k8s.v1.cni.cncf.io/networks": network},
                },
                "spec": {
                    "containers": [
                        {"name": "main", "image": "any", "command": ["sleep", "infinity"]}
                    ]
                },
            },
        },
    }


def test_one_pod_with_one_interface(whereabouts, multinet_pod_factory: PodFactory) -> None:
    """Context "Single pod tests": an address in the range."""
    network = whereabouts("wb-one", range="10.80.0.0/16")
    pod = multinet_pod_factory("wb-one", networks=network)
    assert pod.ip("net1") in ip_network("10.80.0.0/16")


def test_one_pod_with_several_interfaces(whereabouts, multinet_pod_factory: PodFactory) -> None:
    """Context "Single pod tests": each interface has an address of its own."""
    network = whereabouts("wb-many", range="10.81.0.0/16")
    pod = multinet_pod_factory("wb-many", networks=[network] * 3)
    addresses = [address(pod, f"net{n}") for n in (1, 2, 3)]
    assert addresses == ["10.81.0.1", "10.81.0.2", "10.81.0.3"]


def test_a_deleted_pod_gives_its_address_back(
    whereabouts, multinet_pod_factory: PodFactory
) -> None:
    """Context "Single pod tests": no allocation is left of a pod that has gone."""
    network = whereabouts("wb-back", range="10.82.0.0/16")
    with multinet_pod_factory("wb-back-1", networks=network) as pod:
        first = address(pod)
    assert address(multinet_pod_factory("wb-back-2", networks=network)) == first


def test_dual_stack_by_ip_ranges(whereabouts, multinet_pod_factory: PodFactory) -> None:
    """Context "DualStack", "IPRanges configuration only"."""
    ranges = [{"range": "10.83.0.0/16"}, {"range": "fd83::/64"}]
    network = whereabouts("wb-dual", ipRanges=ranges)
    status = multinet_pod_factory("wb-dual", networks=network).network_status[1]
    assert len(status.ips) == 2
    assert status.ips[0] in ip_network("10.83.0.0/16")
    assert status.ips[1] in ip_network("fd83::/64")


def test_dual_stack_by_ip_ranges_beside_the_old_range(
    whereabouts, multinet_pod_factory: PodFactory
) -> None:
    """Context "DualStack", "IPRanges along with old range": three addresses."""
    ranges = [{"range": "10.85.0.0/16"}, {"range": "fd85::/64"}]
    network = whereabouts("wb-old", range="10.84.0.0/16", ipRanges=ranges)
    ips = multinet_pod_factory("wb-old", networks=network).network_status[1].ips
    nets = map(ip_network, ("10.84.0.0/16", "10.85.0.0/16", "fd85::/64"))
    assert [ip in net for ip, net in zip(ips, nets, strict=True)] == [True] * 3


def test_every_pod_of_a_replica_set_has_an_address_of_its_own(
    multinet_cluster: Cluster, multus: object, whereabouts
) -> None:
    """Context "Replicaset tests": across nodes too, which host-local cannot."""
    whereabouts("wb-set", range="10.86.0.0/16")
    (made,) = multinet_cluster.apply(
        replicas(multinet_cluster, "ReplicaSet", "wb-set", "wb-set", 6)
    )
    with made:
        assert len({address(pod) for pod in made.pods}) == 6
        assert len({pod.node for pod in made.pods}) > 1
        assert_mesh(list(made.pods), interface="net1")


def test_a_stateful_set_scaled_up_and_down_leaks_no_address(
    multinet_cluster: Cluster, multus: object, whereabouts
) -> None:
    """Context "stateful set tests", "regular sized network"."""
    whereabouts("wb-state", range="10.87.0.0/24")
    for count in (5, 2, 5):
        (made,) = multinet_cluster.apply(
            replicas(multinet_cluster, "StatefulSet", "wb-state", "wb-state", count)
        )
        with made:
            wanted = {f"10.87.0.{n}" for n in range(1, count + 1)}
            assert {address(pod) for pod in made.pods} == wanted


def test_a_range_of_two_is_exhausted_by_the_third_pod(
    whereabouts, multinet_pod_factory: PodFactory, refused: Refuse
) -> None:
    """Context "network with very few IPs": the pool is exhausted, and says so."""
    network = whereabouts("wb-tiny", range="10.88.0.0/30")
    multinet_pod_factory.batch({f"wb-tiny-{n}": {"networks": network} for n in (0, 1)})
    assert "Could not allocate IP in range" in refused("wb-tiny-2", networks=network)


def test_an_exhausted_range_recovers_when_a_pod_goes(
    whereabouts, multinet_pod_factory: PodFactory, refused: Refuse
) -> None:
    """Context "deleting a pod from the statefulset": the next pod has the freed address."""
    network = whereabouts("wb-heal", range="10.89.0.0/30")
    first, _ = multinet_pod_factory.batch({f"wb-heal-{n}": {"networks": network} for n in (0, 1)})
    freed = address(first)
    refused("wb-heal-2", networks=network)
    first.delete()
    assert address(multinet_pod_factory("wb-heal-2", networks=network)) == freed


def test_a_pod_made_again_reclaims_the_address_that_it_had(
    whereabouts, multinet_pod_factory: PodFactory
) -> None:
    """Context "reclaim previously allocated IP": the same name, the same address."""
    network = whereabouts("wb-again", range="10.90.0.0/30")
    pods = multinet_pod_factory.batch({f"wb-again-{n}": {"networks": network} for n in (0, 1)})
    second = address(pods[1])
    pods[1].delete()
    assert address(multinet_pod_factory("wb-again-1", networks=network)) == second


def test_two_networks_with_overlapping_ranges_give_no_address_twice(
    whereabouts, multinet_pod_factory: PodFactory
) -> None:
    """Context "OverlappingRangeIPReservation", overlapping ranges on."""
    wide = whereabouts("wb-wide", range="10.91.0.0/16")
    narrow = whereabouts("wb-narrow", range="10.91.0.0/17")
    one = multinet_pod_factory("wb-wide", node="worker", networks=wide)
    two = multinet_pod_factory("wb-narrow", node="worker2", networks=narrow)
    assert address(one) != address(two)


def test_overlapping_ranges_that_may_overlap_do(
    whereabouts, multinet_pod_factory: PodFactory
) -> None:
    """Context "OverlappingRangeIPReservation", overlapping ranges off: each counts for itself."""
    off = {"enable_overlapping_ranges": False}
    wide = whereabouts("wb-wide-off", range="10.92.0.0/16", network_name="wb-a", **off)
    narrow = whereabouts("wb-narrow-off", range="10.92.0.0/17", **off)
    one = multinet_pod_factory("wb-wide-off", node="worker", networks=wide)
    two = multinet_pod_factory("wb-narrow-off", node="worker2", networks=narrow)
    assert address(one) == address(two) == "10.92.0.1"


def test_pods_of_one_range_on_two_nodes_reach_each_other(
    node_link: NodeLink, whereabouts, multinet_pod_factory: PodFactory
) -> None:
    """README: what whereabouts is for."""
    network = whereabouts("wb-reach", range="10.93.0.0/24")
    one, two = multinet_pod_factory.batch(
        {n: {"node": n, "networks": network} for n in ("worker", "worker2")}
    )
    assert_ping(one, two, interface="net1", ttl=64)
