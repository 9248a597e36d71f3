"""ICMP echo as packets: requests, replies and the errors that answer them.

RFC 792 (IPv4), RFC 4443 (IPv6).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

_ECHO = struct.Struct("!BBHHH")
_UNREACHABLE_4 = {
    0: "Destination Net Unreachable",
    1: "Destination Host Unreachable",
    2: "Destination Protocol Unreachable",
    3: "Destination Port Unreachable",
    4: "Frag needed and DF set (mtu = {mtu})",
    9: "Destination Net Prohibited",
    10: "Destination Host Prohibited",
    13: "Packet filtered",
}
_UNREACHABLE_6 = {
    0: "Destination unreachable: No route",
    1: "Destination unreachable: Administratively prohibited",
    3: "Destination unreachable: Address unreachable",
    4: "Destination unreachable: Port unreachable",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one packet says of a request.

    Attributes:
        sequence: of the request it answers.
        ttl: of the packet (IPv6: hop limit).
        error: ``None`` for an echo reply, else the error in the words of ping(8).
    """

    sequence: int
    ttl: int
    error: str | None = None


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) & 1:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(version: int, identifier: int, sequence: int, payload: bytes) -> bytes:
    """An echo request; the kernel adds the IPv6 checksum."""
    kind = 8 if version == 4 else 128
    packet = _ECHO.pack(kind, 0, 0, identifier, sequence) + payload
    if version == 4:
        packet = packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]
    return packet


def read_answer_4(packet: bytes, identifier: int) -> Answer | None:
    """A packet of a raw ICMP socket, IPv4 header included; ``None`` if it answers another."""
    if len(packet) < 28:
        return None
    header = (packet[0] & 15) * 4
    ttl, source = packet[8], IPv4Address(packet[12:16])
    kind, code, _sum, own, sequence = _ECHO.unpack_from(packet, header)
    if kind == 0:
        return Answer(sequence, ttl) if own == identifier else None
    if kind not in (3, 11) or len(packet) < header + 36:
        return None
    inner = header + 8
    inner_header = (packet[inner] & 15) * 4
    if len(packet) < inner + inner_header + 8 or packet[inner + 9] != 1:
        return None
    sent, _, _, own, number = _ECHO.unpack_from(packet, inner + inner_header)
    if sent != 8 or own != identifier:
        return None
    if kind == 11:
        return Answer(number, ttl, f"Time to live exceeded from {source}")
    text = _UNREACHABLE_4.get(code, f"Destination unreachable, code {code}").format(mtu=sequence)
    return Answer(number, ttl, f"{text} from {source}")


def read_answer_6(packet: bytes, identifier: int, hops: int, source: str) -> Answer | None:
    """A packet of a raw ICMPv6 socket; hop limit and source come from recvmsg(2)."""
    if len(packet) < 8:
        return None
    kind, code, _sum, own, sequence = _ECHO.unpack_from(packet)
    if kind == 129:
        return Answer(sequence, hops) if own == identifier else None
    if kind not in (1, 2, 3) or len(packet) < 56:
        return None
    sent, _, _, inner, number = _ECHO.unpack_from(packet, 48)
    if sent != 128 or inner != identifier:
        return None
    whence = IPv6Address(ip_address(source.partition("%")[0]))
    if kind == 3:
        return Answer(number, hops, f"Time exceeded: Hop limit from {whence}")
    if kind == 2:
        mtu = struct.unpack_from("!I", packet, 4)[0]
        return Answer(number, hops, f"Packet too big (mtu = {mtu}) from {whence}")
    text = _UNREACHABLE_6.get(code, f"Destination unreachable, code {code}")
    return Answer(number, hops, f"{text} from {whence}")
