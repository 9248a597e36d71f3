"""A disk that is full: what cannot be written is told, and nothing runs on."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.embedded.crash import what_is_left
from tests.full_disk import run_with

Full = Callable[..., "subprocess.CompletedProcess[str]"]

SUITE = """
from pytest_multinet import assert_interface

def test_passes(multinet_pod):
    multinet_pod("pod1")

def test_fails(multinet_pod):
    assert_interface(multinet_pod("pod1"), "net1", within=0.1)
"""


@pytest.fixture
def on_full_disk(tmp_path: Path) -> Full:
    """Runs a module of Python with a folder of its own full; nothing of it may run on."""
    (tmp_path / "test_it.py").write_text(SUITE)
    tag = f"multinet-full-{os.getpid()}-{tmp_path.name}"

    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        variables = {"XDG_STATE_HOME": str(tmp_path / "state"), "MULTINET_TEST_TAG": tag}
        variables |= {"TMPDIR": str(folder)} if folder.name == "tmp" else {}
        ended = run_with(folder, "full", *arguments, cwd=tmp_path, variables=variables)
        assert what_is_left(tag) == ()
        assert "INTERNALERROR" not in ended.stdout
        return ended

    return run


PYTEST = ("pytest", "-q", "-p", "no:cacheprovider")


def test_evidence_that_cannot_be_written_is_told_and_hides_no_failure(
    on_full_disk: Full, tmp_path: Path
) -> None:
    ended = on_full_disk(tmp_path / "multinet-artifacts", *PYTEST)
    assert "1 failed, 1 passed" in ended.stdout
    assert "pod1 should have the interface net1" in ended.stdout
    assert "tear-down: artifacts of test_it.py::test_fails: " in ended.stdout
    assert "No space left on device" in ended.stdout


def test_environment_that_cannot_be_written_down_is_not_kept(
    on_full_disk: Full, tmp_path: Path
) -> None:
    ended = on_full_disk(
        tmp_path / "state", *PYTEST, "--multinet-keep", "--multinet-artifacts=off", "-kpasses"
    )
    assert "1 passed" in ended.stdout
    assert "multus-cluster could not be kept, and was ended: No space left" in ended.stdout
    assert ended.returncode != 0
    assert "kept:" not in ended.stdout


def test_up_that_cannot_be_written_down_leaves_nothing(on_full_disk: Full, tmp_path: Path) -> None:
    ended = on_full_disk(tmp_path / "state", "pytest_multinet.cli", "up", "--backend=embedded")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith("multinet: multus-cluster could not be kept, and was ended: ")
    assert "Traceback" not in ended.stderr


def test_full_temporary_folder_is_not_needed(on_full_disk: Full, tmp_path: Path) -> None:
    ended = on_full_disk(tmp_path / "tmp", *PYTEST, "--multinet-artifacts=off", "-kpasses")
    assert "1 passed" in ended.stdout


def test_listing_needs_no_room(on_full_disk: Full, tmp_path: Path) -> None:
    ended = on_full_disk(tmp_path / "state", "pytest_multinet.cli", "ls", "--json")
    assert (ended.returncode, json.loads(ended.stdout)) == (0, [])
