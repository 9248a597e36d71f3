"""What of a pod's specification decides on which nodes it may run (PodSpec, core/v1).

``nodeSelector``, ``affinity`` and ``tolerations``; whoever schedules weighs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from pytest_multinet.model.fields import (
    FieldError,
    FieldPath,
    read_list,
    read_mapping,
    read_str,
    read_strings,
    wrong_type,
)
from pytest_multinet.model.selector import (
    NODE_OPERATORS,
    Requirement,
    Selector,
    read_optional_selector,
    read_requirements,
)

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NAME = "metadata.name"


@dataclass(frozen=True, slots=True)
class Taint:
    """A node's refusal of pods that do not tolerate it."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"

    def __str__(self) -> str:
        return f"{{{self.key}: {self.value}}}"


@dataclass(frozen=True, slots=True)
class Toleration:
    """A taint that a pod puts up with; ``key`` ``""``: all; ``effect`` ``""``: every effect."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""

    def covers(self, taint: Taint) -> bool:
        """Whether it is about this taint."""
        if self.effect not in ("", taint.effect) or self.key not in ("", taint.key):
            return False
        return self.operator == "Exists" or self.value == taint.value


@dataclass(frozen=True, slots=True)
class NodeTerm:
    """Conditions on one node: on its labels, and (``fields``) on its name."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()

    def selects(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether the node meets every condition; a term without any selects nothing."""
        if not self.labels and not self.fields:
            return False
        return all(r.holds(labels) for r in self.labels) and all(
            r.holds({_NAME: name}) for r in self.fields
        )


@dataclass(frozen=True, slots=True)
class PodTerm:
    """Other pods, beside which a pod is to run or not to run.

    Attributes:
        selector: their labels; ``None`` selects no pod.
        topology_key: label of nodes; nodes with the same value are one place.
        namespaces: of the pods.
        namespace_selector: labels of further namespaces; ``None``: no further ones.
    """

    selector: Selector | None
    topology_key: str
    namespaces: tuple[str, ...]
    namespace_selector: Selector | None = None

    def selects(
        self, namespace: str, namespace_labels: Mapping[str, str], labels: Mapping[str, str]
    ) -> bool:
        """Whether it means the pod with these labels in that namespace."""
        if self.selector is None:
            return False
        there = namespace in self.namespaces or (
            self.namespace_selector is not None
            and self.namespace_selector.selects(namespace_labels)
        )
        return there and self.selector.selects(labels)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a pod may run.

    Attributes:
        node_terms: one of them must select the node; ``None``: any node will do.
        preferred_nodes: terms with their weights, 1 to 100.
        beside, apart: pods that must, or must not, be in the same place.
        preferred_beside, preferred_apart: the same as a wish, with weights.
        tolerations: taints that do not matter.
    """

    node_terms: tuple[NodeTerm, ...] | None = None
    preferred_nodes: tuple[tuple[int, NodeTerm], ...] = ()
    beside: tuple[PodTerm, ...] = ()
    apart: tuple[PodTerm, ...] = ()
    preferred_beside: tuple[tuple[int, PodTerm], ...] = ()
    preferred_apart: tuple[tuple[int, PodTerm], ...] = ()
    tolerations: tuple[Toleration, ...] = ()


ANYWHERE = Placement()


def read_placement(spec: Mapping[str, Any], namespace: str, error: FieldError) -> Placement:
    """Read a pod's ``spec``.

    Raises:
        ManifestError: a field breaks a rule.
    """
    if not spec.get("affinity") and not spec.get("tolerations"):
        return ANYWHERE
    at: FieldPath = ("spec", "affinity")
    affinity = read_mapping(spec, "affinity", ("spec",), error)
    nodes = read_mapping(affinity, "nodeAffinity", at, error)
    at_nodes = (*at, "nodeAffinity")
    required = read_mapping(nodes, _REQUIRED, at_nodes, error)
    terms = None
    if _REQUIRED in nodes:
        place = (*at_nodes, _REQUIRED)
        items = _objects(required, "nodeSelectorTerms", place, error)
        if not items:
            message = "a required node affinity has no terms"
            raise error(message, (*place, "nodeSelectorTerms"), None, "at least one term")
        terms = tuple(_node_term(item, path, error) for path, item in items)
    preferred = [
        (_weight(item, path, error), _node_term(*_inner(item, "preference", path, error), error))
        for path, item in _objects(nodes, _PREFERRED, at_nodes, error)
    ]
    wishes: list[tuple[tuple[PodTerm, ...], tuple[tuple[int, PodTerm], ...]]] = []
    for key in ("podAffinity", "podAntiAffinity"):
        pods, place = read_mapping(affinity, key, at, error), (*at, key)
        must = _objects(pods, _REQUIRED, place, error)
        may = _objects(pods, _PREFERRED, place, error)
        wishes.append(
            (
                tuple(_pod_term(item, path, namespace, error) for path, item in must),
                tuple(
                    (
                        _weight(item, path, error),
                        _pod_term(*_inner(item, "podAffinityTerm", path, error), namespace, error),
                    )
                    for path, item in may
                ),
            )
        )
    (beside, preferred_beside), (apart, preferred_apart) = wishes
    tolerations = _objects(spec, "tolerations", ("spec",), error)
    return Placement(
        node_terms=terms,
        preferred_nodes=tuple(preferred),
        beside=beside,
        apart=apart,
        preferred_beside=preferred_beside,
        preferred_apart=preferred_apart,
        tolerations=tuple(_toleration(item, path, error) for path, item in tolerations),
    )


def _objects(
    data: Mapping[str, Any], key: str, path: FieldPath, error: FieldError
) -> list[tuple[FieldPath, Mapping[str, Any]]]:
    """The objects of a list, each with its path."""
    found: list[tuple[FieldPath, Mapping[str, Any]]] = []
    for index, item in enumerate(read_list(data, key, path, error)):
        at = (*path, key, index)
        if not isinstance(item, Mapping):
            wrong_type(item, at, error, "an object")
        found.append((at, cast("Mapping[str, Any]", item)))
    return found


def _inner(
    data: Mapping[str, Any], key: str, path: FieldPath, error: FieldError
) -> tuple[Mapping[str, Any], FieldPath]:
    return read_mapping(data, key, path, error), (*path, key)


def _weight(data: Mapping[str, Any], path: FieldPath, error: FieldError) -> int:
    weight = data.get("weight")
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= 100:
        message = "a preference has another weight"
        raise error(message, (*path, "weight"), weight, "a whole number from 1 to 100")
    return weight


def _node_term(data: Mapping[str, Any], path: FieldPath, error: FieldError) -> NodeTerm:
    labels = read_requirements(data, "matchExpressions", path, error, NODE_OPERATORS)
    names = read_requirements(data, "matchFields", path, error, ("In", "NotIn"))
    for index, requirement in enumerate(names):
        if requirement.key != _NAME:
            at = (*path, "matchFields", index, "key")
            raise error("a field that no node is selected by", at, requirement.key, _NAME)
    return NodeTerm(tuple(labels), tuple(names))


def _pod_term(
    data: Mapping[str, Any], path: FieldPath, namespace: str, error: FieldError
) -> PodTerm:
    topology = read_str(data, "topologyKey", path, error)
    if not topology:
        message = "a pod affinity has no topologyKey"
        raise error(message, (*path, "topologyKey"), None, "a label, kubernetes.io/hostname")
    namespaces = read_strings(data, "namespaces", path, error)
    further = read_optional_selector(data, "namespaceSelector", path, error)
    if not namespaces and further is None:
        namespaces = (namespace,)
    selector = read_optional_selector(data, "labelSelector", path, error)
    return PodTerm(selector, topology, namespaces, further)


def _toleration(data: Mapping[str, Any], path: FieldPath, error: FieldError) -> Toleration:
    operator = read_str(data, "operator", path, error) or "Equal"
    if operator not in ("Equal", "Exists"):
        message = "unknown operator of a toleration"
        raise error(message, (*path, "operator"), operator, "Equal or Exists")
    return Toleration(
        key=read_str(data, "key", path, error) or "",
        operator=operator,
        value=read_str(data, "value", path, error) or "",
        effect=read_str(data, "effect", path, error) or "",
    )


def selects_node(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether a ``nodeSelector`` selects a node with these labels."""
    return all(labels.get(key) == value for key, value in selector.items())
