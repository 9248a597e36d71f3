"""pytest-xdist: every worker has a cluster of its own, and one report comes of them."""

from __future__ import annotations

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


def test_kind_with_several_workers_is_refused(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        conftest="""
            from pytest_multinet.session import registry
            from pytest_multinet.session.backend import Choice

            registry.choose = lambda name: Choice("kind")  # as if kind could run here
        """,
        test_it="def test_it(kind_cluster): pass",
    )
    result = run("-n", "2")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*serves one pytest-xdist worker for now, and there are 2*"])


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
