"""P2: 100 and 500 pods on two nodes, eth0 and a macvlan each; P3: their memory at 500.

Reference: the raw script of `floor`.  P2c is the cost of one pod at 500 over that at 100.
P3 counts all our processes above an empty pytest, against all of the raw script.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.pairs import ROOT, RUNS, Figure, environment, run

EMPTY = """
from benchmarks.floor import memory
def test_empty(capsys):
    with capsys.disabled():
        print()
        print('{"memory":', memory(), '}')
"""
FULL = """
import benchmarks.embedded
from benchmarks.embedded import pods
def test_pods(capsys):
    taken, used = pods(500)
    with capsys.disabled():
        print()
        print('{"memory":', used, '}')
"""


def figures() -> list[Figure]:
    """P2 at both sizes, its growth, and P3."""
    rows: list[Figure] = []
    each: dict[int, list[float]] = {}
    raw: list[float] = []
    for count in (100, 500):
        floor: list[float] = []
        ours: list[float] = []
        for _ in range(RUNS):
            seen = run("benchmarks/floor.py", "pods", str(count), "1")
            floor.append(seen["seconds"][0] * 1e3)
            ours.append(
                run("-m", "benchmarks.embedded", "pods", str(count), "1")["seconds"][0] * 1e3
            )
            if count == 500:
                raw.append(seen["memory"][0] / 1024)
        each[count] = [value / count for value in ours]
        rows.append(Figure("P2", f"{count} pods", "ms", floor, ours, 2.0))
    rows.append(Figure("P2c", "one pod: at 500 over at 100", "ms", each[100], each[500], 1.2))
    above = [(_pytest(FULL) - _pytest(EMPTY)) / 1024 for _ in range(len(raw))]
    rows.append(Figure("P3", "memory at 500 pods, above an empty pytest", "MiB", raw, above, 2.0))
    return rows


def _pytest(test: str) -> float:
    """KiB that a test of one file reports."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test_memory.py"
        path.write_text(test)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
        done = subprocess.run(
            [*command, f"--rootdir={folder}", "-c", "/dev/null"],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    for line in done.stdout.splitlines():
        if line.startswith('{"memory":'):
            return float(line.split()[1])
    raise SystemExit(f"no figure in:\n{done.stdout}{done.stderr}")
