"""P5: what the plugin adds to ``pytest --collect-only`` of an empty file.

Reference: the same command with ``-p no:multinet``, in pairs, the order changing each time.
Processor time is compared: on a busy machine the clock on the wall varies by more than the goal.
P5d is the difference against the 5 ms that it may be.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.pairs import Figure, environment

PAIRS = 25
GOAL = 5.0  # ms
HEAVY = ("docker", "kubernetes", "pyroute2", "yaml")


def figures() -> list[Figure]:
    """P5 as a ratio, and its difference against the goal."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").touch()
        loaded = _loaded(folder)
        if loaded:
            raise SystemExit(f"the plugin imports {', '.join(loaded)} at start-up")
        without: list[float] = []
        ours: list[float] = []
        for number in range(PAIRS + 1):
            turns = [(without, ("-p", "no:multinet")), (ours, ())]
            for values, flags in turns if number % 2 else reversed(turns):
                values.append(_collect(folder, *flags))
    without, ours = without[1:], ours[1:]  # the first pair warms the caches
    added = [b - a for a, b in zip(without, ours, strict=True)]
    return [
        Figure("P5", "pytest --collect-only, with the plugin", "ms", without, ours, None),
        Figure("P5d", "what the plugin adds, of 5 ms", "ms", [GOAL] * PAIRS, added, 1.0),
    ]


def _collect(folder: Path, *flags: str) -> float:
    """Milliseconds of processor time of one collection."""
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    argv += ["-p", "no:hypothesispytest", "-p", "no:xdist"]  # they take long, and vary
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [*argv, *flags], cwd=folder, env=environment(), stdout=subprocess.DEVNULL, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1e3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _loaded(folder: Path) -> list[str]:
    """Which of the heavy modules a collection imports."""
    code = (
        "import sys, pytest; pytest.main(['--collect-only', '-q']); "
        f"print('loaded:', *[m for m in {HEAVY!r} if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    return run.stdout.splitlines()[-1].split()[1:]
