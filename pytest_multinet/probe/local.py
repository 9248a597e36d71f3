"""Probes through sockets that live inside the stack's namespace.

No program is run: it works for images without a shell, and an echo request costs microseconds.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import select
import socket
import struct
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from pytest_multinet.errors import NetlinkError, UsageError
from pytest_multinet.model.interface import (
    ArpResult,
    ConnectResult,
    Interface,
    IPAddress,
    Neighbour,
    PingReply,
    PingResult,
    Route,
)
from pytest_multinet.net import decode, requests
from pytest_multinet.net.netns import Namespace
from pytest_multinet.net.rtnl import RTM_GETNEIGH, Rtnl
from pytest_multinet.probe.icmp import Answer, echo_request, read_answer_4, read_answer_6
from pytest_multinet.probe.neighbours import NeighbourBudget

if TYPE_CHECKING:
    from typing_extensions import Self

    from pytest_multinet.probe.capture import Capture

_identifiers = itertools.count(os.getpid())
_ICMP_FILTER = 1
_IPV6_RECVHOPLIMIT, _IPV6_HOPLIMIT, _ICMP6_FILTER = 51, 52, 1
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE = 10, 23, 3
_NEIGH = struct.Struct("=BxxxiHBB")
_RTNLGRP_NEIGH = 3
_ENTRIES_OF_A_PING = 6  # on-link 2; over nodes one more at each hop
_ENTRIES_OF_ARP = 2


class LocalProber:
    """The :class:`~pytest_multinet.probe.stack.Prober` of a namespace that can be opened here.

    Args:
        name: of the stack, for results and messages.
        namespace: the stack's namespace.
        budget: bounds the neighbour entries that probes leave; ``None``: they are left.
    """

    def __init__(
        self, name: str, namespace: Namespace, budget: NeighbourBudget | None = None
    ) -> None:
        self._name = name
        self._namespace = namespace
        self._budget = budget

    @property
    def namespace(self) -> Namespace:
        """The namespace that it asks through."""
        return self._namespace

    @property
    def budget(self) -> NeighbourBudget | None:
        """What bounds the neighbour entries that probes leave."""
        return self._budget

    def opened(self, interface: str | None) -> tuple[Namespace, str | None]:
        return self._namespace, interface

    # --- state ------------------------------------------------------------------------------

    def interfaces(self) -> tuple[Interface, ...]:
        return decode.interfaces(self._namespace.rtnl)

    def routes(self) -> tuple[Route, ...]:
        return decode.routes(self._namespace.rtnl, self._names())

    def neighbours(self) -> tuple[Neighbour, ...]:
        return decode.neighbours(self._namespace.rtnl, self._names())

    def neighbour(self, address: IPAddress, interface: str) -> Neighbour | None:
        return self._entry(self._namespace.rtnl, self._index(interface), address)

    def counters(self) -> dict[str, dict[str, int]]:
        """Packets, bytes, errors and drops of every interface."""
        return decode.counters(self._namespace.rtnl)

    def sysctl(self, path: str) -> str | None:
        try:
            return self._namespace.sysctl(path)
        except NetlinkError:
            return None

    def _names(self) -> dict[int, str]:
        return {link.index: link.name for link in decode.links(self._namespace.rtnl)}

    # --- ICMP -------------------------------------------------------------------------------

    def ping(
        self,
        target: IPAddress,
        *,
        interface: str | None,
        count: int,
        interval: float,
        timeout: float,
        size: int,
        dont_fragment: bool,
        ttl: int | None,
    ) -> PingResult:
        self._spend(_ENTRIES_OF_A_PING)
        identifier = next(_identifiers) & 0xFFFF
        replies: list[PingReply] = []
        errors: list[str] = []
        sent = 0
        with self._icmp_socket(target, interface, dont_fragment, ttl) as sock:
            destination = self._destination(target, interface, 0)
            for sequence in range(1, count + 1):
                if sequence > 1 and interval > 0:
                    _wait_readable(sock, interval)
                packet = echo_request(target.version, identifier, sequence, bytes(size))
                started = time.perf_counter()
                problem = _send(sock, packet, destination)
                sent += 1
                if problem is not None:
                    errors.append(problem)
                    continue
                answer = _await_answer(sock, target.version, identifier, sequence, timeout)
                if answer is None:
                    continue
                if answer.error is not None:
                    errors.append(answer.error)
                    continue
                rtt = time.perf_counter() - started
                replies.append(PingReply(sequence, answer.ttl, rtt))
        return PingResult(
            source=self._name,
            target=target,
            interface=interface,
            sent=sent,
            received=len(replies),
            replies=tuple(replies),
            errors=tuple(dict.fromkeys(errors)),
        )

    def _icmp_socket(
        self, target: IPAddress, interface: str | None, dont_fragment: bool, ttl: int | None
    ) -> socket.socket:
        v4 = target.version == 4
        family = socket.AF_INET if v4 else socket.AF_INET6
        protocol = socket.IPPROTO_ICMP if v4 else socket.IPPROTO_ICMPV6
        sock = self._namespace.socket(family, socket.SOCK_RAW, protocol)
        try:
            if v4:  # pass echo reply, unreachable and time exceeded only
                sock.setsockopt(
                    255, _ICMP_FILTER, struct.pack("=I", ~(1 | 1 << 3 | 1 << 11) & 0xFFFFFFFF)
                )
                if dont_fragment:
                    sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
                if ttl is not None:
                    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
            else:
                passed = 1 << 1 | 1 << 2 | 1 << 3, 0, 0, 0, 1 << 1, 0, 0, 0
                words = struct.pack("=8I", *(~word & 0xFFFFFFFF for word in passed))
                sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, words)
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVHOPLIMIT, 1)
                if dont_fragment:
                    sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
                if ttl is not None:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
            self._bind(sock, interface)
        except BaseException:
            sock.close()
            raise
        return sock

    # --- ARP and ND -------------------------------------------------------------------------

    def arping(
        self, target: IPAddress, *, interface: str, count: int, timeout: float
    ) -> ArpResult:
        self._spend(_ENTRIES_OF_ARP)
        index = self._index(interface)
        mac: str | None = None
        sent = 0
        problem: str | None = None
        with self._neighbour_events() as events:
            while sent < count and mac is None:
                sent += 1
                mac, problem = self._resolve(events, interface, index, target, timeout)
        return ArpResult(
            source=self._name,
            target=target,
            interface=interface,
            mac=mac,
            macs=(mac,) if mac else (),
            sent=sent,
            errors=(problem,) if problem and mac is None else (),
        )

    def _neighbour_events(self) -> socket.socket:
        sock = self._namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        sock.bind((0, 1 << (_RTNLGRP_NEIGH - 1)))
        return sock

    def _resolve(
        self,
        events: socket.socket,
        interface: str,
        index: int,
        target: IPAddress,
        timeout: float,
    ) -> tuple[str | None, str | None]:
        """Have the kernel solicit anew, and wait for its verdict."""
        rtnl = self._namespace.rtnl
        known = self._entry(rtnl, index, target)
        if known is not None and known.state == "permanent":
            return known.mac, None
        if known is not None:
            with contextlib.suppress(NetlinkError):
                rtnl.execute(requests.neighbour(index, target, delete=True))
        try:
            self._solicit(rtnl, interface, index, target)
        except NetlinkError as error:
            return None, str(error)
        deadline = time.monotonic() + timeout
        while True:
            entry = self._entry(rtnl, index, target)
            if entry is not None and entry.mac and entry.state not in ("incomplete", "failed"):
                return entry.mac, None
            left = deadline - time.monotonic()
            if entry is None or entry.state in ("failed", "noarp", "none") or left <= 0:
                state = entry.state if entry else "no entry"
                return None, f"neighbour {target} is {state}"
            if _wait_readable(events, left):
                events.recv(65536)

    def _solicit(self, rtnl: Rtnl, interface: str, index: int, target: IPAddress) -> None:
        """Make the kernel ask; for IPv6 by a packet, which has a source address to ask from.

        Without a packet the kernel asks from the link-local address, which duplicate address
        detection keeps back for up to 2 s (RFC 4862, section 5.4).
        """
        if target.version == 6 and not target.is_link_local:
            with (
                contextlib.suppress(OSError),
                self._namespace.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock,
            ):
                self._bind(sock, interface)
                sock.sendto(b"", (str(target), 9))  # the discard port
            if self._entry(rtnl, index, target) is not None:
                return
        rtnl.execute(requests.neighbour(index, target))

    def _entry(self, rtnl: Rtnl, index: int, target: IPAddress) -> Neighbour | None:
        family = socket.AF_INET if target.version == 4 else socket.AF_INET6
        body = _NEIGH.pack(family, index, 0, 0, 0) + requests.attr(1, target.packed)
        try:
            return decode.decode_neighbour(rtnl.get(RTM_GETNEIGH, body, "read neighbour"), "")
        except NetlinkError as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    # --- TCP and UDP ------------------------------------------------------------------------

    def connect(
        self,
        target: IPAddress,
        port: int,
        *,
        protocol: str,
        interface: str | None,
        timeout: float,
    ) -> ConnectResult:
        self._spend(_ENTRIES_OF_A_PING)
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        family = socket.AF_INET if target.version == 4 else socket.AF_INET6
        started = time.perf_counter()
        with self._namespace.socket(family, kind) as sock:
            self._bind(sock, interface)
            sock.settimeout(timeout)
            outcome, error = "connected", None
            try:
                sock.connect(self._destination(target, interface, port))
                if protocol == "udp":
                    sock.send(b"pytest-multinet")
                    sock.recv(65536)
                    outcome = "answered"
            except TimeoutError:
                outcome, error = "timeout", f"no answer within {timeout:g} s"
            except ConnectionRefusedError as refused:
                outcome, error = "refused", refused.strerror
            except OSError as failed:
                outcome, error = "unreachable", failed.strerror
        return ConnectResult(
            source=self._name,
            target=target,
            port=port,
            protocol=protocol,
            outcome=outcome,
            error=error,
            interface=interface,
            duration=time.perf_counter() - started,
        )

    def capture(self, interface: str, *, filter: str | None, limit: int) -> Capture:
        """A capture by a packet socket in the namespace."""
        from pytest_multinet.probe.capture import Capture

        return Capture(self._name, self._namespace, interface, filter=filter, limit=limit)

    def listen(self, port: int, *, protocol: str, address: str | None) -> SocketListener:
        host = address or "::"
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        sock = self._namespace.socket(family, kind)
        try:
            if family == socket.AF_INET6 and address is None:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            if protocol == "tcp":
                sock.listen(128)
        except OSError as error:
            sock.close()
            where = f"{protocol} port {port}" + (f" of {address}" if address else "")
            raise UsageError(f"{self._name} cannot listen on {where}: {error.strerror}") from error
        return SocketListener(sock, protocol)

    # --- shared -----------------------------------------------------------------------------

    def _spend(self, entries: int) -> None:
        if self._budget is not None:
            self._budget.spend(entries)

    def _index(self, interface: str) -> int:
        index = self._namespace.rtnl.index(interface)
        if index is None:
            names = ", ".join(self._names().values())
            raise UsageError(f"{self._name} has no interface {interface!r}; it has {names}")
        return index

    def _bind(self, sock: socket.socket, interface: str | None) -> None:
        if interface is None:
            return
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        except OSError as error:
            if error.errno == errno.ENODEV:
                self._index(interface)
            raise

    def _destination(
        self, target: IPAddress, interface: str | None, port: int
    ) -> tuple[str, int] | tuple[str, int, int, int]:
        if target.version == 4:
            return str(target), port
        scope = self._index(interface) if interface and target.is_link_local else 0
        return str(target), port, 0, scope


def _send(sock: socket.socket, packet: bytes, destination: object) -> str | None:
    """Send; the kernel's refusal in the words of ping(8), ``None`` when it went out."""
    try:
        sock.sendto(packet, destination)  # pyright: ignore[reportArgumentType]
    except OSError as error:
        if error.errno == errno.EMSGSIZE:
            return "local error: message too long for the interface's MTU"
        return f"send failed: {os.strerror(error.errno or 0)}"
    return None


