"""Deployments, ReplicaSets, DaemonSets where no controller is: their pods, made at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from pytest_multinet.cluster.stack import Handle, Pod
from pytest_multinet.errors import ManifestError
from pytest_multinet.model.manifest import Document, load_documents
from pytest_multinet.model.pod import PodManifest

KINDS = ("Deployment", "ReplicaSet", "DaemonSet")


class Workload(Handle):
    """A workload and the pods that it stands for.

    Attributes:
        pods: its pods, in order.
    """

    def __init__(
        self, document: Document, namespace: str, pods: Sequence[Pod], forget: Callable[..., None]
    ) -> None:
        self.kind = document.kind
        self.name = document.name
        self.namespace = namespace
        self.manifest = document.data
        self.pods = tuple(pods)
        self._forget = forget

    def delete(self) -> None:
        """Delete its pods, and it."""
        for pod in self.pods:
            pod.delete()
        self._forget(self)


def pods_of(document: Document, namespace: str, nodes: Sequence[str]) -> list[PodManifest]:
    """The pods of a workload: its template, once for each replica or (DaemonSet) each node.

    Raises:
        ManifestError: it has no template, or the template is no pod.
    """
    spec: dict[str, Any] = document.data.get("spec") or {}
    template: dict[str, Any] | None = spec.get("template")
    if not isinstance(template, dict) or "spec" not in template:
        raise document.error(
            f"a {document.kind} has no pod template", ("spec", "template"), None, "a pod's spec"
        )
    daemons = document.kind == "DaemonSet"
    replicas = spec.get("replicas", 1)
    if not daemons and (not isinstance(replicas, int) or isinstance(replicas, bool)):
        raise document.error(
            "replicas is no number", ("spec", "replicas"), replicas, "a whole number"
        )
    space = document.namespace or namespace
    bodies: list[dict[str, Any]] = []
    for number in range(len(nodes) if daemons else int(replicas)):
        body = deepcopy(template)
        given: dict[str, Any] = body.get("metadata") or {}
        metadata = {**given, "namespace": space}
        metadata["name"] = f"{document.name}-{number}"
        body |= {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
        if daemons:
            body["spec"]["nodeName"] = nodes[number]
        bodies.append(body)
    try:
        return [PodManifest.from_document(d) for d in load_documents(bodies)] if bodies else []
    except ManifestError as error:
        error.source = f"{document.source}: pod template of {document.kind} {document.name}"
        raise
