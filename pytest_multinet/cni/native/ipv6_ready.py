"""When an IPv6 address can be reached: some time after it was added.

The kernel joins the address's multicast group and adds its local route in a work queue, also
where no duplicate address detection is done.  Until then packets to it are dropped, and nobody
is told.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Generator, Sequence

from pytest_multinet.cni.addresses import IPAddress
from pytest_multinet.net.netns import Namespace
from pytest_multinet.net.rtnl import attributes, messages

_RTMGRP_IPV6_ROUTE = 0x400
_RTM_NEWROUTE, _RTN_LOCAL = 24, 2
_PATIENCE = 2.0  # s


@contextlib.contextmanager
def reachable(namespace: Namespace, addresses: Sequence[IPAddress]) -> Generator[None, None, None]:
    """Wait, after the block that adds these addresses, until packets to them are taken in."""
    missing = {address.packed for address in addresses if address.version == 6}
    if not missing:
        yield
        return
    with namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as events:
        events.bind((0, _RTMGRP_IPV6_ROUTE))
        yield
        deadline = time.monotonic() + _PATIENCE
        poll = select.poll()
        poll.register(events, select.POLLIN)
        while missing and poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            missing -= _local_routes(events.recv(65536))


def _local_routes(data: bytes) -> set[bytes]:
    """Addresses of the local routes that were added."""
    found: set[bytes] = set()
    for kind, body in messages(data):
        if kind == _RTM_NEWROUTE and body[7] == _RTN_LOCAL:
            found |= {bytes(value) for name, value in attributes(body, 12) if name == 1}
    return found
