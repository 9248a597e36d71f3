"""Assertions about a stack's interfaces and routes."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from pytest_multinet.assertions.failure import fail
from pytest_multinet.assertions.patience import throughout, until
from pytest_multinet.cluster.stack import NetworkStack
from pytest_multinet.diagnosis.finding import Finding
from pytest_multinet.errors import UsageError
from pytest_multinet.model.interface import Interface, IPInterface, IPNetwork, Route


def assert_interface(
    stack: NetworkStack,
    name: str,
    *,
    address: str | Sequence[str] | None = None,
    type: str | None = None,
    mac: str | None = None,
    mtu: int | None = None,
    state: str | None = None,
    mode: str | None = None,
    parent: str | None = None,
    master: str | None = None,
    within: float | None = None,
) -> Interface:
    """The stack has an interface ``name``, with each of the properties given.

    Args:
        stack: a pod or a node.
        name: interface name.
        address: address with prefix length that it must have, or several; others may be there.
        type: link kind, such as ``macvlan``.
        mac: hardware address, any case.
        mtu: bytes.
        state: operational state, such as ``up``.
        mode: macvlan or ipvlan mode.
        parent: name of the lower interface, where it is in the same namespace.
        master: name of the bridge that it is enslaved to.
        within: seconds to wait for it; ``None``: the cluster's ``timeout``.

    Returns:
        The interface as seen.
    """
    __tracebackhide__ = True
    wanted: dict[str, Any] = {
        "type": type,
        "mac": mac.lower() if mac else None,
        "mtu": mtu,
        "state": state,
        "mode": mode,
        "parent_name": parent,
        "master": master,
    }
    wanted = {key: value for key, value in wanted.items() if value is not None}
    texts = [address] if isinstance(address, str) else list(address or ())
    addresses = [_cidr(text) for text in texts]

    def look() -> Interface | None:
        return next((i for i in stack.interfaces if i.name == name), None)

    def holds(seen: Interface | None) -> bool:
        return (
            seen is not None
            and all(getattr(seen, key) == value for key, value in wanted.items())
            and all(a in seen.addresses for a in addresses)
        )

    seen = until(look, holds, stack.patience if within is None else within)
    if seen is not None and holds(seen):
        return seen
    expected = ", ".join(
        [f"interface {name}"]
        + [f"{key.removesuffix('_name')} {value}" for key, value in wanted.items()]
        + [f"address {a}" for a in addresses]
    )
    shown = repr(seen)
    if seen is None:
        names = ", ".join(i.name for i in stack.interfaces)
        shown = f"no such interface; there are {names}"
    raise fail(
        f"{stack.name} should have the interface {name} as expected",
        expected=expected,
        seen=shown,
        diagnose=lambda: _why(stack, name, addresses),
    )


def _why(stack: NetworkStack, name: str, addresses: Sequence[IPInterface]) -> Finding | None:
    from pytest_multinet.diagnosis.layers import diagnose_interface

    return diagnose_interface(stack, name, addresses)


def assert_no_interface(stack: NetworkStack, name: str, *, during: float = 1.0) -> None:
    """The stack has no interface ``name``, for ``during`` seconds."""
    __tracebackhide__ = True

    def look() -> Interface | None:
        return next((i for i in stack.interfaces if i.name == name), None)

    seen, looks = throughout(look, lambda found: found is None, during)
    if seen is not None:
        raise fail(
            f"{stack.name} should have no interface {name}",
            expected=f"none for {during:g} s",
            seen=f"{seen!r} at look {looks}",
        )


def assert_route(
    stack: NetworkStack,
    destination: str,
    *,
    gateway: str | None = None,
    interface: str | None = None,
    source: str | None = None,
    metric: int | None = None,
    within: float | None = None,
) -> Route:
    """The stack's main table has a route to ``destination``, as ``ip route`` would show it.

    Args:
        stack: a pod or a node.
        destination: prefix, or ``default`` (both families, unless ``gateway`` tells).
        gateway: next hop that it must have.
        interface: output interface.
        source: preferred source address.
        metric: priority.
        within: seconds to wait for it; ``None``: the cluster's ``timeout``.

    Returns:
        The first route that fits.
    """
    __tracebackhide__ = True
    fits = _route_filter(destination, gateway, interface, source, metric)

    def look() -> Route | None:
        return next((r for r in stack.routes if fits(r)), None)

    seen = until(look, lambda r: r is not None, stack.patience if within is None else within)
    if seen is not None:
        return seen
    raise fail(
        f"{stack.name} should have a route to {destination}",
        expected=_route_text(destination, gateway, interface, source, metric),
        seen=_table(stack),
        diagnose=lambda: _why_no_route(stack, destination, interface),
    )


def _why_no_route(stack: NetworkStack, destination: str, interface: str | None) -> Finding | None:
    from pytest_multinet.diagnosis.layers import diagnose_route

    return diagnose_route(stack, destination, interface)


def assert_no_route(
    stack: NetworkStack,
    destination: str,
    *,
    gateway: str | None = None,
    interface: str | None = None,
    during: float = 1.0,
) -> None:
    """No route of the main table fits, for ``during`` seconds; see :func:`assert_route`."""
    __tracebackhide__ = True
    fits = _route_filter(destination, gateway, interface, None, None)

    def look() -> Route | None:
        return next((r for r in stack.routes if fits(r)), None)

    seen, looks = throughout(look, lambda r: r is None, during)
    if seen is not None:
        raise fail(
            f"{stack.name} should have no route to {destination}",
            expected=f"no {_route_text(destination, gateway, interface, None, None)}",
            seen=f"{seen} at look {looks}",
        )


def _cidr(text: str) -> Any:
    try:
        if "/" in text:
            return ip_interface(text)
        raise ValueError
    except ValueError:
        raise UsageError(
            f"address is {text!r}; expected one with prefix length, such as 10.1.1.101/24"
        ) from None


def _destination(text: str) -> IPNetwork | None:
    if text == "default":
        return None
    try:
        return ip_network(text)
    except ValueError as error:
        raise UsageError(f"destination is {text!r}: {error}") from None


def _route_filter(
    destination: str,
    gateway: str | None,
    interface: str | None,
    source: str | None,
    metric: int | None,
) -> Any:
    prefix = _destination(destination)
    next_hop = ip_address(gateway) if gateway else None
    preferred = ip_address(source) if source else None

    def fits(route: Route) -> bool:
        return (
            (route.default if prefix is None else route.destination == prefix)
            and (next_hop is None or route.gateway == next_hop)
            and (interface is None or route.interface == interface)
            and (preferred is None or route.source == preferred)
            and (metric is None or route.metric == metric)
        )

    return fits


def _route_text(
    destination: str,
    gateway: str | None,
    interface: str | None,
    source: str | None,
    metric: int | None,
) -> str:
    parts = [destination]
    parts += [
        f"{word} {value}"
        for word, value in (
            ("via", gateway),
            ("dev", interface),
            ("src", source),
            ("metric", metric),
        )
        if value is not None
    ]
    return " ".join(parts)


def _table(stack: NetworkStack) -> str:
    routes = stack.routes
    return "\n            ".join(map(str, routes)) if routes else "no route at all"
