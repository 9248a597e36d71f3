"""Affinity and tolerations as manifests write them."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_multinet.errors import ManifestError
from pytest_multinet.model.fields import field_error
from pytest_multinet.model.placement import ANYWHERE, Placement, Taint, read_placement

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
TAINT = Taint("node-role.kubernetes.io/control-plane")


def placement(**spec: Any) -> Placement:
    return read_placement(spec, "default", field_error("pod"))


def node_affinity(*terms: dict[str, Any]) -> Placement:
    required = {REQUIRED: {"nodeSelectorTerms": list(terms)}}
    return placement(affinity={"nodeAffinity": required})


def test_a_pod_that_says_nothing_runs_anywhere() -> None:
    assert placement(containers=[]) is ANYWHERE


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        ({"key": "disk", "operator": "In", "values": ["ssd", "nvme"]}, True),
        ({"key": "disk", "operator": "NotIn", "values": ["ssd"]}, False),
        ({"key": "gpu", "operator": "NotIn", "values": ["a100"]}, True),
        ({"key": "disk", "operator": "Exists"}, True),
        ({"key": "disk", "operator": "DoesNotExist"}, False),
        ({"key": "cores", "operator": "Gt", "values": ["7"]}, True),
        ({"key": "cores", "operator": "Lt", "values": ["8"]}, False),
        ({"key": "disk", "operator": "Gt", "values": ["1"]}, False),
    ],
)
def test_operators_of_node_affinity(expression: dict[str, Any], matches: bool) -> None:
    terms = node_affinity({"matchExpressions": [expression]}).node_terms
    assert terms is not None
    assert terms[0].selects("worker", {"disk": "ssd", "cores": "8"}) is matches


def test_a_term_by_name_and_an_empty_term() -> None:
    by_name = {"key": "metadata.name", "operator": "In", "values": ["worker"]}
    terms = node_affinity({"matchFields": [by_name]}, {}).node_terms
    assert terms is not None
    named, empty = terms
    assert [named.selects(name, {}) for name in ("worker", "worker2")] == [True, False]
    assert not empty.selects("worker", {})


@pytest.mark.parametrize(
    ("toleration", "covers"),
    [
        ({"operator": "Exists"}, True),
        ({"key": TAINT.key, "operator": "Exists"}, True),
        ({"key": TAINT.key}, True),
        ({"key": TAINT.key, "value": "x"}, False),
        ({"key": TAINT.key, "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_tolerations(toleration: dict[str, Any], covers: bool) -> None:
    (found,) = placement(tolerations=[toleration]).tolerations
    assert found.covers(TAINT) is covers


def test_pods_are_meant_by_label_and_namespace() -> None:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}
    further = {**term, "namespaceSelector": {"matchLabels": {"team": "net"}}}
    both = {"podAffinity": {REQUIRED: [term]}, "podAntiAffinity": {REQUIRED: [further]}}
    found = placement(affinity=both)
    (beside,), (apart,) = found.beside, found.apart
    assert beside.selects("default", {}, {"a": "b"})
    assert not beside.selects("other", {}, {"a": "b"})
    assert not beside.selects("default", {}, {"a": "c"})
    assert apart.selects("other", {"team": "net"}, {"a": "b"})
    assert not apart.selects("default", {}, {"a": "b"})


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"affinity": {"nodeAffinity": {REQUIRED: {}}}}, "nodeSelectorTerms"),
        ({"affinity": {"nodeAffinity": {PREFERRED: [{"weight": 0}]}}}, "weight"),
        ({"affinity": {"podAffinity": {REQUIRED: [{}]}}}, "topologyKey"),
        ({"affinity": {"podAffinity": {REQUIRED: ["x"]}}}, REQUIRED),
        ({"tolerations": [{"operator": "Is"}]}, "operator"),
        ({"tolerations": {"operator": "Exists"}}, "tolerations"),
    ],
)
def test_what_the_api_would_refuse_names_its_field(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(ManifestError) as raised:
        placement(**spec)
    assert field in str(raised.value)
