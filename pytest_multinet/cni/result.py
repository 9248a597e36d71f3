"""What a plugin tells after ADD (CNI specification 1.1, section 5: Result Types).

Results are objects; JSON of a given version is made when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pytest_multinet.cni.addresses import Cidr, IPAddress, parse_cidr, parse_ip
from pytest_multinet.errors import CniError
from pytest_multinet.model.go_json import go_get

__all__ = ["DNS", "IPConfig", "Result", "ResultInterface", "ResultRoute"]

_DECODING_FAILURE = 6
_OLD = ("0.1.0", "0.2.0")
_WITH_IP_VERSION = ("0.3.0", "0.3.1", "0.4.0")
_NEW = ("1.0.0", "1.1.0")


@dataclass(frozen=True, slots=True)
class ResultInterface:
    """An interface that the plugin made or knows.

    Attributes:
        name: in its namespace.
        mac: hardware address.
        sandbox: path of the namespace; ``""`` means the node's.
        mtu, socket_path, pci_id: from version 1.1.0 on.
    """

    name: str
    mac: str = ""
    sandbox: str = ""
    mtu: int = 0
    socket_path: str = ""
    pci_id: str = ""


@dataclass(frozen=True, slots=True)
class IPConfig:
    """An address; ``interface`` is an index into the result's interfaces."""

    address: Cidr
    gateway: IPAddress | None = None
    interface: int | None = None

    @property
    def go(self) -> str:
        """As the reference plugins print it in error messages."""
        address = f"{{IP:{self.address.ip} Mask:{self.address.mask}}}"
        interface = "<nil>" if self.interface is None else self.interface
        gateway = "<nil>" if self.gateway is None else self.gateway
        return f"{{Interface:{interface} Address:{address} Gateway:{gateway}}}"


@dataclass(frozen=True, slots=True)
class ResultRoute:
    """A route; the last five are from version 1.1.0 on."""

    dst: Cidr
    gw: IPAddress | None = None
    mtu: int | None = None
    advmss: int | None = None
    priority: int | None = None
    table: int | None = None
    scope: int | None = None


