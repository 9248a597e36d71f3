"""Assertions about who reaches whom: ICMP, ARP and ND, TCP and UDP."""

from __future__ import annotations

from dataclasses import replace

from pytest_multinet.assertions.failure import fail
from pytest_multinet.assertions.identity import is_from, is_mac_of
from pytest_multinet.assertions.patience import throughout, until
from pytest_multinet.cluster.stack import NetworkStack, Target
from pytest_multinet.diagnosis.finding import Finding
from pytest_multinet.model.interface import ArpResult, ConnectResult, IPAddress, PingResult


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
    tries: list[PingResult] = []

    def look() -> PingResult:
        tries.append(
            source.ping(
                target,
                interface=interface,
                count=count,
                size=size,
                dont_fragment=dont_fragment,
                version=version,
                timeout=timeout,
            )
        )
        return tries[-1]

    def holds(seen: PingResult) -> bool:
        return (
            seen.received == seen.sent
            and (ttl is None or all(r.ttl == ttl for r in seen.replies))
            and is_from(target, source, seen.target, interface)
        )

    patience = source.patience if within is None else within
    seen = replace(
        until(look, holds, patience),
        attempts=len(tries),
        total_sent=sum(t.sent for t in tries),
        total_received=sum(t.received for t in tries),
    )
    if holds(seen):
        return seen
    replies = "an echo reply" if count == 1 else f"{count} of {count} echo replies"
    raise fail(
        f"{source.name} should reach {_named(target, seen)} by ping{_over(interface)}",
        expected=f"{replies} within {patience:g} s" + (f", ttl {ttl}" if ttl is not None else ""),
        seen=repr(seen),
        diagnose=lambda: _why(source, target, seen.target, interface, seen),
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
    tries: list[ArpResult] = []

    def look() -> ArpResult:
        tries.append(source.arping(target, interface=interface, version=version, timeout=timeout))
        return tries[-1]

    def holds(seen: ArpResult) -> bool:
        return (
            seen.mac is not None
            and (mac is None or seen.macs == (mac.lower(),))
            and is_mac_of(target, seen.target, seen.mac)
        )

    patience = source.patience if within is None else within
    seen = replace(until(look, holds, patience), attempts=len(tries))
    if holds(seen):
        return seen
    raise fail(
        f"{source.name} should resolve {_named(target, seen)} on {interface}",
        expected=f"an answer within {patience:g} s" + (f" from {mac.lower()}" if mac else ""),
        seen=repr(seen),
        diagnose=lambda: _why(source, target, seen.target, interface, seen),
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
    tries: list[ConnectResult] = []

    def look() -> ConnectResult:
        tries.append(
            source.connect(
                target,
                port,
                protocol=protocol,
                interface=interface,
                version=version,
                timeout=timeout,
            )
        )
        return tries[-1]

    def holds(seen: ConnectResult) -> bool:
        return bool(seen) and is_from(target, source, seen.target, interface)

    patience = source.patience if within is None else within
    seen = replace(until(look, holds, patience), attempts=len(tries))
    if holds(seen):
        return seen
    raise fail(
        f"{source.name} should connect to {_named(target, seen)} {protocol}/{port}"
        f"{_over(interface)}",
        expected=f"an answer within {patience:g} s",
        seen=repr(seen),
        diagnose=lambda: _why(source, target, seen.target, interface, seen),
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


def _why(
    source: NetworkStack,
    target: Target,
    address: IPAddress,
    interface: str | None,
    seen: PingResult | ArpResult | ConnectResult,
) -> Finding | None:
    from pytest_multinet.diagnosis.layers import diagnose_path

    return diagnose_path(source, target, address, interface, seen)


def _each(during: float) -> float:
    """Seconds that one of three probes may wait, so that all end in time."""
    return max(0.1, min(1.0, during / 3))


def _over(interface: str | None) -> str:
    return f" over {interface}" if interface else ""


def _named(target: Target, seen: PingResult | ArpResult | ConnectResult) -> str:
    return (
        f"{target.name} ({seen.target})" if isinstance(target, NetworkStack) else str(seen.target)
    )
