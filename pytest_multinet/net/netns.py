"""A network namespace that is held by file descriptor, and what can be had inside it."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_multinet.net.rtnl import Rtnl


class Namespace(ABC):
    """One network namespace (network_namespaces(7)).

    The process that uses it never enters it: sockets are handed out that belong to it.

    Attributes:
        name: whose it is, for messages.
        fd: file descriptor of the namespace, for ``IFLA_NET_NS_FD``; owned by this object.
    """

    name: str
    fd: int

    @abstractmethod
    def socket(self, family: int, type: int, protocol: int = 0) -> socket.socket:
        """A new socket that belongs to this namespace; the caller closes it."""

    @property
    @abstractmethod
    def rtnl(self) -> Rtnl:
        """The route netlink socket of this namespace, opened at first use and kept."""

    @abstractmethod
    def sysctl(self, path: str, value: str | None = None) -> str:
        """Read, or write and read back, ``/proc/sys/net/<path>`` in this namespace.

        Args:
            path: below ``/proc/sys/net``, with slashes: ``ipv4/conf/eth0/arp_notify``.
            value: what to write; ``None`` only reads.

        Raises:
            NetlinkError: with the kernel's errno.
        """

    @abstractmethod
    def close(self) -> None:
        """Close every descriptor; the namespace goes with its last one."""
