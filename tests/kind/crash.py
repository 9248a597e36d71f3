"""Ends a run on kind at a random moment and counts what is left; for tests and `make soak`."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.embedded.crash import family_of, what_is_left

SUITE = """
import os
import pathlib
import pytest
from pytest_multinet import ClusterConfig, LinkConfig

TOLD = pathlib.Path(os.environ["MULTINET_TEST_TOLD"])
TAG = {"MULTINET_TEST_TAG": os.environ["MULTINET_TEST_TAG"]}

@pytest.fixture(scope="session")
def multinet_cluster_config(multinet_cluster_config):
    return multinet_cluster_config.with_(nodes=2)

@pytest.fixture(scope="session")
def node_link_config():
    return LinkConfig(a="control-plane", b="worker")

@pytest.fixture(scope="session")
def built(multinet_cluster):
    TOLD.joinpath("set-up").touch()
    return multinet_cluster

@pytest.mark.parametrize("number", range(2))
def test_it(built, macvlan_network, multinet_pod, number):
    one, two = (macvlan_network.attach(f"10.1.1.{n}/24") for n in (1, 2))
    pods = multinet_pod.batch({
        "pod1": {"node": "worker", "networks": one},
        "pod2": {"node": "worker", "networks": two},
    })
    TOLD.joinpath("test").touch()
    for _ in range(int(os.environ["MULTINET_TEST_PINGS"])):
        pods[0].ping(pods[1], interface="net1", count=5, interval=0.1)
    TOLD.joinpath("tear-down").touch()
"""
NEXT_RUN = """
import pytest

@pytest.fixture(scope="session")
def multinet_cluster_config(multinet_cluster_config):
    return multinet_cluster_config.with_(nodes=1)

def test_it(multinet_cluster):
    assert len(multinet_cluster.nodes) == 1
