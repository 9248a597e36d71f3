"""The process that owns an embedded cluster's namespaces, seen from the process that uses it.

A namespace lives as long as its holder, and the holder as long as the socket to it: whatever
ends the test process, kill -9 included, ends the namespaces too.  The test process never enters
a namespace; it asks the holder for sockets that were opened inside.
"""

from __future__ import annotations

import array
import contextlib
import marshal
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pytest_multinet.errors import HolderDied, NetlinkError
from pytest_multinet.net.netns import Namespace
from pytest_multinet.net.rtnl import Rtnl

_BOOT = (
    "import sys; sys.path.insert(0, {folder!r}); import holder_process; holder_process.main({fd})"
)


_POSTED = 64  # requests under way at most: their replies must fit into the socket


class HolderRefused(OSError):
    """The kernel refused the holder something; ``errno`` is its answer."""


class Holder:
    """A connection to a holder.

    Args:
        control: connected seqpacket socket; ``process`` is set where this object started it.
    """

    def __init__(
        self,
        control: socket.socket,
        process: subprocess.Popen[bytes] | None = None,
        log: IO[bytes] | None = None,
    ) -> None:
        self._control = control
        self._process = process
        self._log = log
        self._lock = threading.Lock()
        self._unread = 0  # replies to posted requests
        self.pid = process.pid if process else None
        self.hub: HeldNamespace | None = None

    @classmethod
    def start(cls) -> Holder:
        """Start a holder in namespaces of its own; its first namespace is :attr:`hub`.

        Raises:
            HolderRefused: namespaces cannot be made here; ``errno`` says how.
            HolderDied: the process ended before it answered.
        """
        raise_file_limit()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the holder
        code = _BOOT.format(folder=str(Path(__file__).parent), fd=theirs.fileno())
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            cwd="/",
        )
        theirs.close()
        holder = cls(ours, process, log)
        try:
            (number, _pid), fds = holder._receive()
        except BaseException:
            holder.close()
            raise
        holder.hub = HeldNamespace(holder, number, "hub", fds[0], fds[1])
        return holder

    @classmethod
    def attach(cls, path: Path) -> Holder:
        """Connect to a kept holder at its socket.

        Raises:
            HolderDied: nobody listens there any more.
        """
        control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            control.connect(str(path))
        except OSError as error:
            control.close()
            raise HolderDied(
                f"no kept environment answers at {path}: {error.strerror}; it does not outlive "
                f"a restart of the machine, see 'multinet ls'"
            ) from error
        return cls(control)

    def request(self, operation: str, *arguments: Any, fds: Sequence[int] = ()) -> Any:
        """One request; the reply's value.  Descriptors in the reply: :meth:`request_fds`."""
        return self.request_fds(operation, *arguments, fds=fds)[0]

    def request_fds(
        self, operation: str, *arguments: Any, fds: Sequence[int] = ()
    ) -> tuple[Any, list[int]]:
        """One request; the reply's value and its descriptors."""
        data = marshal.dumps((operation, *arguments), 2)
        with self._lock:
            try:
                if fds:
                    socket.send_fds(self._control, [data], list(fds))
                else:
                    self._control.send(data)
            except OSError as error:
                raise self._died() from error
            self._read_posted()
            return self._receive()

    def _post(self, operation: str, *arguments: Any) -> None:
        """A request whose outcome nobody waits for; the holder keeps the order of requests."""
        with self._lock:
            try:
                self._control.send(marshal.dumps((operation, *arguments), 2))
            except OSError as error:
                raise self._died() from error
            self._unread += 1
            if self._unread >= _POSTED:
                self._read_posted()

    def _read_posted(self) -> None:
        while self._unread:
            self._unread -= 1
            if not self._receive_one()[0]:
                raise self._died()

    def _receive(self) -> tuple[Any, list[int]]:
        data, fds = self._receive_one()
        if not data:
            raise self._died()
        ok, value, *rest = marshal.loads(data)  # noqa: S302 - from our own child
        if not ok:
            raise HolderRefused(value, rest[0])
        while len(fds) < rest[0]:
            more, part = self._receive_one()
            if not more:
                raise self._died()
            fds += part
        return value, fds

    def _receive_one(self) -> tuple[bytes, list[int]]:
        try:
            data, ancillary, _, _ = self._control.recvmsg(
                1 << 18, socket.CMSG_SPACE(256 * 4), socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            return b"", []
        fds = array.array("i")
        for level, kind, raw in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(raw[: len(raw) - len(raw) % fds.itemsize])
        return data, list(fds)

    def _died(self) -> HolderDied:
        text = "the process that holds the cluster's namespaces has gone"
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(timeout=1)
                text += f" (signal {-code})" if code < 0 else f" (exit {code})"
        if self._log is not None:
            self._log.seek(0)
            said = self._log.read().decode(errors="replace").strip()
            if said:
                text += f"; it wrote:\n{said}"
        return HolderDied(f"{text}; start the tests again")

    def namespaces(
        self, names: Sequence[str], sysctls: Sequence[tuple[str, str]] = ()
    ) -> list[HeldNamespace]:
        """New network namespaces, each with the given ``/proc/sys/net`` settings."""
        ids, fds = self.request_fds("namespaces", len(names), list(sysctls))
        return [
            HeldNamespace(self, number, name, fds[2 * i], fds[2 * i + 1])
            for i, (number, name) in enumerate(zip(ids, names, strict=True))
        ]

    def sockets(
        self, wanted: Sequence[tuple[HeldNamespace, int, int, int]]
    ) -> list[socket.socket]:
        """Sockets of ``(namespace, family, type, protocol)``, in one request."""
        plain = [
            (n.number, int(family), int(kind), protocol) for n, family, kind, protocol in wanted
        ]
        try:
            _, fds = self.request_fds("sockets", plain)
        except HolderRefused as error:
            raise NetlinkError(error.errno or 0, "open a socket") from error
        return [socket.socket(fileno=fd) for fd in fds]

    def sysctls(self, wanted: Sequence[tuple[HeldNamespace, str, str | None]]) -> list[str]:
        """Read (``None``) or write several sysctls in one request."""
        plain = [(namespace.number, path, value) for namespace, path, value in wanted]
        answers = self.request("sysctls", plain)
        for (namespace, path, value), answer in zip(wanted, answers, strict=True):
            if isinstance(answer, int):
                verb = "read" if value is None else f"write {value!r} to"
                raise NetlinkError(answer, f"{verb} net/{path} in {namespace.name}")
        return answers

    def try_sysctls(self, wanted: Sequence[tuple[HeldNamespace, str, str]]) -> None:
        """Write sysctls before any later request is carried out, whether they can be or not."""
        self._post("try_sysctls", [(n.number, path, value) for n, path, value in wanted])

    def view(
        self, namespace: HeldNamespace, hostname: str, hosts: str, root: str | None = None
    ) -> None:
        """Give a namespace its own mounts, host name and processes; repeated: the same.

        Args:
            namespace: whose programs are to run in it.
            hostname: its UTS name.
            hosts: text of its ``/etc/hosts``.
            root: directory that becomes its root, ``None``: the machine's files.

        Raises:
            HolderRefused: the kernel refused a mount.
        """
        self.request("view", namespace.number, hostname, hosts, root)

    def run(
        self,
        namespace: HeldNamespace,
        argv: Sequence[str],
        *,
        fds: tuple[int, int, int],
        env: Mapping[str, str],
        cwd: str | None = None,
        passed: Sequence[int] = (),
        terminal: bool = False,
    ) -> socket.socket:
        """Start a program in a namespace's view (see :meth:`view`).

        The socket returned tells ``started`` or ``error N``, and in the end ``exit N``.

        A signal number sent over it reaches the program; closing it kills the program, unless
        the environment has been kept.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self.request(
                "run",
                namespace.number,
                list(argv),
                dict(env),
                cwd,
                len(passed),
                terminal,
                fds=[*fds, theirs.fileno(), *passed],
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    def keep(self, path: Path) -> None:
        """Let the holder outlive this process and listen at ``path``."""
        self.pid = self.request("keep", str(path)) or self.pid

    def quit(self) -> None:
        """End the holder and all that it holds, kept or not; returns when it has ended."""
        with contextlib.suppress(HolderDied, OSError):
            self.request("quit")
            self._control.settimeout(10)
            self._control.recv(1)  # its end of file
        self.close()

    def close(self) -> None:
        """Close the connection: the end of a holder that is not kept; waits for that end."""
        self._control.close()
        if self._process is not None:
            self._process.wait()
        if self._log is not None:
            self._log.close()

    def disconnect(self) -> None:
        """Leave a kept holder alone."""
        self._control.close()
        if self._process is not None:
            self._process.returncode = 0  # ours no longer: it must not be waited for
        if self._log is not None:
            self._log.close()


class HeldNamespace(Namespace):
    """A namespace that a holder owns.

    Args:
        number: the holder's name for it.
        fd: its descriptor here, -1 where this process only names it.
        rtnl_fd: a route netlink socket inside it; ``None`` likewise.
    """

    def __init__(
        self, holder: Holder, number: int, name: str, fd: int = -1, rtnl_fd: int | None = None
    ) -> None:
        self.holder = holder
        self.number = number
        self.name = name
        self.fd = fd
        self._rtnl = None if rtnl_fd is None else Rtnl(socket.socket(fileno=rtnl_fd))
        self._closed = False

    def socket(self, family: int, type: int, protocol: int = 0) -> socket.socket:
        return self.holder.sockets([(self, family, type, protocol)])[0]

    @property
    def rtnl(self) -> Rtnl:
        if self._rtnl is None:
            self._rtnl = Rtnl(self.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
        return self._rtnl

    def sysctl(self, path: str, value: str | None = None) -> str:
        return self.holder.sysctls([(self, path, value)])[0]

    def tap(self, name: str, flags: int, owner: int | None, group: int | None) -> None:
        """A tap device that stays when nobody has it open.

        Args:
            name: of the device; it must be free.
            flags: IFF_TAP and what else TUNSETIFF takes (linux/if_tun.h).
            owner: user id of who may open it.
            group: group id, likewise.

        Raises:
            NetlinkError: the kernel refused, or ``/dev/net/tun`` cannot be opened.
        """
        ids = [-1 if number is None else number for number in (owner, group)]
        try:
            self.holder.request("tap", self.number, name, flags, *ids)
        except HolderRefused as error:
            what = "open /dev/net/tun" if "/dev/net/tun" in str(error) else "make a tap device"
            raise NetlinkError(error.errno or 0, what) from error

    def close(self) -> None:
        if self.fd >= 0 and not self._closed:
            with contextlib.suppress(HolderDied):
                self.holder.request("close", [self.number])
        self.release()

    def release(self) -> None:
        """Close this process's descriptors only: the holder is about to end."""
        if self._closed:
            return
        self._closed = True
        if self._rtnl is not None:
            self._rtnl.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def raise_file_limit() -> None:
    """Raise RLIMIT_NOFILE to its hard limit: a pod takes two descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
