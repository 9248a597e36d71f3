"""A network namespace that someone else made, opened by path as root.

The calling threads never enter it: a short-lived thread does, makes what was asked for, and ends
(setns(2) changes one thread only).
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pytest_multinet.errors import NetlinkError
from pytest_multinet.net.netns import Namespace
from pytest_multinet.net.rtnl import Rtnl

_CLONE_NEWNET = 0x40000000
T = TypeVar("T")


class ForeignNamespace(Namespace):
    """A namespace opened by path, such as ``/proc/<pid>/ns/net``.

    Args:
        name: whose it is, for messages.
        path: the namespace file.

    Raises:
        OSError: it cannot be opened: it is gone, or this process may not.
    """

    def __init__(self, name: str, path: str | Path) -> None:
        self.name = name
        self.path = str(path)
        self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self.inode = os.fstat(self.fd).st_ino
        self._rtnl: Rtnl | None = None

    @property
    def current(self) -> bool:
        """Whether ``path`` still leads to this namespace (a restarted container has another)."""
        try:
            return os.stat(self.path).st_ino == self.inode
        except OSError:
            return False

    def socket(self, family: int, type: int, protocol: int = 0) -> socket.socket:
        """A new socket that belongs to this namespace; the caller closes it."""
        return self._inside(lambda: socket.socket(family, type, protocol))

    @property
    def rtnl(self) -> Rtnl:
        """The route netlink socket of this namespace, opened at first use and kept."""
        if self._rtnl is None:
            self._rtnl = Rtnl(self.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
        return self._rtnl

    def sysctl(self, path: str, value: str | None = None) -> str:
        """Read, or write and read back, ``/proc/sys/net/<path>``."""
        file = Path("/proc/sys/net") / path

        def access() -> str:
            if value is not None:
                file.write_text(value, encoding="ascii")
            return file.read_text(encoding="ascii").strip()

        try:
            return self._inside(access)
        except OSError as error:
            what = f"{'set' if value is not None else 'read'} sysctl net/{path} in {self.name}"
            raise NetlinkError(error.errno or 0, what) from error

    def close(self) -> None:
        """Close every descriptor; the namespace itself is its owner's."""
        if self._rtnl is not None:
            self._rtnl.close()
            self._rtnl = None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _inside(self, make: Callable[[], T]) -> T:
        """What ``make`` returns when it is called by a thread inside the namespace."""
        made: list[T] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                enter(self.fd)
                made.append(make())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=run, name=f"in {self.name}")
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return made[0]

    def __repr__(self) -> str:
        return f"<ForeignNamespace {self.name} {self.path}>"


def enter(fd: int) -> None:
    """Move the calling thread into a network namespace; ``os.setns`` is there from 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")
