"""What a diagnosis asks of a real cluster: definitions, events, owners, Multus on each node."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from pytest_multinet.cluster.multus import MultusState
from pytest_multinet.cluster.rest import ApiError, KubeApi
from pytest_multinet.cluster.stack import Node
from pytest_multinet.errors import MultinetError
from pytest_multinet.model.manifest import load_documents
from pytest_multinet.model.nad import NetworkAttachmentDefinition
from pytest_multinet.multus import install

_DEFINITIONS = "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions"


def definitions(kube: KubeApi) -> tuple[NetworkAttachmentDefinition, ...]:
    """Every NetworkAttachmentDefinition that can be read; none where Multus is not installed."""
    try:
        items = kube.get(_DEFINITIONS)["items"]
    except ApiError:
        return ()
    found: list[NetworkAttachmentDefinition] = []
    for item in items:
        definition = _definition(item)
        if definition is not None:
            found.append(definition)
    return tuple(found)


def _definition(item: Mapping[str, Any]) -> NetworkAttachmentDefinition | None:
    whole = {"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition", **item}
    try:
        (document,) = load_documents(whole)
        return NetworkAttachmentDefinition.from_document(document)
    except MultinetError:
        return None  # one that nobody can attach to


def events(kube: KubeApi, namespace: str, name: str, uid: str) -> tuple[str, ...]:
    """What was noted about a pod, oldest first."""
    query = {"fieldSelector": f"involvedObject.name={name},involvedObject.uid={uid}"}
    items: list[dict[str, Any]] = kube.get(f"/api/v1/namespaces/{namespace}/events", query)[
        "items"
    ]
    items.sort(key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or ""))
    return tuple(f"{e.get('reason', '')}: {e.get('message', '')}" for e in items)


def owner(kube: KubeApi, metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """The workload at the end of the chain of owners, ``None`` for a pod of its own."""
    found: dict[str, Any] | None = None
    namespace = metadata.get("namespace", "default")
    while references := metadata.get("ownerReferences"):
        reference = references[0]
        manifest = {
            "apiVersion": reference["apiVersion"],
            "kind": reference["kind"],
            "metadata": {"name": reference["name"], "namespace": namespace},
        }
        above = kube.get_or_none(kube.path_of(manifest))
        if above is None:
            break
        found = {**above, "kind": reference["kind"]}
        metadata = above["metadata"]
    return found


def cni_results(node: Node, namespace: str, name: str) -> tuple[Mapping[str, Any], ...]:
    """The notes of libcni (its ``cacheDir``) about a pod, by interface; none where it has none."""
    found: list[Mapping[str, Any]] = []
    for line in node.exec(
        ["grep", "-rhs", f'"{name}"', "/var/lib/cni/results"]
    ).stdout.splitlines():
        try:
            note = json.loads(line)
            args = dict(note["cniArgs"])
            if (args["K8S_POD_NAMESPACE"], args["K8S_POD_NAME"]) != (namespace, name):
                continue
            network = json.loads(base64.b64decode(note["config"]))
        except (ValueError, KeyError, TypeError):
            continue  # another version's notes
        found.append(
            {"interface": note["ifName"], "network": network, "result": note.get("result")}
        )
    return tuple(sorted(found, key=lambda f: str(f["interface"])))


def moment(text: str | None) -> float | None:
    """A time of the API as seconds since the epoch."""
    if not text:
        return None
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def multus_states(kube: KubeApi, nodes: Sequence[Node]) -> tuple[MultusState, ...]:
    """How Multus stands on each node whose files can be read; none where it is not deployed."""
    daemon_set = install.find_daemon_set(kube.get("/apis/apps/v1/daemonsets")["items"])
    if daemon_set is None:
        return ()
    _, mode = install.version_of(daemon_set)
    namespace = daemon_set["metadata"]["namespace"]
    labels = daemon_set["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    query = {"labelSelector": selector}
    pods = kube.get(f"/api/v1/namespaces/{namespace}/pods", query)["items"]
    by_node = {str(pod["spec"].get("nodeName")): pod for pod in pods}
    return tuple(
        _state(cast("install.NodeFiles", node), mode, by_node.get(node.name))
        for node in nodes
        if hasattr(node, "listing")
    )


def _state(node: install.NodeFiles, mode: str, pod: Mapping[str, Any] | None) -> MultusState:
    files = sorted(node.listing(install.CONFIGURATIONS))
    daemon = (node.answers(install.SOCKET) or "") if mode == "thick" else ""
    if pod is None:
        return MultusState(node.name, tuple(files), daemon or "it does not run there")
    statuses: list[Mapping[str, Any]] = _at(pod, "status").get("containerStatuses") or [{}]
    state, last = _at(statuses[0], "state"), _at(statuses[0], "lastState")
    ended = _at(state, "terminated") or _at(last, "terminated")
    limits = _at(_at(pod["spec"]["containers"][0], "resources"), "limits")
    return MultusState(
        node=node.name,
        configurations=tuple(files),
        daemon=daemon,
        started=moment(_at(state, "running").get("startedAt")),
        ended=str(ended.get("reason") or ""),
        memory=str(limits.get("memory") or ""),
    )


def _at(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return data.get(key) or {}
