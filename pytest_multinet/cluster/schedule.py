"""Which node a pod runs on, where no scheduler of Kubernetes decides it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pytest_multinet.cluster.base import Cluster
from pytest_multinet.cluster.stack import Node
from pytest_multinet.errors import PodError
from pytest_multinet.model.pod import PodManifest


def schedule(cluster: Cluster, manifests: Sequence[PodManifest]) -> list[Node]:
    """The node of each pod: the one it names, else the worker with the fewest pods.

    Raises:
        PodError: no node is what a manifest names; the message has the scheduler's reason.
    """
    load = Counter(pod.node.name for pod in cluster.pods())
    workers = [n for n in cluster.nodes if n.role == "worker"] or list(cluster.nodes)
    chosen: list[Node] = []
    for manifest in manifests:
        wanted = manifest.node_name or manifest.node_selector.get("kubernetes.io/hostname")
        if wanted is None:
            node = min(workers, key=lambda n: load[n.name])
        else:
            node = _named_node(cluster, wanted, manifest)
        load[node.name] += 1
        chosen.append(node)
    return chosen


def _named_node(cluster: Cluster, name: str, manifest: PodManifest) -> Node:
    for node in cluster.nodes:
        if node.name == name:
            return node
    raise PodError(
        f"no node is called {name!r}; nodes: {', '.join(n.name for n in cluster.nodes)}",
        pod=f"{manifest.namespace}/{manifest.name}",
        reason="FailedScheduling",
        hint="give nodeName, or the selector kubernetes.io/hostname, the full name of a node",
    )
