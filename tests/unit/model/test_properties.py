"""Whatever goes in, a model or one of our errors comes out, and nothing else."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_multinet.errors import UsageError
from pytest_multinet.model.attachment import (
    AnnotationWarning,
    NetworkSelection,
    parse_default_network,
    parse_networks,
)
from pytest_multinet.model.go_json import without_surrogates
from pytest_multinet.model.manifest import load_documents
from pytest_multinet.model.nad import NetworkAttachmentDefinition, parse_network_config
from pytest_multinet.model.names import (
    validate_interface_address,
    validate_interface_name,
    validate_mac,
    validate_name,
)
from pytest_multinet.model.network_status import parse_network_status
from pytest_multinet.model.pod import PodManifest

SEED = Path(__file__).parents[2] / "data" / "seed"
NAD_TEXT = (SEED / "nad.yaml").read_text(encoding="utf-8")
POD_TEXT = (SEED / "pod.yaml").read_text(encoding="utf-8")
CONFIG = json.loads(load_documents(NAD_TEXT)[0].data["spec"]["config"])
NETWORKS = [
    {"name": "a", "ips": ["10.1.1.1/24"], "mac": "02:00:00:00:00:01", "interface": "x0"},
    {
        "name": "b",
        "namespace": "lab",
        "default-route": ["10.1.1.1"],
        "portMappings": [{"hostPort": 1, "containerPort": 2, "protocol": "tcp"}],
        "bandwidth": {"ingressRate": 1, "ingressBurst": 2},
        "cni-args": {"k": [1]},
        "infiniband-guid": "c2:11:22:33:44:55:66:77",
    },
]
STATUS = [{"name": "a", "interface": "net1", "ips": ["10.1.1.1"], "dns": {}, "gateway": []}]

FEW = settings(max_examples=100, deadline=None)
MORE = settings(max_examples=200, deadline=None)

TEXT = st.text(max_size=40) | st.text(alphabet="[]{}:,\"'\\/@.-*&!|>?%# \n\tab01", max_size=40)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["", "a", "10.1.1.1", "10.1.1.1/24", "eth0", "Pod", "v1", "0.4.0", "\ud800"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


def only_our_errors(action: Callable[[], object]) -> Any:
    """The result of ``action``, or ``None`` where it raised one of our errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnnotationWarning)
        try:
            return action()
        except UsageError as error:
            shown = str(error)
    assert shown
    return None


def models(source: Any) -> list[object]:
    """Every document of ``source`` read by both kinds of model."""
    documents = load_documents(source, name="x.yaml")
    found: list[object] = []
    for document in documents:
        found.append(only_our_errors(lambda d=document: PodManifest.from_document(d)))
        found.append(
            only_our_errors(lambda d=document: NetworkAttachmentDefinition.from_document(d))
        )
        assert isinstance(document.name, str)
        assert document.namespace is None or isinstance(document.namespace, str)
    return found


@st.composite
def mutated_texts(draw: st.DrawFn, text: str) -> str:
    """``text`` with a few pieces cut out, doubled or replaced."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, max(len(text) - 1, 0)))
        end = min(len(text), start + draw(st.integers(0, 8)))
        piece = draw(
            st.sampled_from(["", text[start:end] * 2, "\t", "\n", "- ", ": ", '"', "'", "{", "]"])
            | st.text(max_size=3)
        )
        text = text[:start] + piece + text[end:]
    return text


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside ``value``."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += places(inner, (*path, index))
    return found


@st.composite
def mutated_values(draw: st.DrawFn, value: Any) -> Any:
    """``value`` with one or two places removed, renamed or set to something else."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 2))):
        found = places(value)
        if not found:
            break
        path = draw(st.sampled_from(found))
        place = value
        for part in path[:-1]:
            place = place[part]
        how = draw(st.sampled_from(["set", "set", "delete", "rename"]))
        if how == "set":
            place[path[-1]] = draw(VALUES)
        elif how == "delete":
            del place[path[-1]]
        elif isinstance(place, dict):
            key = draw(st.text(max_size=5) | st.just(str(path[-1]).upper()))
            place[key] = place.pop(path[-1])
    return value


