"""What the figures of the kind backend share: where plugins are, and a kept cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.pairs import run
from pytest_multinet.cluster import kind

NAME = "multinet-bench"


def usable() -> bool:
    """Whether kind can be measured here; says so where it cannot."""
    reason = kind.unusable_reason()
    if reason is None and not Path(plugins() or "-").exists():
        reason = "MULTINET_CNI_PLUGINS names no folder or archive with the CNI plugins"
    if reason is not None:
        print(f"     kind is not measured: {reason}", file=sys.stderr)
    return reason is None


def plugins() -> str:
    """Folder or archive with the CNI plugins."""
    return os.environ.get("MULTINET_CNI_PLUGINS", "")


def ours(what: str, state: str) -> dict[str, float]:
    """One process of ours; times count from before it is started."""
    return run("benchmarks/kind_run.py", what, NAME, state, plugins(), str(time.time()))


def remove(state: str) -> None:
    """Remove the cluster, whoever made it."""
    subprocess.run(["kind", "delete", "cluster", "--name", NAME], capture_output=True, check=True)
    shutil.rmtree(Path(state) / "kind" / NAME, ignore_errors=True)


@contextmanager
def kept() -> Iterator[str]:
    """The state folder of a cluster that is kept for the ``with`` block."""
    with tempfile.TemporaryDirectory(prefix="multinet-bench-") as state:
        try:
            ours("create", state)
            yield state
        finally:
            remove(state)
