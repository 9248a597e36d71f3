"""P4: a full mesh of 100 pods, all 9,900 ordered pairs by ICMP, every one of them right.

Reference: a plain loop of sendto and recvfrom over sockets that are open, with the very same
deletions of neighbour entries (the machine's table holds 1,024) in the same order.  P4x: pairs
of an exec'ed ping(8), a sample of them.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import time
from typing import Any

from benchmarks.pairs import RUNS, Figure, run

PODS = 100
SAMPLE = 40  # pairs pinged by program


def figures() -> list[Figure]:
    """P4 and P4x."""
    seen = run("-m", "benchmarks.p4_mesh", str(RUNS))
    pairs = PODS * (PODS - 1)
    each = [1e3 * seconds / pairs for seconds in seen["ours"]]
    return [
        Figure(
            "P4",
            f"mesh of {PODS} pods, {pairs} pairs",
            "ms",
            [s * 1e3 for s in seen["loop"]],
            [s * 1e3 for s in seen["ours"]],
            2.0,
        ),
        Figure("P4x", "a pair, against exec of ping", "ms", seen["exec"], each, 1 / 50),
    ]


def _cluster() -> Any:
    from pytest_multinet import ClusterConfig, open_cluster

    return open_cluster(ClusterConfig(), backend="embedded")


def _pods(cluster: Any) -> list[Any]:
    from pytest_multinet import MacvlanConfig

    cluster.link("worker", "worker2", name="eth1")
    cluster.network(MacvlanConfig())
    manifests = []
    for n in range(PODS):
        selection = json.dumps([{"name": "macvlan-conf", "ips": [f"10.1.0.{n + 1}/16"]}])
        manifests.append(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"p{n}",
                    "annotations": {"k8s.v1.cni.cncf.io/networks": selection},
                },
                "spec": {
                    "nodeName": cluster.node(("worker", "worker2")[n % 2]).name,
                    "containers": [{"name": "main", "image": "pause"}],
                },
            }
        )
    return cluster.apply(manifests)


def _loop(pods: list[Any]) -> float:
    """The reference; the sockets and all its messages are made before the clock runs."""
    from pytest_multinet.net import requests
    from pytest_multinet.probe.icmp import echo_request
    from pytest_multinet.probe.mesh import blocks

    namespaces = [pod.prober.namespace for pod in pods]
    ends = [pod.interface("net1") for pod in pods]
    addresses = [end.ipv4[0].ip for end in ends]
    texts = [(str(a), 0) for a in addresses]
    sockets = [n.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) for n in namespaces]
    for sock in sockets:
        sock.settimeout(0.2)
        sock.setsockopt(255, 1, struct.pack("=I", ~1 & 0xFFFFFFFF))  # echo replies only
    packets = [echo_request(4, 7, j, b"") for j in range(len(pods))]
    pairs = [(i, j) for i in range(len(pods)) for j in range(len(pods)) if i != j]
    work = []
    for block in blocks(pairs):
        caused: dict[int, set[int]] = {}
        for i, j in block:
            caused.setdefault(i, set()).add(j)
            caused.setdefault(j, set()).add(i)
        strikes = [
            (
                namespaces[i].rtnl,
                [requests.neighbour(ends[i].index, addresses[j], delete=True) for j in others],
            )
            for i, others in caused.items()
        ]
        work.append((block, strikes))
    out = 0
    started = time.perf_counter()
    for block, strikes in work:
        for i, j in block:
            sock = sockets[i]
            while True:
                sock.sendto(packets[j], texts[j])
                try:
                    packet = sock.recvfrom(2048)[0]
                except TimeoutError:  # lost: the machine's table is full, or it is too busy
                    out += 1
                    continue
                if packet[26:28] == j.to_bytes(2, "big"):
                    break
        for rtnl, messages in strikes:
            rtnl.execute(*messages)
    seconds = time.perf_counter() - started
    for sock in sockets:
        sock.close()
    if out:
        print(f"{out} requests of the plain loop were lost", file=sys.stderr)
    return seconds


def _exec(pods: list[Any]) -> float:
    """Milliseconds a pair by ping(8)."""
    started = time.perf_counter()
    for n in range(SAMPLE):
        target = str(pods[(n * 7 + 1) % len(pods)].ip("net1"))
        source = pods[n]
        if not source.exec(["ping", "-c", "1", "-W", "1", "-I", "net1", target]):
            raise SystemExit(f"ping {source.name} -> {target} failed")
    return (time.perf_counter() - started) * 1e3 / SAMPLE


def main(runs: int) -> None:
    """Measure in turn; print one JSON line."""
    from pytest_multinet.assertions.mesh import assert_mesh

    out: dict[str, list[float]] = {"loop": [], "ours": [], "exec": []}
    with _cluster() as cluster:
        pods = _pods(cluster)
        assert_mesh(pods)
        for _ in range(runs):
            out["loop"].append(_loop(pods))
            started = time.perf_counter()
            result = assert_mesh(pods)
            out["ours"].append(time.perf_counter() - started)
            if result.counts() != (PODS * (PODS - 1), PODS * (PODS - 1), 0):
                raise SystemExit(f"a pair is wrong: {result!r}")
            out["exec"].append(_exec(pods))
    print(json.dumps(out))


if __name__ == "__main__":
    sys.exit(
        main(int(sys.argv[1]))
        if len(sys.argv) > 1
        else subprocess.call([sys.executable, "-m", "benchmarks", "p4"])
    )
