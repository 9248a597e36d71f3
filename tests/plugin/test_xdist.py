"""pytest-xdist: every worker has a cluster of its own, and one report comes of them."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]

pytest.importorskip("xdist")

SUITE = """
import os
import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(kind_cluster, node_link, multinet_pod, number):
    assert kind_cluster.name == "multus-cluster"
    assert len(kind_cluster.nodes) == 4
    pod = multinet_pod("pod1", labels={"worker": os.environ["PYTEST_XDIST_WORKER"]})
    assert [p.name for p in kind_cluster.pods()] == ["pod1"]
"""

SAME_EVERYWHERE = """
import os
import pathlib
import socket
import time

import pytest
from pytest_multinet import assert_arp, assert_interface, assert_ping

FOLDER = pathlib.Path(os.environ["MULTINET_TEST_FOLDER"])
MAC = "02:00:00:00:01:{:02x}"

@pytest.fixture(scope="session")
def pods(multinet_pod, macvlan_network):
    return multinet_pod.batch({
        f"pod{i}": {
            "node": "worker" if i == 1 else "worker2",
            "networks": macvlan_network.attach(f"10.1.1.10{i}/24", mac=MAC.format(i)),
        }
        for i in (1, 2)
    })

@pytest.mark.parametrize("number", range(4))
def test_it(pods, number):
    # Each of four workers has one of the four tests, and waits until all are there.
    FOLDER.joinpath(os.environ["PYTEST_XDIST_WORKER"]).touch()
    deadline = time.monotonic() + 30
    while len(list(FOLDER.iterdir())) < 4:
        assert time.monotonic() < deadline, "the other workers did not come"
        time.sleep(0.02)
    one, two = pods
    assert_interface(one, "net1", address="10.1.1.101/24", mac=MAC.format(1))
    result = assert_ping(one, two, interface="net1", ttl=64)
    assert result.received == result.sent
    assert_arp(one, "10.1.1.102", interface="net1", mac=MAC.format(2))
    assert_ping(two, one, interface="eth0", ttl=62)
    names = " ".join(name for _, name in socket.if_nameindex())
    FOLDER.joinpath(os.environ["PYTEST_XDIST_WORKER"]).write_text(names)
"""


def test_each_worker_has_its_own_cluster(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(SUITE)
    result = run("-n", "2", "--multinet-nodes=4")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(
        [
            "multinet: nodes=4 (command line)",
            "set-up: cluster *",
            "multinet: 6 tests on embedded *",
        ]
    )


def test_all_works_without_xdist(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        def test_it(kind_cluster, macvlan_network, multinet_pod):
            pod = multinet_pod("pod1", networks=macvlan_network.attach("10.1.1.101/24"))
            assert str(pod.ip("net1")) == "10.1.1.101"
        """
    )
    run("-p", "no:xdist").assert_outcomes(passed=1)


def test_values_of_every_source_reach_the_workers(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MULTINET_NODES", "4")
    pytester.makeini("[pytest]\nmultinet_backend = embedded\n")
    pytester.makepyfile(SUITE)
    run("-n", "2").assert_outcomes(passed=6)


def test_failing_environment_and_skips_are_reported(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        conftest="""
            import pytest
            from pytest_multinet import ClusterError

            @pytest.fixture(scope="session")
            def multinet_cluster():
                raise ClusterError("cannot build it")
        """,
        test_it="""
            from pytest_multinet import NeedsKubernetes

            def test_one(kind_cluster): pass
            def test_two(kind_cluster): pass
            def test_three(): raise NeedsKubernetes("no API here")
        """,
    )
    result = run("-n", "1", "-rs")
    result.assert_outcomes(errors=2, skipped=1)
    result.stdout.fnmatch_lines(["*failed before, see test_it.py::test_one: cannot build it"])
    result.stdout.fnmatch_lines(["SKIPPED*no API here"])


def test_first_failure_and_a_crashed_worker_leave_a_report(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(
        """
        import os

        def test_one(kind_cluster): pass
        def test_two(kind_cluster): os._exit(9)
        def test_three(kind_cluster): pass
        """
    )
    result = run("-n", "1")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*crashed while running*", "multinet: 2 tests on embedded *"])


def test_four_workers_use_the_same_names_and_addresses_at_once(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = pytester.mkdir("workers")
    monkeypatch.setenv("MULTINET_TEST_FOLDER", str(workers))
    before = {name for _, name in socket.if_nameindex()}
    pytester.makepyfile(SAME_EVERYWHERE)
    result = run("-n", "4")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["multinet: 4 tests on embedded *"])
    # The machine's own network had none of ours meanwhile; Docker may add its own.
    seen = {name for file in workers.iterdir() for name in file.read_text().split()}
    assert {n for n in seen - before if not n.startswith(("veth", "br-"))} == set()
