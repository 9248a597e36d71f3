"""Pods' processes, found in this machine's process table: a way into their namespaces.

Every process of a pod bears the pod's uid in its control group's name (kubelet's naming), so
this needs no shell in the pod, no container runtime and no API request.  It sees something only
beside Docker on Linux, as root.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

_PROC = Path("/proc")


def can_look() -> bool:
    """Whether namespaces of other processes can be opened from here."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and (_PROC / "self/ns/net").exists()


def pod_process(uid: str) -> int | None:
    """A process of the pod (its sandbox's, where there is one), ``None`` where none is seen."""
    found = sorted(_processes_of(uid))
    for pid in found:
        if _read(pid, "comm").strip() == "pause":
            return pid
    return found[0] if found else None


def kill_command(uid: str, argv: Sequence[str]) -> bool:
    """Kill the pod's youngest process with that command line; whether there was one."""
    line = "\0".join(argv) + "\0"
    for pid in sorted(_processes_of(uid), reverse=True):
        if _read(pid, "cmdline") == line:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            return True
    return False


def kill_containers(uid: str) -> None:
    """Kill every process of the pod but its sandbox's: its containers end at once."""
    for pid in sorted(_processes_of(uid)):
        if _read(pid, "comm").strip() != "pause":
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def answers_in_container(pid: int, container: str, socket_path: str) -> bool | None:
    """Whether something listens on a Unix socket of a container; ``None``: not known from here."""
    if not can_look() or not in_container(pid, container):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(f"/proc/{pid}/root{socket_path}")
        except OSError:
            return False
    return True


def in_container(pid: int, container: str) -> bool:
    """Whether a process id, as Docker gives it, is that container's in this process table."""
    return pid > 0 and container in _read(pid, "cgroup")


def _processes_of(uid: str) -> Iterator[int]:
    names = (f"pod{uid}", f"pod{uid.replace('-', '_')}")
    for entry in os.listdir(_PROC):
        if entry.isdigit():
            groups = _read(int(entry), "cgroup")
            if any(name in groups for name in names):
                yield int(entry)


def _read(pid: int, what: str) -> str:
    try:
        return (_PROC / str(pid) / what).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