def _await_answer(
    sock: socket.socket, version: int, identifier: int, sequence: int, timeout: float
) -> Answer | None:
    deadline = time.monotonic() + timeout
    while _wait_readable(sock, deadline - time.monotonic()):
        try:
            packet, ancillary, _, address = sock.recvmsg(65600, 256)
        except OSError:
            continue
        if version == 4:
            answer = read_answer_4(packet, identifier)
        else:
            hops = 0
            for level, kind, data in ancillary:
                if level == socket.IPPROTO_IPV6 and kind == _IPV6_HOPLIMIT:
                    hops = int.from_bytes(data[:4], "little")
            answer = read_answer_6(packet, identifier, hops, address[0])
        if answer is not None and answer.sequence == sequence:
            return answer
    return None


def _wait_readable(sock: socket.socket, timeout: float) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(max(0.0, timeout) * 1000))


class SocketListener:
    """A listening socket with a thread that accepts, or answers datagrams with themselves."""

    def __init__(self, sock: socket.socket, protocol: str) -> None:
        self._socket = sock
        self.port: int = sock.getsockname()[1]
        serve = self._accept if protocol == "tcp" else self._echo
        self._wake, self._stop = socket.socketpair()
        self._thread = threading.Thread(target=serve, name=f"listen-{self.port}", daemon=True)
        self._thread.start()

    def _ready(self) -> bool:
        readable, _, _ = select.select([self._socket, self._wake], [], [])
        return self._wake not in readable

    def _accept(self) -> None:
        while self._ready():
            with contextlib.suppress(OSError):
                self._socket.accept()[0].close()

    def _echo(self) -> None:
        while self._ready():
            with contextlib.suppress(OSError):
                data, sender = self._socket.recvfrom(65536)
                self._socket.sendto(data, sender)

    def close(self) -> None:
        """Stop listening; harmless when repeated."""
        if self._stop.fileno() < 0:
            return
        self._stop.close()
        self._thread.join()
        self._wake.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
