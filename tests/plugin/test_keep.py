"""Environments that are kept, and the command that looks into them and ends them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from pytest_multinet.cluster.owner import Owner

Run = Callable[..., pytest.RunResult]
Multinet = Callable[..., "subprocess.CompletedProcess[str]"]

NOTHING = "no environment is kept or in use; 'pytest --multinet-keep' keeps one\n"
SUITE = """
def test_it(multinet_pod, macvlan_network):
    multinet_pod("pod1", node="worker", networks=macvlan_network.attach("10.1.1.101/24"))
    multinet_pod("pod2", node="worker2", networks=macvlan_network.attach("10.1.1.102/24"))
"""
FAILS = SUITE + "    raise AssertionError\n"


def test_kept_environment_is_used_and_ended_by_the_printed_commands(
    pytester: pytest.Pytester, run: Run, multinet: Multinet
) -> None:
    pytester.makepyfile(SUITE)
    result = run("--multinet-keep", "--multinet-nodes=4")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "kept: *multus-cluster on embedded, 4 nodes, 2 pods",
            "look inside:  multinet exec -e multus-cluster pod1 -- ip addr",
            "rerun failed: pytest --lf --multinet-keep --multinet-nodes=4",
            "delete: *multinet down multus-cluster",
        ]
    )
    shown = multinet("exec", "-e", "multus-cluster", "pod1", "--", "ip", "-br", "addr")
    assert shown.returncode == 0, shown.stderr
    assert "10.1.1.101/24" in shown.stdout
    assert multinet("exec", "pod2", "--", "ping", "-c1", "-W2", "10.1.1.101").returncode == 0
    assert multinet("exec", "worker", "--", "ip", "link", "show", "eth1").returncode == 0
    assert multinet("exec", "pod1", "--", "sh", "-c", "exit 7").returncode == 7
    assert multinet("exec", "pod1", "--", "cat", input="typed").stdout == "typed"
    ended = multinet("down", "multus-cluster")
    assert (ended.returncode, ended.stdout) == (0, "multus-cluster ended\n")
    assert multinet("down").returncode == 2


def test_an_environment_in_use_is_listed_and_left_alone(
    pytester: pytest.Pytester, run: Run, multinet: Multinet
) -> None:
    pytester.makepyfile(
        """
        import json
        import os
        import subprocess
        import sys

        CODE = "import sys; from pytest_multinet.cli import main; sys.exit(main(sys.argv[1:]))"

        def multinet(*arguments):
            argv = [sys.executable, "-c", CODE, *arguments]
            return subprocess.run(argv, capture_output=True, text=True)

        def test_it(kind_cluster):
            (listed,) = json.loads(multinet("ls", "--json").stdout)
            assert (listed["id"], listed["state"]) == ("multus-cluster", "running")
            assert listed["owner"]["pid"] == os.getpid()
            assert multinet("ls").stdout.splitlines()[1].split()[:4] == [
                "multus-cluster", "running", "embedded", "3"
            ]
            refused = multinet("down", "multus-cluster")
            assert refused.returncode == 2
            assert f"is in use by a run (process {os.getpid()})" in refused.stderr
            assert multinet("down", "--all").stdout == ""
            assert kind_cluster.node("worker").exec(["true"]).returncode == 0
        """
    )
    run().assert_outcomes(passed=1)
    assert multinet("ls").stdout == NOTHING


def test_environments_are_listed(pytester: pytest.Pytester, run: Run, multinet: Multinet) -> None:
    assert multinet("ls").stdout == NOTHING
    assert json.loads(multinet("ls", "--json").stdout) == []
    pytester.makepyfile(SUITE)
    run("--multinet-keep").assert_outcomes(passed=1)
    head, row, blank, *pods = multinet("ls").stdout.splitlines()
    assert head.split() == ["ID", "STATE", "BACKEND", "NODES", "PODS", "SINCE", "FOLDER"]
    assert row.split()[:5] == ["multus-cluster", "kept", "embedded", "3", "2"]
    assert (blank, pods[0].split()) == ("", ["ID", "NAMESPACE", "POD", "NODE", "IP", "NETWORKS"])
    assert [pod.split()[1:] for pod in pods[1:]] == [
        ["default", "pod1", "multus-cluster-worker", "10.244.1.2", "net1=10.1.1.101"],
        ["default", "pod2", "multus-cluster-worker2", "10.244.2.2", "net1=10.1.1.102"],
    ]
    (record,) = json.loads(multinet("ls", "--json").stdout)
    assert record["id"] == "multus-cluster"
    assert record["folder"] == str(pytester.path)
    pods = {pod["name"]: pod["interfaces"] for pod in record["description"]["pods"]}
    assert pods["pod1"]["net1"] == ["10.1.1.101"]


def test_shell_reads_its_commands(pytester: pytest.Pytester, run: Run, multinet: Multinet) -> None:
    pytester.makepyfile(SUITE)
    run("--multinet-keep").assert_outcomes(passed=1)
    shell = multinet("shell", "pod1", input="hostname\nexit 3\n")
    assert (shell.stdout, shell.returncode) == ("pod1\n", 3), shell.stderr


def test_keep_failed_keeps_only_after_a_failure(
    pytester: pytest.Pytester, run: Run, multinet: Multinet
) -> None:
    pytester.makepyfile(SUITE)
    run("--multinet-keep-failed").stdout.no_fnmatch_line("kept:*")
    assert json.loads(multinet("ls", "--json").stdout) == []
    pytester.makepyfile(FAILS)
    run("--multinet-keep-failed", "-q").stdout.fnmatch_lines(["kept: *"])
    assert len(json.loads(multinet("ls", "--json").stdout)) == 1


def test_next_run_replaces_what_the_last_one_kept(
    pytester: pytest.Pytester, run: Run, multinet: Multinet
) -> None:
    pytester.makepyfile(SUITE)
    run("--multinet-keep").assert_outcomes(passed=1)
    (first,) = json.loads(multinet("ls", "--json").stdout)
    run("--multinet-keep").assert_outcomes(passed=1)
    (second,) = json.loads(multinet("ls", "--json").stdout)
    assert first["id"] == second["id"]
    assert first["owner"] != second["owner"]
    assert not Owner(**first["owner"]).alive


def test_next_run_takes_the_place_of_an_equal_kept_environment(
    pytester: pytest.Pytester, run: Run, multinet: Multinet
) -> None:
    pytester.makepyfile(SUITE)
    run("--multinet-keep").assert_outcomes(passed=1)
    (first,) = json.loads(multinet("ls", "--json").stdout)
    result = run()  # what was kept stays kept
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "multinet: takes the place of the kept environment multus-cluster, and is kept too",
            "kept: *multus-cluster on embedded, 3 nodes, 2 pods",
        ]
    )
    (second,) = json.loads(multinet("ls", "--json").stdout)
    assert (first["id"], first["digest"]) == (second["id"], second["digest"])
    assert not Owner(**first["owner"]).alive
    assert multinet("exec", "pod1", "--", "true").returncode == 0


def test_next_run_can_end_what_was_kept(
    pytester: pytest.Pytester, run: Run, multinet: Multinet, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(SUITE)
    run("--multinet-keep").assert_outcomes(passed=1)
    monkeypatch.setenv("MULTINET_KEEP", "no")
    run().assert_outcomes(passed=1)
    assert multinet("ls").stdout == NOTHING


def test_next_run_says_how_a_kept_environment_differs_and_leaves_it(
    pytester: pytest.Pytester, run: Run, multinet: Multinet
) -> None:
    pytester.makepyfile(SUITE)
    run("--multinet-keep").assert_outcomes(passed=1)
    (first,) = json.loads(multinet("ls", "--json").stdout)
    result = run("--multinet-nodes=4")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "multinet: the kept environment multus-cluster stays as it is and this run builds its "
            "own: nodes: 3 was kept, 4 is wanted; 'multinet down multus-cluster' ends it"
        ]
    )
    assert json.loads(multinet("ls", "--json").stdout) == [first]
    assert Owner(**first["owner"]).alive


def test_workers_leave_a_kept_environment_alone(
    pytester: pytest.Pytester, run: Run, multinet: Multinet
) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(SUITE)
    run("--multinet-keep").assert_outcomes(passed=1)
    (first,) = json.loads(multinet("ls", "--json").stdout)
    run("-n", "1").assert_outcomes(passed=1)
    assert json.loads(multinet("ls", "--json").stdout) == [first]


def test_environment_before_a_change_of_configuration_is_not_kept(
    pytester: pytest.Pytester, run: Run, multinet: Multinet
) -> None:
    pytester.makepyfile(
        **{
            "a/test_a": SUITE,
            "b/conftest": """
                import pytest
                from pytest_multinet import ClusterConfig

                @pytest.fixture(scope="session")
                def multinet_cluster_config():
                    return ClusterConfig(name="second", nodes=1)
            """,
            "b/test_b": "def test_b(kind_cluster): assert len(kind_cluster.nodes) == 1",
        }
    )
    result = run("--multinet-keep", "--import-mode=importlib")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "kept: *second on embedded, 1 node, 0 pods",
            "tear-down: multus-cluster was not kept: the run went on with another configuration",
        ]
    )
    assert [r["id"] for r in json.loads(multinet("ls", "--json").stdout)] == ["second"]


def test_each_worker_keeps_its_own(
    pytester: pytest.Pytester, run: Run, multinet: Multinet
) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(test_one=SUITE, test_two=SUITE)
    result = run("-n", "2", "--multinet-keep")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines_random(["kept: *@gw0 on *", "kept: *@gw1 on *"])
    refused = multinet("exec", "pod1", "--", "true")
    assert refused.returncode == 2
    assert "several environments are kept, choose one with -e: multus-cluster@gw0, multus-cl" in (
        refused.stderr
    )
    assert multinet("exec", "-e", "multus-cluster@gw1", "pod1", "--", "true").returncode == 0


def test_environment_of_a_killed_holder_is_no_longer_listed(
    pytester: pytest.Pytester, run: Run, multinet: Multinet
) -> None:
    pytester.makepyfile(SUITE)
    run("--multinet-keep").assert_outcomes(passed=1)
    (record,) = json.loads(multinet("ls", "--json").stdout)
    subprocess.run(["kill", "-9", str(record["owner"]["pid"])], check=True)
    assert json.loads(multinet("ls", "--json").stdout) == []


def test_wrong_commands_say_what_is_right(
    pytester: pytest.Pytester, run: Run, multinet: Multinet
) -> None:
    nothing = multinet("exec", "pod1", "--", "true")
    assert nothing.returncode == 2
    assert nothing.stderr.startswith("multinet: no environment is kept")
    pytester.makepyfile(SUITE)
    run("--multinet-keep").assert_outcomes(passed=1)
    for arguments, status, message in (
        (("exec", "pod9", "--", "true"), 2, "no pod or node 'pod9'"),
        (("exec", "-e", "other", "pod1", "--", "true"), 2, "no environment 'other' is kept"),
        (("exec", "pod1", "--", "no-such-program"), 3, "no-such-program"),
        (("down", "--all", "multus-cluster"), 2, "an ID or --all, not both"),
        (("fly",), 2, "invalid choice: 'fly'"),
        ((), 2, "required"),
    ):
        found = multinet(*arguments)
        assert (found.returncode, message in found.stderr) == (status, True), found
