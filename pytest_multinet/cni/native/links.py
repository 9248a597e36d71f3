"""Links of a namespace by name, decoded no further than plugins need."""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

from pytest_multinet.errors import CniError, NetlinkError
from pytest_multinet.net.requests import Message, attr
from pytest_multinet.net.rtnl import RTM_GETLINK, Rtnl

_ATTR = struct.Struct("=HH").unpack_from
_LINK = struct.Struct("=BxHiII").unpack_from
_PACK = struct.Struct("=BxHiII").pack
_U32 = struct.Struct("=I").unpack_from
# IFLA_ADDRESS, _MTU, _LINK, _MASTER, _TXQLEN, _OPERSTATE, _PROMISCUITY
_WANTED = frozenset((1, 4, 5, 10, 13, 16, 30))
_AF_SPEC = 26
_NAMES_MAX = 15
_NO_SUCH = (errno.ENODEV, errno.ERANGE, errno.EINVAL)

UP, ALLMULTI = 0x1, 0x200
OPERATIONAL_UP = 6
NOT_FOUND = "Link not found"


@dataclass(slots=True)
class Link:
    """One link: what plugins look at.

    Attributes:
        parent: IFLA_LINK: the lower device; of a veth, its peer.
        operational: operational state (RFC 2863); 6 is up.
    """

    index: int
    flags: int
    mac: str = ""
    mtu: int = 0
    parent: int = 0
    master: int = 0
    promiscuity: int = 0
    queue_length: int = 0
    operational: int = 0


def decode(body: bytes) -> Link:
    """The part of an ``ifinfomsg`` that stands before its statistics per family."""
    _family, _type, index, flags, _change = _LINK(body)
    found: dict[int, int] = {}
    offset, end = 16, len(body)
    while offset < end:
        length, kind = _ATTR(body, offset)
        if kind in _WANTED:
            found[kind] = offset
        elif kind == _AF_SPEC:
            break
        offset += (length + 3) & ~3

    def number(kind: int) -> int:
        return _U32(body, found[kind] + 4)[0] if kind in found else 0

    at = found.get(1)
    mac = "" if at is None else body[at + 4 : at + _ATTR(body, at)[0]].hex(":")
    operational = body[found[16] + 4] if 16 in found else 0
    return Link(
        index, flags, mac, number(4), number(5), number(10), number(30), number(13), operational
    )


def question(name_or_index: str | int) -> Message:
    """Asks for a link.  Reading one that has just gone up also makes it carry packets."""
    if isinstance(name_or_index, int):
        body = _PACK(0, 0, name_or_index, 0, 0)
    else:
        body = _PACK(0, 0, 0, 0, 0) + attr(3, name_or_index.encode() + b"\0")  # IFLA_IFNAME
    return Message(RTM_GETLINK, 0, body, f"look up link {name_or_index}")


def find(rtnl: Rtnl, name: str) -> Link | None:
    """The link of that name, ``None`` where there is none."""
    if not name or len(name.encode()) > _NAMES_MAX:
        return None
    try:
        return decode(rtnl.link(name))
    except NetlinkError as error:
        if error.errno in _NO_SUCH:
            return None
        raise


def need(rtnl: Rtnl, name: str, hint: str | None = None) -> Link:
    """The link of that name.

    Raises:
        CniError: there is none; the reference plugins do not say its name, ``hint`` does.
    """
    link = find(rtnl, name)
    if len(name.encode()) > _NAMES_MAX:
        raise CniError("numerical result out of range", hint=hint)
    if link is None:
        raise CniError(NOT_FOUND, hint=hint)
    return link
