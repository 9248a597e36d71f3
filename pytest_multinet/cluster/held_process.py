"""Programs in the views of an embedded cluster: run to the end, or left running."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import signal
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import IO

from pytest_multinet.cluster.process import Process
from pytest_multinet.errors import ExecFailed, ProgramNotFound, WaitTimeout
from pytest_multinet.model.interface import ExecResult
from pytest_multinet.net.holder import HeldNamespace

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class View:
    """Where a program runs: a stack's namespaces, and the root directory that it sees.

    Args:
        namespace: the stack's, of which the holder has made a view; its name is in messages.
        root: directory that stands for the image, ``None``: the machine's own files.
        image: image that the program is looked for in, for messages.
    """

    def __init__(
        self,
        namespace: HeldNamespace,
        root: str | None,
        image: str | None,
    ) -> None:
        self.name = namespace.name
        self.namespace = namespace
        self.root = root
        self.image = image

    def start(
        self,
        argv: Sequence[str],
        fds: tuple[int, int, int],
        env: Mapping[str, str] | None = None,
        terminal: bool = False,
    ) -> socket.socket:
        """Start a program; the socket tells its end.

        Raises:
            ProgramNotFound: it does not exist in the view.
            ExecFailed: the kernel refused it.
        """
        everything = {"PATH": _PATH, "HOME": "/root", "TERM": os.environ.get("TERM", "dumb")}
        everything.update(env or {})
        status = self.namespace.holder.run(
            self.namespace, argv, fds=fds, env=everything, terminal=terminal
        )
        answer = status.recv(64).decode()
        if answer == "started":
            return status
        status.close()
        raise self._refusal(argv[0], answer.partition(" ")[2])

    def _refusal(self, program: str, number: str) -> ProgramNotFound | ExecFailed:
        if not number:
            return ExecFailed(f"{self.name}: {program!r} was killed before it could start")
        code = int(number)
        if code in (errno.ENOENT, errno.ENOTDIR):
            place = f"the root directory {self.root}" if self.root else "this machine"
            brought = f"; image {self.image} is not pulled on embedded" if self.image else ""
            advice = "install it" if self.root is None else "add it there"
            return ProgramNotFound(
                f"{self.name}: program {program!r} does not exist on {place}{brought}: {advice}, "
                f"or give a root directory for the image with --multinet-image-roots"
            )
        return ExecFailed(f"{self.name}: cannot run {program!r}: {os.strerror(code)}")


def run(
    view: View,
    argv: Sequence[str],
    *,
    input: str | None,
    env: Mapping[str, str] | None,
    timeout: float,
) -> ExecResult:
    """Run a program to its end and collect both streams.

    Raises:
        WaitTimeout: it did not end in time and was killed; the message has its output.
    """
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        tempfile.TemporaryFile() as source,
    ):
        if input is not None:
            source.write(input.encode())
            source.seek(0)
        status = view.start(argv, (source.fileno(), out.fileno(), err.fileno()), env)
        with status:
            code = _await_exit(status, timeout)
        stdout, stderr = _read(out), _read(err)
    if code is None:
        shown = f"\nstdout: {stdout}\nstderr: {stderr}" if stdout or stderr else ""
        raise WaitTimeout(
            f"{view.name}: {' '.join(argv)!r} still ran after {timeout:g} s and was killed{shown}"
        )
    return ExecResult(tuple(argv), code, stdout, stderr)


class HeldProcess(Process):
    """A program that runs in a view; it ends with this process, unless the cluster is kept."""

    def __init__(
        self, view: View, argv: Sequence[str], env: Mapping[str, str] | None = None
    ) -> None:
        self.argv = tuple(argv)
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        try:
            fd = self._output.fileno()
            with open(os.devnull, "rb") as nothing:
                self._status = view.start(argv, (nothing.fileno(), fd, fd), env)
        except BaseException:
            self._output.close()
            raise
        self._code: int | None = None
        self._last = ""

    @property
    def returncode(self) -> int | None:
        if self._code is None and self._status.fileno() >= 0:
            self._code = _await_exit(self._status, 0)
        return self._code

    @property
    def output(self) -> str:
        return self._last if self._output.closed else _read(self._output)

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            self._code = _await_exit(self._status, timeout)
        if self._code is None:
            raise WaitTimeout(f"{' '.join(self.argv)!r} still runs after {timeout:g} s")
        return self._code

    def terminate(self, grace: float = 2.0) -> None:
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, None)):
            if self.returncode is not None:
                break
            with contextlib.suppress(OSError):
                self._status.send(str(int(number)).encode())
            self._code = _await_exit(self._status, patience)
        self.close()

    def close(self) -> None:
        """Close the descriptors: of what still runs, the kernel takes care with the cluster."""
        if not self._output.closed:
            self._last = _read(self._output)
            self._output.close()
        self._status.close()

    def await_ready(self, ready: str | int, timeout: float, namespace: HeldNamespace) -> None:
        """Wait until its output matches ``ready``, or a port of the stack listens.

        Raises:
            ExecFailed: it ended first, or was not ready in time; it has been ended.
        """
        deadline = time.monotonic() + timeout
        wanted = f"output matching {ready!r}" if isinstance(ready, str) else f"TCP port {ready}"
        pattern = re.compile(ready, re.MULTILINE) if isinstance(ready, str) else None
        pause = 0.002
        while True:
            ended = self.returncode is not None
            if pattern is not None and pattern.search(self.output):
                return
            if isinstance(ready, int) and not ended and _listens(namespace, ready):
                return
            if ended or time.monotonic() >= deadline:
                break
            # Its end wakes us; what it writes or binds has no event to wait for.
            self._code = _await_exit(self._status, pause)
            pause = min(pause * 2, 0.05)
        state = f"it ended with {self._code}" if ended else f"not seen within {timeout:g} s"
        self.terminate()
        raise ExecFailed(
            f"{' '.join(self.argv)!r} was to show {wanted}: {state}; its output:\n{self.output}"
        )


def _listens(namespace: HeldNamespace, port: int) -> bool:
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with namespace.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(0.5)
            if sock.connect_ex((host, port)) == 0:
                return True
    return False


def interactive(view: View, argv: Sequence[str]) -> int:
    """Run a program on this process's own streams; its exit status."""
    status = view.start(argv, (0, 1, 2))
    with status:
        while True:
            try:
                code = _await_exit(status, None)
            except KeyboardInterrupt:
                status.send(str(int(signal.SIGINT)).encode())
                continue
            return 1 if code is None else code if code >= 0 else 128 - code


