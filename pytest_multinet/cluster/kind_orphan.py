"""A ``kind create`` whose run was killed: it has a session of its own and goes on without it.

It is found in the process table by the kubeconfig that it was told to write, which lies in the
state folder and is nobody else's.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

_PATIENCE = 30.0  # seconds that Docker may take to answer a request that is under way


def end_creation(kubeconfig: Path) -> bool:
    """End the creation of a cluster whose owner has gone; whether there was one.

    ``kind`` is killed, and so is what it runs, but for requests to make a container: those end by
    themselves within a second, and one that was killed might still be carried out.
    """
    creators = [pid for pid, argv in _processes() if _creates(argv, kubeconfig)]
    for creator in creators:
        _kill(creator)
    if creators:
        _await_end(set(creators))
    return bool(creators)


def _await_end(sessions: set[int]) -> None:
    from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

    def goes_on() -> bool:
        living = [(pid, argv) for pid, argv in _processes() if _session(pid) in sessions]
        for pid, argv in living:
            if "run" not in argv[1:2]:
                _kill(pid)
        return bool(living)

    waiting: Retrying = Retrying(
        retry=retry_if_result(bool),
        stop=stop_after_delay(_PATIENCE),
        wait=wait_fixed(0.05),
        retry_error_callback=lambda state: None,
    )
    waiting(goes_on)


def _creates(argv: list[str], kubeconfig: Path) -> bool:
    return argv[1:3] == ["create", "cluster"] and str(kubeconfig) in argv


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Every process with its arguments; none where there is no /proc."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes().decode(errors="replace")
            if line:  # a zombie has none
                yield int(folder.name), line.rstrip("\0").split("\0")


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
