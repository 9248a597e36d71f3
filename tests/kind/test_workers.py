"""pytest-xdist on kind: the workers of a run share one cluster, which the controller ends.

The runs below follow each other on one cluster: made, kept, attached to, removed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from pytest_multinet.cluster.engine import Engine
from pytest_multinet.cluster.kind import reap
from pytest_multinet.cluster.record import records

pytest.importorskip("xdist")

NAME = "workers"
SAME = """
import json
import os
import pathlib
import time

import pytest
from pytest_multinet import assert_arp, assert_interface, assert_ping

MAC = "02:00:00:00:01:{:02x}"
BRIDGE = {"cniVersion": "0.3.1", "type": "bridge", "bridge": "br7",
          "ipam": {"type": "host-local", "subnet": "10.77.0.0/24"}}
DEFINITION = {"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
              "metadata": {"name": "br", "namespace": "default"},
              "spec": {"config": json.dumps(BRIDGE)}}
NETWORKS = "k8s.v1.cni.cncf.io/networks"
FOLDER = pathlib.Path(os.environ["MULTINET_TEST_FOLDER"])


@pytest.fixture(scope="session")
def together(kind_cluster, multinet_pod, macvlan_network):
    '''Pods of one name and address in every worker, and all are there before one is probed.'''
    kind_cluster.apply(DEFINITION)
    attach = macvlan_network.attach
    pods = multinet_pod.batch({
        "mv1": {"node": "worker", "networks": attach("10.1.1.101/24", mac=MAC.format(1))},
        "mv2": {"node": "worker2", "networks": attach("10.1.1.102/24", mac=MAC.format(2))},
        "br1": {"node": "worker", "annotations": {NETWORKS: "default/br"}},
        "br2": {"node": "worker", "networks": "br"},
    })
    FOLDER.joinpath(os.environ["PYTEST_XDIST_WORKER"]).touch()
    deadline = time.monotonic() + 60
    while len(list(FOLDER.iterdir())) < 4:
        assert time.monotonic() < deadline, "the other workers did not come"
        time.sleep(0.05)
    return pods


@pytest.mark.parametrize("number", range(4))
def test_same_names_and_addresses(kind_cluster, node_link, macvlan_network, together, number):
    mv1, mv2, br1, br2 = together
    assert_interface(mv1, "net1", address="10.1.1.101/24", mac=MAC.format(1))
    result = assert_ping(mv1, mv2, interface="net1", ttl=64)
    assert result.received == result.sent
    assert_arp(mv1, "10.1.1.102", interface="net1", mac=MAC.format(2))
    assert {str(br1.ip("net1")), str(br2.ip("net1"))} == {"10.77.0.2", "10.77.0.3"}
    assert_ping(br1, br2, interface="net1")
    # All that is shown bears the names that were given, and nothing of another worker shows.
    assert {p.namespace for p in together} == {"default"}
    assert mv1.network_status[1].name == "default/macvlan-conf"
    assert br1.annotations[NETWORKS] == "default/br"
    assert node_link.name == "eth1"
    worker = kind_cluster.node("worker")
    names = [i.name for i in worker.interfaces]
    assert names.count("eth1") == names.count("br7") == 1, names
    assert not [n for n in names if "-w" in n], names
    assert sorted(d.name for d in kind_cluster.definitions) == ["br", "macvlan-conf"]
    assert [d.name for d in kind_cluster.definitions if d.namespace != "default"] == []
    (macvlan,) = [d for d in kind_cluster.definitions if d.name == "macvlan-conf"]
    assert '"master": "eth1"' in macvlan.manifest()["spec"]["config"]
    FOLDER.joinpath(os.environ["PYTEST_XDIST_WORKER"]).write_text(
        worker.exec(["ls", "/sys/class/net"], check=True).stdout
    )
"""

CRASH = """
import os
import pathlib

import pytest

FOLDER = pathlib.Path(os.environ["MULTINET_TEST_FOLDER"])


@pytest.mark.parametrize("number", range(6))
def test_it(macvlan_network, multinet_pod, number):
    multinet_pod("pod1", networks=macvlan_network.attach("10.1.1.101/24"))
    if number == 2 and not FOLDER.joinpath("crashed").exists():
        FOLDER.joinpath("crashed").touch()
        os._exit(9)
    assert FOLDER.joinpath("whole").exists() or number != 5


def test_what_workers_cannot_have_side_by_side(kind_cluster):
    from pytest_multinet import UsageError

    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "blue"}}
    with pytest.raises(UsageError, match="a Namespace is the whole cluster's"):
        kind_cluster.apply(namespace)
    metadata = {"name": "c", "namespace": "x"}
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    with pytest.raises(UsageError, match="ConfigMap in namespace 'x' would be in all of them"):
        kind_cluster.apply(settings)
    del metadata["namespace"]
    (made,) = kind_cluster.apply(settings)
    assert made.manifest["metadata"]["namespace"] == "default"