def on_terminal(view: View, argv: Sequence[str]) -> int:
    """Run a program on a pseudo-terminal that this process's terminal is joined to."""
    import fcntl
    import pty
    import termios
    import tty

    leader, follower = pty.openpty()
    size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))
    fcntl.ioctl(follower, termios.TIOCSWINSZ, size)
    status = view.start(argv, (follower, follower, follower), terminal=True)
    os.close(follower)
    saved = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        while True:
            readable, _, _ = select.select([0, leader, status], [], [])
            if leader in readable:
                with contextlib.suppress(OSError):
                    os.write(1, os.read(leader, 65536))
            elif status in readable:
                code = _await_exit(status, None)
                return 1 if code is None else code if code >= 0 else 128 - code
            if 0 in readable:
                os.write(leader, os.read(0, 65536))
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, saved)
        os.close(leader)
        status.close()


def _await_exit(status: socket.socket, timeout: float | None) -> int | None:
    """The exit status, or ``None`` when the time is over first."""
    poll = select.poll()
    poll.register(status, select.POLLIN)
    if not poll.poll(None if timeout is None else max(0.0, timeout) * 1000):
        return None
    try:
        text = status.recv(64).decode()
    except OSError:
        text = ""
    if not text:  # its supervisor was killed, and it with it
        return -signal.SIGKILL
    return int(text.partition(" ")[2])


def _read(file: IO[bytes]) -> str:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="replace")
