"""Label selectors: kubectl's text and the objects of manifests."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_multinet.errors import ManifestError, UsageError
from pytest_multinet.model.fields import field_error
from pytest_multinet.model.selector import parse_selector, read_selector, selected

LABELS = {"app": "web", "tier": "front", "cores": "8", "empty": ""}


@pytest.mark.parametrize(
    "selector",
    [
        "",
        None,
        {},
        "app=web",
        "app==web",
        "app = web",
        "app!=db",
        "absent!=db",
        "app",
        "!absent",
        "empty=",
        "app in (db, web)",
        "app notin (db)",
        "absent notin (db)",
        "app in (web,db),tier=front,!absent",
        {"app": "web", "tier": "front"},
    ],
)
def test_what_selects(selector: Any) -> None:
    assert selected(LABELS, selector)


@pytest.mark.parametrize(
    "selector",
    [
        "app=db",
        "app!=web",
        "absent",
        "!app",
        "absent=",
        "app in (db)",
        "app notin (web, db)",
        "absent in (web)",
        "app=web,tier=back",
        {"app": "web", "tier": "back"},
    ],
)
def test_what_does_not_select(selector: Any) -> None:
    assert not selected(LABELS, selector)


@pytest.mark.parametrize("selector", ["app=web tier=x", "app in web", "=x", "a>1", "app in (a"])
def test_what_is_no_selector_is_told_with_the_forms(selector: str) -> None:
    with pytest.raises(UsageError, match=r"is no condition; expected some of key=value"):
        parse_selector(selector)


def test_match_labels_and_expressions_must_all_hold() -> None:
    data = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "NotIn", "values": ["back"]},
            {"key": "absent", "operator": "DoesNotExist"},
        ],
    }
    selector = read_selector(data, (), field_error("selector"))
    assert selector.selects(LABELS)
    assert not selector.selects({**LABELS, "tier": "back"})
    assert not selector.selects({**LABELS, "absent": "x"})


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({"operator": "Exists"}, "has no key"),
        ({"key": "a", "operator": "Has"}, "unknown operator"),
        ({"key": "a", "operator": "In"}, "In has no values"),
        ({"key": "a", "operator": "Exists", "values": ["b"]}, "Exists has values"),
        ({"key": "a", "operator": "Gt", "values": ["1"]}, "unknown operator"),
        ("a", "is of type string"),
    ],
)
def test_a_bad_expression_names_its_field(expression: Any, message: str) -> None:
    with pytest.raises(ManifestError, match=message) as raised:
        read_selector({"matchExpressions": [expression]}, (), field_error("selector"))
    assert "matchExpressions[0]" in str(raised.value)
