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
