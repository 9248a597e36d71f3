"""P7: a second run on a kept cluster, to the first ping, against one ``kubectl get nodes``."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from benchmarks import kind_setting
from benchmarks.pairs import Figure

RUNS = 7


def figures() -> list[Figure]:
    """Ours at most a second above the API call, so the reference has that second in it."""
    if not kind_setting.usable():
        return []
    reference: list[float] = []
    nodes: list[float] = []
    pods: list[float] = []
    with kind_setting.kept() as state:
        kubeconfig = Path(state) / "kind" / kind_setting.NAME / "kubeconfig"
        for _ in range(RUNS):
            start = time.perf_counter()
            argv = ["kubectl", "--kubeconfig", str(kubeconfig), "get", "nodes"]
            subprocess.run(argv, capture_output=True, check=True)
            reference.append(time.perf_counter() - start + 1.0)
            times = kind_setting.ours("attach", state)
            nodes.append(times["nodes"])
            pods.append(times["pods"])
    return [
        Figure("P7", "kind: attach to the first ping (kubectl + 1 s)", "s", reference, nodes, 1.0),
        Figure("P7b", "  and to a ping between two new pods", "s", reference, pods, None),
    ]
