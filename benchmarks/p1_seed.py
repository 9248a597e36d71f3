"""P1: the seed scenario from YAML to tear-down, holder ready; P1b: the start of the holder.

Reference of P1: the raw script of `floor`.  Reference of P1b: `python -I -S -c pass`.
"""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.pairs import RUNS, Figure, run

INNER = 5  # runs of one process; the median counts, so that warming up does not


def figures() -> list[Figure]:
    """P1 and P1b."""
    floor: list[float] = []
    ours: list[float] = []
    start: list[float] = []
    bare: list[float] = []
    for _ in range(RUNS):
        floor.append(_median(run("benchmarks/floor.py", "seed", str(INNER))["seconds"]))
        seen = run("-m", "benchmarks.embedded", "seed", str(INNER))
        ours.append(_median(seen["seconds"]))
        start.append(_median(seen["start"]))
        bare.append(_median([_bare() for _ in range(INNER)]))
    return [
        Figure("P1", "seed scenario, holder ready", "ms", floor, ours, 2.0),
        Figure("P1b", "start of the holder", "ms", bare, start, 2.0),
    ]


def _bare() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True)
    return time.perf_counter() - started


def _median(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) // 2] * 1e3
