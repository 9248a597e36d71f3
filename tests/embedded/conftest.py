"""A cluster for the tests of this folder that need none of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_multinet.cluster.embedded import EmbeddedCluster, open_cluster, unusable_reason
from pytest_multinet.cluster.stack import Pod
from pytest_multinet.model.attachment import AnnotationWarning
from pytest_multinet.model.topology import ClusterConfig

SEED = Path(__file__).parent.parent / "data" / "seed"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [i for i in items if Path(__file__).parent in i.path.parents]
    reason = unusable_reason() if here else None
    for item in here:
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=f"embedded cannot run here: {reason}"))


@pytest.fixture
def cluster() -> Iterator[EmbeddedCluster]:
    """A cluster of one test, with the node link eth1."""
    with open_cluster(ClusterConfig(timeout=5)) as cluster:
        cluster.link("worker", "worker2")
        yield cluster


@pytest.fixture(scope="module")
def seed_cluster() -> Iterator[EmbeddedCluster]:
    """The author's own files, in the author's order."""
    with open_cluster(ClusterConfig(name="multus-cluster", timeout=5)) as cluster:
        cluster.link("multus-cluster-worker", "multus-cluster-worker2", name="eth1")
        cluster.apply(SEED / "nad.yaml")
        with pytest.warns(AnnotationWarning, match="default-route"):
            cluster.apply(SEED / "pod.yaml")
        yield cluster


@pytest.fixture
def seed_pods(seed_cluster: EmbeddedCluster) -> tuple[Pod, Pod]:
    """pod1 on worker, pod2 on worker2."""
    return seed_cluster.pod("pod1"), seed_cluster.pod("pod2")
