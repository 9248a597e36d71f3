"""Where the time of a long set-up went."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its name, when it began (seconds after the first), and how long it took."""

    name: str
    start: float
    seconds: float


class Stages:
    """Records stages; several may run at once.

    Args:
        progress: called with one line when a stage of more than a second begins to matter:
            at the end of each.
    """

    def __init__(self, progress: Callable[[str], None]) -> None:
        self.progress = progress
        self.done: list[Stage] = []
        self._began = time.monotonic()
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Record the ``with`` block under ``name``, whether it succeeds or not."""
        start = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - start
            with self._lock:
                self.done.append(Stage(name, start - self._began, seconds))
            if seconds >= 1:
                self.progress(f"{name}: {seconds:.1f} s")
