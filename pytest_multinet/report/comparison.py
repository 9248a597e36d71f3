"""Explanations of plain asserts that cannot hold, for types of ours."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Any, cast

from pytest_multinet.model.interface import Interface

_MAKERS: dict[type[object], Any] = {
    IPv4Interface: ip_interface,
    IPv6Interface: ip_interface,
    IPv4Address: ip_address,
    IPv6Address: ip_address,
    IPv4Network: ip_network,
    IPv6Network: ip_network,
}


def explain(op: str, left: object, right: object) -> list[str] | None:
    """Lines for a failed comparison; ``None``: pytest's own words do."""
    if op in ("==", "!="):
        for thing, text in ((left, right), (right, left)):
            if isinstance(text, str) and type(thing) in _MAKERS:
                return _as_text(op, thing, text)
    if op == "in" and isinstance(left, str) and isinstance(right, tuple):
        items = cast("tuple[object, ...]", right)
        known = [type(item) for item in items if type(item) in _MAKERS]
        if known:
            return [
                f"{left!r} is not among ({', '.join(map(str, items))})",
                f"these are {known[0].__name__} objects: compare with "
                f"{_MAKERS[known[0]].__name__}({left!r})",
            ]
    if op == "==" and isinstance(left, Interface) and isinstance(right, Interface):
        lines = [f"{left!r} == {right!r}"]
        for name in Interface.__slots__:
            a, b = getattr(left, name), getattr(right, name)
            if a != b:
                lines.append(f"{name}: {a!r} != {b!r}")
        return lines
    return None


def _as_text(op: str, thing: object, text: str) -> list[str]:
    name = type(thing).__name__
    maker = _MAKERS[type(thing)].__name__
    same = str(thing) == text
    lines = [f"{thing} {op} {text!r}"]
    if same:
        lines.append(f"both read {text}, and an {name} never equals a str")
    lines.append(f"compare with {maker}({text!r}), or str(...) of the {name}")
    return lines
