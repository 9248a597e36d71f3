"""Runs that end otherwise than all good, and pytest's own switches."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., pytest.RunResult]

SUITE = """
def test_one(kind_cluster, multinet_pod):
    assert multinet_pod("pod1").name == "pod1"

def test_two(multinet_pod_factory, node_link):
    multinet_pod_factory("pod2")
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("-p", "no:cacheprovider"),
        ("--strict-markers", "--strict-config"),
        ("-x",),
        ("-p", "no:terminal"),
        ("-p", "no:xdist"),
        ("-s",),
        ("--setup-show",),
        ("--import-mode=importlib",),
        ("-p", "no:capture", "-p", "no:junitxml"),
    ],
    ids=" ".join,
)
def test_suite_passes_with(
    pytester: pytest.Pytester, run: Run, arguments: tuple[str, ...]
) -> None:
    pytester.makepyfile(SUITE)
    result = run(*arguments)
    assert result.ret == pytest.ExitCode.OK


def test_first_failure_ends_the_run_and_the_environment(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(
        """
        def test_one(kind_cluster):
            raise AssertionError("no")

        def test_two(kind_cluster):
            pass
        """
    )
    result = run("-x")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["multinet: 1 test on *"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_failing_fixture_of_the_user_shows_none_of_our_frames(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(
        conftest="""
            import pytest

            @pytest.fixture
            def broken():
                raise RuntimeError("theirs")
        """,
        test_it="def test_it(broken): pass",
    )
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.no_fnmatch_line("*pytest_multinet*")


def test_pods_of_a_test_are_gone_after_it(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_one(kind_cluster, multinet_pod, multinet_pod_factory):
            multinet_pod("stays")
            multinet_pod_factory("goes")
            unnamed = multinet_pod_factory(), multinet_pod_factory()
            assert len({pod.name for pod in kind_cluster.pods()}) == 4
            unnamed[0].delete()

        def test_two(kind_cluster):
            assert [pod.name for pod in kind_cluster.pods()] == ["stays"]
        """
    )
    run().assert_outcomes(passed=2)


def test_pods_of_a_failed_test_are_gone_too(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        def test_one(multinet_pod_factory):
            multinet_pod_factory("goes", labels={"app": "x"})
            raise AssertionError

        def test_two(kind_cluster):
            assert kind_cluster.pods() == ()
        """
    )
    run().assert_outcomes(passed=1, failed=1)


def test_batch_starts_pods_together(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_multinet import UsageError

        def test_it(multinet_pod, macvlan_network):
            one, two = pods = multinet_pod.batch({
                "one": {"node": "worker", "networks": [macvlan_network.attach("10.1.1.1/24")]},
                "two": {"node": "worker2", "networks": macvlan_network.attach("10.1.1.2/24")},
            })
            assert pods["two"] is two is pods[1]
            assert (one.node.name, two.node.name) == (
                "multus-cluster-worker", "multus-cluster-worker2"
            )
            assert multinet_pod("one", node="multus-cluster-worker",
                                networks=[macvlan_network.attach("10.1.1.1/24")]) is one
            with pytest.raises(UsageError, match="argument 'nod'; expected some of node, "):
                multinet_pod.batch({"three": {"nod": "worker"}})
            with pytest.raises(KeyError, match="no pod 'four'; there are one, two"):
                pods["four"]
        """
    )
    run().assert_outcomes(passed=1)


def test_other_arguments_for_a_living_pod_are_refused(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_multinet import UsageError

        def test_it(multinet_pod):
            multinet_pod("pod1", labels={"a": "b"})
            with pytest.raises(UsageError, match=r"pod1 exists .* made at .*test_.*\\.py:5"):
                multinet_pod("pod1")
        """
    )
    run().assert_outcomes(passed=1)


def test_networks_and_commands_are_checked(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_multinet import ManifestError, UsageError

        @pytest.mark.parametrize("arguments, error, match", [
            ({"command": "sleep 1"}, UsageError, r"expected a list, such as \\['sleep', '1'\\]"),
            ({"networks": [3]}, UsageError, "networks holds 3; expected a network"),
            ({"networks": "a/b/c"}, ManifestError, "Invalid network object"),
            ({"node": "worker9"}, UsageError, "has no node 'worker9'; it has"),
            ({"networks": "a", "annotations": {"k8s.v1.cni.cncf.io/networks": "b"}},
             UsageError, "are both given"),
        ])
        def test_it(multinet_pod, kind_cluster, arguments, error, match):
            with pytest.raises(error, match=match):
                multinet_pod("pod1", **arguments)
            assert kind_cluster.pods() == ()
        """
    )
    run().assert_outcomes(passed=5)


def test_spec_is_merged_over_what_the_arguments_make(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        def test_it(multinet_pod):
            manifest = multinet_pod.manifest(
                "p", privileged=True, spec={"hostname": "h", "terminationGracePeriodSeconds": 1}
            )
            spec = manifest["spec"]
            assert spec["hostname"] == "h" and spec["terminationGracePeriodSeconds"] == 1
            assert spec["containers"][0]["securityContext"] == {"privileged": True}
        """
    )
    run().assert_outcomes(passed=1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_interrupted_run_ends_its_environment(
    pytester: pytest.Pytester, tmp_path: Path, number: signal.Signals
) -> None:
    ready = tmp_path / "ready"
    pytester.makepyfile(
        f"""
        import pathlib, time

        def test_it(kind_cluster, multinet_pod):
            multinet_pod("pod1")
            pathlib.Path({str(ready)!r}).touch()
            time.sleep(60)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=pytester.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not ready.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    children = _descendants(process.pid)
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=20)
    if number == signal.SIGINT:
        assert process.returncode == pytest.ExitCode.INTERRUPTED, output
        assert "INTERNALERROR" not in output
    deadline = time.monotonic() + 5
    while any(map(_runs, children)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in children if _runs(pid)] == []


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *_descendants(child)]
    return found


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