"""


class Runs:
    """Runs pytest in a folder of its own, with the state folder of all runs here."""

    def __init__(self, root: Path) -> None:
        self.state = root / "state"
        self.suite = root / "suite"
        self.met = root / "met"
        self.suite.mkdir()
        (self.suite / "pytest.ini").write_text("[pytest]\naddopts = -p no:randomly\n")

    def command(self, *arguments: str) -> list[str]:
        backend = ["--multinet-backend=kind", f"--multinet-cluster-name={NAME}"]
        return [sys.executable, "-m", "pytest", *backend, *arguments]

    def environment(self) -> dict[str, str]:
        self.met.mkdir(exist_ok=True)
        return {
            **os.environ,
            "XDG_STATE_HOME": str(self.state),
            "MULTINET_TEST_FOLDER": str(self.met),
        }

    def __call__(self, suite: str, *arguments: str, **variables: str) -> str:
        (self.suite / "test_it.py").write_text(suite)
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.suite,
            env={**self.environment(), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
            check=False,
        )
        return done.stdout

    def meet_again(self) -> None:
        for file in self.met.iterdir():
            file.unlink()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    runs = Runs(tmp_path_factory.mktemp("workers"))
    yield runs
    reap(runs.state / "pytest-multinet", kept=True)


@pytest.fixture
def containers() -> Iterator[Callable[[], list[str]]]:
    engine = Engine()
    yield lambda: [c.name for c in engine.containers(f"io.x-k8s.kind.cluster={NAME}")]
    engine.close()


def test_four_workers_use_the_same_names_and_addresses_at_once(
    runs: Runs, containers: Callable[[], list[str]]
) -> None:
    shown = runs(SAME, "-n", "4", "--multinet-keep")
    assert "4 passed" in shown, shown
    assert "waiting for another worker, which makes cluster workers" in shown
    assert "kept:         workers on kind, 3 nodes, 16 pods" in shown
    assert "multinet down workers" in shown
    assert len(containers()) == 3
    # In the kernel of the node stood the links of all workers.
    names = set(runs.met.joinpath("gw3").read_text().split())
    assert {"eth1", "eth1-w1", "eth1-w2", "eth1-w3", "br7", "br7-w3"} <= names


def test_a_kept_cluster_is_attached_to_and_a_crashed_worker_replaced(
    runs: Runs, containers: Callable[[], list[str]]
) -> None:
    before = containers()
    runs.meet_again()
    shown = runs(CRASH, "-n", "2", "--dist", "worksteal")
    # One test's worker crashes; another test fails.
    assert "2 failed, 5 passed" in shown, shown
    assert "replacing crashed worker" in shown
    assert containers() == before
    runs.met.joinpath("whole").touch()
    shown = runs(CRASH, "-n", "2", "--dist", "loadscope", "--lf")
    assert "2 passed" in shown, shown
    assert containers() == before
    for record in records(runs.state / "pytest-multinet"):
        assert (record.state, record.run) == ("kept", None)


def test_another_specification_says_what_differs(runs: Runs) -> None:
    shown = runs(CRASH, "-n", "2", "--multinet-nodes=2", "-x")
    assert "the kept cluster workers was made from another specification" in shown, shown
    assert "nodes: 3 was kept, 2 is wanted" in shown
    assert "remove it with 'multinet down'" in shown


def test_without_isolation_names_are_what_they_are(runs: Runs) -> None:
    suite = """
import pytest

@pytest.mark.parametrize("number", range(3))
def test_it(kind_cluster, node_link, multinet_pod, number):
    kind_cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "blue"}})
    pod = multinet_pod("pod1")
    assert pod.namespace == "default"
"""
    shown = runs(suite, "-n", "2", "--dist", "loadfile", "--multinet-isolation=none")
    assert "3 passed" in shown, shown


def test_the_controller_removes_the_cluster_also_after_maxfail(
    runs: Runs, containers: Callable[[], list[str]]
) -> None:
    suite = """
import pytest

@pytest.mark.xdist_group("all")
@pytest.mark.parametrize("number", range(4))
def test_it(macvlan_network, multinet_pod, number):
    multinet_pod("pod1", networks=macvlan_network.attach("10.1.1.101/24"))
    assert number < 0, "on purpose"
"""
    shown = runs(suite, "-n", "4", "--dist", "loadgroup", "--maxfail=1", MULTINET_KEEP="no")
    assert "on purpose" in shown, shown
    assert "stopping after 1 failures" in shown
    assert containers() == []
    assert records(runs.state / "pytest-multinet") == []


def test_what_a_killed_controller_leaves_is_reaped(
    runs: Runs, containers: Callable[[], list[str]]
) -> None:
    (runs.suite / "test_it.py").write_text(CRASH)
    log = runs.suite / "log"
    with log.open("wb") as output:
        run = subprocess.Popen(
            runs.command("-n", "2"), cwd=runs.suite, env=runs.environment(), stdout=output
        )
    waiting: Retrying = Retrying(
        retry=retry_if_result(lambda names: len(names) < 3),
        stop=stop_after_delay(120),
        wait=wait_fixed(0.2),
    )
    waiting(containers)  # the cluster is being made
    run.send_signal(signal.SIGKILL)
    run.wait()
    state = runs.state / "pytest-multinet"
    gone: Retrying = Retrying(
        retry=retry_if_result(bool),
        stop=stop_after_delay(60),
        wait=wait_fixed(1.0),
        before=lambda _: reap(state),  # its workers may still be at their end
        retry_error_callback=lambda attempts: attempts.outcome and attempts.outcome.result(),
    )
    assert gone(lambda: [*containers(), *records(state)]) == []
