"""Label selectors: ``kubectl -l``'s text, and the objects ``matchLabels``, ``matchExpressions``.

Follows Kubernetes' apimachinery: a requirement of ``!=`` or ``NotIn`` is also met by an object
that lacks the label.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from pytest_multinet.errors import UsageError
from pytest_multinet.model.fields import (
    FieldError,
    FieldPath,
    read_list,
    read_mapping,
    read_str,
    read_string_map,
    read_strings,
    wrong_type,
)

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
NODE_OPERATORS = (*OPERATORS, "Gt", "Lt")
_KEY = r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?"
_SET = re.compile(rf"(?P<key>{_KEY})\s+(?P<word>in|notin)\s*\((?P<values>[^()]*)\)").fullmatch
_EQUAL = re.compile(rf"(?P<key>{_KEY})\s*(?P<sign>==|=|!=)\s*(?P<value>[-A-Za-z0-9_.]*)").fullmatch
_PRESENT = re.compile(rf"(?P<no>!?)\s*(?P<key>{_KEY})").fullmatch
_COMMA = re.compile(r",(?![^()]*\))")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on labels: ``operator`` is that of Kubernetes' ``matchExpressions``."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels meets it."""
        value = labels.get(self.key)
        if self.operator == "In":
            return value in self.values
        if self.operator == "NotIn":
            return value not in self.values
        if self.operator == "Exists":
            return value is not None
        if self.operator == "DoesNotExist":
            return value is None
        if value is None or not value.lstrip("-").isdigit():
            return False
        limit = int(self.values[0])
        return int(value) > limit if self.operator == "Gt" else int(value) < limit


@dataclass(frozen=True, slots=True)
class Selector:
    """Conditions that must all hold; without one it selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels meets every condition."""
        return all(requirement.holds(labels) for requirement in self.requirements)


def parse_selector(selector: str | Mapping[str, str] | None) -> Selector:
    """Read ``{"app": "x"}``, or ``kubectl -l``'s text ``app=x,tier!=y,env in (a,b),has,!has-not``.

    Raises:
        UsageError: the text is no selector.
    """
    if not isinstance(selector, str):
        return Selector(tuple(Requirement(k, "In", (v,)) for k, v in (selector or {}).items()))
    terms = [term.strip() for term in _COMMA.split(selector)]
    return Selector(tuple(_term(term, selector) for term in terms if term))


def _term(term: str, selector: str) -> Requirement:
    if found := _SET(term):
        values = tuple(value.strip() for value in found["values"].split(","))
        return Requirement(found["key"], "In" if found["word"] == "in" else "NotIn", values)
    if found := _EQUAL(term):
        return Requirement(
            found["key"], "NotIn" if found["sign"] == "!=" else "In", (found["value"],)
        )
    if found := _PRESENT(term):
        return Requirement(found["key"], "DoesNotExist" if found["no"] else "Exists")
    raise UsageError(
        f"selector {selector!r}: {term!r} is no condition; expected some of key=value, "
        "key!=value, key in (a,b), key notin (a,b), key, !key with commas between"
    )


def selected(labels: Mapping[str, str], selector: str | Mapping[str, str] | None) -> bool:
    """Whether labels fulfil a selector; see :func:`parse_selector`."""
    return not selector or parse_selector(selector).selects(labels)


def read_selector(data: Mapping[str, Any], path: FieldPath, error: FieldError) -> Selector:
    """Read an object with ``matchLabels`` and ``matchExpressions`` (LabelSelector, meta/v1).

    Raises:
        ManifestError: a field breaks a rule.
    """
    labels = read_string_map(data, "matchLabels", path, error)
    found = [Requirement(key, "In", (value,)) for key, value in labels.items()]
    found += read_requirements(data, "matchExpressions", path, error, OPERATORS)
    return Selector(tuple(found))


def read_requirements(
    data: Mapping[str, Any],
    key: str,
    path: FieldPath,
    error: FieldError,
    operators: tuple[str, ...],
) -> list[Requirement]:
    """The list of conditions at ``key``, empty where it is absent."""
    found: list[Requirement] = []
    for index, item in enumerate(read_list(data, key, path, error)):
        at = (*path, key, index)
        if not isinstance(item, Mapping):
            wrong_type(item, at, error, "an object with key and operator")
        found.append(_requirement(cast("Mapping[str, Any]", item), at, error, operators))
    return found


def _requirement(
    item: Mapping[str, Any], at: FieldPath, error: FieldError, operators: tuple[str, ...]
) -> Requirement:
    label = read_str(item, "key", at, error)
    if not label:
        raise error("a condition has no key", (*at, "key"), None, "the name of a label")
    operator = read_str(item, "operator", at, error) or ""
    if operator not in operators:
        expected = ", ".join(operators)
        raise error("unknown operator of a condition", (*at, "operator"), operator, expected)
    values = read_strings(item, "values", at, error)
    if operator in ("In", "NotIn") and not values:
        raise error(f"{operator} has no values", (*at, "values"), None, "at least one value")
    if operator in ("Exists", "DoesNotExist") and values:
        raise error(f"{operator} has values", (*at, "values"), list(values), "no values")
    if operator in ("Gt", "Lt") and (len(values) != 1 or not values[0].lstrip("-").isdigit()):
        expected = "one whole number in quotes"
        raise error(f"{operator} has other values", (*at, "values"), list(values), expected)
    return Requirement(label, operator, values)


def read_optional_selector(
    data: Mapping[str, Any], key: str, path: FieldPath, error: FieldError
) -> Selector | None:
    """The selector at ``key``, ``None`` where it is absent: it then selects nothing."""
    if data.get(key) is None:
        return None
    return read_selector(read_mapping(data, key, path, error), (*path, key), error)
