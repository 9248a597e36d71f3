"""The routes of a link as the kernel told them, to be copied elsewhere or deleted."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from ipaddress import ip_address

from pytest_multinet.cni.addresses import Cidr, IPAddress
from pytest_multinet.net.requests import RTM_DELROUTE, RTM_NEWROUTE, Message, attr, u32
from pytest_multinet.net.rtnl import RTM_GETROUTE, Rtnl, attributes

MAIN = 254
LINK_SCOPE = 253
_CREATE_REPLACE = 0x500
_ROUTE = struct.Struct("=BBBBBBBBI")
_CLONED = 0x200
_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _TABLE = 1, 4, 5, 6, 7, 15
_KEPT = (_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC)


@dataclass(slots=True)
class LinkRoute:
    """A route of the main table: its ``rtmsg`` and the attributes that make it what it is."""

    header: tuple[int, ...]
    kept: dict[int, bytes]

    @property
    def dst(self) -> Cidr:
        """Where it leads."""
        size = 4 if self.header[0] == socket.AF_INET else 16
        return Cidr(ip_address(self.kept.get(_DST, bytes(size))), self.header[1])

    @property
    def gateway(self) -> IPAddress | None:
        """The next hop."""
        return ip_address(self.kept[_GATEWAY]) if _GATEWAY in self.kept else None

    @property
    def source(self) -> IPAddress | None:
        """The preferred source address."""
        return ip_address(self.kept[_PREFSRC]) if _PREFSRC in self.kept else None

    @property
    def scope(self) -> int:
        """``rtm_scope``; always 0 for IPv6."""
        return self.header[6]

    def copy(self, table: int) -> Message:
        """Add it to a table, in place of an equal one."""
        return Message(RTM_NEWROUTE, _CREATE_REPLACE, self._body(table), "copy route")

    def delete(self) -> Message:
        """Take it out of the main table."""
        return Message(RTM_DELROUTE, 0, self._body(MAIN), "delete route")

    def _body(self, table: int) -> bytes:
        family, dst_len, src_len, tos, _, protocol, scope, kind, _ = self.header
        short = table if table < 256 else 0
        out = _ROUTE.pack(family, dst_len, src_len, tos, short, protocol, scope, kind, 0)
        out += b"".join(attr(kind, data) for kind, data in self.kept.items())
        return out if table < 256 else out + u32(_TABLE, table)


def of_link(rtnl: Rtnl, index: int) -> list[LinkRoute]:
    """The main table's routes by one link, in the kernel's order."""
    out: list[LinkRoute] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for body in rtnl.dump(RTM_GETROUTE, _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
            header = _ROUTE.unpack_from(body)
            kept = {k: bytes(data) for k, data in attributes(body, _ROUTE.size) if k in _KEPT}
            if header[4] != MAIN or header[8] & _CLONED:
                continue
            if kept.get(_OIF) == u32(0, index)[4:]:
                out.append(LinkRoute(header, kept))
    return out
