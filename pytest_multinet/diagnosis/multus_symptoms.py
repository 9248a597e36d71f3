"""Symptoms whose cause is Multus itself: absent, late, not first, dead, or never asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_multinet.cluster.multus import MultusState
from pytest_multinet.cluster.stack import Pod
from pytest_multinet.diagnosis.context import Context
from pytest_multinet.diagnosis.symptom import Match, Symptom, entry
from pytest_multinet.model.attachment import NETWORKS_ANNOTATION

_IGNORED = ("set-up", "annotation")
_DAEMON_SILENT = re.compile(
    r"multus\.sock.*(refused|no such file|reset|EOF)|Unauthorized|[Tt]oken.*expired"
    r"|failed to send CNI request|CNI request failed with status 400.*(refused|EOF)"
)


@entry(
    10,
    "annotation-ignored",
    "the annotation is ignored and the pod runs without net1",
    cause="{why}, so the runtime never asked Multus for {pod}",
    advice="{fix}",
    command="ls /etc/cni/net.d  (in {node}); kubectl -n kube-system get pods -l name=multus",
    layers=_IGNORED,
)
def _annotation_ignored(context: Context) -> Match | None:
    asked = _ignored(context)
    if asked is None:
        return None
    name, node, started = asked
    states = [s for s in context.multus if s.node == node] or list(context.multus)
    base: dict[str, object] = {"pod": name, "node": node or "its node", "where": f"pod {name}"}
    again = "make the pod again once Multus is usable (the fixture 'multus' waits for that)"
    if not states:
        return base | {"why": "Multus is not installed", "fix": f"install Multus, and {again}"}
    state = states[0]
    if state.ended == "OOMKilled":
        return None  # that is why
    first = state.configurations[0] if state.configurations else ""
    if not any(_is_multus(c) for c in state.configurations):
        return None  # its configuration is gone: another entry
    if not _is_multus(first):
        why = f"{first} comes before 00-multus.conf in /etc/cni/net.d of {state.node}"
        return base | {"why": why, "fix": f"rename {first} to come later, and make the pod again"}
    if state.started is not None and started is not None and started <= state.started:
        return base | {"why": "Multus started later than the pod", "fix": again}
    return base | {"why": "Multus was not first when the pod started", "fix": again}


@entry(
    11,
    "configuration-gone",
    "Multus restarted and 00-multus.conf went away",
    cause="00-multus.conf is not in /etc/cni/net.d of {node} although Multus is deployed: the "
    "runtime falls back to {first} without a word",
    advice="restart Multus (kubectl -n kube-system rollout restart daemonset kube-multus-ds), "
    "then make the pod again",
    command="ls /etc/cni/net.d  (in {node})",
    layers=_IGNORED,
)
def _configuration_gone(context: Context) -> Match | None:
    asked = _ignored(context)
    if asked is None:
        return None
    name, node, _ = asked
    for state in context.multus:
        gone = not any(_is_multus(c) for c in state.configurations)
        gone = gone and state.ended != "OOMKilled"
        if gone and node in ("", state.node):
            first = state.configurations[0] if state.configurations else "nothing"
            return {"node": state.node, "first": first, "where": f"pod {name} on {state.node}"}
    return None


@entry(
    12,
    "annotation-on-workload",
    "the annotation stands on the Deployment, not on its pod template",
    cause="{kind} {name} has the annotation in its own metadata; its pods, such as {pod}, do not",
    advice="move it to spec.template.metadata.annotations",
    command="kubectl get {kind} {name} -o yaml",
    layers=("annotation",),
)
def _annotation_on_workload(context: Context) -> Match | None:
    for pod in context.pods:
        owner = pod.owner
        if pod.manifest.networks or owner is None:
            continue
        metadata: Mapping[str, Any] = owner.get("metadata") or {}
        if NETWORKS_ANNOTATION in (metadata.get("annotations") or {}):
            return {
                "kind": owner.get("kind", "workload"),
                "name": metadata.get("name", ""),
                "pod": pod.name,
                "where": f"pod {pod.name}",
            }
    return None


@entry(
    18,
    "multus-silent",
    "multus.sock refused, or Multus' token has expired",
    cause="{why}",
    advice="restart it: kubectl -n kube-system rollout restart daemonset kube-multus-ds",
    command="kubectl -n kube-system logs -l name=multus --tail=20",
    layers=_IGNORED,
)
def _multus_silent(context: Context) -> Match | None:
    state = _silent(context)
    if state is None or state.ended == "OOMKilled" or _ignored(context):
        return None
    why = f"the Multus daemon on {state.node or 'the node'} does not answer"
    if state.daemon:
        why += f": {state.daemon}"
    if "Unauthorized" in context.text or "expired" in context.text:
        why = "the API server refuses Multus' token: it has expired and was not refreshed"
    return {"why": why, "where": f"Multus on {state.node or 'the node'}"}


@entry(
    19,
    "multus-out-of-memory",
    "Multus is killed for want of memory",
    cause="the Multus daemon on {node} was killed by the kernel: OOMKilled{limit}",
    advice="give it 256Mi or more: the 50Mi of its quick start are not enough under load",
    command="kubectl -n kube-system describe pods -l name=multus",
    layers=_IGNORED,
)
def _multus_out_of_memory(context: Context) -> Match | None:
    state = _silent(context)
    if state is None or state.ended != "OOMKilled":
        return None
    limit = f" at its limit of {state.memory}" if state.memory else ""
    return {"node": state.node, "limit": limit, "where": f"Multus on {state.node}"}


# --- shared ---------------------------------------------------------------------------------


def _is_multus(name: str) -> bool:
    return re.fullmatch(r"00-multus.*\.conf(list)?", name) is not None


def _ignored(context: Context) -> tuple[str, str, float | None] | None:
    """The pod whose annotation nobody heeded: name, node, when it was bound to the node."""
    if context.layer == "set-up":
        if getattr(context.error, "reason", None) != "AnnotationIgnored":
            return None
        node = context.nodes[0].name if context.nodes else ""
        manifest = context.manifest
        name = manifest.name if manifest else str(getattr(context.error, "pod", "the pod"))
        return name, node, None
    for pod in context.pods:
        if pod.manifest.networks and not pod.network_status:
            return pod.name, _node_of(pod), pod.started
    return None


def _node_of(pod: Pod) -> str:
    return pod.node.name


def _silent(context: Context) -> MultusState | None:
    """Multus on the node in question, where its daemon does not do its work."""
    said = _DAEMON_SILENT.search(context.text) is not None
    # The shim waits for the daemon without a word: a pod that is late tells as much.
    late = "PodReadyToStartContainers: False" in context.text
    if context.layer == "set-up" and not (said or late or _ignored(context)):
        return None
    nodes = {n.name for n in context.nodes} or {_node_of(p) for p in context.pods}
    for state in context.multus:
        if nodes and state.node not in nodes:
            continue
        if state.daemon or state.ended == "OOMKilled" or said:
            return state
    return MultusState("") if said else None


MULTUS: tuple[Symptom, ...] = (
    _annotation_ignored,
    _configuration_gone,
    _annotation_on_workload,
    _multus_silent,
    _multus_out_of_memory,
)