"""

# A phase lasts about so long, in seconds: the moment is somewhere in it.
PHASES = {"create": 26.0, "set-up": 5.0, "test": 3.0, "tear-down": 2.0}
VICTIMS: Mapping[str, tuple[signal.Signals, ...]] = {
    "SIGKILL": (signal.SIGKILL,),
    "SIGTERM": (signal.SIGTERM,),
    "SIGHUP": (signal.SIGHUP,),
    "SIGINT": (signal.SIGINT,),
    "SIGINT twice": (signal.SIGINT, signal.SIGINT),
    "node removed": (),
    "controller": (signal.SIGKILL,),
    "worker": (),
}
SHARED = ("controller", "worker")  # of two workers that share the cluster
_LOCKS = (".lock", ".making")  # they stay, empty of meaning: removing a lock is a race
_OURS = ("MULTINET_", "PYTEST_")  # variables that would change the run
_START, _END = 300.0, 180.0  # seconds


@dataclass(frozen=True)
class Kill:
    """One kill of a run on kind.

    Attributes:
        phase: when it came; ``victim``: how, or what of the run.
        before: what the run had left, of each kind, when it was over.
        reaper: who was to remove that.
        left: what was left after that.
        said: the last lines of the run and of the reaper.
    """

    phase: str
    victim: str
    before: Mapping[str, int]
    reaper: str
    left: tuple[str, ...]
    said: str = field(default="", repr=False)


class Traces:
    """What a cluster of a name, and the runs that made it, leave on this machine.

    Args:
        name: the cluster's.
        folder: of this kill; ``state`` and ``tmp`` in it are the runs' own.
        tag: the runs' processes carry it in their environment.
    """

    def __init__(self, name: str, folder: Path, tag: str) -> None:
        self._name = name
        self._folder = folder
        self._tag = tag
        self._volumes: set[str] = set()
        self._networks = set(_docker("network", "ls", "--format={{.Name}}")) | {"kind"}

    def note_volumes(self) -> None:
        """Note which volumes the nodes have: an anonymous volume does not tell whose it was."""
        for identifier in self._containers():
            mounts = '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}'
            try:
                self._volumes |= set(_docker("inspect", "--format", mounts, identifier))
            except subprocess.CalledProcessError:
                continue  # it has gone meanwhile

    def found(self) -> dict[str, list[str]]:
        """What there is, by kind."""
        self.note_volumes()
        state = self._folder / "state" / "pytest-multinet"
        files = [p for p in state.rglob("*") if p.is_file() and p.suffix not in _LOCKS]
        files += [p for p in (self._folder / "tmp").iterdir() if "pytest-of-" not in p.name]
        networks = {
            name
            for name in set(_docker("network", "ls", "--format={{.Name}}")) - self._networks
            if self._name in name
        }
        return {
            "containers": self._containers(),
            "volumes": sorted(self._volumes & set(_docker("volume", "ls", "-q"))),
            "networks": sorted(networks),
            "files": [str(p.relative_to(self._folder)) for p in files if p.name != ".lock"],
        }

    def processes(self) -> tuple[str, ...]:
        """Processes that are left after a while."""
        return what_is_left(self._tag)

    def _containers(self) -> list[str]:
        nodes = f"label=io.x-k8s.kind.cluster={self._name}"
        helpers = f"label=io.pytest-multinet.purpose=link of {self._name}"
        return [i for label in (nodes, helpers) for i in _docker("ps", "-aq", "--filter", label)]


def kill_once(seed: int, name: str = "multinet-crash") -> Kill:
    """Start a run on kind, end it at a random moment, let it be reaped, count what is left.

    The phase and the victim follow from ``seed``: any 32 in a row have every pair of them.
    """
    with tempfile.TemporaryDirectory(prefix="multinet-crash-") as folder:
        return _kill_once(seed, name, Path(folder))


def _kill_once(seed: int, name: str, folder: Path) -> Kill:
    phases, victims = list(PHASES), list(VICTIMS)
    phase = phases[seed % len(phases)]
    victim = victims[seed // len(phases) % len(victims)]
    if victim == "node removed" and phase == "tear-down":
        phase = "test"
    tag = f"multinet-crash-{os.getpid()}-{seed}"
    for place in ("state", "tmp", "told"):
        (folder / place).mkdir()
    traces = Traces(name, folder, tag)
    workers = ["-n2"] if victim in SHARED else []
    pings = 1 if phase == "tear-down" else 60
    run = _pytest(folder, name, tag, SUITE, *workers, pings=pings)
    try:
        _await(phase, folder, run)
        time.sleep(random.Random(seed).random() * PHASES[phase])
        traces.note_volumes()
        phase = _phase_of(folder, run)
        if victim == "node removed":
            _remove_a_node(name)
        if victim == "worker":
            _kill_a_worker(run.pid)
        for number in VICTIMS[victim]:
            run.send_signal(number)
            time.sleep(0.3)
        said = run.communicate(timeout=_END)[0]
    finally:
        if run.poll() is None:
            run.kill()
            run.communicate()
    before = {kind: len(found) for kind, found in traces.found().items()}
    reaper = "next run" if seed % 10 == 7 else "multinet gc"
    said += _next_run(folder, name, tag) if reaper == "next run" else _gc(folder, tag)
    left = [f"{kind}: {each}" for kind, found in traces.found().items() for each in found]
    left += traces.processes()
    return Kill(phase, victim, before, reaper, tuple(left), said[-3000:])


def _await(phase: str, folder: Path, run: subprocess.Popen[str]) -> None:
    """Wait until the run is in a phase, or has ended."""
    wanted = folder / "told" / phase
    if phase == "create":
        wanted = folder / "state"  # there from the start: creation begins at once
    end = time.monotonic() + _START
    while not wanted.exists() and run.poll() is None:
        if time.monotonic() > end:
            raise TimeoutError(f"the run did not come to {phase}")
        time.sleep(0.05)


def _phase_of(folder: Path, run: subprocess.Popen[str]) -> str:
    """The phase that a run is in now: the last that it told."""
    if run.poll() is not None:
        return "after its end"
    told = [phase for phase in PHASES if (folder / "told" / phase).exists()]
    return told[-1] if told else "create"


def _remove_a_node(name: str) -> None:
    listed = _docker("ps", "-q", "--filter", f"label=io.x-k8s.kind.cluster={name}")
    for identifier in listed[:1]:
        subprocess.run(["docker", "rm", "-f", "-v", identifier], check=False, capture_output=True)


def _kill_a_worker(controller: int) -> None:
    for pid in family_of(controller)[1:]:
        with contextlib.suppress(OSError):
            if b"execnet" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
                return


def _gc(folder: Path, tag: str) -> str:
    code = "import sys; from pytest_multinet.cli import main; sys.exit(main(['gc']))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=_environment(folder, tag),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_END,
        check=False,
    )
    return run.stdout


def _next_run(folder: Path, name: str, tag: str) -> str:
    run = _pytest(folder, name, tag, NEXT_RUN)
    said = run.communicate(timeout=_START)[0]
    return said if run.returncode == 0 else f"the next run failed\n{said}"


def _pytest(
    folder: Path, name: str, tag: str, suite: str, *arguments: str, pings: int = 0
) -> subprocess.Popen[str]:
    (folder / "test_it.py").write_text(suite)
    plugins = os.environ.get("MULTINET_CNI_PLUGINS")
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--multinet-backend=kind"]
    argv += [f"--multinet-cluster-name={name}", "--multinet-artifacts=off"]
    argv += [f"--multinet-cni-plugins={plugins}"] if plugins else []
    argv += arguments
    return subprocess.Popen(
        argv,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_heed_signals,
        text=True,
        env=_environment(folder, tag) | {"MULTINET_TEST_PINGS": str(pings)},
    )


def _environment(folder: Path, tag: str) -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    return {
        **{n: v for n, v in os.environ.items() if not n.startswith(_OURS)},
        "MULTINET_TEST_TAG": tag,
        "MULTINET_TEST_TOLD": str(folder / "told"),
        "XDG_STATE_HOME": str(folder / "state"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": root,
    }


def _heed_signals() -> None:
    """As from a terminal; nohup and shells' background jobs have some of them ignored."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _docker(*argv: str) -> list[str]:
    run = subprocess.run(["docker", *argv], capture_output=True, text=True, check=True)
    return run.stdout.split()
