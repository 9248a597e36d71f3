"""The plugin costs nothing where it is not used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]
HEAVY = ("docker", "kubernetes", "pyroute2", "tenacity", "yaml", "asyncio", "multiprocessing")


def test_collecting_imports_nothing_heavy(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    code = f"""
import sys, pytest
status = pytest.main(["--collect-only", "-q", "-p", "no:xdist", "-p", "no:hypothesispytest"])
loaded = [m for m in {HEAVY!r} if m in sys.modules]
ours = [m for m in sys.modules if m.startswith("pytest_multinet.")]
print("OURS", len(ours), "LOADED", loaded)
"""
    result = pytester.run(sys.executable, "-c", code)
    result.stdout.fnmatch_lines(["OURS * LOADED []"])
    assert "OURS 0" not in result.stdout.str()


def test_importing_the_package_imports_no_module_of_it() -> None:
    code = (
        "import sys, pytest_multinet; "
        "print([m for m in sys.modules if m.startswith('pytest_multinet.')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"


def test_every_public_name_can_be_imported() -> None:
    import pytest_multinet

    for name in pytest_multinet.__all__:
        assert getattr(pytest_multinet, name).__module__.startswith("pytest_multinet.")
    assert set(pytest_multinet.__all__) <= set(dir(pytest_multinet))


def test_unknown_name_is_an_attribute_error() -> None:
    import pytest_multinet

    with pytest.raises(AttributeError, match="no attribute 'assert_everything'"):
        _ = pytest_multinet.assert_everything


def test_fixtures_are_listed_with_what_they_give(run: Run) -> None:
    result = run("--fixtures")
    for name in ("kind_cluster", "multus", "node_link", "macvlan_network", "multinet_pod"):
        result.stdout.re_match_lines([rf"{name} \[session scope\] -- .*fixtures\.py:\d+"])
    result.stdout.fnmatch_lines(["multinet_pod_factory -- *"])
    result.stdout.no_fnmatch_line("*no docstring*multinet*")


def test_fixtures_and_their_setting_up_are_shown_without_building(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(
        "def test_one(macvlan_network, multinet_pod): pass\n"
        "def test_two(macvlan_network, multinet_pod): pass\n"
    )
    result = run("--setup-plan")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["SETUP    S multinet_cluster *"])
