"""P5: what the plugin adds to ``pytest --collect-only`` of an empty file.

Reference: the same command with ``-p no:multinet``, in pairs one after the other, the order
changing from pair to pair.  The goal is at most 5 ms, and none of the heavy imports.

The clock on the wall and the processor time of the run are both shown.  On a busy machine both
vary by more than 5 ms from run to run, so the goal is judged by the processor time of the quarter
of the runs, with and without, that were disturbed least.
Prints a table and, with ``--json FILE``, writes the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

HEAVY = ("docker", "kubernetes", "pyroute2", "yaml")
GOAL_MS = 5.0


class Times(NamedTuple):
    """Milliseconds of one run."""

    wall: float
    processor: float


def main() -> int:
    """Measure and print; status 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=31)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_empty.py").touch()
        pairs = _measure(Path(folder), arguments.pairs)
        loaded = _loaded(Path(folder))
    result: dict[str, Any] = {
        "heavy": loaded,
        **{clock: _figures(pairs, clock) for clock in ("wall", "processor")},
    }
    ours, reference = (_undisturbed(pairs, name) for name in ("with", "without"))
    added = result["added_ms"] = ours - reference
    print(f"plugin adds {added:.2f} ms of processor time (goal {GOAL_MS:g} ms)")
    print(f"heavy modules imported: {', '.join(loaded) or 'none'}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if added <= GOAL_MS and not loaded else 1


def _undisturbed(pairs: list[dict[str, Times]], name: str) -> float:
    """Mean processor time of the lowest quarter of the runs."""
    times = sorted(pair[name].processor for pair in pairs)
    return statistics.mean(times[: max(1, len(times) // 4)])


def _figures(pairs: list[dict[str, Times]], clock: str) -> dict[str, dict[str, float]]:
    """Print and return minimum, median and maximum of reference, ours, difference and ratio."""
    reference = [getattr(pair["without"], clock) for pair in pairs]
    ours = [getattr(pair["with"], clock) for pair in pairs]
    columns = {
        "reference": reference,
        "ours": ours,
        "difference": [b - a for a, b in zip(reference, ours, strict=True)],
        "ratio": [b / a for a, b in zip(reference, ours, strict=True)],
    }
    found: dict[str, dict[str, float]] = {}
    for name, values in columns.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        found[name] = {"min": low, "median": middle, "max": high}
        unit = "" if name == "ratio" else " ms"
        row = f"{clock:<10} {name:<11} min {low:8.2f}   median {middle:8.2f}   max {high:8.2f}"
        print(row + unit)
    return found


def _measure(folder: Path, count: int) -> list[dict[str, Times]]:
    """Times of each pair; the first one warms the caches and does not count."""
    flags = {"without": ("-p", "no:multinet"), "with": ()}
    pairs: list[dict[str, Times]] = []
    for number in range(count + 1):
        order = ("without", "with") if number % 2 else ("with", "without")
        pairs.append({name: _collect(folder, *flags[name]) for name in order})
    return pairs[1:]


def _collect(folder: Path, *flags: str) -> Times:
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    argv += ["-p", "no:hypothesispytest", "-p", "no:xdist"]  # they take long, and vary
    # Bytecode is kept, as for an installed package, but away from the sources.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = perf_counter()
    subprocess.run(
        [*argv, *flags], cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=False
    )
    wall = perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Times(wall * 1e3, processor * 1e3)


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
