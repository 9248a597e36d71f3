"""What the kernel answers on route netlink (rtnetlink(7)), decoded into the model's objects."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network

from pytest_multinet.model.interface import Interface, IPAddress, IPInterface, Neighbour, Route
from pytest_multinet.net.requests import MACVLAN_MODES, attr
from pytest_multinet.net.rtnl import (
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETNEIGH,
    RTM_GETNETCONF,
    RTM_GETROUTE,
    Rtnl,
    attributes,
)

_LINK = struct.Struct("=BxHiII")
_ADDR = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGH = struct.Struct("=BxxxiHBB")
_STATISTICS = struct.Struct("=8Q")
COUNTERS = (
    "rx_packets",
    "tx_packets",
    "rx_bytes",
    "tx_bytes",
    "rx_errors",
    "tx_errors",
    "rx_dropped",
    "tx_dropped",
)
_STATES = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")
_FLAGS = (
    (1 << 3, "LOOPBACK"),
    (1 << 1, "BROADCAST"),
    (1 << 4, "POINTOPOINT"),
    (1 << 12, "MULTICAST"),
    (1 << 7, "NOARP"),
    (1 << 9, "ALLMULTI"),
    (1 << 8, "PROMISC"),
    (1 << 10, "MASTER"),
    (1 << 11, "SLAVE"),
    (1 << 0, "UP"),
    (1 << 16, "LOWER_UP"),
)
_MACVLAN_NAMES = {number: name for name, number in MACVLAN_MODES.items()}
_IPVLAN_MODES = {0: "l2", 1: "l3", 2: "l3s"}
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
_PROTOCOLS = {0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 9: "ra", 16: "dhcp"}
_ROUTE_TYPES = {1: "unicast", 6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw"}
_NEIGHBOUR_STATES = {
    0x01: "incomplete",
    0x02: "reachable",
    0x04: "stale",
    0x08: "delay",
    0x10: "probe",
    0x20: "failed",
    0x40: "noarp",
    0x80: "permanent",
}
_MAIN, _CLONED = 254, 0x200
NOT_DYNAMIC = frozenset({0x40, 0x80})
"""States of entries that no probe made: ``noarp`` and ``permanent``."""


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """One link as the kernel tells it, before addresses and names are joined to it.

    Attributes:
        parent: index of the lower device, in its own namespace (``parent_nsid`` tells whether
            that is another one); ``master``: index of the bridge.
    """

    index: int
    name: str
    type: str
    mac: str
    mtu: int
    flags: int
    state: str
    parent: int | None
    parent_elsewhere: bool
    master: int | None
    mode: str | None

    @property
    def up(self) -> bool:
        """Administratively up."""
        return bool(self.flags & 1)

    @property
    def carrier(self) -> bool:
        """The link can carry packets (IFF_LOWER_UP)."""
        return bool(self.flags & (1 << 16))

    @property
    def flag_names(self) -> tuple[str, ...]:
        """The flags set, upper case, in the order of ``ip link``."""
        return tuple(name for bit, name in _FLAGS if self.flags & bit)


def decode_link(body: bytes) -> LinkInfo:
    """An ``ifinfomsg`` with its attributes."""
    _family, hardware, index, flags, _change = _LINK.unpack_from(body)
    name, kind, mac, mtu, state = "", "", "", 0, 0
    parent = master = mode = None
    elsewhere = False
    for attribute, data in attributes(body, _LINK.size):
        if attribute == 3:  # IFLA_IFNAME
            name = _text(data)
        elif attribute == 1:  # IFLA_ADDRESS
            mac = bytes(data).hex(":") if len(data) == 6 else ""
        elif attribute == 4:  # IFLA_MTU
            mtu = _int(data)
        elif attribute == 5:  # IFLA_LINK
            parent = _int(data) or None
        elif attribute == 10:  # IFLA_MASTER
            master = _int(data)
        elif attribute == 16:  # IFLA_OPERSTATE
            state = data[0]
        elif attribute == 37:  # IFLA_LINK_NETNSID
            elsewhere = True
        elif attribute == 18:  # IFLA_LINKINFO
            kind, mode = _link_kind(data)
    if not kind:
        kind = "loopback" if hardware == 772 else "device"
    if kind == "loopback":
        mac = ""
    return LinkInfo(
        index, name, kind, mac, mtu, flags, _STATES[min(state, 6)], parent, elsewhere, master, mode
    )


def _link_kind(data: memoryview) -> tuple[str, str | None]:
    kind, mode = "", None
    for attribute, value in attributes(data, 0):
        if attribute == 1:  # IFLA_INFO_KIND
            kind = _text(value)
        elif attribute == 2 and kind in ("macvlan", "ipvlan"):  # IFLA_INFO_DATA
            for option, number in attributes(value, 0):
                if option == 1:
                    names = _MACVLAN_NAMES if kind == "macvlan" else _IPVLAN_MODES
                    mode = names.get(int.from_bytes(number, "little"))
    return kind, mode


def counters(rtnl: Rtnl) -> dict[str, dict[str, int]]:
    """The counters of every link (``rtnl_link_stats64``), by its name."""
    out: dict[str, dict[str, int]] = {}
    for body in rtnl.dump(RTM_GETLINK, _LINK.pack(0, 0, 0, 0, 0)):
        found = {a: data for a, data in attributes(body, _LINK.size) if a in (3, 23)}
        if 3 in found and 23 in found:  # IFLA_IFNAME, IFLA_STATS64
            values = _STATISTICS.unpack_from(found[23])
            out[_text(found[3])] = dict(zip(COUNTERS, values, strict=True))
    return out


def links(rtnl: Rtnl) -> list[LinkInfo]:
    """Every link of a namespace, in index order."""
    found = [decode_link(body) for body in rtnl.dump(RTM_GETLINK, _LINK.pack(0, 0, 0, 0, 0))]
    return sorted(found, key=lambda link: link.index)


def forwards(rtnl: Rtnl, family: int) -> bool:
    """Whether a namespace forwards packets of an address family between its interfaces."""
    everywhere = attr(1, struct.pack("=i", -1))  # NETCONFA_IFINDEX, NETCONFA_IFINDEX_ALL
    body = bytes((family, 0, 0, 0)) + everywhere
    answer = rtnl.get(RTM_GETNETCONF, body, "read the network configuration")
    return any(kind == 2 and _int(data) == 1 for kind, data in attributes(answer, 4))


def addresses(rtnl: Rtnl, index: int = 0) -> dict[int, list[IPInterface]]:
    """Addresses by link index, in the kernel's order; ``index`` 0 means every link's."""
    out: dict[int, list[IPInterface]] = {}
    for body in rtnl.dump(RTM_GETADDR, _ADDR.pack(0, 0, 0, 0, index)):
        _family, prefix_length, _flags, _scope, link = _ADDR.unpack_from(body)
        found = {a: bytes(data) for a, data in attributes(body, _ADDR.size) if a in (1, 2)}
        local = found.get(2, found.get(1))  # IFA_LOCAL, else IFA_ADDRESS
        if local is not None:
            out.setdefault(link, []).append(ip_interface((local, prefix_length)))
    return out


def interfaces(rtnl: Rtnl) -> tuple[Interface, ...]:
    """Every interface of a namespace with its addresses, in index order."""
    found = links(rtnl)
    by_link = addresses(rtnl)
    names = {link.index: link.name for link in found}
    return tuple(interface(link, by_link.get(link.index, ()), names) for link in found)


def interface(
    link: LinkInfo, held: list[IPInterface] | tuple[()], names: dict[int, str]
) -> Interface:
    """One interface of the model, from a link, its addresses and the names of its siblings."""
    return Interface(
        name=link.name,
        index=link.index,
        type=link.type,
        mac=link.mac,
        mtu=link.mtu,
        state=link.state,
        up=link.up,
        addresses=tuple(held),
        parent=link.parent,
        parent_name=None if link.parent_elsewhere else names.get(link.parent or 0),
        mode=link.mode,
        master=names.get(link.master or 0),
        flags=link.flag_names,
    )


def routes(rtnl: Rtnl, names: dict[int, str]) -> tuple[Route, ...]:
    """The main table: IPv4, then IPv6, each in the kernel's order.

    Args:
        rtnl: a socket in the namespace.
        names: interface names by index.
    """
    out: list[Route] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for body in rtnl.dump(RTM_GETROUTE, _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
            route = _route(body, names)
            if route is not None:
                out.append(route)
    return tuple(out)


def _route(body: bytes, names: dict[int, str]) -> Route | None:
    family, length, _, _, table, protocol, scope, kind, flags = _ROUTE.unpack_from(body)
    found = dict(attributes(body, _ROUTE.size))
    if 15 in found:  # RTA_TABLE
        table = _int(found[15])
    if table != _MAIN or kind not in _ROUTE_TYPES or flags & _CLONED:
        return None
    size = 4 if family == socket.AF_INET else 16
    destination = bytes(found[1]) if 1 in found else bytes(size)
    return Route(
        destination=ip_network((destination, length)),
        gateway=ip_address(bytes(found[5])) if 5 in found else None,
        interface=names.get(_int(found[4])) if 4 in found else None,
        source=ip_address(bytes(found[7])) if 7 in found else None,
        metric=_int(found[6]) if 6 in found else 0,
        scope=_SCOPES.get(scope, str(scope)),
        protocol=_PROTOCOLS.get(protocol, str(protocol)),
        type=_ROUTE_TYPES[kind],
        table=table,
    )


def neighbours(rtnl: Rtnl, names: dict[int, str]) -> tuple[Neighbour, ...]:
    """ARP and ND entries that are neither ``noarp`` nor multicast."""
    out: list[Neighbour] = []
    for body in rtnl.dump(RTM_GETNEIGH, _NEIGH.pack(0, 0, 0, 0, 0)):
        family, index, state, _flags, _type = _NEIGH.unpack_from(body)
        if family not in (socket.AF_INET, socket.AF_INET6) or state == 0x40:
            continue
        entry = decode_neighbour(body, names.get(index, str(index)))
        if entry is not None and not entry.address.is_multicast:
            out.append(entry)
    return tuple(out)


def neighbour_keys(rtnl: Rtnl) -> list[tuple[int, IPAddress, int]]:
    """Every entry as link index, address and the kernel's state bits."""
    out: list[tuple[int, IPAddress, int]] = []
    for body in rtnl.dump(RTM_GETNEIGH, _NEIGH.pack(0, 0, 0, 0, 0)):
        family, index, state, _flags, _type = _NEIGH.unpack_from(body)
        if family in (socket.AF_INET, socket.AF_INET6):
            for attribute, data in attributes(body, _NEIGH.size):
                if attribute == 1:  # NDA_DST
                    out.append((index, ip_address(bytes(data)), state))
    return out


def decode_neighbour(body: bytes, interface_name: str) -> Neighbour | None:
    """An ``ndmsg`` with its attributes."""
    _family, _index, state, _flags, _type = _NEIGH.unpack_from(body)
    found = {a: bytes(data) for a, data in attributes(body, _NEIGH.size) if a in (1, 2)}
    if 1 not in found:
        return None
    mac = found[2].hex(":") if len(found.get(2, b"")) == 6 else None
    name = _NEIGHBOUR_STATES.get(state, "none")
    return Neighbour(ip_address(found[1]), interface_name, mac, name)


def _text(data: memoryview) -> str:
    return bytes(data).rstrip(b"\0").decode(errors="replace")


def _int(data: memoryview) -> int:
    return int.from_bytes(data, "little" if _LITTLE else "big")


_LITTLE = struct.pack("=H", 1) == b"\1\0"
