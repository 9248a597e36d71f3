"""Options as pytest sees them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]


def test_header_shows_what_differs_from_the_defaults(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]\nmultinet_timeout = 60\n")
    monkeypatch.setenv("MULTINET_CLUSTER_NAME", "mine")
    result = run("--multinet-nodes=2", "--collect-only")
    result.stdout.fnmatch_lines(
        [
            "multinet: cluster-name=mine (MULTINET_CLUSTER_NAME), nodes=2 (command line), "
            "timeout=60 (tox.ini)"
        ]
    )
    monkeypatch.delenv("MULTINET_CLUSTER_NAME")
    pytester.makeini("[pytest]\n")
    run("--collect-only").stdout.no_fnmatch_line("multinet:*")


def test_pyproject_gives_values(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyprojecttoml(
        """
        [tool.pytest.ini_options]
        multinet_nodes = 2
        multinet_require = ["embedded"]
        multinet_keep = "no"
        """
    )
    pytester.makepyfile("def test_it(kind_cluster): assert len(kind_cluster.nodes) == 2")
    result = run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["multinet: require=embedded (pyproject.toml), nodes=2 (pyproject.toml)"]
    )


def test_settings_reach_the_cluster(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        def test_it(kind_cluster):
            config = kind_cluster.config
            assert (config.name, config.nodes, config.timeout) == ("mine", 2, 7.5)
            assert config.pod_image == "alpine:3.20"
            assert [node.name for node in kind_cluster.nodes] == [
                "mine-control-plane", "mine-worker"
            ]
        """
    )
    run(
        "--multinet-cluster-name=mine",
        "--multinet-nodes=2",
        "--multinet-timeout=7.5",
        "--multinet-pod-image=alpine:3.20",
    ).assert_outcomes(passed=1)


def test_keep_takes_no_value(pytester: pytest.Pytester, run: Run) -> None:
    pytester.mkdir("suite")
    for flag in "--multinet-keep", "--multinet-keep-failed":
        result = run("--collect-only", flag, "suite")
        result.stdout.fnmatch_lines(["multinet: keep=* (command line)", "*collected 0 items*"])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--multinet-backend=knid", "--multinet-backend is 'knid'; expected * mean kind?"),
        ("--multinet-backend=kubeconfig", "*the kubeconfig backend is not available yet"),
        ("--multinet-nodes=0", "--multinet-nodes is '0'; expected a number of nodes, 1 to 100"),
        ("--multinet-timeout=soon", "--multinet-timeout is 'soon'; expected seconds, *"),
    ],
)
def test_bad_value_stops_before_anything_runs(
    pytester: pytest.Pytester, run: Run, argument: str, message: str
) -> None:
    pytester.makeconftest("def pytest_collection(): print('collecting')")
    result = run(argument)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
    result.stdout.no_fnmatch_line("*collecting*")


def test_misspelt_flag_is_refused(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_it(): pass")
    for flag, near in (
        ("--multinet-nodse=3", "--multinet-nodes"),
        ("--multinet-keep-fialed", "--multinet-keep-failed"),
    ):
        result = run(flag)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        name = flag.partition("=")[0]
        result.stderr.fnmatch_lines([f"ERROR: unknown option {name}; did you mean {near}?"])
    result = run("--multinet-colour=blue")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: unknown option --multinet-colour"])
    run("-k", "not --multinet-nodse").assert_outcomes(passed=1)


@pytest.mark.parametrize("table", ["tool.pytest.ini_options", "tool.pytest"])
def test_misspelt_key_of_pyproject_is_refused(
    pytester: pytest.Pytester, run: Run, table: str
) -> None:
    if table == "tool.pytest" and int(pytest.__version__.partition(".")[0]) < 9:
        pytest.skip("needs pytest 9")
    pytester.makepyprojecttoml(f'[{table}]\nmultinet_bakend = "kind"\n')
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: *pyproject.toml: unknown key 'multinet_bakend'; did you mean multinet_backend?"]
    )


def test_each_value_is_shown_with_its_source(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of each source; the nearest source wins and is the one that is shown."""
    pytester.makepyprojecttoml(
        '[tool.pytest.ini_options]\nmultinet_timeout = "60"\nmultinet_nodes = "2"\n'
    )
    monkeypatch.setenv("MULTINET_NODES", "5")
    monkeypatch.setenv("MULTINET_TIMEOUT", "70")
    monkeypatch.setenv("MULTINET_CAPTURE", "all")
    result = run("--collect-only", "--multinet-timeout=50")
    result.stdout.fnmatch_lines(
        [
            "multinet: nodes=2 (pyproject.toml), timeout=50 (command line), "
            "capture=all (MULTINET_CAPTURE)"
        ]
    )


def test_what_is_required_and_missing_stops_the_run(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile("def test_it(): pass")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{pytester.path}/none.sock")
    result = run("--multinet-require=kind")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: kind is required (require=kind, command line) and cannot run here: *"]
    )
    monkeypatch.setenv("MULTINET_REQUIRE", "kind")
    run().stderr.fnmatch_lines(["ERROR: kind is required (require=kind, MULTINET_REQUIRE) and *"])
    result = run("--multinet-require=nettem")
    result.stderr.fnmatch_lines(["ERROR: --multinet-require is 'nettem'; * mean netem?"])


def test_misspelt_ini_key_is_refused(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeini("[pytest]\nmultinet_node = 3\n")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: *tox.ini: unknown key 'multinet_node'; did you mean multinet_nodes?"]
    )


def test_misspelt_variable_is_refused(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MULTINET_BACKND", "kind")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *MULTINET_BACKND; did you mean MULTINET_BACKEND?"])


def test_help_lists_every_option(run: Run) -> None:
    from pytest_multinet.session.settings import OPTIONS

    text = run("--help").stdout.str()
    for option in OPTIONS:
        for flag in option.flags():
            assert flag in text
        assert option.variable in text.replace("\n", "").replace(" ", "")


def test_marker_is_listed(run: Run) -> None:
    run("--markers").stdout.fnmatch_lines(["@pytest.mark.multinet_backend(*names): *"])
