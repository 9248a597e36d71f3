"""Runs of real pytest in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Run = Callable[..., pytest.RunResult]
Multinet = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs pytest on the files of ``pytester``, warnings as errors, with a state folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in list(os.environ):
        own = name.startswith(("MULTINET_", "PYTEST_ADDOPTS", "PYTEST_XDIST"))
        if own or name in ("CI", "BUILD_NUMBER"):  # which make pytest write longer summaries
            monkeypatch.delenv(name)

    def run(*arguments: str) -> pytest.RunResult:
        # The order of tests counts in some suites, and hypothesis takes long to load.
        others = ("-p", "no:randomly", "-p", "no:hypothesispytest")
        return pytester.runpytest_subprocess("-W", "error", *others, *arguments)

    return run


@pytest.fixture
def multinet(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Multinet]:
    """Runs the command ``multinet``; what is still kept afterwards is ended."""

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def multinet(*arguments: str, input: str = "") -> subprocess.CompletedProcess[str]:
        argv = [
            sys.executable,
            "-W",
            "error",
            "-c",
            "import sys; from pytest_multinet.cli import main; sys.exit(main())",
        ]
        return subprocess.run(
            [*argv, *arguments],
            input=input,
            capture_output=True,
            text=True,
            cwd=pytester.path,
            timeout=30,
        )

    yield multinet
    multinet("down", "--all")
