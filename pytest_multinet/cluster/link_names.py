"""A node's stack under the names that tests give links, where workers share the node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_multinet.cluster.isolation import Isolation
from pytest_multinet.model.interface import (
    ArpResult,
    ConnectResult,
    Interface,
    IPAddress,
    Neighbour,
    PingResult,
    Route,
)
from pytest_multinet.probe.stack import Listener, Prober

if TYPE_CHECKING:
    from pytest_multinet.net.netns import Namespace
    from pytest_multinet.probe.capture import Capture


class LinkNames:
    """A prober that knows a worker's links by their given names, and no other worker's.

    Args:
        prober: of the node.
        isolation: the worker's names.
    """

    def __init__(self, prober: Prober, isolation: Isolation) -> None:
        self._prober = prober
        self._isolation = isolation

    def _own(self, name: str) -> str:
        return self._isolation.names.get(name, name)

    def opened(self, interface: str | None) -> tuple[Namespace, str | None] | None:
        """As :meth:`Prober.opened`."""
        return self._prober.opened(interface and self._own(interface))

    # --- what is there ----------------------------------------------------------------------

    def interfaces(self) -> tuple[Interface, ...]:
        """As :meth:`Prober.interfaces`."""
        given = self._isolation.naming()
        return tuple(
            replace(
                found,
                name=name,
                parent_name=found.parent_name and given(found.parent_name),
                master=found.master and given(found.master),
            )
            for found in self._prober.interfaces()
            if (name := given(found.name)) is not None
        )

    def routes(self) -> tuple[Route, ...]:
        """As :meth:`Prober.routes`."""
        given = self._isolation.naming()
        return tuple(
            replace(route, interface=route.interface and given(route.interface))
            for route in self._prober.routes()
            if route.interface is None or given(route.interface) is not None
        )

    def neighbours(self) -> tuple[Neighbour, ...]:
        """As :meth:`Prober.neighbours`."""
        given = self._isolation.naming()
        return tuple(
            replace(entry, interface=name)
            for entry in self._prober.neighbours()
            if (name := given(entry.interface)) is not None
        )

    def neighbour(self, address: IPAddress, interface: str) -> Neighbour | None:
        """As :meth:`Prober.neighbour`."""
        found = self._prober.neighbour(address, self._own(interface))
        return found and replace(found, interface=interface)

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """As :meth:`Prober.counters`."""
        given = self._isolation.naming()
        counters = self._prober.counters()
        return {name: c for own, c in counters.items() if (name := given(own)) is not None}

    def sysctl(self, path: str) -> str | None:
        """As :meth:`Prober.sysctl`."""
        return self._prober.sysctl("/".join(map(self._own, path.split("/"))))

    # --- probes -----------------------------------------------------------------------------

    def ping(self, target: IPAddress, *, interface: str | None, **options: Any) -> PingResult:
        """As :meth:`Prober.ping`."""
        own = interface and self._own(interface)
        result = self._prober.ping(target, interface=own, **options)
        return replace(result, interface=interface)

    def arping(
        self, target: IPAddress, *, interface: str, count: int, timeout: float
    ) -> ArpResult:
        """As :meth:`Prober.arping`."""
        own = self._own(interface)
        result = self._prober.arping(target, interface=own, count=count, timeout=timeout)
        return replace(result, interface=interface)

    def connect(
        self,
        target: IPAddress,
        port: int,
        *,
        protocol: str,
        interface: str | None,
        timeout: float,
    ) -> ConnectResult:
        """As :meth:`Prober.connect`."""
        own = interface and self._own(interface)
        return self._prober.connect(
            target, port, protocol=protocol, interface=own, timeout=timeout
        )

    def capture(self, interface: str, *, filter: str | None, limit: int) -> Capture:
        """As :meth:`Prober.capture`."""
        return self._prober.capture(self._own(interface), filter=filter, limit=limit)

    def listen(self, port: int, *, protocol: str, address: str | None) -> Listener:
        """As :meth:`Prober.listen`."""
        return self._prober.listen(port, protocol=protocol, address=address)
