"""Long runs, outside of CI's patience: `make soak` prints their summary.

``python -m tests.soak [seeds] [kills] [kind] [suites]``: by default the first three: 1,000 seed
runs, 200 kills on embedded, 32 on kind, which take about half an hour.  ``suites`` are 100 runs of
all tests without kind, in random order and by four workers, which take hours; its number may be
given by ``suites=5``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

from pytest_multinet.cluster import kind
from pytest_multinet.cluster.embedded import open_cluster
from pytest_multinet.model.topology import ClusterConfig

from .embedded.crash import kill_once
from .kind.crash import kill_once as kill_once_on_kind

SEED = Path(__file__).parent / "data" / "seed"
ROOT = Path(__file__).parent.parent
RUNS, KILLS, KIND_KILLS, PINGS, SUITES = 1000, 200, 32, 3, 100


def seeds() -> bool:
    """R3: the seed never flakes, and every ping over net1 is answered at the first attempt."""
    warnings.simplefilter("ignore")  # the seed's `gateway` key
    failures: Counter[str] = Counter()
    started = time.monotonic()
    for run in range(RUNS):
        try:
            with open_cluster(ClusterConfig()) as cluster:
                cluster.link("worker", "worker2")
                cluster.apply(SEED / "nad.yaml")
                pod1, pod2 = cluster.apply(SEED / "pod.yaml")
                for source, target in ((pod1, pod2), (pod2, pod1)):
                    seen = source.ping(target, interface="net1", count=PINGS, interval=0)
                    if (seen.sent, seen.received) != (PINGS, PINGS):
                        failures[f"lost: {seen!r}"] += 1
        except Exception as error:  # every failure is counted, none ends the soak
            failures[f"{type(error).__name__}: {error}"[:200]] += 1
        if run % 100 == 99:
            print(f"  {run + 1} seed runs, {sum(failures.values())} failures", flush=True)
    took = time.monotonic() - started
    print(f"R3: {RUNS} seed runs in {took:.0f} s, {sum(failures.values())} failures")
    for text, count in failures.most_common(5):
        print(f"  {count} x {text}")
    return not failures


def kills() -> bool:
    """R2: a run that is ended at a random moment leaves nothing."""
    spread: Counter[tuple[str, str, str]] = Counter()
    bad: list[object] = []
    for seed in range(1000, 1000 + KILLS):
        kill = kill_once(seed)
        spread[kill.phase, kill.victim, kill.signal] += 1
        if kill.left:
            bad.append(kill)
    print(f"R2 embedded: {sum(spread.values())} kills, {len(bad)} left something")
    for (phase, victim, name), count in sorted(spread.items()):
        print(f"  {count:4d}  {phase:<10} {victim:<13} {name}")
    for kill in bad:
        print(f"  {kill}")
    return not bad


def kind_kills() -> bool:
    """R2 on kind: what such a run leaves, the next run or ``multinet gc`` removes."""
    reason = kind.unusable_reason()
    if reason is not None:
        print(f"R2 kind: not tried, kind cannot be used here: {reason}")
        return False
    bad: list[object] = []
    spread: Counter[str] = Counter()
    for seed in range(KIND_KILLS):
        kill = kill_once_on_kind(seed)
        spread[kill.phase] += 1
        before = ", ".join(f"{count} {name}" for name, count in kill.before.items())
        after = f"{len(kill.left)} left" if kill.left else "nothing left"
        print(
            f"  {kill.phase:<13} {kill.victim:<13} left {before}; {kill.reaper}: {after}",
            flush=True,
        )
        if kill.left:
            bad.append(kill)
            print(f"  {kill}\n{kill.said}", flush=True)
    moments = ", ".join(f"{count} {phase}" for phase, count in spread.items())
    print(f"R2 kind: {KIND_KILLS} kills ({moments}), {len(bad)} left something")
    return not bad


def suites(number: int = SUITES) -> bool:
    """R3: no test needs another one before it, or none beside it."""
    failed: Counter[str] = Counter()
    bad = 0
    argv = [sys.executable, "-m", "pytest", "-q", "-n", "4", "-p", "tests.shuffle", "-rfE"]
    argv += ["-p", "no:cacheprovider", "--ignore=tests/kind", "-m", "not kind"]
    for run in range(number):
        environment = {**os.environ, "MULTINET_TEST_SHUFFLE": str(run)}
        done = subprocess.run(
            argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        lines = done.stdout.splitlines()
        failed.update(line for line in lines if line.startswith(("FAILED", "ERROR")))
        bad += done.returncode != 0
        print(f"  run {run}: {lines[-1] if lines else done.stderr[-300:]}", flush=True)
    print(f"R3: {number} runs of the suite in random order by 4 workers, {bad} failed")
    for text, count in failed.most_common():
        print(f"  {count} x {text[:200]}")
    return not bad


def main() -> int:
    """Run what was asked for; 1 where something failed."""
    runs = {"seeds": seeds, "kills": kills, "kind": kind_kills, "suites": suites}
    results: list[bool] = []
    for asked in sys.argv[1:] or ["seeds", "kills", "kind"]:
        name, _, number = asked.partition("=")
        results.append(suites(int(number)) if number else runs[name]())
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
