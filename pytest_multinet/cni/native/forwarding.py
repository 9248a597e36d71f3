"""Forwarding between interfaces of the node (plugins: pkg/ip, ``EnableForward``)."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from pytest_multinet.cni.native.plugin import words
from pytest_multinet.cni.native.sysctl import sysctls
from pytest_multinet.errors import CniError, NetlinkError
from pytest_multinet.net import decode
from pytest_multinet.net.holder import HeldNamespace

_PATHS = {4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding"}


def enable_forwarding(
    node: HeldNamespace,
    families: Iterable[int],
    *,
    failing: str = "Could not enable IP forwarding",
) -> None:
    """Let the node forward packets of these IP versions.

    Args:
        node: the node's namespace.
        families: 4, 6 or both.
        failing: begins the message of a failure.

    Raises:
        CniError: the kernel refused.
    """
    for version in sorted(families):
        if decode.forwards(node.rtnl, socket.AF_INET if version == 4 else socket.AF_INET6):
            continue
        path = _PATHS[version]
        try:
            sysctls([(node, path, "1")])
        except NetlinkError as error:
            raise CniError(f"{failing}: open /proc/sys/net/{path}: {words(error)}") from error
