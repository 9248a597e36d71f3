"""P6: kind, from nothing to the first passing ping, against the same steps in sequence."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks import kind_setting
from benchmarks.pairs import ROOT, Figure

RUNS = int(os.environ.get("MULTINET_BENCH_P6_RUNS", "3"))  # a pair takes two minutes


def figures() -> list[Figure]:
    """The figure; none where kind cannot run."""
    if not kind_setting.usable():
        return []
    reference: list[float] = []
    ours: list[float] = []
    with tempfile.TemporaryDirectory(prefix="multinet-bench-") as folder:
        for number in range(RUNS):
            for first in (number % 2 == 0, number % 2 != 0):
                try:
                    if first:
                        reference.append(_by_hand(folder))
                    else:
                        ours.append(kind_setting.ours("create", folder)["pods"])
                finally:
                    kind_setting.remove(folder)
    return [Figure("P6", "kind: nothing to the first ping", "s", reference, ours, 0.8)]


def _by_hand(folder: str) -> float:
    manifest = ROOT / "pytest_multinet/multus/manifests/thick.yaml"
    argv = ["bash", str(Path(__file__).with_name("kind_by_hand.sh"))]
    argv += [kind_setting.NAME, folder, kind_setting.plugins(), str(manifest)]
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"by hand failed:\n{run.stderr[-2000:]}")
    return float(run.stdout.split()[-1])
