"""The protocol of probes: what can be asked of one network stack, however it is reached.

:class:`~pytest_multinet.probe.local.LocalProber` asks through sockets that live in the stack's
namespace, :class:`~pytest_multinet.probe.remote.RemoteProber` by programs run inside it.  Both
give equal answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from pytest_multinet.model.interface import (
    ArpResult,
    ConnectResult,
    Interface,
    IPAddress,
    Neighbour,
    PingResult,
    Route,
)

if TYPE_CHECKING:
    from pytest_multinet.net.netns import Namespace
    from pytest_multinet.probe.capture import Capture


class Listener(Protocol):
    """A listening TCP or UDP socket; a context manager that closes it.

    A TCP listener accepts connections; a UDP listener sends every datagram back.
    """

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""
        ...

    def close(self) -> None:
        """Stop listening; harmless when repeated."""
        ...

    def __enter__(self) -> Listener: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Prober(Protocol):
    """Questions to one network stack.  Times in seconds, sizes in bytes."""

    def opened(self, interface: str | None) -> tuple[Namespace, str | None] | None:
        """The stack's namespace, and the kernel's name of an interface there.

        ``None`` where the namespace cannot be opened from here.
        """
        ...

    def interfaces(self) -> tuple[Interface, ...]:
        """Every interface, in index order."""
        ...

    def routes(self) -> tuple[Route, ...]:
        """The main table's unicast (and blackhole, ...) routes: IPv4, then IPv6, kernel order."""
        ...

    def neighbours(self) -> tuple[Neighbour, ...]:
        """ARP and ND entries that are neither ``noarp`` nor multicast."""
        ...

    def neighbour(self, address: IPAddress, interface: str) -> Neighbour | None:
        """The ARP or ND entry of ``address`` on ``interface``, ``None`` where there is none."""
        ...

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """Packets, bytes, errors and drops of every interface, each direction, by name."""
        ...

    def sysctl(self, path: str) -> str | None:
        """The value of ``/proc/sys/net/<path>``, ``None`` where it cannot be read."""
        ...

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
        """Send ``count`` echo requests; wait ``timeout`` for the reply to each."""
        ...

    def arping(
        self, target: IPAddress, *, interface: str, count: int, timeout: float
    ) -> ArpResult:
        """Ask for ``target``'s link-layer address (ARP, RFC 826; ND, RFC 4861) on the wire."""
        ...

    def connect(
        self,
        target: IPAddress,
        port: int,
        *,
        protocol: str,
        interface: str | None,
        timeout: float,
    ) -> ConnectResult:
        """Open a TCP connection, or send one UDP datagram and wait for an answer."""
        ...

    def capture(self, interface: str, *, filter: str | None, limit: int) -> Capture:
        """A capture at ``interface`` that its ``with`` block starts and stops."""
        ...

    def listen(self, port: int, *, protocol: str, address: str | None) -> Listener:
        """Listen on ``port`` (0: any free one)."""
        ...
