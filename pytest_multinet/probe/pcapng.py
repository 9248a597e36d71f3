"""Packets as a pcapng file (draft-ietf-opsawg-pcapng), which Wireshark and tcpdump read."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from pytest_multinet.model.flow import Packet

_SECTION, _INTERFACE, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 5, 6
_ETHERNET = 1
_COMMENT, _NAME, _RESOLUTION, _USER_APPLICATION, _DROPPED = 1, 2, 9, 4, 5


def pcapng(
    packets: Iterable[Packet], *, interface: str, comment: str = "", dropped: int = 0
) -> bytes:
    """A whole file with one interface.

    Args:
        packets: in order.
        interface: name of the interface, as readers show it.
        comment: about the section.
        dropped: packets that the capture lost.
    """
    section = struct.pack("=IHHq", 0x1A2B3C4D, 1, 0, -1)
    section += _option(_USER_APPLICATION, b"pytest-multinet")
    if comment:
        section += _option(_COMMENT, comment.encode())
    described = struct.pack("=HHI", _ETHERNET, 0, 0)
    described += _option(_NAME, interface.encode()) + _option(_RESOLUTION, bytes([9]))
    out = [_block(_SECTION, section + _END), _block(_INTERFACE, described + _END)]
    last = 0
    for packet in packets:
        last = int(packet.time * 1e9)
        head = struct.pack(
            "=IIIII", 0, last >> 32, last & 0xFFFFFFFF, len(packet.data), packet.length
        )
        out.append(_block(_PACKET, head + _padded(packet.data)))
    lost = struct.pack("=III", 0, last >> 32, last & 0xFFFFFFFF)
    lost += _option(_DROPPED, struct.pack("=Q", dropped))
    out.append(_block(_STATISTICS, lost + _END))
    return b"".join(out)


_END = struct.pack("=HH", 0, 0)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("=HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("=I", 12 + len(body))
    return struct.pack("=I", kind) + length + body + length
