"""Assertions about what passes: flows in a capture, the path MTU, addresses that are unique."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from pytest_multinet.assertions.failure import fail
from pytest_multinet.assertions.patience import until
from pytest_multinet.cluster.stack import NetworkStack, Target
from pytest_multinet.diagnosis.finding import Finding
from pytest_multinet.errors import ExecFailed, NeedsCapability, UsageError
from pytest_multinet.model.flow import Announcement, Flow
from pytest_multinet.model.interface import IPAddress, PingResult
from pytest_multinet.model.throughput import Throughput
from pytest_multinet.probe.capture import Capture

_HEADERS = {4: 28, 6: 48}  # IP and ICMP before the payload of an echo request
_SHOWN = 8


def assert_flow(
    capture: Capture,
    *,
    source: Target | None = None,
    target: Target | None = None,
    protocol: str | None = None,
    port: int | None = None,
    source_port: int | None = None,
    packets: int = 1,
    within: float = 1.0,
) -> Flow:
    """A flow passed the captured interface, with at least so many packets.

    Args:
        capture: running or ended.
        source: sender: an address, or a pod or node: any of its addresses.
        target: receiver, likewise.
        protocol: ``icmp``, ``icmp6``, ``tcp``, ``udp``, ``sctp``, ``arp``.
        port: of the receiver.
        source_port: of the sender.
        packets: at least so many, in one flow.
        within: seconds to wait for them while the capture runs.

    Returns:
        The flow with the most packets of those that fit.
    """
    __tracebackhide__ = True
    senders, receivers = _addresses(source), _addresses(target)

    def fits(flow: Flow) -> bool:
        key = flow.key
        return (
            (senders is None or key.source in senders)
            and (receivers is None or key.destination in receivers)
            and protocol in (None, key.protocol)
            and port in (None, key.destination_port)
            and source_port in (None, key.source_port)
        )

    def look() -> Flow | None:
        return max(filter(fits, capture.flows), key=lambda f: f.packets, default=None)

    seen = until(look, lambda flow: flow is not None and flow.packets >= packets, within)
    if seen is not None and seen.packets >= packets:
        return seen
    wanted = [
        f"{word} {value}"
        for word, value in (
            ("protocol", protocol),
            ("from", _shown(source)),
            ("to", _shown(target)),
            ("port", port),
            ("source port", source_port),
        )
        if value is not None
    ]
    others = "\n            ".join(map(repr, capture.flows[:_SHOWN])) or "no flow at all"
    raise fail(
        f"a flow should pass {capture.interface} of {capture.name}",
        expected=f"{packets} packets or more, {', '.join(wanted) or 'any'}",
        seen=f"{seen!r}" if seen is not None else f"{others}\n            in {capture!r}",
    )


def assert_announced(
    capture: Capture, address: Target, *, mac: str | None = None, within: float = 1.0
) -> Announcement:
    """A gratuitous ARP, or unsolicited neighbour advertisement, told who has ``address``."""
    __tracebackhide__ = True
    wanted = _addresses(address) or frozenset()

    def look() -> Announcement | None:
        for seen in capture.announcements:
            if seen.address in wanted and mac in (None, seen.mac):
                return seen
        return None

    seen = until(look, lambda found: found is not None, within)
    if seen is not None:
        return seen
    told = ", ".join(f"{a.address} is at {a.mac}" for a in capture.announcements[:_SHOWN])
    raise fail(
        f"{_shown(address)} should be announced at {capture.interface} of {capture.name}",
        expected=f"a gratuitous ARP or unsolicited advertisement{f' from {mac}' if mac else ''}",
        seen=told or f"none in {capture!r}",
    )


def path_mtu(
    source: NetworkStack,
    target: Target,
    *,
    interface: str | None = None,
    version: int | None = None,
    timeout: float = 0.5,
) -> int:
    """The largest IP packet that gets to ``target`` in one piece, bytes; 0: none is answered.

    Found by echo requests that must not be fragmented (RFC 1191, RFC 8201).  It holds for this
    direction: the replies may come in fragments.
    """
    address = source.resolve(target, interface, version)
    headers = _HEADERS[address.version]

    def passes(size: int) -> bool:
        if size < headers:
            return False
        return bool(
            source.ping(
                address,
                interface=interface,
                size=size - headers,
                dont_fragment=True,
                timeout=timeout,
            )
        )

    if not passes(headers + 56):
        return 0
    out = interface or _out(source, address)
    high = min(source.interface(out).mtu, 65535)
    if passes(high):
        return high
    low = headers + 56
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low


def assert_mtu(
    source: NetworkStack,
    target: Target,
    mtu: int,
    *,
    interface: str | None = None,
    version: int | None = None,
    within: float | None = None,
) -> int:
    """The path MTU from ``source`` to ``target`` is ``mtu``, by probes that forbid fragments."""
    __tracebackhide__ = True
    patience = source.patience if within is None else within
    seen = until(
        lambda: path_mtu(source, target, interface=interface, version=version),
        lambda found: found == mtu,
        patience,
    )
    if seen == mtu:
        return seen
    address = source.resolve(target, interface, version)
    over = f" over {interface}" if interface else ""
    raise fail(
        f"{source.name} should reach {_shown(target)}{over} with packets of {mtu} bytes",
        expected=f"path MTU {mtu}",
        seen=f"path MTU {seen}" if seen else "no echo reply of any size",
        diagnose=lambda: _why(source, target, address, interface, mtu, seen),
    )


def throughput(
    source: NetworkStack,
    target: NetworkStack,
    *,
    interface: str | None = None,
    version: int | None = None,
    seconds: float = 0.5,
) -> Throughput:
    """Send one TCP stream from ``source`` to ``target`` as fast as it goes.

    Example::

        link, pod_network = (throughput(a, b, interface=i) for i in ("net1", "eth0"))
        assert link / pod_network > 0.5

    Raises:
        NeedsCapability: a namespace cannot be opened from here.
        ExecFailed: no connection came about.
    """
    from pytest_multinet.probe.throughput import stream

    near, far = source.prober.opened(interface), target.prober.opened(interface)
    if near is None or far is None:
        reason = f"the namespaces of {source.name} and {target.name} cannot be opened from here"
        raise NeedsCapability("throughput", reason)
    address = source.resolve(target, interface, version)
    try:
        count, took = stream(near[0], far[0], address, interface=near[1], seconds=seconds)
    except OSError as error:
        raise ExecFailed(
            f"{source.name} cannot send to {target.name} ({address}): {error}"
        ) from error
    return Throughput(source.name, target.name, interface, count, took)


def assert_no_duplicate_address(
    stack: NetworkStack, interface: str = "net1", *, during: float = 0.5
) -> None:
    """Nobody else on the link claims an address of ``interface``: three probes to each.

    Raises:
        NeedsCapability: the stack's namespace cannot be opened from here.
    """
    __tracebackhide__ = True
    from pytest_multinet.probe.duplicate import holders

    opened = stack.prober.opened(interface)
    if opened is None:
        raise NeedsCapability(
            "packet", f"the namespace of {stack.name} cannot be opened from here"
        )
    own = stack.interface(interface)
    for address in own.addresses:
        found = holders(opened[0], opened[1] or interface, own.mac, address.ip, during)
        if found:
            raise fail(
                f"{stack.name} should have {address.ip} on {interface} alone",
                expected=f"no answer to {3} probes over {during:g} s",
                seen=f"{', '.join(found)} answers",
                diagnose=lambda found=found, ip=address.ip: _who(stack, interface, ip, found),
            )


def _addresses(target: Target | None) -> frozenset[IPAddress] | None:
    if target is None:
        return None
    if isinstance(target, NetworkStack):
        return frozenset(a.ip for i in target.interfaces for a in i.addresses)
    try:
        return frozenset([ip_address(target)])
    except ValueError:
        raise UsageError(f"{target!r} is no IP address, pod or node") from None


def _shown(target: Target | None) -> str | None:
    if target is None:
        return None
    return target.name if isinstance(target, NetworkStack) else str(target)


def _out(source: NetworkStack, address: IPAddress) -> str:
    fits = [
        r
        for r in source.routes
        if r.destination.version == address.version and address in r.destination and r.interface
    ]
    best = max(fits, key=lambda r: r.destination.prefixlen, default=None)
    return (best.interface if best else None) or "eth0"


def _why(
    source: NetworkStack,
    target: Target,
    address: IPAddress,
    interface: str | None,
    mtu: int,
    seen: int,
) -> Finding | None:
    from pytest_multinet.diagnosis.layers import diagnose_path

    errors = (f"packets above {seen} bytes: message too long",) if seen else ()
    result = PingResult(source.name, address, interface, sent=1, received=0, errors=errors)
    return diagnose_path(source, target, address, interface, result)


def _who(
    stack: NetworkStack, interface: str, address: IPAddress, macs: Iterable[str]
) -> Finding | None:
    from pytest_multinet.diagnosis.layers import diagnose_twin

    return diagnose_twin(stack, interface, address, tuple(macs))
