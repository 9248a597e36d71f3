"""Requests for queueing disciplines, classes and filters (tc(8), linux/pkt_sched.h, pkt_cls.h)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_multinet.cni.addresses import Cidr
from pytest_multinet.net.requests import Message, attr, u32
from pytest_multinet.net.rtnl import Rtnl, attributes

ROOT, INGRESS_PARENT, INGRESS = 0xFFFFFFFF, 0xFFFFFFF1, 0xFFFF0000
_NEW_QDISC, _GET_QDISC, _NEW_CLASS, _GET_CLASS, _NEW_FILTER = 36, 38, 40, 42, 44
_CREATE_EXCL = 0x600
_TCMSG = struct.Struct("=BxxxiIII")
_KIND, _OPTIONS = 1, 2
_HTB_PARMS, _HTB_INIT, _HTB_CTAB, _HTB_RTAB, _HTB_RATE64, _HTB_CEIL64 = 1, 2, 3, 4, 6, 7
_U32_CLASSID, _U32_SEL, _U32_ACT = 1, 5, 7
_HTB_GLOB = struct.Struct("=IIIII")  # version, rate2quantum, defcls, debug, direct_pkts
_RATE = struct.Struct("=BBHhHI")  # cell_log, linklayer, overhead, cell_align, mpu, rate
_HTB_OPT = struct.Struct("=IIIII")  # buffer, cbuffer, quantum, level, prio; behind two rates
_U32_HEAD = struct.Struct("=BBBBHHhhI")
_MIRRED = struct.Struct("=IIiiiiI")  # index, capab, action, refcnt, bindcnt, eaction, ifindex
_PROTOCOLS = {4: 0x0800, 6: 0x86DD}
_ALL_PROTOCOLS = 0x0003
_TERMINAL, _EGRESS_REDIRECT, _STOLEN = 1, 1, 4
_TICKS = 15.625  # a microsecond, as every kernel since 2.6.31 counts (/proc/net/psched)
_CELL_LOG, _ETHERNET = 3, 1


def handle(major: int, minor: int) -> int:
    """``major:minor``."""
    return major << 16 | minor


def ticks(microseconds: int) -> int:
    """A time as the kernel's packet schedulers count it."""
    return int(microseconds * _TICKS) & 0xFFFFFFFF


def transmission(rate: int, size: int) -> int:
    """Ticks that ``size`` bytes take at ``rate`` bytes a second."""
    return ticks(int(size * 1e6 / rate) & 0xFFFFFFFF) if rate else 0


def htb(index: int, default: int) -> Message:
    """A hierarchical token bucket ``1:`` as a link's root; ``default``: minor of a class."""
    options = attr(_HTB_INIT, _HTB_GLOB.pack(3, 10, default, 0, 0))
    body = _TCMSG.pack(0, index, handle(1, 0), ROOT, 0)
    return _message(_NEW_QDISC, body, "htb", options, f"add qdisc htb to link {index}")


def htb_class(index: int, minor: int, rate: int, ceil: int, buffer: int) -> Message:
    """A class ``1:minor`` of that bucket; rates in bytes a second, ``buffer`` in ticks."""
    parameters = _rate(rate) + _rate(ceil) + _HTB_OPT.pack(buffer, buffer, 0, 0, 0)
    options = attr(_HTB_PARMS, parameters)
    options += attr(_HTB_RTAB, _rate_table(rate)) + attr(_HTB_CTAB, _rate_table(ceil))
    for kind, value in ((_HTB_RATE64, rate), (_HTB_CEIL64, ceil)):
        if value >= 1 << 32:
            options += attr(kind, struct.pack("=Q", value))
    body = _TCMSG.pack(0, index, handle(1, minor), handle(1, 0), 0)
    return _message(_NEW_CLASS, body, "htb", options, f"add class 1:{minor:x} to link {index}")


def ingress(index: int) -> Message:
    """Where filters for what comes in by a link hang."""
    body = _TCMSG.pack(0, index, INGRESS, INGRESS_PARENT, 0)
    return _message(_NEW_QDISC, body, "ingress", b"", f"add qdisc ingress to link {index}")


def redirect(index: int, to: int) -> Message:
    """All that comes in by a link leaves by another (the reference plugin says so twice)."""
    options = attr(_U32_SEL, _selector([(0, 0, 0)]))
    options += u32(_U32_CLASSID, handle(1, 1))
    options += attr(_U32_ACT, _mirred(1, _STOLEN, to) + _mirred(2, 0, to))
    body = _TCMSG.pack(0, index, 0, INGRESS, _info(1, _ALL_PROTOCOLS))
    return _message(_NEW_FILTER, body, "u32", options, f"redirect from link {index} to {to}")


