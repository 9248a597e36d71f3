"""Probers of a kind cluster's pods: sockets in their namespaces, or programs run there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pytest_multinet.cluster.kind_node import KindNode
from pytest_multinet.cluster.kubernetes import KubernetesPod
from pytest_multinet.cluster.sandboxes import can_look, pod_process
from pytest_multinet.errors import PodError
from pytest_multinet.model.interface import ExecResult
from pytest_multinet.probe.remote import RemoteProber, first_that_exists
from pytest_multinet.probe.stack import Prober

if TYPE_CHECKING:
    from pytest_multinet.net.foreign import ForeignNamespace

_NODES_OWN = "/proc/1/ns/net"


class PodProbers:
    """The probers in use, by pod; a pod whose sandbox was replaced gets a new one.

    Args:
        node_of: the node by name.
        direct: whether namespaces may be opened from here, when they can be.
    """

    def __init__(self, node_of: Callable[[str], KindNode], *, direct: bool) -> None:
        self._node_of = node_of
        self._direct = direct
        self._open: dict[str, tuple[ForeignNamespace, Prober]] = {}

    def of(self, pod: KubernetesPod) -> Prober:
        """Sockets in the pod's namespace where it can be opened, else programs run inside it."""
        if not (self._direct and can_look()):
            return self.remote(pod)
        known = self._open.get(pod.uid)
        if known is not None and known[0].current:
            return known[1]
        if known is not None:
            self._open.pop(pod.uid)[0].close()
        process = pod_process(pod.uid)
        if process is None:
            return self.remote(pod)
        from pytest_multinet.net.foreign import ForeignNamespace
        from pytest_multinet.probe.local import LocalProber

        namespace = ForeignNamespace(pod.name, f"/proc/{process}/ns/net")
        prober = LocalProber(pod.name, namespace)
        self._open[pod.uid] = (namespace, prober)
        return prober

    def remote(self, pod: KubernetesPod) -> RemoteProber:
        """Programs in the pod; where its image has none, the node's, in the pod's namespace."""
        node = self._node_of(pod.node.name)

        def inside(argv: Sequence[str], timeout: float) -> ExecResult:
            return pod.exec(argv, timeout=timeout)

        def beside(argv: Sequence[str], timeout: float) -> ExecResult:
            words = ["nsenter", f"--net={_sandbox_path(pod, node)}", *argv]
            return node.exec(words, timeout=timeout)

        run = first_that_exists(inside, beside)
        return RemoteProber(pod.name, run, lambda argv, ready: pod.spawn(argv, ready=ready))

    def close(self) -> None:
        """Close every namespace."""
        for namespace, _prober in self._open.values():
            namespace.close()
        self._open.clear()


def _sandbox_path(pod: KubernetesPod, node: KindNode) -> str:
    """The pod's namespace file on its node, as the container runtime tells (CRI)."""
    label = f"io.kubernetes.pod.uid={pod.uid}"
    argv = ["crictl", "pods", "-q", "--state", "ready", "--label", label]
    identifiers = node.exec(argv, check=True).stdout.split()
    if not identifiers:
        raise PodError("it has no sandbox on its node", pod=f"{pod.namespace}/{pod.name}")
    shown = node.exec(["crictl", "inspectp", identifiers[0]], check=True)
    spec = json.loads(shown.stdout)["info"]["runtimeSpec"]
    for namespace in spec["linux"]["namespaces"]:
        if namespace["type"] == "network":
            return str(namespace.get("path") or _NODES_OWN)
    return _NODES_OWN  # a pod of the host's network has no namespace of its own
