"""What a capture holds: packets, and flows in the manner of a flow exporter (RFC 7011)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

IPAddress = IPv4Address | IPv6Address
PROTOCOLS = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 58: "icmp6", 132: "sctp"}
_PORTS = (6, 17, 132)
_EXTENSIONS = (0, 43, 60)  # hop-by-hop, routing, destination options
_ETHERTYPES = {0x0806: "arp", 0x0800: "ip", 0x86DD: "ip6", 0x88CC: "lldp"}


@dataclass(frozen=True, slots=True)
class Tuple5:
    """What tells one flow from another: addresses, ports (0 where there are none), protocol."""

    source: IPAddress
    destination: IPAddress
    protocol: str
    source_port: int = 0
    destination_port: int = 0

    def __str__(self) -> str:
        if not (self.source_port or self.destination_port):
            return f"{self.protocol} {self.source} -> {self.destination}"
        return (
            f"{self.protocol} {self.source}:{self.source_port} -> "
            f"{self.destination}:{self.destination_port}"
        )


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction of a conversation.

    Attributes:
        key: its 5-tuple.
        packets: how many; ``bytes``: of their frames, headers included.
        first, last: seconds since the epoch.
    """

    key: Tuple5
    packets: int
    bytes: int
    first: float
    last: float

    def __repr__(self) -> str:
        seconds = self.last - self.first
        return f"<Flow {self.key}: {self.packets} packets, {self.bytes} bytes, {seconds:.3f} s>"


@dataclass(frozen=True, slots=True)
class Packet:
    """One captured frame.

    Attributes:
        time: seconds since the epoch.
        data: the frame from its Ethernet header on.
        length: its length on the wire, which ``data`` may fall short of.
    """

    time: float
    data: bytes
    length: int

    @property
    def source_mac(self) -> str:
        """Hardware address of the sender."""
        return self.data[6:12].hex(":")

    @property
    def destination_mac(self) -> str:
        """Hardware address that it was sent to."""
        return self.data[0:6].hex(":")

    @property
    def ethertype(self) -> int:
        """The type of what the frame holds, VLAN tags passed over."""
        return _payload(self.data)[0]

    @property
    def flow(self) -> Tuple5 | None:
        """The 5-tuple, ``None`` for what is neither IP nor ARP."""
        return five_tuple(self.data)

    def __repr__(self) -> str:
        name = _ETHERTYPES.get(self.ethertype, f"{self.ethertype:#06x}")
        what = str(self.flow or f"{name} {self.source_mac} -> {self.destination_mac}")
        return f"<Packet {what}, {self.length} bytes>"


@dataclass(frozen=True, slots=True)
class Announcement:
    """A gratuitous ARP (RFC 5227) or unsolicited neighbour advertisement: who has an address."""

    time: float
    address: IPAddress
    mac: str


def five_tuple(frame: bytes) -> Tuple5 | None:
    """The 5-tuple of an Ethernet frame; ``None`` where it is neither IP nor ARP, or cut off."""
    kind, at = _payload(frame)
    try:
        if kind == 0x0800:
            return _ipv4(frame, at)
        if kind == 0x86DD:
            return _ipv6(frame, at)
        if kind == 0x0806:
            sender, target = frame[at + 14 : at + 18], frame[at + 24 : at + 28]
            return Tuple5(IPv4Address(sender), IPv4Address(target), "arp")
    except (IndexError, ValueError):
        return None
    return None


def announcement(packet: Packet) -> Announcement | None:
    """The announcement that a packet is, ``None`` where it is none."""
    frame = packet.data
    kind, at = _payload(frame)
    if kind == 0x0806 and len(frame) >= at + 28:
        sender, target = frame[at + 14 : at + 18], frame[at + 24 : at + 28]
        if sender == target and sender != bytes(4):
            mac = frame[at + 8 : at + 14].hex(":")
            return Announcement(packet.time, IPv4Address(sender), mac)
    if kind == 0x86DD and len(frame) >= at + 64 and frame[at + 6] == 58 and frame[at + 40] == 136:
        solicited = frame[at + 44] & 0x40
        if not solicited:
            address = ip_address(frame[at + 48 : at + 64])
            return Announcement(packet.time, address, packet.source_mac)
    return None


def _payload(frame: bytes) -> tuple[int, int]:
    """The ethertype and where its payload begins."""
    at = 12
    kind = int.from_bytes(frame[at : at + 2], "big")
    while kind in (0x8100, 0x88A8):
        at += 4
        kind = int.from_bytes(frame[at : at + 2], "big")
    return kind, at + 2


def _ipv4(frame: bytes, at: int) -> Tuple5:
    protocol = frame[at + 9]
    source, target = IPv4Address(frame[at + 12 : at + 16]), IPv4Address(frame[at + 16 : at + 20])
    first = not int.from_bytes(frame[at + 6 : at + 8], "big") & 0x1FFF
    ports = _ports(frame, at + (frame[at] & 15) * 4, protocol) if first else (0, 0)
    return Tuple5(source, target, PROTOCOLS.get(protocol, str(protocol)), *ports)


def _ipv6(frame: bytes, at: int) -> Tuple5:
    protocol, header = frame[at + 6], at + 40
    source, target = IPv6Address(frame[at + 8 : at + 24]), IPv6Address(frame[at + 24 : at + 40])
    while protocol in _EXTENSIONS:
        protocol, header = frame[header], header + 8 * (frame[header + 1] + 1)
    ports = _ports(frame, header, protocol)
    return Tuple5(source, target, PROTOCOLS.get(protocol, str(protocol)), *ports)


def _ports(frame: bytes, at: int, protocol: int) -> tuple[int, int]:
    if protocol not in _PORTS:
        return 0, 0
    source, target = frame[at : at + 2], frame[at + 2 : at + 4]
    return int.from_bytes(source, "big"), int.from_bytes(target, "big")
