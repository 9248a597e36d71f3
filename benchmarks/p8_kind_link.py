"""P8: ``node_link`` on kind, against ``ip link`` by hand with nsenter."""

from __future__ import annotations

import os
import statistics
import subprocess
import time

from benchmarks import kind_setting
from benchmarks.pairs import Figure

RUNS = 7


def figures() -> list[Figure]:
    """By netlink as root, and by a helper container (whose bound is 2 s)."""
    if not kind_setting.usable():
        return []
    reference: list[float] = []
    direct: list[float] = []
    helper: list[float] = []
    with kind_setting.kept() as state:
        for _ in range(RUNS):
            pids = _pids()
            reference.append(statistics.median(_by_hand(*pids) for _ in range(20)))
            times = kind_setting.ours("link", state)
            direct.append(times["direct"])
            helper.append(times["helper"])
    rows = [
        Figure("P8b", "kind: node_link by helper container (2 s)", "s", [2.0] * RUNS, helper, 1.0)
    ]
    if os.geteuid() == 0:
        ms = [[1e3 * s for s in seconds] for seconds in (reference, direct)]
        rows.insert(0, Figure("P8", "kind: node_link as root (nsenter ip)", "ms", *ms, 3.0))
    return rows


def _pids() -> tuple[str, str]:
    names = [f"{kind_setting.NAME}-worker", f"{kind_setting.NAME}-worker2"]
    argv = ["docker", "inspect", "-f", "{{.State.Pid}}", *names]
    run = subprocess.run(argv, capture_output=True, text=True, check=True)
    a, b = run.stdout.split()
    return a, b


def _by_hand(a: str, b: str) -> float:
    start = time.perf_counter()
    enter = ["nsenter", "-t", a, "-n"]
    for command in (
        [
            *enter,
            "ip",
            "link",
            "add",
            "byhand",
            "type",
            "veth",
            "peer",
            "name",
            "byhand",
            "netns",
            b,
        ],
        [*enter, "ip", "link", "set", "byhand", "up"],
        ["nsenter", "-t", b, "-n", "ip", "link", "set", "byhand", "up"],
    ):
        subprocess.run(command, check=True)
    seconds = time.perf_counter() - start
    subprocess.run([*enter, "ip", "link", "delete", "byhand"], check=True)
    return seconds
