"""What is written down about a kind cluster, so that another run can reuse or remove it.

One folder a cluster name, below the state folder: ``record.json``, the cluster's own
``kubeconfig`` (mode 0600), and a lock file that its owner holds while it lives.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pytest_multinet.errors import ClusterError
from pytest_multinet.model.topology import check_cluster_name


@dataclass
class Record:
    """One kind cluster of ours.

    Attributes:
        name: the cluster's name.
        state: ``creating``, ``ready`` (a run uses it) or ``kept`` (left for the next run).
        spec: what it was made from; ``digest``: the hash of that.
        nodes: node name to container id.
        images: image name to the local image's id when it was loaded onto the nodes.
        plugins: fingerprint of the CNI plugins on the nodes.
        multus: version and mode that were found usable on every node.
        links: the configurations of the node links.
        objects: what was applied: API version, kind, namespace, name.
        pid: the owner's process.
    """

    name: str
    state: str = "creating"
    digest: str = ""
    spec: dict[str, Any] = field(default_factory=dict[str, Any])
    nodes: dict[str, str] = field(default_factory=dict[str, str])
    images: dict[str, str] = field(default_factory=dict[str, str])
    plugins: str = ""
    multus: dict[str, str] = field(default_factory=dict[str, str])
    links: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    objects: list[list[str]] = field(default_factory=list[list[str]])
    pid: int = 0


class RecordFolder:
    """Where the record of one cluster name stands; the lock is held from creation to ``release``.

    Args:
        root: the state folder.
        name: cluster name.

    Raises:
        ClusterError: another live run owns the name.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = check_cluster_name(name)
        self.folder = root / "kind" / self.name
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.kubeconfig = self.folder / "kubeconfig"
        self._lock = _lock(self.folder.parent / f"{self.name}.lock", self.name)

    def read(self) -> Record | None:
        """The record, ``None`` where there is none (or none that can be read)."""
        return read_record(self.folder)

    def write(self, record: Record) -> None:
        """Replace the record, in one step."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
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
        return Record(**{k: v for k, v in data.items() if k in known})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def records(root: Path) -> list[Record]:
    """Every record below a state folder, by name."""
    folders = sorted((root / "kind").glob("*/record.json"))
    return [r for f in folders if (r := read_record(f.parent)) is not None]


def lock_owner(root: Path, name: str) -> int | None:
    """The live process that holds a cluster name, ``None`` where none does."""
    path = root / "kind" / f"{name}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32).decode(errors="replace").strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(descriptor)
    return None


def _lock(path: Path, name: str) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(descriptor, 32).decode(errors="replace").strip() or "?"
        os.close(descriptor)
        raise ClusterError(
            f"another run (process {owner}) is using the cluster name {name!r}; wait for it to "
            "end, or choose another name with --multinet-cluster-name"
        ) from None
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
