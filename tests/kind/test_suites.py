"""The example suite, unchanged, on kind: as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pytest_multinet.cluster.engine import Engine

ROOT = Path(__file__).parent.parent.parent
SUITE = ROOT / "example_suites" / "seed_macvlan"
NAME = "seed-macvlan"


def run(state: Path, *arguments: str) -> str:
    plugin = [] if _installed() else ["-p", "pytest_multinet.plugin"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *plugin,
            str(SUITE),
            "--multinet-backend=kind",
            *arguments,
        ],
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(state)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def multinet(state: Path, *arguments: str) -> str:
    """The command line program."""
    code = "import sys; from pytest_multinet.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(state)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def _installed() -> bool:
    from importlib.metadata import entry_points

    return any(e.name == "multinet" for e in entry_points(group="pytest11"))


def containers() -> list[str]:
    engine = Engine()
    try:
        return [c.name for c in engine.containers(f"io.x-k8s.kind.cluster={NAME}")]
    finally:
        engine.close()


def test_the_example_suite_runs_on_kind_is_kept_and_reused(tmp_path: Path) -> None:
    first = run(tmp_path, "--multinet-keep")
    assert "12 passed" in first
    assert "12 tests on kind" in first
    assert f"multinet down {NAME}" in first
    assert len(containers()) == 3

    second = run(tmp_path)
    assert "12 passed" in second
    assert "kind create cluster" not in second
    assert len(containers()) == 3  # what an earlier run kept stays kept

    inside = multinet(tmp_path, "exec", "-e", NAME, "worker", "--", "hostname")
    assert inside.strip() == f"{NAME}-worker"
    assert multinet(tmp_path, "down", NAME).strip() == f"{NAME} ended"
    assert containers() == []
