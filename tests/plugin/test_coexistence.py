"""Other plugins beside ours: each is tried where it is installed.

``tox run -e plugins`` installs all of them, and has ``MULTINET_TEST_PLUGINS=required``: there a
test whose plugin is missing fails.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec

import pytest

Run = Callable[..., pytest.RunResult]

SLOW_CLUSTER = """
    import time
    from pytest_multinet.session import registry

    built = registry.open_chosen

    def slow(*arguments, **named):
        cluster = built(*arguments, **named)
        time.sleep(2.5)  # longer than the limit of a test
        return cluster

    registry.open_chosen = slow
"""


def installed(module: str) -> pytest.MarkDecorator:
    """Skips a test where a plugin is not installed and needs not be."""
    missing = find_spec(module) is None
    required = os.environ.get("MULTINET_TEST_PLUGINS") == "required"
    reason = f"{module} is not installed; tox run -e plugins"
    return pytest.mark.skipif(missing and not required, reason=reason)


@pytest.fixture
def run(run: Run, pytester: pytest.Pytester) -> Run:
    """As every ``run`` here, but others may warn as they like."""

    def run(*arguments: str) -> pytest.RunResult:
        result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", *arguments)
        result.stdout.no_fnmatch_line("*INTERNALERROR*")
        return result

    return run


@installed("pytest_timeout")
@pytest.mark.parametrize("method", ["signal", "thread"])
def test_time_of_building_is_not_the_first_tests(
    pytester: pytest.Pytester, run: Run, method: str
) -> None:
    pytester.makepyfile(
        conftest=SLOW_CLUSTER, test_it="def test_it(multinet_cluster, multinet_pod): pass"
    )
    run("--timeout=2", f"--timeout-method={method}").assert_outcomes(passed=1)


@installed("pytest_timeout")
def test_time_of_a_test_counts_after_building(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import time
        import pytest

        @pytest.fixture
        def theirs():
            time.sleep(30)

        def test_one(multinet_cluster): time.sleep(30)
        def test_two(multinet_cluster, theirs): pass
        def test_three(multinet_cluster, multinet_pod): multinet_pod("pod1")
        """
    )
    result = run("--timeout=1.5")
    result.assert_outcomes(failed=1, errors=1, passed=1)
    result.stdout.fnmatch_lines(["*Timeout*1.5*"])


@installed("pytest_rerunfailures")
def test_test_that_is_run_again_keeps_its_environment(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        seen = []

        def test_it(multinet_cluster, multinet_pod, multinet_pod_factory):
            seen.append((multinet_cluster, multinet_pod("stays")))
            multinet_pod_factory("goes")
            assert len(seen) > 1, "the first time it fails"
            assert seen[0] == seen[1]
        """
    )
    result = run("--reruns=1")
    result.stdout.fnmatch_lines(["multinet: 1 test on embedded *", "*1 passed*1 rerun*"])


@installed("pytest_html")
def test_html_report_has_our_message(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        from pytest_multinet import assert_interface

        def test_it(multinet_pod):
            assert_interface(multinet_pod("pod1"), "net1", within=0.1)
        """
    )
    run("--html=report.html", "--self-contained-html").assert_outcomes(failed=1)
    assert "net1" in pytester.path.joinpath("report.html").read_text(encoding="utf-8")


@installed("pytest_randomly")
def test_order_of_tests_does_not_matter_to_us(pytester: pytest.Pytester, run: Run) -> None:
    suite = """
        def test_one(multinet_cluster, multinet_pod_factory):
            multinet_pod_factory("pod1")

        def test_two(multinet_cluster, multinet_pod_factory):
            assert multinet_cluster.pods() == ()
    """
    config = """
        import pytest
        from pytest_multinet import ClusterConfig

        @pytest.fixture(scope="session")
        def multinet_cluster_config():
            return ClusterConfig(nodes=1)
    """
    pytester.makepyfile(
        **{"a/test_a": suite, "b/conftest": config, "b/test_b": suite, "c/test_c": suite}
    )
    for seed in ("1", "2"):
        result = run(f"--randomly-seed={seed}", "--import-mode=importlib")
        result.assert_outcomes(passed=6)


@installed("pytest_asyncio")
def test_coroutines_use_our_fixtures(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import asyncio
        import pytest
        from pytest_multinet import assert_ping

        @pytest.mark.asyncio
        async def test_it(multinet_cluster, node_link):
            ends = multinet_cluster.node("worker"), multinet_cluster.node("worker2")
            await asyncio.to_thread(assert_ping, *ends, interface="eth0")
        """
    )
    run("-o", "asyncio_default_fixture_loop_scope=function").assert_outcomes(passed=1)


@installed("pytest_kind")
def test_name_of_pytest_kinds_fixture_stays_its_own(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        def test_ours(multinet_cluster, multinet_pod):
            assert multinet_pod("pod1") in multinet_cluster.pods()
        """
    )
    result = run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["multinet: the fixture kind_cluster is plugin *kind*'s; *"])


@installed("pytest_kubernetes")
def test_pytest_kubernetes_and_we_serve_one_test(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        def test_it(k8s_manager, multinet_cluster, multinet_pod):
            assert k8s_manager("kind").__name__ == "KindManager"
            assert multinet_pod("pod1") in multinet_cluster.pods()
        """
    )
    run("--k8s-provider=kind", "--k8s-cluster-name=theirs").assert_outcomes(passed=1)


@installed("pytest_kind")
@installed("pytest_randomly")
@installed("pytest_rerunfailures")
@installed("pytest_timeout")
@installed("pytest_html")
@installed("xdist")
def test_all_at_once(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_multinet import assert_ping

        @pytest.mark.parametrize("number", range(6))
        def test_it(multinet_pod, macvlan_network, number, tmp_path_factory):
            one, two = (macvlan_network.attach(f"10.1.1.10{n}/24") for n in (1, 2))
            pod1 = multinet_pod("pod1", node="worker", networks=one)
            pod2 = multinet_pod("pod2", node="worker2", networks=two)
            assert_ping(pod1, pod2, interface="net1", ttl=64)
            told = tmp_path_factory.getbasetemp() / f"tried-{number}"
            if not told.exists():
                told.touch()
                raise AssertionError("the first time it fails")
        """
    )
    result = run("-n2", "--timeout=60", "--reruns=1", "--html=report.html", "--randomly-seed=7")
    result.stdout.fnmatch_lines(["multinet: 6 tests on embedded *", "*6 passed*6 rerun*"])
    assert "test_it[5]" in pytester.path.joinpath("report.html").read_text(encoding="utf-8")
