"""How long each stage of set-up took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter


class Timeline:
    """Seconds by stage, in the order in which the stages first began.

    A stage that occurs several times adds up.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what stands inside the ``with`` block."""
        self.seconds.setdefault(name, 0.0)
        start = perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += perf_counter() - start

    def merge(self, other: Mapping[str, float]) -> None:
        """Take over the times of a parallel worker: the longer one counts, they overlap."""
        for name, seconds in other.items():
            self.seconds[name] = max(self.seconds.get(name, 0.0), seconds)

    def __str__(self) -> str:
        return ", ".join(f"{name} {_shown(s)}" for name, s in self.seconds.items())


def _shown(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"