class TestManifests:
    @MORE
    @given(TEXT)
    def test_any_text(self, text: str) -> None:
        only_our_errors(lambda: models(text))

    @MORE
    @given(mutated_texts(POD_TEXT))
    def test_a_mutated_pod_manifest(self, text: str) -> None:
        only_our_errors(lambda: models(text))

    @MORE
    @given(mutated_texts(NAD_TEXT))
    def test_a_mutated_definition(self, text: str) -> None:
        only_our_errors(lambda: models(text))

    @MORE
    @given(mutated_values([d.data for d in load_documents(POD_TEXT)]))
    def test_a_pod_with_other_values(self, source: Any) -> None:
        only_our_errors(lambda: models(source))

    @FEW
    @given(mutated_values([d.data for d in load_documents(NAD_TEXT)]))
    def test_a_definition_with_other_values(self, source: Any) -> None:
        only_our_errors(lambda: models(source))

    @FEW
    @given(VALUES)
    def test_any_value(self, value: Any) -> None:
        only_our_errors(lambda: models(value))

    @FEW
    @given(st.dictionaries(st.sampled_from(["kind", "apiVersion", "metadata", "items"]), VALUES))
    def test_any_object(self, value: Any) -> None:
        only_our_errors(lambda: models(value))

    @FEW
    @given(VALUES.filter(lambda v: isinstance(v, dict)))
    def test_a_mapping_as_json_is_the_mapping(self, value: Any) -> None:
        data = {"kind": "K", "metadata": {"name": "n"}, "v": value}
        text = json.dumps(data, allow_nan=True)
        if "NaN" in text or "Infinity" in text:
            return
        (document,) = load_documents(text)
        assert json.loads(json.dumps(document.data)) == without_surrogates(data)


class TestAnnotations:
    @MORE
    @given(TEXT)
    def test_any_text(self, text: str) -> None:
        for selection in only_our_errors(lambda: parse_networks(text, "default")) or ():
            assert isinstance(selection, NetworkSelection)

    @MORE
    @given(mutated_texts(json.dumps(NETWORKS)))
    def test_a_mutated_annotation(self, text: str) -> None:
        only_our_errors(lambda: parse_networks(text, "default"))

    @MORE
    @given(mutated_values(NETWORKS))
    def test_an_annotation_with_other_values(self, value: Any) -> None:
        only_our_errors(lambda: parse_networks(json.dumps(value), "default"))

    @FEW
    @given(mutated_texts("lab/macvlan-conf@net1, bridge,lab/other"))
    def test_a_mutated_short_form(self, text: str) -> None:
        only_our_errors(lambda: parse_networks(text, "default"))
        only_our_errors(lambda: parse_default_network(text))

    @FEW
    @given(mutated_texts(json.dumps(STATUS)) | mutated_values(STATUS).map(json.dumps) | TEXT)
    def test_a_network_status(self, text: str) -> None:
        only_our_errors(lambda: parse_network_status(text))


class TestConfigurations:
    @FEW
    @given(TEXT)
    def test_any_text(self, text: str) -> None:
        only_our_errors(lambda: parse_network_config(text, name="n"))

    @MORE
    @given(mutated_texts(json.dumps(CONFIG)))
    def test_a_mutated_text(self, text: str) -> None:
        only_our_errors(lambda: parse_network_config(text, name="n"))

    @MORE
    @given(mutated_values(CONFIG))
    def test_a_configuration_with_other_values(self, value: Any) -> None:
        config = only_our_errors(lambda: parse_network_config(value, name="n"))
        if config is not None:
            assert config.plugins
            assert all(
                p.type and isinstance(p.ipam_type, (str, type(None))) for p in config.plugins
            )

    @FEW
    @given(st.dictionaries(st.integers() | st.text(max_size=3) | st.none(), VALUES, max_size=3))
    def test_any_mapping(self, value: Any) -> None:
        only_our_errors(lambda: parse_network_config(value))


@pytest.mark.parametrize(
    "validate",
    [validate_name, validate_interface_name, validate_mac, validate_interface_address],
)
@FEW
@given(value=VALUES | st.text())
def test_names(validate: Callable[[Any], str], value: Any) -> None:
    accepted = only_our_errors(lambda: validate(value))
    assert accepted is None or validate(accepted) == accepted