def to_subnet(index: int, subnet: Cidr, minor: int) -> Message:
    """Packets to a subnet belong to class ``1:minor``."""
    size = subnet.ip.max_prefixlen
    mask = ((1 << subnet.prefixlen) - 1) << (size - subnet.prefixlen)
    start = 16 if subnet.version == 4 else 24  # of the destination in the header
    keys: list[tuple[int, int, int]] = []
    for position in range(size // 32):
        shift = size - 32 * (position + 1)
        word = mask >> shift & 0xFFFFFFFF
        if word:
            value = int(subnet.network.ip) >> shift & 0xFFFFFFFF
            keys.append((word, value, start + 4 * position))
    options = attr(_U32_SEL, _selector(keys or [(0, 0, 0)])) + u32(_U32_CLASSID, handle(1, minor))
    options += attr(_U32_ACT, b"")
    priority = 16 if subnet.version == 4 else 15
    body = _TCMSG.pack(0, index, 0, handle(1, 0), _info(priority, _PROTOCOLS[subnet.version]))
    return _message(_NEW_FILTER, body, "u32", options, f"filter to {subnet} on link {index}")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A hierarchical token bucket that a link has.

    Attributes:
        default: minor number of the class for what no filter takes.
        rates: of its classes, bytes a second, by handle.
    """

    default: int
    rates: dict[int, int]


def buckets(rtnl: Rtnl, index: int) -> list[Bucket]:
    """Those of a link."""
    out: list[Bucket] = []
    for body in rtnl.dump(_GET_QDISC, _TCMSG.pack(0, index, 0, 0, 0)):
        _family, link, number, _parent, _info = _TCMSG.unpack_from(body)
        found = {kind: bytes(data) for kind, data in attributes(body, _TCMSG.size)}
        if link == index and found.get(_KIND) == b"htb\0":
            options = {k: bytes(v) for k, v in attributes(found[_OPTIONS], 0)}
            default = _HTB_GLOB.unpack_from(options[_HTB_INIT])[2]
            out.append(Bucket(default, _rates(rtnl, index, number)))
    return out


def _rates(rtnl: Rtnl, index: int, parent: int) -> dict[int, int]:
    out: dict[int, int] = {}
    for body in rtnl.dump(_GET_CLASS, _TCMSG.pack(0, index, 0, parent, 0)):
        found = {kind: bytes(data) for kind, data in attributes(body, _TCMSG.size)}
        options = {k: bytes(v) for k, v in attributes(found[_OPTIONS], 0)}
        rate = _RATE.unpack_from(options[_HTB_PARMS])[5]
        if _HTB_RATE64 in options:
            rate = struct.unpack("=Q", options[_HTB_RATE64])[0]
        out[_TCMSG.unpack_from(body)[2]] = rate
    return out


def _message(kind: int, body: bytes, name: str, options: bytes, what: str) -> Message:
    body += attr(_KIND, name.encode() + b"\0") + attr(_OPTIONS, options)
    return Message(kind, _CREATE_EXCL, body, what)


def _rate(rate: int) -> bytes:
    return _RATE.pack(_CELL_LOG, _ETHERNET, 0, -1, 0, rate & 0xFFFFFFFF)


def _rate_table(rate: int) -> bytes:
    """The time that packets of each size take, in steps of eight bytes."""
    cells = [transmission(rate & 0xFFFFFFFF, (i + 1) << _CELL_LOG) for i in range(256)]
    return struct.pack("=256I", *cells)


def _selector(keys: Sequence[tuple[int, int, int]]) -> bytes:
    """Masks, values and offsets of 32-bit words of a packet, all of which must match."""
    out = _U32_HEAD.pack(_TERMINAL, 0, len(keys), 0, 0, 0, 0, 0, 0)
    for mask, value, offset in keys:
        out += struct.pack(">II", mask, value) + struct.pack("=ii", offset, 0)
    return out


def _mirred(order: int, action: int, to: int) -> bytes:
    parameters = attr(2, _MIRRED.pack(0, 0, action, 0, 0, _EGRESS_REDIRECT, to))
    return attr(order, attr(1, b"mirred\0") + attr(2, parameters))


def _info(priority: int, protocol: int) -> int:
    """Priority and, in network byte order, protocol of a filter."""
    return priority << 16 | int.from_bytes(protocol.to_bytes(2, "big"), "little")
