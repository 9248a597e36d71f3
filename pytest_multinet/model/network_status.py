"""The annotation in which Multus reports what it attached.

``k8s.v1.cni.cncf.io/network-status``: NPWG multi-net-spec v1.3, section 5.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, cast

from pytest_multinet.model.fields import (
    FieldError,
    FieldPath,
    field_error,
    json_type,
    read_bool,
    read_mapping,
    read_str,
    read_strings,
)
from pytest_multinet.model.go_json import read_json, within

IPAddress = IPv4Address | IPv6Address

_KEYS = ("name", "interface", "ips", "mac", "mtu", "default", "dns", "device-info", "gateway")

# What Go's encoder escapes in strings; none of them stands outside strings in JSON.
_GO_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


@dataclass(frozen=True, slots=True)
class Dns:
    """DNS settings of a network (CNI specification, section 5, ``dns``)."""

    nameservers: tuple[str, ...] = ()
    domain: str | None = None
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.nameservers or self.domain or self.search or self.options)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object, with only what is set."""
        data: dict[str, Any] = {}
        if self.nameservers:
            data["nameservers"] = list(self.nameservers)
        if self.domain:
            data["domain"] = self.domain
        if self.search:
            data["search"] = list(self.search)
        if self.options:
            data["options"] = list(self.options)
        return data


@dataclass(frozen=True, slots=True)
class NetworkStatus:
    """One attached interface, as Multus reports it.

    Attributes:
        name: ``namespace/name`` of the network; the configuration's name for the default one.
        interface: name in the pod.
        ips: addresses, without prefix length.
        mac: hardware address.
        mtu: bytes; ``None`` where the plugin set none (the reference plugins never do).
        default: whether this is the default network.
        dns: DNS settings that the network brought.
        device_info: what the device's plugin reported.
        gateway: gateways of default routes; ``<nil>`` for a default route without gateway.
    """

    name: str
    interface: str = ""
    ips: tuple[IPAddress, ...] = ()
    mac: str = ""
    mtu: int | None = None
    default: bool = False
    dns: Dns = Dns()
    device_info: Mapping[str, Any] | None = field(default=None, hash=False)
    gateway: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON object, keys in Multus' order, with only what is set (``dns`` always)."""
        data: dict[str, Any] = {"name": self.name}
        if self.interface:
            data["interface"] = self.interface
        if self.ips:
            data["ips"] = [str(ip) for ip in self.ips]
        if self.mac:
            data["mac"] = self.mac
        if self.mtu:
            data["mtu"] = self.mtu
        if self.default:
            data["default"] = True
        data["dns"] = self.dns.to_dict()
        if self.device_info is not None:
            data["device-info"] = dict(self.device_info)
        if self.gateway:
            data["gateway"] = list(self.gateway)
        return data

    def __repr__(self) -> str:
        addresses = " ".join(map(str, self.ips)) or "no address"
        default = " default" if self.default else ""
        return f"<NetworkStatus {self.name} {self.interface or '-'}{default} {addresses}>"


def parse_network_status(
    text: str, *, error: FieldError | None = None
) -> tuple[NetworkStatus, ...]:
    """Read the annotation; one entry per interface, the default network first.

    Raises:
        ManifestError: it is not what Multus writes.
    """
    make = error or field_error("network-status")
    if text == "":
        return ()
    make = within(make, text)
    value = read_json(text, "the network status is not JSON", make, "a JSON list")
    if value is None:
        return ()
    if not isinstance(value, list):
        message = f"the network status is of type {json_type(value)}"
        raise make(message, (), value, "a JSON list, one object per interface")
    return tuple(
        _status(item, (index,), make) for index, item in enumerate(cast("list[Any]", value))
    )


def dump_network_status(statuses: Iterable[NetworkStatus]) -> str:
    """The annotation's text, as Multus writes it: Go's ``MarshalIndent`` of each element."""
    texts = (json.dumps(s.to_dict(), indent=4, ensure_ascii=False) for s in statuses)
    return f"[{','.join(texts)}]".translate(_GO_ESCAPES)


def _status(item: Any, path: FieldPath, make: FieldError) -> NetworkStatus:
    if not isinstance(item, dict):
        message = f"an entry of the network status is of type {json_type(item)}"
        raise make(message, path, item, "an object")
    folded = {key.casefold(): value for key, value in cast("dict[str, Any]", item).items()}
    data = {key: folded[key] for key in _KEYS if key in folded}
    ips = enumerate(read_strings(data, "ips", path, make))
    device = data.get("device-info")
    return NetworkStatus(
        name=read_str(data, "name", path, make) or "",
        interface=read_str(data, "interface", path, make) or "",
        ips=tuple(_ip(ip, (*path, "ips", place), make) for place, ip in ips),
        mac=(read_str(data, "mac", path, make) or "").lower(),
        mtu=_mtu(data, path, make),
        default=read_bool(data, "default", path, make),
        dns=_dns(read_mapping(data, "dns", path, make), (*path, "dns"), make),
        device_info=None if device is None else read_mapping(data, "device-info", path, make),
        gateway=read_strings(data, "gateway", path, make),
    )


def _ip(value: str, path: FieldPath, make: FieldError) -> IPAddress:
    try:
        return ip_address(value)
    except ValueError:
        expected = "an IP address without prefix length"
        raise make(f'"{value}" is no IP address', path, value, expected) from None


def _mtu(data: Mapping[str, Any], path: FieldPath, make: FieldError) -> int | None:
    value = data.get("mtu")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 2**31:
        raise make("mtu is not a number of bytes", (*path, "mtu"), value, "a whole number")
    return value or None


def _dns(data: Mapping[str, Any], path: FieldPath, make: FieldError) -> Dns:
    if not data:
        return _NO_DNS
    folded = {key.casefold(): value for key, value in data.items()}
    return Dns(
        nameservers=read_strings(folded, "nameservers", path, make),
        domain=read_str(folded, "domain", path, make) or None,
        search=read_strings(folded, "search", path, make),
        options=read_strings(folded, "options", path, make),
    )


_NO_DNS = Dns()
