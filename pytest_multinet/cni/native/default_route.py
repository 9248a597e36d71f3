"""The interface of the default route: the master where a configuration names none."""

from __future__ import annotations

from pytest_multinet.errors import CniError
from pytest_multinet.net import decode
from pytest_multinet.net.holder import HeldNamespace


def default_route_interface(namespace: HeldNamespace) -> str:
    """Name of the interface that the first default route of the main table goes out by.

    Raises:
        CniError: there is no default route.
    """
    names = {link.index: link.name for link in decode.links(namespace.rtnl)}
    for route in decode.routes(namespace.rtnl, names):
        if route.default and route.interface is not None:
            return route.interface
    raise CniError(
        "no default route interface found",
        hint=f"the configuration names no master, and {namespace.name} has no default route",
    )
