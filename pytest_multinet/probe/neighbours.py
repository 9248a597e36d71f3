"""Keeping the machine's neighbour table free: it is one for all namespaces.

The kernel holds ``gc_thresh3`` ARP and as many ND entries, usually 1,024, for the whole machine.
Probes fill it, and then every other namespace loses its neighbours too (arp(7)).  So what probes
have caused is counted, and struck off before it can matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pytest_multinet.errors import NetlinkError
from pytest_multinet.net import decode, requests
from pytest_multinet.net.netns import Namespace


class NeighbourBudget:
    """A bound on the neighbour entries that this process keeps alive.

    Args:
        namespaces: every namespace that probes of this process reach.
        limit: entries that may be alive; a probe is counted with all that it may cause.
    """

    def __init__(self, namespaces: Callable[[], Iterable[Namespace]], limit: int) -> None:
        self._namespaces = namespaces
        self._limit = limit
        self._alive = 0

    def spend(self, entries: int) -> None:
        """Count ``entries`` about to be caused; sweep when they would exceed the limit."""
        if self._alive + entries > self._limit:
            self.sweep()
        self._alive += entries

    def sweep(self) -> None:
        """Delete every dynamic entry in every namespace."""
        self._alive = 0
        for namespace in self._namespaces():
            flush(namespace)


def flush(namespace: Namespace) -> None:
    """Delete the dynamic ARP and ND entries of one namespace."""
    rtnl = namespace.rtnl
    messages = [
        requests.neighbour(index, address, delete=True)
        for index, address, state in decode.neighbour_keys(rtnl)
        if state not in decode.NOT_DYNAMIC
    ]
    if messages:
        try:
            rtnl.execute(*messages)
        except NetlinkError:  # an entry that went by itself meanwhile
            return
