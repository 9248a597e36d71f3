"""Route netlink requests (rtnetlink(7)) as packed messages: what building an environment takes.

Only what the hot path sends is packed here; everything else is left to pyroute2, and the tests
hold these messages against its decoder.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

IPAddress: TypeAlias = "IPv4Address | IPv6Address"

RTM_NEWLINK, RTM_DELLINK = 16, 17
RTM_NEWADDR, RTM_DELADDR = 20, 21
RTM_NEWROUTE, RTM_DELROUTE = 24, 25
RTM_NEWNEIGH, RTM_DELNEIGH = 28, 29
_REPLACE, _EXCL, _CREATE, _APPEND = 0x100, 0x200, 0x400, 0x800  # netlink.h, modifiers to NEW
IFF_UP, IFF_PROMISC = 0x1, 0x100
MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
SCOPES = {"global": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}
_RTPROT_BOOT = 3
_IFA_F_NODAD = 0x02
_NTF_USE = 0x01
_LINK = struct.Struct("=BxHiII")
_ADDR = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGH = struct.Struct("=BxxxiHBB")
_ATTR = struct.Struct("=HH")
_U32 = struct.Struct("=HHI")
_PAD = (b"", b"\0\0\0", b"\0\0", b"\0")


@dataclass(slots=True)
class Message:
    """One request: ``type`` and ``flags`` of the netlink header, ``body``, and it in words."""

    type: int
    flags: int
    body: bytes
    what: str


def attr(kind: int, data: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTR.pack(len(data) + 4, kind) + data + _PAD[len(data) & 3]


def u32(kind: int, value: int) -> bytes:
    """A 32-bit attribute in host byte order."""
    return _U32.pack(8, kind, value)


def mac_bytes(mac: str) -> bytes:
    """``02:00:00:00:00:01`` as six bytes."""
    return bytes.fromhex(mac.replace(":", ""))


def _link_options(
    name: str | None,
    ns_fd: int | None,
    mtu: int | None,
    mac: str | None,
    queue_length: int | None = None,
) -> bytes:
    """``ifinfomsg`` and the attributes that every kind of link takes."""
    out = _LINK.pack(0, 0, 0, 0, 0)
    if name is not None:
        out += attr(3, name.encode() + b"\0")
    if ns_fd is not None:
        out += u32(28, ns_fd)  # IFLA_NET_NS_FD
    if mtu is not None:
        out += u32(4, mtu)
    if mac is not None:
        out += attr(1, mac_bytes(mac))
    if queue_length is not None:
        out += u32(13, queue_length)  # IFLA_TXQLEN
    return out


def _new_link(body: bytes, kind: str, data: bytes, what: str) -> Message:
    info = attr(1, kind.encode()) + (attr(2, data) if data else b"")  # IFLA_INFO_KIND, _DATA
    return Message(RTM_NEWLINK, _CREATE | _EXCL, body + attr(18, info), what)


def veth(
    name: str,
    peer: str,
    *,
    ns_fd: int | None = None,
    peer_ns_fd: int | None = None,
    mtu: int | None = None,
    mac: str | None = None,
    peer_mac: str | None = None,
    queue_length: int | None = None,
) -> Message:
    """A veth pair, each end made directly in its namespace (``None``: the socket's)."""
    peer_options = _link_options(peer, peer_ns_fd, mtu, peer_mac, queue_length)
    peer_info = attr(1, peer_options)  # VETH_INFO_PEER
    body = _link_options(name, ns_fd, mtu, mac, queue_length)
    return _new_link(body, "veth", peer_info, f"create veth {name} -- {peer}")


def macvlan(
    name: str,
    parent: int,
    *,
    mode: str = "bridge",
    ns_fd: int | None = None,
    mtu: int | None = None,
    mac: str | None = None,
    queue_length: int | None = None,
) -> Message:
    """A macvlan on the link with index ``parent``, made directly in ``ns_fd``."""
    body = _link_options(name, ns_fd, mtu, mac, queue_length) + u32(5, parent)  # IFLA_LINK
    data = u32(1, MACVLAN_MODES[mode])
    return _new_link(body, "macvlan", data, f"create macvlan {name} in mode {mode}")


def bridge(
    name: str,
    *,
    mtu: int | None = None,
    mac: str | None = None,
    stp: bool = False,
    vlan_filtering: bool = False,
) -> Message:
    """A bridge with forward delay 0 where STP is off."""
    data = u32(5, int(stp)) + (attr(7, b"\1") if vlan_filtering else b"")
    return _new_link(_link_options(name, None, mtu, mac), "bridge", data, f"create bridge {name}")


def set_link(
    index: int,
    *,
    up: bool | None = None,
    name: str | None = None,
    master: int | None = None,
    ns_fd: int | None = None,
    mtu: int | None = None,
    mac: str | None = None,
    arp_notify: bool = False,
    promisc: bool | None = None,
    what: str | None = None,
) -> Message:
    """Change a link; ``master`` 0 releases it, ``arp_notify`` is the IPv4 sysctl of that name."""
    flags = change = 0
    if up is not None:
        flags, change = int(up), IFF_UP
    if promisc is not None:
        flags, change = flags | (IFF_PROMISC if promisc else 0), change | IFF_PROMISC
    body = _LINK.pack(0, 0, index, flags, change)
    body += _link_options(name, ns_fd, mtu, mac)[_LINK.size :]
    if master is not None:
        body += u32(10, master)
    if arp_notify:  # IFLA_AF_SPEC / AF_INET / IFLA_INET_CONF / IPV4_DEVCONF_ARP_NOTIFY
        body += attr(26, attr(socket.AF_INET, attr(1, u32(22, 1))))
    return Message(RTM_NEWLINK, 0, body, what or f"set link {index}")


def delete_link(index: int) -> Message:
    """Remove a link (and a veth's peer)."""
    return Message(RTM_DELLINK, 0, _LINK.pack(0, 0, index, 0, 0), f"delete link {index}")


def address(
    index: int, ip: IPAddress, prefix_length: int, *, delete: bool = False, broadcast: bool = True
) -> Message:
    """Add (or delete) an address; IPv6 without duplicate address detection, which costs 2 s."""
    packed = ip.packed
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    body = _ADDR.pack(family, prefix_length, 0 if family == 2 else _IFA_F_NODAD, 0, index)
    body += attr(2, packed) + attr(1, packed)  # IFA_LOCAL, IFA_ADDRESS
    if family == 2 and broadcast and prefix_length < 31:
        mask = (1 << (32 - prefix_length)) - 1
        body += attr(4, (int(ip) | mask).to_bytes(4, "big"))
    if delete:
        return Message(RTM_DELADDR, 0, body, f"delete address {ip}/{prefix_length}")
    return Message(RTM_NEWADDR, _CREATE | _EXCL, body, f"add address {ip}/{prefix_length}")


def route(
    destination: tuple[IPAddress, int],
    *,
    index: int | None = None,
    gateway: IPAddress | None = None,
    source: IPAddress | None = None,
    scope: str = "global",
    metric: int | None = None,
    table: int = 254,
    mtu: int | None = None,
    advmss: int | None = None,
    on_link: bool = False,
    delete: bool = False,
    replace: bool = False,
    append: bool = False,
    prepend: bool = False,
) -> Message:
    """Add (or delete) a route; ``prepend``, ``append``: before or behind IPv4's equal ones."""
    packed = destination[0].packed
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    protocol, kind, scope_value = (0, 0, 255) if delete else (_RTPROT_BOOT, 1, SCOPES[scope])
    short = table if table < 256 else 0
    body = _ROUTE.pack(
        family, destination[1], 0, 0, short, protocol, scope_value, kind, 4 if on_link else 0
    )
    if destination[1]:
        body += attr(1, packed)
    if gateway is not None:
        body += attr(5, gateway.packed)
    if index is not None:
        body += u32(4, index)
    if source is not None:
        body += attr(7, source.packed)
    if metric is not None:
        body += u32(6, metric)
    if table >= 256:
        body += u32(15, table)
    metrics = (u32(2, mtu) if mtu else b"") + (u32(8, advmss) if advmss else b"")
    if metrics:
        body += attr(8, metrics)
    to = "default" if not destination[1] else f"{destination[0]}/{destination[1]}"
    if delete:
        return Message(RTM_DELROUTE, 0, body, f"delete route {to}")
    modifier = _REPLACE if replace else _APPEND if append else 0 if prepend else _EXCL
    flags = _CREATE | modifier
    return Message(RTM_NEWROUTE, flags, body, f"add route {to}")


def neighbour(index: int, ip: IPAddress, *, delete: bool = False) -> Message:
    """Make the kernel resolve ``ip`` on a link now (NTF_USE), or strike the entry."""
    packed = ip.packed
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    body = _NEIGH.pack(family, index, 0, 0 if delete else _NTF_USE, 0) + attr(1, packed)
    if delete:
        return Message(RTM_DELNEIGH, 0, body, f"delete neighbour {ip}")
    return Message(RTM_NEWNEIGH, _CREATE | _REPLACE, body, f"resolve neighbour {ip}")


def neighbour_timing(index: int, family: int, retransmit: int) -> Message:
    """Milliseconds between solicitations on a link (RTM_SETNEIGHTBL); three decide."""
    table = b"arp_cache\0" if family == socket.AF_INET else b"ndisc_cache\0"
    parameters = u32(1, index) + attr(5, struct.pack("=Q", retransmit))  # NDTPA_RETRANS_TIME
    body = bytes((family, 0, 0, 0)) + attr(1, table) + attr(6, parameters)  # NDTA_NAME, _PARMS
    return Message(67, 0, body, f"set the neighbour timing of link {index}")
