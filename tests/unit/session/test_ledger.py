"""The ledger: what was kept, written so that a crash or a parallel run cannot spoil it."""

from __future__ import annotations

import dataclasses
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_multinet.cluster.folders import state_folder
from pytest_multinet.cluster.owner import Owner
from pytest_multinet.errors import UsageError
from pytest_multinet.session.ledger import Ledger, Record, now

RECORD = Record(
    id="one",
    backend="embedded",
    cluster="one",
    folder="/project",
    created=now(),
    digest="0" * 16,
    specification={"nodes": 3},
    resources={"socket": "/x"},
)


def record(**changes: object) -> Record:
    return dataclasses.replace(RECORD, **changes)  # type: ignore[arg-type]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "state")


def write(ledger: Ledger, *records: Record) -> None:
    with ledger.locked():
        for each in records:
            ledger.write(each)


def test_record_is_read_as_written(ledger: Ledger) -> None:
    write(ledger, RECORD)
    assert ledger.records() == [RECORD]


def test_nobody_else_can_read_the_folder(ledger: Ledger) -> None:
    write(ledger, RECORD)
    assert stat.S_IMODE(ledger.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((ledger.folder / "one.json").stat().st_mode) == 0o600


def test_reading_makes_no_folder(ledger: Ledger) -> None:
    assert ledger.records() == []
    assert not ledger.folder.exists()


def test_file_that_is_no_record_is_passed_over(ledger: Ledger) -> None:
    write(ledger, RECORD)
    for name, text in {"a": "", "b": "[]", "c": "{}", "d": '{"id": 1, "owner": 2}'}.items():
        (ledger.folder / f"{name}.json").write_text(text)
    assert ledger.records() == [RECORD]


def test_record_of_a_process_that_has_gone_is_struck_off(ledger: Ledger) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    socket = ledger.folder / "sockets" / "holder"
    write(ledger, record(owner=Owner.of(process.pid), resources={"socket": str(socket)}))
    socket.parent.mkdir()
    socket.touch()
    assert [r.id for r in ledger.records()] == ["one"]
    process.communicate(b"\n")
    assert ledger.records() == []
    assert not (ledger.folder / "one.json").exists()
    assert not socket.parent.exists()


def test_later_process_of_the_same_number_is_another_one() -> None:
    owner = Owner.of(os.getpid())
    assert owner is not None
    assert owner.alive
    assert not dataclasses.replace(owner, start="another").alive


def test_only_environment_need_not_be_named(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="no environment is kept"):
        ledger.find()
    write(ledger, RECORD)
    assert ledger.find() == RECORD
    write(ledger, record(id="two"))
    with pytest.raises(UsageError, match=r"several environments are kept, .*: one, two"):
        ledger.find()
    assert ledger.find("two").id == "two"
    with pytest.raises(UsageError, match="no environment 'three' is kept; there are: one, two"):
        ledger.find("three")


def test_taken_name_gets_a_number(ledger: Ledger) -> None:
    assert ledger.free_id("one") == "one"
    write(ledger, RECORD, record(id="one~2"))
    assert ledger.free_id("one") == "one~3"


def test_record_is_removed_once_and_again(ledger: Ledger) -> None:
    write(ledger, RECORD)
    ledger.remove("one")
    ledger.remove("one")
    assert ledger.records() == []


def test_failed_write_leaves_the_record_as_it_was(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ledger, RECORD)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(ledger, record(cluster="other"))
    assert ledger.records() == [RECORD]
    assert [p.name for p in ledger.folder.glob("*.part")] == []


def test_state_folder_follows_the_xdg_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    assert state_folder({"XDG_STATE_HOME": "/s"}) == Path("/s/pytest-multinet")
    for environment in ({}, {"XDG_STATE_HOME": ""}, {"XDG_STATE_HOME": "relative"}):
        assert state_folder(environment) == Path("/home/u/.local/state/pytest-multinet")


def test_a_claim_is_there_until_it_is_released(ledger: Ledger) -> None:
    claim = ledger.claim(record(owner=Owner.of(os.getpid())))
    assert [(r.id, r.state) for r in ledger.records()] == [("one", "running")]
    assert ledger.kept() == []
    with pytest.raises(UsageError, match=rf"'one' is in use by a run \(process {os.getpid()}\)"):
        ledger.find("one")
    second = ledger.claim(RECORD)  # as a run of another project would
    assert second.record.id == "one~2"
    claim.release()
    claim.release()
    assert [r.id for r in ledger.records()] == ["one~2"]
    second.release()
    assert ledger.records() == []
    assert [path.name for path in ledger.folder.iterdir()] == [".lock"]


def test_the_claim_of_a_process_that_was_killed_is_struck_off(ledger: Ledger) -> None:
    code = (
        "import os, pathlib, sys; from tests.unit.session.test_ledger import RECORD, Ledger; "
        "Ledger(pathlib.Path(sys.argv[1])).claim(RECORD); print('claimed', flush=True); "
        "os.kill(os.getpid(), 9)"
    )
    root = Path(__file__).parents[3]
    argv = [sys.executable, "-c", code, str(ledger.folder.parent)]
    killed = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=False)
    assert (killed.returncode, killed.stdout) == (-9, "claimed\n"), killed.stderr
    assert (ledger.folder / "one.json").exists()
    assert ledger.records() == []
    assert [path.name for path in ledger.folder.iterdir()] == [".lock"]


def test_a_claim_lives_by_its_lock_and_not_by_a_process_that_we_can_see(ledger: Ledger) -> None:
    claim = ledger.claim(record(owner=Owner(pid=2**22 + 1, start="in another container")))
    assert [r.id for r in ledger.records()] == ["one"]
    claim.release()
