"""What was left running on purpose: one JSON record an environment, in the user's state folder.

Records are replaced atomically; whoever adds one holds a lock on the folder meanwhile.  A
record whose process has gone is stale and is struck off when the ledger is read.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pytest_multinet.cluster.folders import state_folder
from pytest_multinet.cluster.owner import Owner
from pytest_multinet.errors import UsageError


@dataclass(frozen=True)
class Record:
    """An environment that was kept.

    Attributes:
        id: ``<cluster>[@<worker>]``, unique in the ledger.
        backend: the backend that it runs on.
        cluster: the cluster's name.
        folder: root folder of the tests that it was made for.
        created: when it was kept, ISO 8601, UTC.
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
                if record.owner is None or record.owner.alive:
                    found.append(record)
                else:
                    path.unlink(missing_ok=True)
                    _remove_socket(record)
        return found

    def find(self, id: str | None = None) -> Record:
        """The record that a user means: by id, or the only one.

        Raises:
            UsageError: none, or several; the message lists them.
        """
        records = self.records()
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

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else adds a record inside the ``with`` block."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _path(self, id: str) -> Path:
        return self.folder / f"{id}.json"


def _remove_socket(record: Record) -> None:
    socket = record.resources.get("socket")
    if isinstance(socket, str):
        with contextlib.suppress(OSError):
            Path(socket).unlink(missing_ok=True)
            Path(socket).parent.rmdir()
