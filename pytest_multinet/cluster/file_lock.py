"""Locks on files (flock(2)): each goes with the process that holds it, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def open_lock(path: Path) -> int:
    """A descriptor of a lock file, which is made with mode 0600 where there is none."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(lock: int) -> bool:
    """Take the lock of a descriptor for this process alone; whether nobody else has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder_of(path: Path) -> str | None:
    """What the holder of a lock file has written into it; ``None``: nobody holds it."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if try_lock(lock) else os.read(lock, 32).decode(errors="replace").strip()
    finally:
        os.close(lock)


@contextmanager
def held(path: Path, wait: Callable[[int], None] | None = None) -> Iterator[None]:
    """Hold a lock file for the ``with`` block; ``wait`` waits for one that somebody else has."""
    lock = open_lock(path)
    try:
        if wait is None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        elif not try_lock(lock):
            wait(lock)
        yield
    finally:
        os.close(lock)
