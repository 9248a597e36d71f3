"""What a run tells: skips, failures, the summary."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

import pytest

Run = Callable[..., pytest.RunResult]

USES_CLUSTER = "def test_it(kind_cluster): pass"
NO_DISK = """
import pytest
from pytest_multinet import ClusterError

CAUSE = ["cannot build it", "because the disk is full"]

@pytest.fixture(scope="session")
def multinet_cluster(multinet_cluster_config):
    raise ClusterError("\\n".join(CAUSE))
"""


def test_summary_counts_the_tests_and_names_the_backend(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(
        """
        def test_one(kind_cluster): pass
        def test_two(multinet_pod): pass
        def test_three(request): request.getfixturevalue("kind_cluster")
        def test_four(): pass
        """
    )
    line = "multinet: 3 tests on embedded (not Kubernetes); real: --multinet-backend=kind"
    for arguments in (), ("-q",), ("-qq",):
        run("--multinet-backend=embedded", *arguments).stdout.fnmatch_lines(
            [line.replace("[", "?")]
        )


def test_summary_tells_what_setting_up_took(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_it(macvlan_network, multinet_pod): multinet_pod('pod1')")
    run().stdout.fnmatch_lines(
        ["set-up: cluster * ms, multus * ms, node link * ms, network * ms, pods * ms"]
    )
    run("-q").stdout.no_fnmatch_line("set-up:*")


def test_run_without_our_tests_says_nothing(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_it(): pass")
    run().stdout.no_fnmatch_line("*multinet:*")
    run("-q").stdout.no_fnmatch_line("*multinet:*")


def test_junit_file_has_the_backend(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(USES_CLUSTER)
    run("--junitxml=out.xml").assert_outcomes(passed=1)
    (found,) = ElementTree.parse(pytester.path / "out.xml").iter("property")
    assert found.attrib == {"name": "multinet_backend", "value": "embedded"}


def test_test_that_needs_kubernetes_is_skipped_with_the_reason(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="session")
        def api(kind_cluster):
            return kind_cluster.api

        def test_body(kind_cluster): kind_cluster.kubeconfig
        def test_fixture(api): pass
        def test_fixture_again(api): pass
        """
    )
    result = run("-rs")
    result.assert_outcomes(skipped=3)
    result.stdout.fnmatch_lines(
        ["SKIPPED*test_*.py:*: the embedded backend has no Kubernetes API*"]
    )


@pytest.mark.parametrize("required", ["kubernetes", "kind"])
def test_required_kubernetes_is_an_error(
    pytester: pytest.Pytester, run: Run, required: str
) -> None:
    pytester.makepyfile(
        conftest="""
            from pytest_multinet.session import backend
            backend.check_required = lambda names, source: None  # as if kind could run here
        """,
        test_it="""
            def test_one(kind_cluster): kind_cluster.api
            def test_two(kind_cluster): pass
        """,
    )
    result = run("--multinet-backend=embedded", f"--multinet-require={required}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            f"*no Kubernetes API; {required} is required (require={required}, command line)*",
            f"*multinet: {required} is required and missing*",
        ]
    )


def test_missing_capability_is_a_skip_or_an_error_where_required(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(
        """
        from pytest_multinet import NeedsCapability

        def test_it():
            raise NeedsCapability("netem", "the kernel has no netem")
        """
    )
    result = run("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*: the kernel has no netem"])
    result = run("--multinet-require=netem")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the kernel has no netem; netem is required*"])


def test_required_backend_that_cannot_run_stops_the_run(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(pytester.path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{pytester.path}/no.sock")
    pytester.makepyfile("def test_it(): pass")
    result = run("--multinet-require=kind")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: kind is required (require=kind, command line) and *"])
    result.stdout.no_fnmatch_line("*passed*")
    assert run("--multinet-require=kind", "--collect-only").ret == pytest.ExitCode.OK


def test_backend_asked_for_by_name_is_never_replaced(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(pytester.path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{pytester.path}/no.sock")
    pytester.makepyfile(USES_CLUSTER)
    result = run("--multinet-backend=kind")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*backend kind was asked for and cannot run here: *"])


def test_marker_runs_a_test_only_on_its_backend(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.multinet_backend("kind")
        def test_kind(kind_cluster): raise AssertionError

        @pytest.mark.multinet_backend("kind", "embedded")
        def test_both(kind_cluster): pass
        """
    )
    result = run("-rs", "--strict-markers", "--multinet-backend=embedded")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*: runs only on kind, this run is on embedded: *"])


def test_marker_with_an_unknown_backend_is_refused(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.multinet_backend("knid")
        def test_it(): pass
        """
    )
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_it: marker multinet_backend has 'knid'; expected*kind*"])


def test_environment_that_fails_tells_its_cause_once(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        conftest=NO_DISK,
        test_it="""
            def test_one(kind_cluster): pass
            def test_two(node_link): pass
            def test_three(kind_cluster): pass
            def test_four(): pass
        """,
    )
    result = run()
    result.assert_outcomes(errors=3, passed=1)
    text = result.stdout.str()
    assert text.count("because the disk is full") == 1
    reference = "failed before, see test_it.py::test_one: cannot build it"
    assert text.partition("short test summary")[0].count(reference) == 2


def test_full_traceback_shows_everything_each_time(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        conftest=NO_DISK,
        test_it="def test_one(kind_cluster): pass\ndef test_two(kind_cluster): pass",
    )
    for option in "--tb=long", "--full-trace":
        assert run(option).stdout.str().count("E       because the disk is full") == 2


def test_our_errors_show_the_users_lines_only(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        def apply_it(cluster):
            cluster.apply("no-such-file.yaml")

        def test_it(kind_cluster):
            apply_it(kind_cluster)
        """
    )
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '*cluster.apply("no-such-file.yaml")',
            "E * no manifest 'no-such-file.yaml'; looked for",
            "*UsageError",
        ]
    )
    result.stdout.no_fnmatch_line("*base.py*")
    run("--tb=long").stdout.fnmatch_lines(["*base.py:*"])


def test_relative_manifest_is_looked_for_beside_the_test_then_in_the_root(
    pytester: pytest.Pytester, run: Run
) -> None:
    network = """
        apiVersion: k8s.cni.cncf.io/v1
        kind: NetworkAttachmentDefinition
        metadata: {{name: {name}}}
        spec: {{config: '{{"cniVersion": "0.3.1", "type": "macvlan", "master": "eth1"}}'}}
    """
    (pytester.path / "sub").mkdir()
    (pytester.path / "sub" / "near.yaml").write_text(network.format(name="near"))
    (pytester.path / "far.yaml").write_text(network.format(name="far"))
    pytester.makepyfile(
        **{
            "sub/test_it": """
                def test_it(kind_cluster, multus, node_link):
                    (near,) = kind_cluster.apply("near.yaml")
                    (far,) = kind_cluster.apply("far.yaml")
                    assert (near.name, far.name) == ("near", "far")
            """
        }
    )
    run().assert_outcomes(passed=1)
