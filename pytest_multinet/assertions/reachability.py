"""Assertions about who reaches whom: ICMP, ARP and ND, TCP and UDP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pytest_multinet.assertions.failure import fail
from pytest_multinet.assertions.identity import is_from, is_mac_of
from pytest_multinet.assertions.patience import throughout, until
from pytest_multinet.cluster.stack import NetworkStack, Target
from pytest_multinet.diagnosis.finding import Finding
from pytest_multinet.model.interface import ArpResult, ConnectResult, PingResult

Seen = TypeVar("Seen", PingResult, ArpResult, ConnectResult)


def assert_ping(
    source: NetworkStack,
    target: Target,
    *,
    interface: str | None = None,
    ttl: int | None = None,
    count: int = 1,
    size: int = 56,
    dont_fragment: bool = False,
    version: int | None = None,
    timeout: float = 1.0,
    within: float | None = None,
) -> PingResult:
    """``source`` gets every one of ``count`` echo replies from ``target``.

    Retried as a whole until it holds: the result's ``attempts``, ``total_sent`` and
    ``total_received`` tell what it took, so loss is not hidden.

    Args:
        source: a pod or a node.
        target: an address, or a pod or node: its address on ``interface``.
        interface: interface that the requests leave by.
        ttl: TTL (hop limit) that every reply must arrive with: 64 on one link, 62 from a pod on
            another node over the pod network.
        count: echo requests of one attempt.
        size: payload bytes.
        dont_fragment: set DF.
        version: 4 or 6, where the target has both.
        timeout: seconds to wait for each reply.
        within: seconds to try for; ``None``: the cluster's ``timeout``.
    """
    __tracebackhide__ = True

    def look() -> PingResult:
        return source.ping(
            target,
            interface=interface,
            count=count,
            size=size,
            dont_fragment=dont_fragment,
            version=version,
            timeout=timeout,
        )

    def holds(seen: PingResult) -> bool:
        return (
            seen.received == seen.sent
            and (ttl is None or all(r.ttl == ttl for r in seen.replies))
            and is_from(target, source, seen.target, interface)
        )

    def total(tries: Sequence[PingResult]) -> PingResult:
        return replace(
            tries[-1],
            attempts=len(tries),
            total_sent=sum(t.sent for t in tries),
            total_received=sum(t.received for t in tries),
        )

    replies = "an echo reply" if count == 1 else f"{count} of {count} echo replies"
    return _Attempts(source, target, interface, within).until(
        look,
        holds,
        total,
        should=lambda named: f"reach {named} by ping{_over(interface)}",
        expected=replies,
        more=f", ttl {ttl}" if ttl is not None else "",
    )


def assert_no_ping(
    source: NetworkStack,
    target: Target,
    *,
    interface: str | None = None,
    version: int | None = None,
    during: float = 1.0,
) -> PingResult:
    """No echo request to ``target`` is answered: at least three, over ``during`` seconds."""
    __tracebackhide__ = True
    seen, looks = throughout(
        lambda: source.ping(target, interface=interface, version=version, timeout=_each(during)),
        lambda result: result.received == 0,
        during,
    )
    if seen.received:
        raise fail(
            f"{source.name} should not reach {_named(target, seen)} by ping{_over(interface)}",
            expected=f"no reply for {during:g} s",
            seen=f"{seen!r} at probe {looks}",
        )
    return replace(seen, attempts=looks, total_sent=looks, total_received=0)


def assert_arp(
    source: NetworkStack,
    target: Target,
    *,
    interface: str = "net1",
    mac: str | None = None,
    version: int | None = None,
    timeout: float = 1.0,
    within: float | None = None,
) -> ArpResult:
    """Somebody answers for ``target`` on ``interface`` (ARP or ND), with ``mac`` if given."""
    __tracebackhide__ = True

    def look() -> ArpResult:
        return source.arping(target, interface=interface, version=version, timeout=timeout)

    def holds(seen: ArpResult) -> bool:
        return (
            seen.mac is not None
            and (mac is None or seen.macs == (mac.lower(),))
            and is_mac_of(target, seen.target, seen.mac)
        )

    return _Attempts(source, target, interface, within).until(
        look,
        holds,
        lambda tries: replace(tries[-1], attempts=len(tries)),
        should=lambda named: f"resolve {named} on {interface}",
        expected="an answer",
        more=f" from {mac.lower()}" if mac else "",
    )


def assert_no_arp(
    source: NetworkStack,
    target: Target,
    *,
    interface: str = "net1",
    version: int | None = None,
    during: float = 1.0,
) -> ArpResult:
    """Nobody answers for ``target`` on ``interface``: three probes or more, ``during`` seconds."""
    __tracebackhide__ = True
    seen, looks = throughout(
        lambda: source.arping(target, interface=interface, version=version, timeout=_each(during)),
        lambda result: result.mac is None,
        during,
    )
    if seen.mac is not None:
        raise fail(
            f"nobody should answer {source.name} for {_named(target, seen)} on {interface}",
            expected=f"no answer for {during:g} s",
            seen=f"{seen!r} at probe {looks}",
        )
    return replace(seen, attempts=looks)


def assert_connect(
    source: NetworkStack,
    target: Target,
    port: int,
    *,
    protocol: str = "tcp",
    interface: str | None = None,
    version: int | None = None,
    timeout: float = 1.0,
    within: float | None = None,
) -> ConnectResult:
    """``source`` opens a TCP connection to ``target``, or gets an answer to a UDP datagram."""
    __tracebackhide__ = True

    def look() -> ConnectResult:
        return source.connect(
            target,
            port,
            protocol=protocol,
            interface=interface,
            version=version,
            timeout=timeout,
        )

    def holds(seen: ConnectResult) -> bool:
        return bool(seen) and is_from(target, source, seen.target, interface)

    return _Attempts(source, target, interface, within).until(
        look,
        holds,
        lambda tries: replace(tries[-1], attempts=len(tries)),
        should=lambda named: f"connect to {named} {protocol}/{port}{_over(interface)}",
        expected="an answer",
    )


def assert_no_connect(
    source: NetworkStack,
    target: Target,
    port: int,
    *,
    protocol: str = "tcp",
    interface: str | None = None,
    version: int | None = None,
    during: float = 1.0,
) -> ConnectResult:
    """No connection to ``target`` succeeds: at least three attempts, over ``during`` seconds."""
    __tracebackhide__ = True
    seen, looks = throughout(
        lambda: source.connect(
            target,
            port,
            protocol=protocol,
            interface=interface,
            version=version,
            timeout=_each(during),
        ),
        lambda result: not result,
        during,
    )
    if seen:
        raise fail(
            f"{source.name} should not connect to {_named(target, seen)} {protocol}/{port}",
            expected=f"no answer for {during:g} s",
            seen=f"{seen!r} at attempt {looks}",
        )
    return replace(seen, attempts=looks)


@dataclass(frozen=True)
class _Attempts:
    """Probes from ``source`` to ``target`` until one is as wanted; ``within``: seconds."""

    source: NetworkStack
    target: Target
    interface: str | None
    within: float | None

    def until(
        self,
        look: Callable[[], Seen],
        holds: Callable[[Seen], bool],
        total: Callable[[Sequence[Seen]], Seen],
        *,
        should: Callable[[str], str],
        expected: str,
        more: str = "",
    ) -> Seen:
        """What the last probe saw, with a ``total`` of all; or the failure that explains it."""
        __tracebackhide__ = True
        tries: list[Seen] = []

        def attempt() -> Seen:
            tries.append(look())
            return tries[-1]

        patience = self.source.patience if self.within is None else self.within
        until(attempt, holds, patience)
        seen = total(tries)
        if holds(seen):
            return seen
        raise fail(
            f"{self.source.name} should {should(_named(self.target, seen))}",
            expected=f"{expected} within {patience:g} s{more}",
            seen=repr(seen),
            diagnose=lambda: self._why(seen),
        )

    def _why(self, seen: PingResult | ArpResult | ConnectResult) -> Finding | None:
        from pytest_multinet.diagnosis.layers import diagnose_path

        return diagnose_path(self.source, self.target, seen.target, self.interface, seen)


def _each(during: float) -> float:
    """Seconds that one of three probes may wait, so that all end in time."""
    return max(0.1, min(1.0, during / 3))


def _over(interface: str | None) -> str:
    return f" over {interface}" if interface else ""


def _named(target: Target, seen: PingResult | ArpResult | ConnectResult) -> str:
    return (
        f"{target.name} ({seen.target})" if isinstance(target, NetworkStack) else str(seen.target)
    )
