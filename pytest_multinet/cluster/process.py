"""A program started inside a pod or node and still running."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from pytest_multinet.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Self


class Process(ABC):
    """A program that ``spawn`` started; a context manager that ends it.

    Attributes:
        argv: the program and its arguments.
    """

    argv: tuple[str, ...]

    @property
    @abstractmethod
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; ``None`` while it runs."""

    @property
    @abstractmethod
    def output(self) -> str:
        """What it has written to stdout and stderr so far, in order of arrival."""

    @abstractmethod
    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit status; raises ``WaitTimeout``."""

    @abstractmethod
    def terminate(self, grace: float = 2.0) -> None:
        """End it: SIGTERM, and SIGKILL after ``grace`` seconds.  Harmless when repeated."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.terminate()

    def __repr__(self) -> str:
        code = self.returncode
        state = "running" if code is None else f"exit {code}"
        return f"<Process {' '.join(self.argv)!r} {state}>"


def check_argv(argv: Sequence[str]) -> None:
    """Refuse what is not a list of a program and its arguments.

    Raises:
        UsageError: a shell line, an empty list, or an argument with a NUL character.
    """
    if isinstance(argv, str):
        raise UsageError(f"argv is {argv!r}; expected a list such as {argv.split()!r}")
    words: list[object] = list(argv)
    if not words or not all(isinstance(w, str) and "\0" not in w for w in words):
        raise UsageError(f"argv is {words!r}; expected a program and its arguments, all strings")
