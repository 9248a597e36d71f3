"""One real cluster for all tests that do not destroy it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_multinet.cluster import kind
from pytest_multinet.cluster.kind_cluster import KindCluster
from pytest_multinet.cluster.record import RecordFolder
from pytest_multinet.model.topology import ClusterConfig

SEED = Path(__file__).parent.parent / "data" / "seed"
OpenCluster = Callable[..., KindCluster]


@pytest.fixture(scope="session", autouse=True)
def usable(kind_usable: None) -> None:
    """Skips where Docker or kind is missing; fails where kind is required."""


@pytest.fixture(scope="session")
def cluster(shared_kind_cluster: KindCluster) -> KindCluster:
    """The cluster of all tests that do not destroy it."""
    return shared_kind_cluster


@pytest.fixture
def clean(cluster: KindCluster) -> Iterator[KindCluster]:
    """The shared cluster; what a test makes in it is deleted after the test."""
    before = set(cluster._made)
    yield cluster
    new = [made.handle for key, made in cluster._made.items() if key not in before]
    pods = [h for h in new if h.kind == "Pod"]
    if pods:
        cluster.delete_pods(pods)
    for handle in reversed([h for h in new if h.kind != "Pod"]):
        handle.delete()


@pytest.fixture
def open_cluster(state: Path, plugins: Path | None) -> Iterator[OpenCluster]:
    """Makes clusters of a test's own, removed after it."""
    with ExitStack() as stack:

        def make(name: str, *, open: dict[str, Any] | None = None, **fields: Any) -> KindCluster:
            config = ClusterConfig(name=name, **{"cni_plugins": plugins, **fields})
            made = kind.open_cluster(
                config, **{"state_dir": state, "progress": print, **(open or {})}
            )
            stack.callback(made.close)
            return made

        yield make


@contextmanager
def lent(cluster: KindCluster) -> Iterator[None]:
    """The shared cluster as a kept one, for another process to attach to; taken back after."""
    cluster.record.state = "kept"
    cluster._write()
    cluster._folder.release()
    try:
        yield
    finally:
        cluster._folder = RecordFolder(cluster._folder.root, cluster.name)
        cluster.record.state = "ready"
        cluster.record.objects.clear()
        cluster._write()


def network(name: str, config: dict[str, Any], namespace: str = "default") -> dict[str, Any]:
    """A NetworkAttachmentDefinition."""
    import json

    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"config": json.dumps({"cniVersion": "0.3.1", "name": name, **config})},
    }


def pod(
    name: str, networks: str | None = None, node: str | None = None, **spec: Any
) -> dict[str, Any]:
    """A pod that stays."""
    annotations = {"k8s.v1.cni.cncf.io/networks": networks} if networks is not None else {}
    container: dict[str, Any] = {
        "name": "main",
        "image": spec.pop("image", "nicolaka/netshoot:latest"),
        "securityContext": {"privileged": True},
    }
    command = spec.pop("command", ["sleep", "infinity"])
    if command:
        container["command"] = command
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            **({"nodeName": node} if node else {}),
            **spec,
        },
    }
