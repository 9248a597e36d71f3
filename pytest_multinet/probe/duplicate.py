"""Duplicate addresses, found by asking as a newcomer would.

ARP probes with an unspecified sender (RFC 5227, section 2.1), for IPv6 neighbour solicitations
from ``::`` (RFC 4862, section 5.4): whoever answers has the address as well.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from ipaddress import IPv4Address, IPv6Address

from pytest_multinet.model.interface import IPAddress
from pytest_multinet.net.netns import Namespace
from pytest_multinet.probe.icmp import checksum

_BROADCAST = b"\xff" * 6
_ALL = 3


def holders(
    namespace: Namespace, interface: str, mac: str, address: IPAddress, during: float
) -> tuple[str, ...]:
    """Hardware addresses, other than ``mac``, that claim ``address``; each once, in order.

    Three probes are sent over ``during`` seconds.
    """
    own = bytes.fromhex(mac.replace(":", ""))
    probe = _arp_probe(own, address) if isinstance(address, IPv4Address) else _nd(own, address)
    found: dict[str, None] = {}
    with namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((interface, _ALL))
        sock.setblocking(False)
        end = time.monotonic() + during
        for number in range(1, 4):
            sock.send(probe)
            _listen(sock, end - during * (3 - number) / 3, address, own, found)
    return tuple(found)


def _listen(
    sock: socket.socket, until: float, address: IPAddress, own: bytes, found: dict[str, None]
) -> None:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    while (left := until - time.monotonic()) > 0:
        if not poll.poll(left * 1000):
            return
        try:
            frame = sock.recv(2048)
        except BlockingIOError:
            continue
        claimed = _claim(frame)
        if claimed is not None and claimed[0] == address and claimed[1] != own:
            found.setdefault(claimed[1].hex(":"))


def _arp_probe(own: bytes, address: IPv4Address) -> bytes:
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + own + bytes(4) + bytes(6) + address.packed
    return _BROADCAST + own + b"\x08\x06" + body


def _nd(own: bytes, address: IPv6Address) -> bytes:
    group = b"\xff\x02" + bytes(9) + b"\x01\xff" + address.packed[13:]
    body = struct.pack("!BBHI", 135, 0, 0, 0) + address.packed
    pseudo = bytes(16) + group + struct.pack("!II", len(body), 58)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + bytes(16) + group
    return b"\x33\x33" + group[12:] + own + b"\x86\xdd" + header + body


def _claim(frame: bytes) -> tuple[IPAddress, bytes] | None:
    """The address that a frame says its sender has, and that sender."""
    kind = frame[12:14]
    if kind == b"\x08\x06" and len(frame) >= 42:
        return IPv4Address(frame[28:32]), frame[22:28]
    if kind == b"\x86\xdd" and len(frame) >= 78 and frame[20] == 58 and frame[54] == 136:
        return IPv6Address(frame[62:78]), frame[6:12]
    return None