@dataclass(frozen=True, slots=True)
class DNS:
    """Resolver settings."""

    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.nameservers or self.domain or self.search or self.options)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object, without what is empty."""
        found = {
            "nameservers": list(self.nameservers),
            "domain": self.domain,
            "search": list(self.search),
            "options": list(self.options),
        }
        return {key: value for key, value in found.items() if value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DNS:
        """Read the JSON object.

        Raises:
            CniError: a value is of another type.
        """
        return cls(
            _texts(data, "nameservers"),
            _text(data, "domain"),
            _texts(data, "search"),
            _texts(data, "options"),
        )


@dataclass(frozen=True, slots=True)
class Result:
    """The result of ADD; equal where it means the same, whatever the version.

    Attributes:
        cni_version: version that it was made in.
        interfaces: in the order of the plugin, the container's usually last.
        ips: in order of configuration.
        routes: in order of configuration.
        dns: resolver settings.
    """

    cni_version: str = field(default="1.0.0", compare=False)
    interfaces: tuple[ResultInterface, ...] = ()
    ips: tuple[IPConfig, ...] = ()
    routes: tuple[ResultRoute, ...] = ()
    dns: DNS = DNS()

    def to_dict(self, version: str | None = None) -> dict[str, Any]:
        """The JSON object of a version of the specification.

        Args:
            version: ``0.1.0`` to ``1.1.0``; without it the version that it was made in.

        Raises:
            CniError: the version is unknown, or cannot say what is in the result.
        """
        version = version or self.cni_version
        if version in _OLD:
            return self._to_old(version)
        if version not in _WITH_IP_VERSION + _NEW:
            raise CniError(f"no converter for CNI result version {self.cni_version} to {version}")
        latest = version == "1.1.0"
        out: dict[str, Any] = {"cniVersion": version}
        if self.interfaces:
            out["interfaces"] = [_interface_dict(i, latest) for i in self.interfaces]
        if self.ips:
            out["ips"] = [_ip_dict(ip, version in _WITH_IP_VERSION) for ip in self.ips]
        if self.routes:
            out["routes"] = [_route_dict(route, latest) for route in self.routes]
        dns = self.dns.to_dict()
        if dns:
            out["dns"] = dns
        return out

    def _to_old(self, version: str) -> dict[str, Any]:
        """Versions before 0.3.0: one address a family, no interfaces."""
        out: dict[str, Any] = {"cniVersion": version}
        for family in (4, 6):
            first = next((ip for ip in self.ips if ip.address.version == family), None)
            if first is None:
                continue
            entry: dict[str, Any] = {"ip": str(first.address)}
            if first.gateway is not None:
                entry["gateway"] = str(first.gateway)
            routes = [_route_dict(r, False) for r in self.routes if r.dst.version == family]
            if routes:
                entry["routes"] = routes
            out[f"ip{family}"] = entry
        if len(out) == 1 and self.cni_version not in _OLD:
            raise CniError("cannot convert: no valid IP addresses")
        dns = self.dns.to_dict()
        if dns:
            out["dns"] = dns
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], version: str | None = None) -> Result:
        """Read a result; keys are found without regard to case.

        Args:
            data: the JSON object.
            version: that of the configuration, for a result that names none.

        Raises:
            CniError: a field is not what the specification says, or the version is unknown.
        """
        named = _text(data, "cniVersion") or version or "0.1.0"
        if named in _OLD:
            return cls._from_old(data, named)
        if named not in _WITH_IP_VERSION + _NEW:
            raise _bad(f"unsupported CNI result version {named!r}")
        return cls(
            named,
            tuple(_interface(item) for item in _objects(data, "interfaces")),
            tuple(_ip(item) for item in _objects(data, "ips")),
            tuple(_route(item) for item in _objects(data, "routes")),
            DNS.from_dict(_object(data, "dns")),
        )

    @classmethod
    def _from_old(cls, data: Mapping[str, Any], version: str) -> Result:
        ips: list[IPConfig] = []
        routes: list[ResultRoute] = []
        for key in ("ip4", "ip6"):
            entry = _object(data, key)
            if entry:
                ips.append(IPConfig(_cidr(entry, "ip"), _gateway(entry, "gateway")))
                routes += [_route(item) for item in _objects(entry, "routes")]
        return cls(version, (), tuple(ips), tuple(routes), DNS.from_dict(_object(data, "dns")))


# --- to JSON --------------------------------------------------------------------------------


def _interface_dict(interface: ResultInterface, latest: bool) -> dict[str, Any]:
    out: dict[str, Any] = {"name": interface.name}
    if interface.mac:
        out["mac"] = interface.mac
    if latest and interface.mtu:
        out["mtu"] = interface.mtu
    if interface.sandbox:
        out["sandbox"] = interface.sandbox
    if latest and interface.socket_path:
        out["socketPath"] = interface.socket_path
    if latest and interface.pci_id:
        out["pciID"] = interface.pci_id
    return out


def _ip_dict(ip: IPConfig, with_version: bool) -> dict[str, Any]:
    out: dict[str, Any] = {"version": str(ip.address.version)} if with_version else {}
    if ip.interface is not None:
        out["interface"] = ip.interface
    out["address"] = str(ip.address)
    if ip.gateway is not None:
        out["gateway"] = str(ip.gateway)
    return out


def _route_dict(route: ResultRoute, latest: bool) -> dict[str, Any]:
    out: dict[str, Any] = {"dst": str(route.dst)}
    if route.gw is not None:
        out["gw"] = str(route.gw)
    if latest:
        for key in ("mtu", "advmss", "priority", "table", "scope"):
            value = getattr(route, key)
            if value is not None:
                out[key] = value
    return out


# --- from JSON ------------------------------------------------------------------------------


def _interface(data: Mapping[str, Any]) -> ResultInterface:
    return ResultInterface(
        _text(data, "name"),
        _text(data, "mac"),
        _text(data, "sandbox"),
        _number(data, "mtu") or 0,
        _text(data, "socketPath"),
        _text(data, "pciID"),
    )


def _ip(data: Mapping[str, Any]) -> IPConfig:
    return IPConfig(_cidr(data, "address"), _gateway(data, "gateway"), _number(data, "interface"))


def _route(data: Mapping[str, Any]) -> ResultRoute:
    return ResultRoute(
        _cidr(data, "dst"),
        _gateway(data, "gw"),
        _number(data, "mtu"),
        _number(data, "advmss"),
        _number(data, "priority"),
        _number(data, "table"),
        _number(data, "scope"),
    )


def _bad(message: str) -> CniError:
    return CniError(f"failed to decode a CNI result: {message}", code=_DECODING_FAILURE)


def _text(data: Mapping[str, Any], key: str) -> str:
    value = go_get(data, key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _bad(f"{key} is {value!r}, not a string")
    return value


def _number(data: Mapping[str, Any], key: str) -> int | None:
    value = go_get(data, key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise _bad(f"{key} is {value!r}, not a whole number")


def _texts(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = go_get(data, key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _bad(f"{key} is {value!r}, not a list")
    items = cast("list[Any]", value)
    if not all(isinstance(item, str) for item in items):
        raise _bad(f"{key} holds something that is not a string: {value!r}")
    return tuple(items)


def _object(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = go_get(data, key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _bad(f"{key} is {value!r}, not an object")
    return cast("Mapping[str, Any]", value)


def _objects(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = go_get(data, key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _bad(f"{key} is {value!r}, not a list")
    items = cast("list[Any]", value)
    for item in items:
        if not isinstance(item, dict):
            raise _bad(f"{key} holds {item!r}, not an object")
    return items


def _cidr(data: Mapping[str, Any], key: str) -> Cidr:
    try:
        return parse_cidr(_text(data, key))
    except ValueError as error:
        raise _bad(f"{key}: {error}") from error


def _gateway(data: Mapping[str, Any], key: str) -> IPAddress | None:
    text = _text(data, key)
    try:
        return parse_ip(text) if text else None
    except ValueError as error:
        raise _bad(f"{key}: {error}") from error
