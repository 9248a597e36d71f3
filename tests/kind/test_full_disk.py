"""A disk that is full while a cluster is made: told without a traceback, and nothing is left."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.full_disk import run_with

NAME = "multinet-full"


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ("full", f"cluster {NAME} could not be made: No space left on device"),
        ("20m", "docker save of * failed: *no space left on device"),  # the images' archive
    ],
)
def test_cluster_that_cannot_be_written_down_is_not_made(
    tmp_path: Path, plugins: Path | None, size: str, told: str
) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(multus): pass")
    arguments = ["pytest", "-p", "no:cacheprovider", "--multinet-backend=kind"]
    arguments += [f"--multinet-cluster-name={NAME}", "--multinet-nodes=1"]
    arguments += ["--multinet-artifacts=off"]
    arguments += [f"--multinet-cni-plugins={plugins}"] if plugins is not None else []
    state = tmp_path / "state"
    variables = {"XDG_STATE_HOME": str(state)}
    ended = run_with(state, size, *arguments, cwd=tmp_path, variables=variables, timeout=300)
    result = pytest.LineMatcher(ended.stdout.splitlines())
    result.fnmatch_lines([f"*{told}*", "*1 error*"])
    result.no_fnmatch_line("*kind.py*")
    label = f"label=io.x-k8s.kind.cluster={NAME}"
    listed = subprocess.run(["docker", "ps", "-aq", "--filter", label], capture_output=True)
    assert listed.stdout == b""
