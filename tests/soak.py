"""Long runs, outside of CI's patience: `make soak` prints their summary.

``python -m tests.soak [seeds] [kills]``: by default both, 1,000 seed runs and 200 kills.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections import Counter
from pathlib import Path

from pytest_multinet.cluster.embedded import open_cluster
from pytest_multinet.model.topology import ClusterConfig

from .embedded.crash import kill_once

SEED = Path(__file__).parent / "data" / "seed"
RUNS, KILLS, PINGS = 1000, 200, 3


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


def main() -> int:
    """Run what was asked for; 1 where something failed."""
    wanted = sys.argv[1:] or ["seeds", "kills"]
    results = [{"seeds": seeds, "kills": kills}[name]() for name in wanted]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
