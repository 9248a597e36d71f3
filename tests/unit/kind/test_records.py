"""What is written down about clusters, and who may own a name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_multinet.cluster.record import Record, RecordFolder, lock_owner, read_record, records
from pytest_multinet.errors import ClusterError, UsageError


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = RecordFolder(tmp_path, "mine")
    record = Record("mine", "kept", "abc", {"nodes": 3}, {"mine-worker": "1"})
    folder.write(record)
    assert folder.read() == record
    assert records(tmp_path) == [record]
    folder.remove()
    assert folder.read() is None
    folder.release()


def test_one_name_has_one_owner(tmp_path: Path) -> None:
    first = RecordFolder(tmp_path, "mine")
    assert lock_owner(tmp_path, "mine") == os.getpid()
    with pytest.raises(ClusterError, match=f"another run .process {os.getpid()}. is using"):
        RecordFolder(tmp_path, "mine")
    first.release()
    first.release()
    assert lock_owner(tmp_path, "mine") is None
    RecordFolder(tmp_path, "mine").release()


def test_a_damaged_record_counts_as_none(tmp_path: Path) -> None:
    folder = RecordFolder(tmp_path, "mine")
    for text in ("", "[]", "{", '{"state": "kept"}'):
        (folder.folder / "record.json").write_text(text)
        assert read_record(folder.folder) is None
    folder.release()


@pytest.mark.parametrize("name", ["", "../x", "Mine", "a" * 60, "-a"])
def test_a_name_that_no_cluster_may_bear_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cluster name"):
        RecordFolder(tmp_path, name)
    assert not (tmp_path / "kind").exists()
