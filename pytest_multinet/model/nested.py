"""Reads nested fields of JSON objects that came from elsewhere: absent is empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def mapping(data: Mapping[str, Any] | None, *keys: str) -> dict[str, Any]:
    """The object at ``keys``, ``{}`` where it or anything above it is absent or null."""
    found: Any = data
    for key in keys:
        found = cast("Mapping[str, Any]", found).get(key) if found else None
    return cast("dict[str, Any]", found) if found else {}


def items(data: Mapping[str, Any] | None, *keys: str) -> list[dict[str, Any]]:
    """The list of objects at ``keys``, ``[]`` where it or anything above it is absent or null."""
    found = mapping(data, *keys[:-1]).get(keys[-1])
    return cast("list[dict[str, Any]]", found) if found else []
