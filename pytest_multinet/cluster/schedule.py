"""Which node a pod runs on, where no scheduler of Kubernetes decides it.

The rules are the scheduler's: taints, ``nodeSelector``, host ports, affinity to nodes and among
pods; of the nodes that are left, the one that most wishes speak for, then the one with the fewest
pods.  What a pod asks for in CPU or memory counts for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pytest_multinet.cluster.base import Cluster
from pytest_multinet.cluster.stack import Node
from pytest_multinet.errors import PodError
from pytest_multinet.model.attachment import PortMapping
from pytest_multinet.model.placement import PodTerm, Taint, selects_node
from pytest_multinet.model.pod import PodManifest

_NAMESPACE_NAME = "kubernetes.io/metadata.name"
_CONTROL_PLANE = Taint("node-role.kubernetes.io/control-plane")
_SELECTOR = "node(s) didn't match Pod's node affinity/selector"


def schedule(
    cluster: Cluster,
    manifests: Sequence[PodManifest],
    namespaces: Mapping[str, Mapping[str, str]] | None = None,
) -> list[Node]:
    """The node of each pod: the one it names, else the one that the scheduler's rules give.

    Args:
        cluster: its nodes, and the pods that run there.
        manifests: the pods, each of which sees those before it as running.
        namespaces: labels of Kubernetes namespaces by name, besides the label of the name.

    Raises:
        PodError: no node will do; the message has the scheduler's reasons.
    """
    state = _State(cluster, namespaces or {})
    return [state.place(manifest) for manifest in manifests]


def eligible(nodes: Sequence[Node], manifest: PodManifest) -> list[Node]:
    """The nodes on which a DaemonSet would run this pod."""
    return [node for node in nodes if _refusal(nodes, node, manifest) is None]


def _taints(nodes: Sequence[Node], node: Node) -> list[Taint]:
    """kind's: a control plane takes ordinary pods only where there is no worker."""
    alone = all(other.role == "control-plane" for other in nodes)
    return [] if node.role == "worker" or alone else [_CONTROL_PLANE]


def _refusal(nodes: Sequence[Node], node: Node, manifest: PodManifest) -> str | None:
    """Why a node cannot run the pod, whatever runs there, in the scheduler's words."""
    placement = manifest.placement
    for taint in _taints(nodes, node):
        if not any(toleration.covers(taint) for toleration in placement.tolerations):
            return f"node(s) had untolerated taint {taint}"
    return None if _matches(node, manifest) else _SELECTOR


def _matches(node: Node, manifest: PodManifest) -> bool:
    terms = manifest.placement.node_terms
    if not selects_node(manifest.node_selector, node.labels):
        return False
    return terms is None or any(term.selects(node.name, node.labels) for term in terms)


