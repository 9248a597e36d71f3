"""Deployments, ReplicaSets, StatefulSets, DaemonSets without a controller: their pods, at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, cast

from pytest_multinet.cluster.schedule import eligible
from pytest_multinet.cluster.stack import Handle, Node, Pod
from pytest_multinet.errors import ManifestError
from pytest_multinet.model.fields import FieldPath, read_mapping
from pytest_multinet.model.manifest import Document, load_documents
from pytest_multinet.model.pod import PodManifest
from pytest_multinet.model.selector import read_selector

KINDS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")


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


def pods_of(document: Document, namespace: str, nodes: Sequence[Node]) -> list[PodManifest]:
    """The pods of a workload: its template, once for each replica or (DaemonSet) eligible node.

    They are called ``<workload>-0``, ``-1``, ...

    Raises:
        ManifestError: what the API server would refuse: another apiVersion, no template, a
            selector that does not select its own pods.
    """
    error = document.error
    if document.api_version != "apps/v1":
        found = document.api_version or None
        raise error(f"a {document.kind} has another apiVersion", ("apiVersion",), found, "apps/v1")
    spec = read_mapping(document.data, "spec", (), error)
    template = spec.get("template")
    if not isinstance(template, Mapping) or "spec" not in template:
        message = f"a {document.kind} has no pod template"
        raise error(message, ("spec", "template"), None, "a pod's metadata and spec")
    template = cast("Mapping[str, Any]", template)
    _check_selector(document, spec, template)
    space = document.namespace or namespace
    if document.kind == "DaemonSet":
        (pattern,) = _pods(document, [_body(document, template, space, 0)])
        bodies: list[dict[str, Any]] = []
        for number, node in enumerate(eligible(nodes, pattern)):
            bodies.append(_body(document, template, space, number))
            bodies[-1]["spec"]["nodeName"] = node.name
        return _pods(document, bodies)
    first = 0
    if document.kind == "StatefulSet":
        ordinals = read_mapping(spec, "ordinals", ("spec",), error)
        first = _number(document, ordinals, "start", 0, ("spec", "ordinals"))
    numbers = range(first, first + _number(document, spec, "replicas", 1, ("spec",)))
    return _pods(document, [_body(document, template, space, number) for number in numbers])


def _check_selector(
    document: Document, spec: Mapping[str, Any], template: Mapping[str, Any]
) -> None:
    at = ("spec", "selector")
    selector = read_mapping(spec, "selector", ("spec",), document.error)
    if not selector:
        message = f"a {document.kind} has no selector"
        raise document.error(message, at, None, "matchLabels, as in the template's labels")
    metadata = read_mapping(template, "metadata", ("spec", "template"), document.error)
    labels = read_mapping(metadata, "labels", ("spec", "template", "metadata"), document.error)
    if not read_selector(selector, at, document.error).selects(labels):
        message = "`selector` does not match template `labels`"
        raise document.error(message, at, selector, f"one that selects {dict(labels)}")


def _number(
    document: Document, data: Mapping[str, Any], key: str, default: int, path: FieldPath
) -> int:
    value = data.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise document.error(f"{key} is no number", (*path, key), value, "a whole number from 0")
    return value


def _body(
    document: Document, template: Mapping[str, Any], namespace: str, number: int
) -> dict[str, Any]:
    """The manifest of one pod."""
    body = deepcopy(dict(template))
    name = f"{document.name}-{number}"
    metadata: dict[str, Any] = {**(body.get("metadata") or {}), "namespace": namespace}
    metadata["name"] = name
    if document.kind == "StatefulSet":
        own = {"statefulset.kubernetes.io/pod-name": name}
        own["apps.kubernetes.io/pod-index"] = str(number)
        metadata["labels"] = {**(metadata.get("labels") or {}), **own}
    return {**body, "apiVersion": "v1", "kind": "Pod", "metadata": metadata}


def _pods(document: Document, bodies: list[dict[str, Any]]) -> list[PodManifest]:
    try:
        return [PodManifest.from_document(d) for d in load_documents(bodies)] if bodies else []
    except ManifestError as error:
        error.source = f"{document.source}: pod template of {document.kind} {document.name}"
        raise
