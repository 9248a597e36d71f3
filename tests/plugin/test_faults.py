"""Runs of pytest that are ended from outside: nothing of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.embedded.crash import family_of, is_holder, what_is_left

SUITE = """
import os
import pathlib
import time
import pytest

FOLDER = pathlib.Path(os.environ["MULTINET_TEST_FOLDER"])

@pytest.mark.parametrize("number", range(8))
def test_it(multinet_pod, macvlan_network, number):
    pod = multinet_pod("pod1", node="worker", networks=macvlan_network.attach("10.1.1.1/24"))
    tag = {"MULTINET_TEST_TAG": os.environ["MULTINET_TEST_TAG"]}
    pod.spawn(["sleep", "1000"], env=tag)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    FOLDER.joinpath(f"{worker}-{number}").write_text(str(os.getpid()))
    while not FOLDER.joinpath("go").exists():
        time.sleep(0.02)
"""
DEADLINE = 30.0
_OURS = ("MULTINET_", "PYTEST_")  # variables that would change the run


class Victim:
    """A run of pytest in a session of its own, whose processes carry a tag."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.tag = f"multinet-fault-{os.getpid()}-{folder.name}"
        (folder / "test_it.py").write_text(SUITE)
        places = {name: folder / name for name in ("told", "state", "tmp")}
        for place in places.values():
            place.mkdir()
        self.told = places["told"]
        self.temporary = places["tmp"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_heed_signals,
            text=True,
            env={
                **{n: v for n, v in os.environ.items() if not n.startswith(_OURS)},
                "MULTINET_TEST_TAG": self.tag,
                "MULTINET_TEST_FOLDER": str(self.told),
                "XDG_STATE_HOME": str(places["state"]),
                "TMPDIR": str(self.temporary),
            },
        )

    def workers(self, count: int) -> list[int]:
        """Processes that are inside a test, once there are that many."""
        end = time.monotonic() + DEADLINE
        while len(found := list(self.told.glob("*-*"))) < count or not all(
            file.read_text() for file in found
        ):
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < end, "the tests did not start"
            time.sleep(0.02)
        return [int(file.read_text()) for file in sorted(found)]

    def go_on(self) -> None:
        """Let the tests end."""
        (self.told / "go").touch()

    def output(self) -> str:
        """Everything that was printed; waits for the end."""
        return self.process.communicate(timeout=DEADLINE)[0]

    def left(self) -> list[str]:
        """What is left of the run, but for pytest's own temporary folder."""
        names = [path.name for path in self.temporary.iterdir()]
        return [*what_is_left(self.tag), *(n for n in names if not n.startswith("pytest-of-"))]

    def end(self) -> None:
        """End it, whatever it does."""
        for pid in family_of(self.process.pid):
            if self.process.poll() is None:
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def _heed_signals() -> None:
    """As from a terminal; nohup and shells' background jobs have some of them ignored."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Callable[..., Victim]]:
    """Starts a run that is to be ended."""
    started: list[Victim] = []

    def victim(*arguments: str) -> Victim:
        started.append(Victim(tmp_path, *arguments))
        return started[-1]

    yield victim
    for each in started:
        each.end()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGKILL", "SIGINT"])
def test_run_that_is_ended_by_a_signal_leaves_nothing(
    victim: Callable[..., Victim], name: str
) -> None:
    run = victim()
    (pid,) = run.workers(1)
    assert any(map(is_holder, family_of(pid)))
    os.kill(pid, getattr(signal, name))
    output = run.output()
    assert run.left() == []
    if name == "SIGINT":
        assert run.process.returncode == pytest.ExitCode.INTERRUPTED, output
        assert "INTERNALERROR" not in output


def test_second_interrupt_during_the_end_leaves_nothing(victim: Callable[..., Victim]) -> None:
    run = victim()
    (pid,) = run.workers(1)
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGINT)
    run.output()
    assert run.left() == []


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
def test_interrupted_workers_leave_nothing(victim: Callable[..., Victim], times: int) -> None:
    pytest.importorskip("xdist")
    run = victim("-n", "2")
    run.workers(2)
    for _ in range(times):  # as a terminal does: to the whole group
        os.killpg(run.process.pid, signal.SIGINT)
    run.output()
    assert run.left() == []


def test_killed_worker_is_replaced_and_leaves_nothing(victim: Callable[..., Victim]) -> None:
    pytest.importorskip("xdist")
    run = victim("-n", "2")
    pid, _ = run.workers(2)
    os.kill(pid, signal.SIGKILL)
    run.workers(3)  # the replacement has a cluster, too
    run.go_on()
    output = run.output()
    assert "crashed while running" in output
    assert "7 passed" in output, output
    assert "INTERNALERROR" not in output
    assert run.left() == []


def test_killed_controller_takes_the_workers_with_it(victim: Callable[..., Victim]) -> None:
    pytest.importorskip("xdist")
    run = victim("-n", "2")
    run.workers(2)
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait()
    run.go_on()  # execnet's workers notice once their test has ended
    assert run.left() == []


def test_killed_holder_fails_the_test_and_the_run_goes_on(victim: Callable[..., Victim]) -> None:
    run = victim()
    (pid,) = run.workers(1)
    (holder, *_) = [p for p in family_of(pid) if is_holder(p)]
    os.kill(holder, signal.SIGKILL)
    run.go_on()
    output = run.output()
    assert run.process.returncode == pytest.ExitCode.TESTS_FAILED, output
    assert "holds the cluster's namespaces has gone" in output
    assert "INTERNALERROR" not in output
    assert run.left() == []
