"""What a probe saw of a network stack: interfaces, routes, neighbours, replies.

Addresses are :mod:`ipaddress` objects, times are seconds, MAC addresses are
lower-case colon-separated strings.  ``repr`` is written for a failed ``assert``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface, as ``ip -d address show`` shows it.

    Attributes:
        name: kernel name, at most 15 characters.
        index: interface index in its namespace.
        type: link kind (``veth``, ``macvlan``, ``bridge``, ``loopback``; ``device`` where the
            kernel names none).
        mac: hardware address, ``""`` where there is none.
        mtu: bytes.
        state: operational state in lower case (``up``, ``down``, ``lowerlayerdown``,
            ``unknown``); RFC 2863.
        up: administratively up (IFF_UP).
        addresses: every address with its prefix length, in kernel order.
        parent: index of the lower device (IFLA_LINK), ``None`` where there is none.
        parent_name: its name, where the parent lives in the same namespace.
        mode: macvlan/ipvlan mode, ``None`` for other types.
        master: name of the bridge it is enslaved to, or ``None``.
        flags: names of the flags set, upper case, in ``ip link`` order.
    """

    name: str
    index: int
    type: str
    mac: str
    mtu: int
    state: str
    up: bool
    addresses: tuple[IPInterface, ...] = ()
    parent: int | None = None
    parent_name: str | None = None
    mode: str | None = None
    master: str | None = None
    flags: tuple[str, ...] = ()

    @property
    def ipv4(self) -> tuple[IPv4Interface, ...]:
        """The IPv4 addresses, in kernel order."""
        return tuple(a for a in self.addresses if isinstance(a, IPv4Interface))

    @property
    def ipv6(self) -> tuple[IPv6Interface, ...]:
        """The IPv6 addresses, link-local included, in kernel order."""
        return tuple(a for a in self.addresses if isinstance(a, IPv6Interface))

    def __repr__(self) -> str:
        kind = self.type + (f" {self.mode}" if self.mode else "")
        addresses = " ".join(map(str, self.addresses)) or "no address"
        return (
            f"<Interface {self.name} ({kind}) {self.state if self.up else 'admin-down'} "
            f"mtu {self.mtu} mac {self.mac or '-'} {addresses}>"
        )


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the main table (or of ``table``), in the kernel's order.

    Attributes:
        destination: the prefix; a default route is ``0.0.0.0/0`` or ``::/0``.
        gateway: next hop or ``None`` (on-link).
        interface: output interface name, ``None`` for blackhole and the like.
        source: preferred source address or ``None``.
        metric: priority; 0 means none was given (IPv4), IPv6 shows the kernel's 1024.
        scope: ``global``, ``link``, ``host``, ``site``.
        protocol: ``kernel``, ``boot``, ``static``, ``ra``, ...
        type: ``unicast``, ``blackhole``, ``unreachable``, ``prohibit``, ...
        table: table number, 254 is main.
    """

    destination: IPNetwork
    gateway: IPAddress | None = None
    interface: str | None = None
    source: IPAddress | None = None
    metric: int = 0
    scope: str = "global"
    protocol: str = "boot"
    type: str = "unicast"
    table: int = 254

    @property
    def default(self) -> bool:
        """Whether this is a default route."""
        return self.destination.prefixlen == 0

    def __str__(self) -> str:
        text = "" if self.type == "unicast" else f"{self.type} "
        to = self.destination
        host = to.prefixlen == to.max_prefixlen
        text += "default" if self.default else str(to.network_address if host else to)
        if self.gateway is not None:
            text += f" via {self.gateway}"
        if self.interface is not None:
            text += f" dev {self.interface}"
        if self.scope != "global" and self.destination.version == 4:
            text += f" scope {self.scope}"
        if self.source is not None:
            text += f" src {self.source}"
        if self.metric:
            text += f" metric {self.metric}"
        return text

    def __repr__(self) -> str:
        return f"<Route {self}>"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One entry of the ARP or ND table.

    Attributes:
        address: protocol address.
        interface: interface name.
        mac: link-layer address, ``None`` while unresolved.
        state: lower case (``reachable``, ``stale``, ``failed``, ``permanent``, ...).
    """

    address: IPAddress
    interface: str
    mac: str | None
    state: str

    def __repr__(self) -> str:
        return f"<Neighbour {self.address} dev {self.interface} {self.mac or '-'} {self.state}>"


@dataclass(frozen=True, slots=True)
class PingReply:
    """One echo reply: ``sequence``, ``ttl`` (IPv6: hop limit), ``rtt`` in seconds."""

    sequence: int
    ttl: int
    rtt: float


