"""Ends a run at a random moment and counts what is left of it; used by tests and `make soak`."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

# A child builds, tests, probes and tears down for ever, and tells each phase on its stdout.
CHILD = """
import os
import sys
from pytest_multinet.cluster.embedded import open_cluster
from pytest_multinet.model.topology import ClusterConfig, MacvlanConfig
def phase(name):
    sys.stdout.write(name + "\\n")
    sys.stdout.flush()
try:
    while True:
        phase("build")
        with open_cluster(ClusterConfig(timeout=5)) as cluster:
            cluster.link("worker", "worker2")
            network = cluster.network(MacvlanConfig())
            pods = cluster.apply([
                {"apiVersion": "v1", "kind": "Pod",
                 "metadata": {"name": f"pod{i}", "annotations": {
                     "k8s.v1.cni.cncf.io/networks":
                         '[{"name": "macvlan-conf", "ips": ["10.1.1.%d/24"]}]' % i}},
                 "spec": {"nodeName": "multus-cluster-worker" + ("2" if i % 2 else ""),
                          "containers": [{"name": "main", "image": "netshoot"}]}}
                for i in range(1, 5)])
            phase("test")
            pods[0].exec(["true"])
            tag = {"MULTINET_TEST_TAG": os.environ["MULTINET_TEST_TAG"]}
            pods[1].spawn(["sleep", "1000"], env=tag)
            phase("probe")
            for _ in range(20):
                pods[0].ping(pods[1], interface="net1")
            phase("tear-down")
            pods[2].delete()
except KeyboardInterrupt:
    sys.exit(130)
"""
VICTIMS = ("test process", "holder")
SIGNALS = {
    "test process": (signal.SIGKILL, signal.SIGTERM, signal.SIGINT),
    "holder": (signal.SIGKILL,),
}
DEADLINE = 5.0


@dataclass(frozen=True)
class Kill:
    """One kill: whom, how, in which phase, and what was left after the deadline."""

    victim: str
    signal: str
    phase: str
    left: tuple[str, ...]


def kill_once(seed: int) -> Kill:
    """Start a child, end it or its holder at a random moment, count what is left."""
    with tempfile.TemporaryDirectory() as folder:
        return _kill_once(seed, Path(folder))


def _kill_once(seed: int, temporary: Path) -> Kill:
    rng = random.Random(seed)
    tag = f"multinet-crash-{os.getpid()}-{seed}"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MULTINET_TEST_TAG": tag, "TMPDIR": str(temporary)},
        start_new_session=True,
        text=True,
    )
    assert child.stdout is not None
    wanted = rng.choice(("build", "test", "probe", "tear-down"))
    for line in child.stdout:
        if line.strip() == wanted:
            break
    time.sleep(
        rng.random() * {"build": 0.03, "test": 0.01, "probe": 0.004, "tear-down": 0.03}[wanted]
    )
    family = family_of(child.pid)
    victim = rng.choice(VICTIMS)
    number = rng.choice(SIGNALS[victim])
    holders = [pid for pid in family if pid != child.pid and is_holder(pid)]
    if victim == "holder" and holders:
        os.kill(holders[0], number)
    else:
        victim = "test process"
        os.kill(child.pid, number)
    child.stdout.close()
    try:
        child.wait(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return Kill(victim, number.name, wanted, ("the test process did not end",))
    left = list(what_is_left(tag))
    left += [f"file {path.name}" for path in temporary.iterdir()]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    left += [f"mount {line}" for line in mounts if str(temporary) in line or "multinet" in line]
    return Kill(victim, number.name, wanted, tuple(left))


def family_of(pid: int) -> list[int]:
    """The processes below ``pid``, itself first."""
    found = [pid]
    for parent in found:
        try:
            text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        except OSError:
            continue
        found += [int(p) for p in text.split()]
    return found


def is_holder(pid: int) -> bool:
    """Whether the process is a holder."""
    try:
        return b"holder_process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def what_is_left(tag: str) -> tuple[str, ...]:
    """Processes that carry the tag in their environment, once the deadline is over."""
    end = time.monotonic() + DEADLINE
    while left := _tagged(tag):
        if time.monotonic() > end:
            break
        time.sleep(0.02)
    return tuple(left)


def _tagged(tag: str) -> list[str]:
    found: list[str] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"MULTINET_TEST_TAG={tag}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
