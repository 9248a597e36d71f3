"""A program that runs in a container elsewhere, seen through its output stream."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Protocol

from pytest_multinet.cluster.process import Process
from pytest_multinet.errors import ExecFailed, MultinetError, ProgramNotFound, WaitTimeout

# Prints its process id, then becomes the program: the only way to end it later.
_ANNOUNCE = 'command -v "$1" >/dev/null 2>&1 || exit 127; echo "$$"; exec "$@"'


def announced(argv: Sequence[str]) -> list[str]:
    """The command line that prints the program's process id before anything else."""
    return ["sh", "-c", _ANNOUNCE, "sh", *argv]


class Stream(Protocol):
    """The streams of a program in a container."""

    def frames(self, deadline: float | None = None) -> Iterator[tuple[int, bytes]]:
        """(1 for stdout or 2 for stderr, bytes) until it has ended."""
        ...

    def returncode(self) -> int:
        """Its exit status."""
        ...

    def close(self) -> None:
        """Close the streams."""
        ...


class RemoteProcess(Process):
    """A program behind a stream; a thread collects what it writes.

    Args:
        argv: what the user asked for.
        stream: its streams; the first line of stdout is the process id.
        kill: sends a signal (by name, ``TERM``) to a process id in its container.
        where: the stack's name, for messages.
    """

    def __init__(
        self,
        argv: Sequence[str],
        stream: Stream,
        kill: Callable[[int, str], None],
        where: str,
    ) -> None:
        self.argv = tuple(argv)
        self._stream = stream
        self._kill = kill
        self._where = where
        self._changed = threading.Condition()
        self._chunks: list[bytes] = []
        self._first = b""
        self._pid: int | None = None
        self._code: int | None = None
        self._failure: MultinetError | None = None
        self._reader = threading.Thread(
            target=self._read, name=f"output of {argv[0]}", daemon=True
        )
        self._reader.start()

    def _read(self) -> None:
        code, failure = -int(signal.SIGKILL), None
        try:
            for kind, data in self._stream.frames():
                self._take(kind, data)
            code = self._stream.returncode()
        except MultinetError as error:
            failure = error
        with self._changed:
            self._code, self._failure = code, failure
            self._changed.notify_all()
        self._stream.close()

    def _take(self, kind: int, data: bytes) -> None:
        with self._changed:
            if self._pid is None and kind == 1:
                self._first += data
                line, newline, rest = self._first.partition(b"\n")
                if not newline:
                    return
                self._pid, data = int(line), rest
            if data:
                self._chunks.append(data)
            self._changed.notify_all()

    def started(self, timeout: float) -> None:
        """Wait until the program itself runs.

        Raises:
            ProgramNotFound: it does not exist there.
            ExecFailed: it did not start.
        """
        with self._changed:
            known = self._changed.wait_for(
                lambda: self._pid is not None or self._code is not None, timeout
            )
        if self._pid is not None:
            return
        if self._failure is not None:
            raise self._failure
        if self._code == 127:
            raise ProgramNotFound(f"{self.argv[0]!r} does not exist in {self._where}")
        why = f"it ended with status {self._code}" if known else f"not within {timeout:g} s"
        raise ExecFailed(f"{' '.join(self.argv)} did not start in {self._where}: {why}")

    def ready_when(self, pattern: str, timeout: float) -> None:
        """Wait until the output matches.

        Raises:
            ExecFailed: it ended before, or did not match in time; the message has its output.
        """
        wanted = re.compile(pattern, re.MULTILINE)
        with self._changed:
            self._changed.wait_for(
                lambda: self._code is not None or wanted.search(self._text()), timeout
            )
            matched = wanted.search(self._text())
        if not matched:
            state = "still running" if self._code is None else f"exit {self._code}"
            self.terminate()
            raise ExecFailed(
                f"{' '.join(self.argv)} in {self._where} was not ready within {timeout:g} s "
                f"(no output matching {pattern!r}; {state}); it wrote:\n"
                f"{self.output or '(nothing)'}"
            )

    @property
    def pid(self) -> int | None:
        """Its process id in its container."""
        return self._pid

    @property
    def returncode(self) -> int | None:
        """Exit status; ``None`` while it runs."""
        return self._code

    def _text(self) -> str:
        return b"".join(self._chunks).decode(errors="replace")

    @property
    def output(self) -> str:
        """What it has written so far."""
        with self._changed:
            return self._text()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        with self._changed:
            self._changed.wait_for(lambda: self._code is not None, timeout)
            if self._code is None:
                raise WaitTimeout(f"{' '.join(self.argv)} still runs after {timeout:g} s")
            return self._code

    def terminate(self, grace: float = 2.0) -> None:
        """End it: SIGTERM, then SIGKILL."""
        for name, wait in (("TERM", grace), ("KILL", 2.0)):
            if self._code is not None:
                break
            if self._pid is not None:
                self._send(name)
            with self._changed:
                self._changed.wait_for(lambda: self._code is not None, wait)
        self._stream.close()
        self._reader.join(timeout=1.0)

    def _send(self, name: str) -> None:
        try:
            self._kill(self._pid or 0, name)
        except MultinetError:
            time.sleep(0)  # the container is gone, and the program with it

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.terminate()
