"""The seed never flakes, and nobody else on the machine notices (short forms of R1 and R3)."""

from __future__ import annotations

import threading

import pytest

from pytest_multinet import assert_mesh, assert_ping
from pytest_multinet.cluster.embedded import open_cluster
from pytest_multinet.cluster.factory import PodFactory
from pytest_multinet.model.attachment import AnnotationWarning
from pytest_multinet.model.topology import ClusterConfig

from .conftest import SEED
from .manifests import network, on, pod


@pytest.mark.filterwarnings(f"ignore::{AnnotationWarning.__module__}.AnnotationWarning")
def test_seed_twenty_times_in_a_row_is_answered_at_the_first_attempt():
    for _ in range(20):
        with open_cluster(ClusterConfig()) as cluster:
            cluster.link("worker", "worker2")
            cluster.apply(SEED / "nad.yaml")
            pod1, pod2 = cluster.apply(SEED / "pod.yaml")
            for source, target in ((pod1, pod2), (pod2, pod1)):
                seen = assert_ping(source, target, interface="net1", ttl=64)
                assert (seen.attempts, seen.total_sent, seen.total_received) == (1, 1, 1)


def test_dual_stack_pods_answer_at_the_first_attempt_from_the_start():
    """The kernel adds an IPv6 address's local route later than the address."""
    for _ in range(20):
        with open_cluster(ClusterConfig()) as cluster:
            cluster.link("worker", "worker2")
            cluster.apply(network("lan"))
            a, b = cluster.apply(
                [
                    pod("a", on("lan", "10.1.1.1/24", "fd00:1::1/64")),
                    pod("b", on("lan", "10.1.1.2/24", "fd00:1::2/64"), node="worker2"),
                ]
            )
            for version in (6, 4):
                assert a.ping(b, interface="net1", version=version).received == 1


def test_a_bystander_keeps_its_neighbours_while_a_large_mesh_is_probed():
    """The kernel's neighbour table is one for the machine: ours must not fill it."""
    with open_cluster(ClusterConfig()) as bystander, open_cluster(ClusterConfig()) as cluster:
        first, second = bystander.node("worker"), bystander.node("worker2")
        lost: list[object] = []
        probes = 0
        over = threading.Event()

        def watch() -> None:
            nonlocal probes
            while not over.is_set():
                probes += 1
                if not first.ping(second) or not first.arping(second.address, interface="eth0"):
                    lost.append(probes)

        cluster.link("worker", "worker2")
        lan = cluster.network(network("lan"))
        pods = PodFactory(cluster).batch(
            {f"p{i}": {"networks": [lan.attach(f"10.2.0.{i + 1}/24")]} for i in range(60)}
        )
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            assert_mesh(list(pods.values()) if isinstance(pods, dict) else pods, interface="net1")
        finally:
            over.set()
            watcher.join()
        assert probes > 0
        assert lost == []