@dataclass(frozen=True, slots=True)
class PingResult:
    """What a ping saw.  True in a boolean sense when at least one reply came.

    Attributes:
        source: name of the stack that sent.
        target: address that was pinged.
        interface: interface the probe was bound to, or ``None``.
        sent: echo requests that left in the last attempt.
        received: replies in the last attempt.
        replies: one entry per reply, in order of arrival.
        errors: distinct causes seen, such as ``Destination Host Unreachable from 10.1.1.101``.
        attempts: how many probes an assertion made until this one (1: the first counted).
        total_sent: requests over all attempts.
        total_received: replies over all attempts.
    """

    source: str
    target: IPAddress
    interface: str | None
    sent: int
    received: int
    replies: tuple[PingReply, ...] = ()
    errors: tuple[str, ...] = ()
    attempts: int = 1
    total_sent: int | None = None
    total_received: int | None = None

    def __bool__(self) -> bool:
        return self.received > 0

    @property
    def ttl(self) -> int | None:
        """TTL of the first reply, ``None`` without one."""
        return self.replies[0].ttl if self.replies else None

    @property
    def rtt(self) -> float | None:
        """Mean round-trip time in seconds, ``None`` without a reply."""
        return sum(r.rtt for r in self.replies) / len(self.replies) if self.replies else None

    @property
    def loss(self) -> float:
        """Share of requests without a reply, 0.0 to 1.0, in the last attempt."""
        return 1 - self.received / self.sent if self.sent else 1.0

    def __repr__(self) -> str:
        via = f" dev {self.interface}" if self.interface else ""
        text = (
            f"<PingResult {self.source} -> {self.target}{via}: {self.received}/{self.sent} replies"
        )
        if self.replies:
            text += f", ttl {self.ttl}, rtt {(self.rtt or 0) * 1e3:.3f} ms"
        if self.attempts > 1:
            text += f", attempt {self.attempts} ({self.total_received}/{self.total_sent} in all)"
        if self.errors:
            text += "; " + "; ".join(self.errors)
        return text + ">"


@dataclass(frozen=True, slots=True)
class ArpResult:
    """What an ARP (IPv6: neighbour solicitation) probe saw.  True when someone answered.

    Attributes:
        source: name of the stack that asked.
        target: address asked for.
        interface: interface it was asked on.
        mac: the first answer, ``None`` when nobody answered.
        macs: every distinct answer, in order (two mean a duplicate address).
        sent: requests in the last attempt; ``attempts``: probes until this one.
    """

    source: str
    target: IPAddress
    interface: str
    mac: str | None = None
    macs: tuple[str, ...] = ()
    sent: int = 1
    attempts: int = 1
    errors: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.mac is not None

    def __repr__(self) -> str:
        answer = f"is at {', '.join(self.macs)}" if self.macs else "no answer"
        return f"<ArpResult {self.source}: {self.target} on {self.interface} {answer}>"


@dataclass(frozen=True, slots=True)
class ConnectResult:
    """What a TCP or UDP connection attempt saw.  True when it was answered.

    Attributes:
        outcome: ``connected`` (UDP: ``answered``), ``refused``, ``timeout`` or ``unreachable``.
        error: the kernel's words, ``None`` when connected.
        duration: seconds.
    """

    source: str
    target: IPAddress
    port: int
    protocol: str
    outcome: str
    error: str | None = None
    interface: str | None = None
    duration: float = 0.0
    attempts: int = 1

    def __bool__(self) -> bool:
        return self.outcome in {"connected", "answered"}

    def __repr__(self) -> str:
        why = f" ({self.error})" if self.error else ""
        where = f"{self.source} -> {self.target} {self.protocol}/{self.port}"
        return f"<ConnectResult {where}: {self.outcome}{why}>"


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a program that ran to its end left: ``argv``, ``returncode``, text of both streams.

    A negative ``returncode`` is the signal that ended it (as :mod:`subprocess` has it).
    True in a boolean sense when it exited 0.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str = field(default="")
    stderr: str = field(default="")

    def __bool__(self) -> bool:
        return self.returncode == 0

    def __repr__(self) -> str:
        lines = [f"<ExecResult {' '.join(self.argv)!r} exit {self.returncode}"]
        lines += [
            f"  {n}: {text.rstrip()}"
            for n, text in (("stdout", self.stdout), ("stderr", self.stderr))
            if text.strip()
        ]
        return "\n".join(lines) + ">"
