"""The same work by the embedded backend, in a process of its own; the counterpart of `floor`.

``python -m benchmarks.embedded seed RUNS`` or ``pods COUNT RUNS`` prints one JSON line.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

from benchmarks.floor import memory, settled
from pytest_multinet.cluster.embedded import EmbeddedCluster
from pytest_multinet.cluster.factory import PodFactory
from pytest_multinet.model.topology import ClusterConfig, MacvlanConfig
from pytest_multinet.net.holder import Holder

SEED = Path(__file__).parent.parent / "tests" / "data" / "seed"


def seed() -> tuple[float, float]:
    """Seconds to start a holder, and seconds from YAML to the end of the tear-down."""
    before = time.perf_counter()
    holder = Holder.start()
    started = time.perf_counter()
    cluster = EmbeddedCluster(ClusterConfig())
    cluster.start(holder)
    cluster.link("worker", "worker2")
    cluster.apply(SEED / "nad.yaml")
    pod1, pod2 = cluster.apply(SEED / "pod.yaml")
    seen = pod1.ping(pod2, interface="net1")
    cluster.close()
    taken = time.perf_counter() - started
    if seen.received != 1:
        raise AssertionError(f"the ping was lost: {seen!r}")
    return started - before, taken


def pods(count: int) -> tuple[float, int]:
    """Seconds to make ``count`` pods on two nodes, and KiB of all our processes."""
    holder = Holder.start()
    started = time.perf_counter()
    cluster = EmbeddedCluster(ClusterConfig())
    cluster.start(holder)
    cluster.link("worker", "worker2")
    network = cluster.network(MacvlanConfig())
    factory = PodFactory(cluster)
    factory.batch(
        {
            f"pod{i}": {
                "node": "worker" if i % 2 == 0 else "worker2",
                "networks": [network.attach(f"10.2.{1 + i // 250}.{1 + i % 250}/16")],
            }
            for i in range(count)
        }
    )
    taken = time.perf_counter() - started
    used = memory() + memory(holder.pid)
    cluster.close()
    return taken, used


def main() -> None:
    warnings.simplefilter("ignore")  # the seed's `gateway` key
    what, *numbers = sys.argv[1:]
    if what == "seed":
        runs = [settled(seed) for _ in range(int(numbers[0]))]
        print(json.dumps({"start": [r[0] for r in runs], "seconds": [r[1] for r in runs]}))
    else:
        made = [pods(int(numbers[0])) for _ in range(int(numbers[1]))]
        print(json.dumps({"seconds": [m[0] for m in made], "memory": [m[1] for m in made]}))


if __name__ == "__main__":
    main()
