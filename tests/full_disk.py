"""Runs a program with a folder on a file system of its own, which is too small."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

# In a mount namespace of its own; with "full" every page of it is taken.
_SCRIPT = """
mount -t tmpfs -o "size=$1" tmpfs "$2" || exit 99
[ "$3" = full ] && head -c 100000 /dev/zero > "$2/filler" 2>/dev/null
shift 3
exec "$@"
"""
_OURS = ("MULTINET_", "PYTEST_", "XDG_")  # variables that would change the run


def run_with(
    folder: Path,
    size: str,
    *arguments: str,
    cwd: Path,
    variables: Mapping[str, str],
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a module of Python; skips where nothing can be mounted.

    Args:
        folder: made here; it has a file system of its own in that run.
        size: as tmpfs takes it (tmpfs(5)), or ``full``.
        arguments: the module and its arguments.
        cwd: where it runs; ``variables``: its environment besides ours.
        timeout: seconds.
    """
    folder.mkdir(parents=True)
    unshare = ["unshare", "--mount", *(["--user", "--map-root-user"] if os.geteuid() else [])]
    full = ["16k", str(folder), "full"] if size == "full" else [size, str(folder), "empty"]
    environment = {n: v for n, v in os.environ.items() if not n.startswith(_OURS)}
    try:
        ended = subprocess.run(
            [*unshare, "sh", "-c", _SCRIPT, "sh", *full, sys.executable, "-m", *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd,
            env=environment | dict(variables),
        )
    except FileNotFoundError:
        pytest.skip("needs the program unshare (util-linux)")
    if ended.returncode == 99:
        pytest.skip(f"no file system can be mounted here: {ended.stderr}")
    return ended
