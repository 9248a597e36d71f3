"""Which process something belongs to, told apart from a later one of the same number."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Owner:
    """A process: ``pid``, and ``start``, which tells it from a later one of the same pid."""

    pid: int
    start: str

    @classmethod
    def of(cls, pid: int) -> Owner | None:
        """The process ``pid``; ``None`` where it does not run."""
        start = _process_start(pid)
        return cls(pid, start) if start is not None else None

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        return Owner.of(self.pid) == self


def _process_start(pid: int) -> str | None:
    """Boot and field 22 of /proc/<pid>/stat (proc(5)); a zombie (field 3) does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None if os.path.exists("/proc/self/stat") else _runs(pid)
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else f"{boot[:8]}:{fields[19]}"


def _runs(pid: int) -> str | None:
    """Where there is no /proc (macOS), only whether there is a process of that number."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return ""
    except OSError:
        return None
    return ""
