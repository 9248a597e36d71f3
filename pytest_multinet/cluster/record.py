"""What is written down about a kind cluster, so that another run can reuse or remove it.

One folder a cluster name, below the state folder: ``record.json``, the cluster's own
``kubeconfig`` (mode 0600), and a lock file that its owner holds while it lives.  The workers of
one run share the lock, and make what is common one after the other.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pytest_multinet.cluster.file_lock import held, holder_of, open_lock, try_lock
from pytest_multinet.cluster.owner import Owner
from pytest_multinet.errors import ClusterError
from pytest_multinet.model.topology import check_cluster_name


@dataclass
class Record:
    """One kind cluster of ours.

    Attributes:
        name: the cluster's name.
        state: ``creating``, ``ready`` (a run uses it), ``kept`` (left for the next run), or
            ``failed`` (a worker of the run could not make it, and ``error`` says why).
        spec: what it was made from; ``digest``: the hash of that.
        nodes: node name to container id.
        images: image name to the local image's id when it was loaded onto the nodes.
        plugins: fingerprint of the CNI plugins on the nodes.
        multus: version and mode that were found usable on every node.
        objects: what was applied: API version, kind, namespace, name.
        run: the controller of the run whose workers share it; they come and go, it stays.
        names: links and bridges on the nodes, each with the number of its worker.
        reused: whether that run has taken it over from an earlier one, which kept it.
    """

    name: str
    state: str = "creating"
    digest: str = ""
    spec: dict[str, Any] = field(default_factory=dict[str, Any])
    nodes: dict[str, str] = field(default_factory=dict[str, str])
    images: dict[str, str] = field(default_factory=dict[str, str])
    plugins: str = ""
    multus: dict[str, str] = field(default_factory=dict[str, str])
    objects: list[list[str]] = field(default_factory=list[list[str]])
    run: Owner | None = None
    reused: bool = False
    names: dict[str, int] = field(default_factory=dict[str, int])
    error: str = ""


class RecordFolder:
    """Where the record of one cluster name stands; the lock is held from creation to ``release``.

    Args:
        root: the state folder.
        name: cluster name.
        run: the run whose workers share the cluster, when this is one of them.

    Attributes:
        alone: nobody else holds the lock.

    Raises:
        ClusterError: another live run owns the name.
    """

    def __init__(self, root: Path, name: str, run: Owner | None = None) -> None:
        self.root = root
        self.name = check_cluster_name(name)
        self.folder = root / "kind" / self.name
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.kubeconfig = self.folder / "kubeconfig"
        self.alone = True
        self._lock = self._acquire(run)
        other = record.run if (record := self.read()) is not None else None
        if other is not None and other != run and other.alive:
            self.release()
            raise _in_use(self.name, str(other.pid))

    def _acquire(self, run: Owner | None) -> int:
        path = self.folder.parent / f"{self.name}.lock"
        lock = open_lock(path)
        try:
            if try_lock(lock):
                os.truncate(lock, 0)
                os.pwrite(lock, str(run.pid if run else os.getpid()).encode(), 0)
                return lock
            record = self.read()
            if run is not None and record is not None and record.run == run:
                self.alone = False
                # Whoever holds it alone is about to see whose it is.
                fcntl.flock(lock, fcntl.LOCK_SH)
                return lock
            raise _in_use(self.name, os.read(lock, 32).decode(errors="replace").strip() or "?")
        except BaseException:
            os.close(lock)
            raise

    def share(self) -> None:
        """Let the other workers of the run in."""
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def read(self) -> Record | None:
        """The record, ``None`` where there is none (or none that can be read)."""
        return read_record(self.folder)

    def write(self, record: Record) -> None:
        """Replace the record, in one step; what other workers have added since stays."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if record.run is None:
            self._replace(record)
            return
        with held(self.folder / "writing.lock"):
            there = self.read()
            if there is not None:
                record.objects += [o for o in there.objects if o not in record.objects]
                record.images |= {k: v for k, v in there.images.items() if k not in record.images}
                record.names |= there.names
                record.multus = record.multus or there.multus
                record.plugins = record.plugins or there.plugins
            self._replace(record)

    def _replace(self, record: Record) -> None:
        part = self.folder / "record.json.part"
        part.write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
        part.replace(self.folder / "record.json")

    def remove(self) -> None:
        """Remove the record and the kubeconfig."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def release(self) -> None:
        """Let another run own the name."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def read_record(folder: Path) -> Record | None:
    """The record in a folder, ``None`` where there is none that can be read."""
    try:
        data: Mapping[str, Any] = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        known = Record.__dataclass_fields__
        record = Record(**{k: v for k, v in data.items() if k in known})
        run: Any = record.run
        record.run = Owner(**run) if run else None
        return record
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def records(root: Path) -> list[Record]:
    """Every record below a state folder, by name."""
    folders = sorted((root / "kind").glob("*/record.json"))
    return [r for f in folders if (r := read_record(f.parent)) is not None]


def lock_owner(root: Path, name: str) -> int | None:
    """The live process that holds a cluster name, ``None`` where none does."""
    text = holder_of(root / "kind" / f"{name}.lock")
    if text is None:
        return None
    return int(text) if text.isdigit() else 0


@contextmanager
def one_at_a_time(root: Path, name: str, waiting: Callable[[float], None]) -> Iterator[None]:
    """Only one worker is inside the ``with`` block; it makes what all of them share.

    Args:
        root: the state folder.
        name: cluster name.
        waiting: called with the seconds until now, at once and then every 30 seconds.
    """
    (root / "kind").mkdir(parents=True, exist_ok=True, mode=0o700)
    with held(root / "kind" / f"{name}.making", lambda lock: _wait_for(lock, waiting)):
        yield


def _wait_for(lock: int, waiting: Callable[[float], None]) -> None:
    """Its deadline is the other worker's own: a lock ends with whoever holds it."""
    from tenacity import RetryCallState, Retrying, retry_if_result, wait_fixed

    said = -1

    def tell(state: RetryCallState) -> None:
        nonlocal said
        seconds = state.seconds_since_start or 0.0
        if int(seconds) // 30 > said:
            said = int(seconds) // 30
            waiting(seconds)

    again: Retrying = Retrying(
        retry=retry_if_result(lambda held: not held), wait=wait_fixed(0.1), before_sleep=tell
    )
    again(lambda: try_lock(lock))


def _in_use(name: str, owner: str) -> ClusterError:
    return ClusterError(
        f"another run (process {owner}) is using the cluster name {name!r}; wait for it to "
        "end, or choose another name with --multinet-cluster-name"
    )
