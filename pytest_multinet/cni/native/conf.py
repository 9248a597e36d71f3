"""Reads a plugin's configuration as Go's ``encoding/json`` reads it into a struct.

Keys are found without regard to case, ``null`` counts as absent, and a value of the wrong type
is refused in Go's words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from pytest_multinet.cni.addresses import Cidr, IPAddress, parse_cidr, parse_ip
from pytest_multinet.cni.result import DNS, ResultRoute
from pytest_multinet.errors import CniError
from pytest_multinet.model.fields import json_type
from pytest_multinet.model.go_json import go_get

T = TypeVar("T")


class Conf:
    """A JSON object and the Go struct that it is decoded into.

    Args:
        raw: the object.
        struct: name of the struct, for messages; ``""`` for one without a name.
        path: field names from the outermost struct to this one.
        prefix: begins every message, as the plugin does.
    """

    def __init__(
        self,
        raw: Mapping[str, Any],
        struct: str = "NetConf",
        *,
        path: str = "",
        prefix: str = "failed to load netconf: ",
    ) -> None:
        self.raw = raw
        self.struct = struct
        self.path = path
        self.prefix = prefix

    def __contains__(self, key: str) -> bool:
        return go_get(self.raw, key) is not None

    def text(self, key: str, default: str = "") -> str:
        """A string."""
        value = go_get(self.raw, key)
        if value is None:
            return default
        return value if isinstance(value, str) else self._wrong(key, value, "string")

    def whole(self, key: str, default: int = 0) -> int:
        """A whole number that fits 64 bits."""
        value = go_get(self.raw, key)
        if value is None:
            return default
        fits = isinstance(value, int) and -(1 << 63) <= value < 1 << 63
        if isinstance(value, bool) or not fits:
            return self._wrong(key, value, "int")
        return value

    def unsigned(self, key: str, bits: int, default: int = 0) -> int:
        """A whole number from 0 on that fits so many bits."""
        value = go_get(self.raw, key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << bits:
            return self._wrong(key, value, f"uint{bits}")
        return value

    def truth(self, key: str, default: bool = False) -> bool:
        """A truth value."""
        value = go_get(self.raw, key)
        if value is None:
            return default
        return value if isinstance(value, bool) else self._wrong(key, value, "bool")

    def texts(self, key: str, kind: str = "string") -> list[str]:
        """A list of strings, or of what Go reads from strings."""
        return self._list(key, kind, lambda v: v if isinstance(v, str) else None)

    def text_map(self, key: str) -> dict[str, str]:
        """An object whose values are strings."""
        value = go_get(self.raw, key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            return self._wrong(key, value, "map[string]string")
        found = cast("Mapping[str, Any]", value)
        for item in found.values():
            if not isinstance(item, (str, type(None))):
                self._wrong(key, item, "string")
        return {name: item or "" for name, item in found.items()}

    def child(self, key: str, struct: str = "", kind: str = "struct") -> Conf:
        """An object inside; an empty one where it is absent.  ``kind`` is its type in Go."""
        value = go_get(self.raw, key)
        if value is None:
            value = {}
        elif not isinstance(value, Mapping):
            return self._wrong(key, value, kind)
        return self._inside(cast("Mapping[str, Any]", value), struct, key)

    def children(
        self, key: str, struct: str, kind: str, list_kind: str | None = None
    ) -> list[Conf]:
        """A list of objects; ``kind`` and ``list_kind`` are the types of both in Go."""

        def read(value: Any) -> Conf | None:
            if isinstance(value, Mapping):
                return self._inside(cast("Mapping[str, Any]", value), struct, key)
            return None

        return self._list(key, kind, read, list_kind)

    def child_lists(self, key: str, struct: str, kinds: tuple[str, str]) -> list[list[Conf]]:
        """A list of lists of objects; ``kinds`` names the types of list and object."""

        def read(value: Any) -> list[Any] | None:
            return cast("list[Any]", value) if isinstance(value, list) else None

        items = self._list(key, kinds[0], read)
        lists = [Conf({key: item}, struct, path=self.path, prefix=self.prefix) for item in items]
        return [item.children(key, struct, kinds[1]) for item in lists]

    def ip(self, key: str) -> IPAddress | None:
        """An address; ``None`` where it is absent or empty."""
        value = self.text(key)
        return self.fallible(parse_ip, value) if value else None

    def cidr(self, key: str) -> Cidr | None:
        """An address with its prefix length; ``None`` where it is absent."""
        return self.fallible(parse_cidr, self.text(key)) if key in self else None

    def dns(self) -> DNS:
        """The ``dns`` object."""
        if "dns" not in self:
            return _NO_DNS
        found = self.child("dns", "DNS", "types.DNS")
        return DNS(
            tuple(found.texts("nameservers")),
            found.text("domain"),
            tuple(found.texts("search")),
            tuple(found.texts("options")),
        )

    def routes(self, key: str = "routes") -> tuple[ResultRoute, ...]:
        """The routes of an IPAM configuration, or a list of the same kind."""
        out: list[ResultRoute] = []
        for route in self.children(key, "route", "types.route", "[]*types.Route"):
            route.path = ""  # decoded apart, by a method of its own
            dst = route.cidr("dst")
            if dst is None:  # what Go makes of it fails later, in a worse place
                raise CniError(f"{self.prefix}a route has no dst")
            out.append(ResultRoute(dst, route.ip("gw")))
        return tuple(out)

    def fallible(self, parse: Callable[[str], T], text: str) -> T:
        """``parse(text)`` with the plugin's prefix before the message of a refusal."""
        try:
            return parse(text)
        except ValueError as error:
            raise CniError(f"{self.prefix}{error}") from error

    def _inside(self, raw: Mapping[str, Any], struct: str, key: str) -> Conf:
        path = f"{self.path}.{key}" if self.path else key
        return Conf(raw, struct, path=path, prefix=self.prefix)

    def _list(
        self,
        key: str,
        kind: str,
        read: Callable[[Any], T | None],
        list_kind: str | None = None,
    ) -> list[T]:
        value = go_get(self.raw, key)
        if value is None:
            return []
        if not isinstance(value, list):
            return self._wrong(key, value, list_kind or f"[]{kind}")
        out: list[T] = []
        for item in cast("list[Any]", value):
            found = read(item)
            if found is None:
                return self._wrong(key, item, kind)
            out.append(found)
        return out

    def _wrong(self, key: str, value: Any, kind: str) -> Any:
        shown = json_type(value)
        if shown == "number" and kind in ("int", "uint32", "uint64"):
            shown += f" {value}"
        field = f"{self.path}.{key}" if self.path else key
        raise CniError(
            f"{self.prefix}json: cannot unmarshal {shown} into Go struct field "
            f"{self.struct}.{field} of type {kind}"
        )


_NO_DNS = DNS()
