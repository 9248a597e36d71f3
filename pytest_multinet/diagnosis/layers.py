"""The walk along a path, layer by layer, to the first that is broken.

Order: interface, master, node link, address, route, neighbour, reply, port.  Each check looks at
real state through the same protocol on every backend, at the source first, then at the target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_interface

from pytest_multinet.cluster.base import NetworkStack, Pod, Target
from pytest_multinet.diagnosis.finding import Finding
from pytest_multinet.model.interface import (
    ArpResult,
    ConnectResult,
    Interface,
    IPAddress,
    PingResult,
    Route,
)

Seen = PingResult | ArpResult | ConnectResult
Check = Callable[[], Finding | None]


def diagnose_interface(stack: NetworkStack, name: str) -> Finding | None:
    """Why an interface is not there or not as it should be."""
    return _first(_interface_checks(stack, name))


def diagnose_path(
    source: NetworkStack, target: Target, address: IPAddress, interface: str | None, seen: Seen
) -> Finding | None:
    """The first broken layer between ``source`` and ``address``."""
    return _first(_path_checks(source, target, address, interface, seen))


def _first(checks: Iterator[tuple[str, Finding | None]]) -> Finding | None:
    sound: list[str] = []
    for name, finding in checks:
        if finding is not None:
            return replace(finding, sound=tuple(sound))
        sound.append(name)
    return None


def _path_checks(
    source: NetworkStack,
    target: Target,
    address: IPAddress,
    interface: str | None,
    seen: Seen,
) -> Iterator[tuple[str, Finding | None]]:
    route = _route_to(source, address, interface)
    out = interface or (route.interface if route else None) or "eth0"
    for name, finding in _interface_checks(source, out):
        yield f"{source.name} {name}", finding
    yield f"{source.name} address", _address(source, out, address)
    if isinstance(target, NetworkStack):
        far = interface if interface and _has(target, interface) else "eth0"
        for name, finding in _interface_checks(target, far):
            yield f"{target.name} {name}", finding
        yield f"{target.name} address", _carries(target, far, address)
    yield "route", _route(source, address, interface, route)
    yield "neighbour", _neighbour(source, address, out, route)
    yield "reply", _reply(source, target, address, seen)


def _interface_checks(stack: NetworkStack, name: str) -> Iterator[tuple[str, Finding | None]]:
    found = {i.name: i for i in stack.interfaces}
    yield f"interface {name}", _present(stack, name, found)
    yield f"{name} up", _up(stack, found[name])
    if isinstance(stack, Pod) and found[name].type in ("macvlan", "ipvlan"):
        yield f"master of {name}", _master(stack, found[name])


def _present(stack: NetworkStack, name: str, found: dict[str, Interface]) -> Finding | None:
    if name in found:
        return None
    cause = f"{stack.name} has no interface {name}; it has {', '.join(found)}"
    advice = "attach the network, or name the interface that it has"
    if isinstance(stack, Pod):
        promised = {s.interface: s for s in stack.network_status}
        if name in promised:
            cause = f"network-status promises {name}, and the kernel has it no more"
            advice = (
                "its master went away (a node link that was made anew, a restarted node) and took "
                "it along: make the pod again"
            )
    return Finding("interface", f"{stack.name} {name}", cause, advice, _on(stack, "ip link"))


def _up(stack: NetworkStack, interface: Interface) -> Finding | None:
    where = f"{stack.name} {interface.name}"
    command = _on(stack, f"ip -d link show {interface.name}")
    if not interface.up:
        advice = f"set it up: ip link set {interface.name} up"
        return Finding("interface", where, "it is administratively down", advice, command)
    if "LOWER_UP" in interface.flags or interface.state in ("up", "unknown"):
        return None
    if isinstance(stack, Pod) and interface.type in ("macvlan", "ipvlan"):
        return None  # the master tells why
    cause = f"it has no carrier (state {interface.state}): its other end is down or gone"
    return Finding("interface", where, cause, "look at its other end", command)


def _master(pod: Pod, interface: Interface) -> Finding | None:
    node = pod.node
    by_index = {i.index: i for i in node.interfaces}
    master = by_index.get(interface.parent or 0)
    where = f"{node.name}, master of {pod.name} {interface.name}"
    if master is None:
        cause = f"the master (index {interface.parent}) is not on the node any more"
        advice = "make the node link and the pod again"
        return Finding("master", where, cause, advice, _on(node, "ip link"))
    command = _on(node, f"ip link show {master.name}")
    if not master.up:
        cause = f"{master.name} is administratively down"
        return Finding("node link", where, cause, f"ip link set {master.name} up", command)
    if "LOWER_UP" not in master.flags:
        cause = f"{master.name} has no carrier: its other end, on the other node, is down or gone"
        advice = f"set {master.name} up on the other node, or make the node link again"
        return Finding("node link", where, cause, advice, command)
    return None


def _address(stack: NetworkStack, interface: str, target: IPAddress) -> Finding | None:
    held = [a for a in stack.interface(interface).addresses if a.version == target.version]
    if held:
        return None
    cause = f"{interface} has no IPv{target.version} address to ask from"
    advice = "give ips in the selection, or an ipam that hands one out"
    command = _on(stack, f"ip address show {interface}")
    return Finding("address", f"{stack.name} {interface}", cause, advice, command)


def _carries(stack: NetworkStack, interface: str, address: IPAddress) -> Finding | None:
    for candidate in stack.interfaces:
        if any(a.ip == address for a in candidate.addresses):
            return None
    cause = f"nobody carries {address} there: {stack.interface(interface)!r}"
    command = _on(stack, f"ip address show {interface}")
    where = f"{stack.name} {interface}"
    return Finding("address", where, cause, "give it the address that is asked for", command)


def _route_to(stack: NetworkStack, target: IPAddress, interface: str | None) -> Route | None:
    fits = [
        r
        for r in stack.routes
        if r.destination.version == target.version
        and target in r.destination
        and interface in (None, r.interface)
    ]
    return max(fits, key=lambda r: r.destination.prefixlen) if fits else None


def _route(
    stack: NetworkStack, target: IPAddress, interface: str | None, route: Route | None
) -> Finding | None:
    if route is not None and route.type == "unicast":
        return None
    over = f" over {interface}" if interface else ""
    why = "no route" if route is None else f"a {route.type} route"
    cause = f"{stack.name} has {why} to {target}{over}"
    held = [
        a
        for i in stack.interfaces
        for a in i.addresses
        if interface in (None, i.name) and a.version == target.version
    ]
    own = ", ".join(map(str, held)) or "none"
    advice = f"its addresses there: {own}; give both ends one prefix, or add a route"
    command = _on(stack, f"ip route get {target}")
    return Finding("route", stack.name, cause, advice, command)


def _neighbour(
    stack: NetworkStack, target: IPAddress, interface: str, route: Route | None
) -> Finding | None:
    hop = (route.gateway if route else None) or target
    if any(hop in ip_interface(str(a.ip)).network for a in stack.interface(interface).addresses):
        return None  # itself
    answer = stack.prober.arping(hop, interface=interface, count=1, timeout=1.0)
    if answer:
        return None
    protocol = "ARP" if hop.version == 4 else "ND"
    what = f"the gateway {hop}" if hop != target else str(hop)
    cause = f"nobody answers {protocol} for {what} on {interface}"
    advice = (
        "nobody there has that address, or layer 2 between the two is cut: compare masters, "
        "macvlan modes and the node link"
    )
    command = _on(stack, f"arping -I {interface} {hop}")
    return Finding("neighbour", f"{stack.name} {interface}", cause, advice, command)


def _reply(
    source: NetworkStack, target: Target, address: IPAddress, seen: Seen
) -> Finding | None:
    where = f"{source.name} -> {address}"
    back = _way_back(source, target, seen)
    if back is not None:
        return back
    if isinstance(seen, ConnectResult):
        if seen.outcome == "refused":
            cause = f"{address} is reached, and nothing listens on {seen.protocol}/{seen.port}"
            advice = "start the server, or wait until it listens"
            return Finding("port", where, cause, advice, "ss -lntu  (at the target)")
        cause = f"no answer from {seen.protocol}/{seen.port}: {seen.error}"
        return Finding("port", where, cause, "look for a packet filter on the way", "nft list ruleset")
    if isinstance(seen, ArpResult):
        cause = f"somebody else answers: {', '.join(seen.macs)}" if seen.macs else "no answer"
        return Finding("neighbour", where, cause, "look for a duplicate address")
    if seen.received:
        ttls = sorted({r.ttl for r in seen.replies})
        cause = f"replies arrive with ttl {', '.join(map(str, ttls))}, {seen.received}/{seen.sent}"
        return Finding("reply", where, cause, "another path than expected is taken", "traceroute")
    cause = "; ".join(seen.errors) or "the neighbour is there, and no echo reply comes back"
    advice = "look for a packet filter, or a route back that leads elsewhere"
    return Finding("reply", where, cause, advice, f"tcpdump -n icmp  (at {address})")


def _way_back(source: NetworkStack, target: Target, seen: Seen) -> Finding | None:
    """Two default routes at the target: the reply takes the one whose gateway is silent."""
    if not isinstance(target, NetworkStack) or isinstance(seen, ArpResult):
        return None
    defaults = [r for r in target.routes if r.default and r.destination.version == seen.target.version]
    if len(defaults) < 2:
        return None
    for route in defaults:
        if route.gateway is None or route.interface is None:
            continue
        answer = target.prober.arping(
            route.gateway, interface=route.interface, count=1, timeout=1.0
        )
        if not answer:
            cause = (
                f"{target.name} has {len(defaults)} default routes, and {route.interface}'s "
                f"gateway {route.gateway} does not answer: replies may leave there and be lost"
            )
            advice = "give the secondary network no 0.0.0.0/0 route, or use default-route"
            command = _on(target, "ip route")
            return Finding("route", f"{target.name} {route.interface}", cause, advice, command)
    return None


def _has(stack: NetworkStack, interface: str) -> bool:
    return any(i.name == interface for i in stack.interfaces)


def _on(stack: NetworkStack, command: str) -> str:
    return f"{command}  (in {stack.name})"
