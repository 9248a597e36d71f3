"""Which environments there are: one JSON record each, in the user's state folder.

Records are replaced atomically; whoever adds one holds a lock on the folder meanwhile.  The run
that uses an environment holds a lock beside its record; a kept one has a process of its own, or
none.  A record whose run or process has gone is stale and is struck off when the ledger is read.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pytest_multinet.cluster.file_lock import held, holder_of, open_lock
from pytest_multinet.cluster.folders import state_folder
from pytest_multinet.cluster.owner import Owner
from pytest_multinet.errors import UsageError


@dataclass(frozen=True)
class Record:
    """An environment that a run uses, or that one has kept.

    Attributes:
        id: ``<cluster>[@<worker>]``, unique in the ledger.
        state: ``running`` or ``kept``.
        backend: the backend that it runs on.
        cluster: the cluster's name.
        folder: root folder of the tests that it was made for.
        created: when it was made, or kept, ISO 8601, UTC.
        digest: hash of its specification.
        specification: fields of its configuration.
        description: nodes, pods, links and networks at that time.
        resources: what the backend needs to reach it; a ``socket`` that its owner listened at
            is removed with a stale record.
        owner: the process whose end is its end; ``None``: it outlives every process of ours.
    """

    id: str
    backend: str
    cluster: str
    folder: str
    created: str
    digest: str
    specification: Mapping[str, Any] = field(default_factory=dict[str, Any])
    description: Mapping[str, Any] = field(default_factory=dict[str, Any])
    resources: Mapping[str, Any] = field(default_factory=dict[str, Any])
    owner: Owner | None = None
    state: str = "kept"

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read a record; raises ``ValueError`` where it is none."""
        try:
            data = json.loads(text)
            owner = data.pop("owner")
            return cls(owner=Owner(**owner) if owner else None, **data)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not a record: {error}") from error

    def to_json(self) -> str:
        """The record as text that a person can read."""
        return json.dumps(asdict(self), indent=2, default=str) + "\n"


def now() -> str:
    """The time as records have it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


class Ledger:
    """The records in a folder, which is made with mode 0700 when the first one is written."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or state_folder(os.environ)) / "environments"

    def records(self) -> list[Record]:
        """Every environment that still runs, by id; stale records are struck off."""
        found: list[Record] = []
        for path in sorted(self.folder.glob("*.json")):
            with contextlib.suppress(OSError, ValueError):
                record = Record.from_json(path.read_text(encoding="utf-8"))
                if self._lives(record):
                    found.append(record)
                elif self._is_stale(path, record):
                    self.remove(record.id)
                    _remove_socket(record)
        return found

    def _is_stale(self, path: Path, record: Record) -> bool:
        """Whether a dead record still stands there: its run may just have written another."""
        return Record.from_json(path.read_text(encoding="utf-8")) == record

    def _lives(self, record: Record) -> bool:
        if record.state == "running":  # by a process that may be in another container
            return holder_of(self._lock_of(record.id)) is not None
        return record.owner is None or record.owner.alive

    def kept(self) -> list[Record]:
        """The environments that were kept, by id."""
        return [record for record in self.records() if record.state == "kept"]

    def find(self, id: str | None = None) -> Record:
        """The record of a kept environment that a user means: by id, or the only one.

        Raises:
            UsageError: none, or several; the message lists them.
        """
        running = [r for r in self.records() if r.state == "running" and r.id == id]
        if running:
            raise UsageError(
                f"environment {id!r} is in use by a run (process {_pid(running[0])}); "
                "'pytest --multinet-keep' keeps it at the end"
            )
        records = self.kept()
        wanted = [r for r in records if id in (None, r.id)]
        if len(wanted) == 1:
            return wanted[0]
        ids = ", ".join(r.id for r in records)
        if not records:
            raise UsageError("no environment is kept; 'pytest --multinet-keep' keeps one")
        if wanted:
            raise UsageError(f"several environments are kept, choose one with -e: {ids}")
        raise UsageError(f"no environment {id!r} is kept; there are: {ids}")

    def free_id(self, wanted: str) -> str:
        """``wanted``, or with ``~2``, ``~3``, ... where a record bears that id."""
        taken = {r.id for r in self.records()}
        number, id = 2, wanted
        while id in taken:
            id, number = f"{wanted}~{number}", number + 1
        return id

    def claim(self, record: Record) -> Claim:
        """Write down an environment that this process uses, under a free id, until released."""
        with self.locked():
            record = replace(record, id=self.free_id(record.id), state="running")
            lock = open_lock(self._lock_of(record.id))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.write(record)
            except BaseException:
                os.close(lock)
                raise
        return Claim(self, record, lock)

    def write(self, record: Record) -> None:
        """Write or replace a record, atomically."""
        path = self._path(record.id)
        draft = path.with_suffix(f".{os.getpid()}.part")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(record.to_json())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    def remove(self, id: str) -> None:
        """Strike a record off; harmless when repeated."""
        self._path(id).unlink(missing_ok=True)
        self._lock_of(id).unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else adds a record inside the ``with`` block."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with held(self.folder / ".lock"):
            yield

    def _path(self, id: str) -> Path:
        return self.folder / f"{id}.json"

    def _lock_of(self, id: str) -> Path:
        return self.folder / f"{id}.lock"


class Claim:
    """An environment of this process in the ledger.

    Attributes:
        record: what is written down.
    """

    def __init__(self, ledger: Ledger, record: Record, lock: int) -> None:
        self.record = record
        self._ledger = ledger
        self._lock = lock

    def release(self) -> None:
        """Strike it off; harmless when repeated."""
        if self._lock >= 0:
            self._ledger.remove(self.record.id)
            os.close(self._lock)
            self._lock = -1


def _pid(record: Record) -> str:
    return str(record.owner.pid) if record.owner is not None else "unknown"


def _remove_socket(record: Record) -> None:
    socket = record.resources.get("socket")
    if isinstance(socket, str):
        with contextlib.suppress(OSError):
            Path(socket).unlink(missing_ok=True)
            Path(socket).parent.rmdir()