class _State:
    """Where pods run, those that are only planned included."""

    def __init__(self, cluster: Cluster, namespaces: Mapping[str, Mapping[str, str]]) -> None:
        self._nodes = cluster.nodes
        self._namespaces = namespaces
        self._pods = [(pod.manifest, pod.node) for pod in cluster.pods()]
        self._load = Counter(node.name for _, node in self._pods)
        self._apart = [(term, n) for m, n in self._pods for term in m.placement.apart]

    def place(self, manifest: PodManifest) -> Node:
        node = self._named(manifest) if manifest.node_name else self._best(manifest)
        self._pods.append((manifest, node))
        self._load[node.name] += 1
        self._apart += [(term, node) for term in manifest.placement.apart]
        return node

    def _named(self, manifest: PodManifest) -> Node:
        """Past the scheduler; kubelet still looks at ``nodeSelector`` and node affinity."""
        for node in self._nodes:
            if node.name != manifest.node_name:
                continue
            if _matches(node, manifest):
                return node
            raise PodError(
                "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's "
                "node affinity/selector",
                pod=f"{manifest.namespace}/{manifest.name}",
                node=node.name,
                reason="NodeAffinity",
                hint=f"nodeName and nodeSelector or affinity contradict each other; "
                f"{_shown(node)}",
            )
        names = ", ".join(node.name for node in self._nodes)
        raise PodError(
            f"no node is called {manifest.node_name!r}; nodes: {names}",
            pod=f"{manifest.namespace}/{manifest.name}",
            reason="FailedScheduling",
            hint="give nodeName, or the selector kubernetes.io/hostname, the full name of a node",
        )

    def _best(self, manifest: PodManifest) -> Node:
        refusals: Counter[str] = Counter()
        found: list[Node] = []
        for node in self._nodes:
            why = _refusal(self._nodes, node, manifest) or self._refused_beside(node, manifest)
            if why is None and _ports(manifest) and self._taken(node, manifest):
                why = "node(s) didn't have free ports for the requested pod ports"
            if why is None:
                found.append(node)
            else:
                refusals[why] += 1
        if not found:
            reasons = ", ".join(sorted(f"{count} {why}" for why, count in refusals.items()))
            raise PodError(
                f"0/{len(self._nodes)} nodes are available: {reasons}.",
                pod=f"{manifest.namespace}/{manifest.name}",
                reason="FailedScheduling",
                hint="nodes: " + "; ".join(map(_shown, self._nodes)),
            )
        return min(found, key=lambda n: (-self._wishes(n, manifest), self._load[n.name]))

    def _refused_beside(self, node: Node, manifest: PodManifest) -> str | None:
        """Why the pods that run somewhere keep this one from a node."""
        for term in manifest.placement.beside:
            if self._beside(node, term) or self._first_of_its_kind(term, manifest, node):
                continue
            return "node(s) didn't match pod affinity rules"
        if any(self._beside(node, term) for term in manifest.placement.apart):
            return "node(s) didn't match pod anti-affinity rules"
        for term, there in self._apart:
            if _same_place(there, node, term) and self._means(term, manifest):
                return "node(s) didn't satisfy existing pods anti-affinity rules"
        return None

    def _taken(self, node: Node, manifest: PodManifest) -> bool:
        """Whether a pod on the node has one of this pod's host ports."""
        there = [p for other, on in self._pods if on is node for p in _ports(other)]
        return any(
            (a.host_port, a.protocol) == (b.host_port, b.protocol)
            and (a.host_ip == b.host_ip or None in (a.host_ip, b.host_ip))
            for a in there
            for b in _ports(manifest)
        )

    def _first_of_its_kind(self, term: PodTerm, manifest: PodManifest, node: Node) -> bool:
        """A pod that wants to be beside its like may be the first of them (kube-scheduler)."""
        return (
            term.topology_key in node.labels
            and self._means(term, manifest)
            and not any(self._means(term, other) for other, _ in self._pods)
        )

    def _beside(self, node: Node, term: PodTerm) -> int:
        """How many pods that the term means are in the node's place."""
        return sum(
            _same_place(there, node, term) and self._means(term, other)
            for other, there in self._pods
        )

    def _means(self, term: PodTerm, manifest: PodManifest) -> bool:
        space = manifest.namespace
        labels = {_NAMESPACE_NAME: space, **self._namespaces.get(space, {})}
        return term.selects(space, labels, manifest.labels)

    def _wishes(self, node: Node, manifest: PodManifest) -> int:
        """The sum of the weights that speak for a node."""
        placement = manifest.placement
        nodes = placement.preferred_nodes
        total = sum(weight for weight, term in nodes if term.selects(node.name, node.labels))
        total += sum(w * self._beside(node, term) for w, term in placement.preferred_beside)
        return total - sum(w * self._beside(node, term) for w, term in placement.preferred_apart)


def _ports(manifest: PodManifest) -> list[PortMapping]:
    return [port for container in manifest.containers for port in container.host_ports]


def _same_place(a: Node, b: Node, term: PodTerm) -> bool:
    place = a.labels.get(term.topology_key)
    return place is not None and place == b.labels.get(term.topology_key)


def _shown(node: Node) -> str:
    labels = ", ".join(f"{key}={value}" for key, value in node.labels.items())
    return f"{node.name} ({labels})"
