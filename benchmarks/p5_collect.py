"""P5: what the plugin adds to ``pytest --collect-only`` of an empty file.

Reference: the same command with ``-p no:multinet``, in pairs one after the other, the order
changing from pair to pair.  The goal is at most 5 ms, and none of the heavy imports.

Prints a table and, with ``--json FILE``, writes the figures.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

HEAVY = ("docker", "kubernetes", "pyroute2", "yaml")
GOAL_MS = 5.0


def main() -> int:
    """Measure and print; status 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=31)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_empty.py").touch()
        figures = _measure(Path(folder), arguments.pairs)
        loaded = _loaded(Path(folder))
    for name, values in figures.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"{name:<12} min {low:8.2f}   median {middle:8.2f}   max {high:8.2f} ms")
    added = statistics.median(figures["difference"])
    ratio = statistics.median(
        ours / reference
        for ours, reference in zip(figures["with"], figures["without"], strict=True)
    )
    print(f"plugin adds {added:.2f} ms (goal {GOAL_MS:g}), ratio {ratio:.3f}")
    print(f"heavy modules imported: {', '.join(loaded) or 'none'}")
    if arguments.json:
        result = {**figures, "added_ms": added, "ratio": ratio, "heavy": loaded}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if added <= GOAL_MS and not loaded else 1


def _measure(folder: Path, pairs: int) -> dict[str, list[float]]:
    """Milliseconds of each run; the first pair warms the caches and does not count."""
    flags = {"without": ("-p", "no:multinet"), "with": ()}
    figures: dict[str, list[float]] = {"without": [], "with": [], "difference": []}
    for number in range(pairs + 1):
        order = ("without", "with") if number % 2 else ("with", "without")
        pair = {name: _collect(folder, *flags[name]) for name in order}
        if number:
            figures["without"].append(pair["without"])
            figures["with"].append(pair["with"])
            figures["difference"].append(pair["with"] - pair["without"])
    return figures


def _collect(folder: Path, *flags: str) -> float:
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    start = perf_counter()
    subprocess.run([*argv, *flags], cwd=folder, stdout=subprocess.DEVNULL, check=False)
    return (perf_counter() - start) * 1e3


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


if __name__ == "__main__":
    sys.exit(main())
