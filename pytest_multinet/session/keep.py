"""Environments that outlive their run: how they are left, found again and ended."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_multinet.cluster.owner import Owner
from pytest_multinet.errors import ClusterError
from pytest_multinet.session.backend import Attached, backend_module
from pytest_multinet.session.ledger import Claim, Ledger, Record, now

if TYPE_CHECKING:
    from pytest_multinet.cluster.base import Cluster
    from pytest_multinet.cluster.share import Ended
    from pytest_multinet.model.topology import ClusterConfig


@dataclass(frozen=True)
class Kept:
    """What a run tells its user of an environment that it left.

    Attributes:
        id: as ``multinet`` takes it.
        backend: the backend that it runs on.
        nodes: number of nodes; ``pods``: names of its pods.
        rerun: the command that runs the failed tests again, empty where there was no test.
    """

    id: str
    backend: str
    nodes: int
    pods: list[str]
    rerun: str

    def lines(self) -> list[str]:
        """What was kept and the commands to use it."""
        node = "worker" if self.nodes > 1 else "control-plane"
        pod = self.pods[0] if self.pods else node
        inside = f"{_count(self.nodes, 'node')}, {_count(len(self.pods), 'pod')}"
        return [
            f"kept:         {self.id} on {self.backend}, {inside}",
            f"look inside:  multinet exec -e {self.id} {pod} -- ip addr",
            *([f"rerun failed: {self.rerun}"] if self.rerun else []),
            f"delete:       multinet down {self.id}",
        ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def keep_cluster(cluster: Cluster, *, worker: str | None, folder: Path, rerun: str) -> Kept:
    """Leave a cluster running and write it down.

    One that an earlier run left for the same folder under the same id is ended.

    Args:
        cluster: it can only be closed afterwards, which then does nothing.
        worker: the pytest-xdist worker that made it.
        folder: root folder of the tests.
        rerun: the command that runs the failed tests again; empty: there was no test.

    Raises:
        ClusterError: it could not be written down; it is ended.
    """
    id = _id_of(cluster, worker)
    pods = [pod.name for pod in cluster.pods()]
    nodes = len(cluster.nodes)
    description = cluster.describe()
    ledger = Ledger()
    resources: dict[str, Any] | None = None
    try:
        with ledger.locked():
            resources = cluster.keep(id)
            id = _id_for(id, str(folder), resources, ledger)
            owner = resources.get("owner")
            record = _record_of(cluster, id, folder, description, owner)
            ledger.write(replace(record, resources=resources))
    except OSError as error:  # what is not written down would run on, and nobody would know of it
        cluster.close()
        if resources is not None:
            backend_module(cluster.backend).attach(resources).down()
        raise ClusterError(
            f"{id} could not be kept, and was ended: {error.strerror}, below {ledger.folder}"
        ) from error
    return Kept(id, cluster.backend, nodes, pods, rerun)


def _id_of(cluster: Cluster, worker: str | None) -> str:
    return f"{cluster.name}@{worker}" if worker else cluster.name


def _record_of(
    cluster: Cluster, id: str, folder: Path, description: Mapping[str, Any], owner: int | None
) -> Record:
    """What is written down of a cluster; ``owner``: the process that it lives as long as."""
    return Record(
        id=id,
        backend=cluster.backend,
        cluster=cluster.name,
        folder=str(folder),
        created=now(),
        digest=cluster.config.digest,
        specification=cluster.config.to_dict(),
        description=description,
        owner=Owner.of(owner) if owner else None,
    )


def _id_for(wanted: str, folder: str, resources: Mapping[str, Any], ledger: Ledger) -> str:
    """The id to write an environment down by."""
    for record in ledger.kept():
        if record.resources == resources:  # it was attached to, and is kept again
            return record.id
        if record.id == wanted and record.folder == folder:
            take_down(record, ledger)
    return ledger.free_id(wanted)


def kept_for(backend: str, config: ClusterConfig, folder: Path) -> Record | None:
    """The environment of that name that a run in the same folder has kept in its own process.

    Kind knows its kept clusters itself: their names are the machine's, whatever the folder.
    """
    for record in Ledger().kept():
        if record.owner is not None and (record.backend, record.cluster, record.folder) == (
            backend,
            config.name,
            str(folder),
        ):
            return record
    return None


def differences(record: Record, config: ClusterConfig) -> str:
    """In what a kept environment differs from a configuration; empty where it does not."""
    wanted = json.loads(json.dumps(config.to_dict(), default=str))
    kept = record.specification
    return ", ".join(
        f"{key}: {kept.get(key)!r} was kept, {value!r} is wanted"
        for key, value in wanted.items()
        if kept.get(key) != value
    )


def attach(record: Record) -> Attached:
    """Reach an environment that was kept; raises :class:`ClusterError` where it is no more."""
    return backend_module(record.backend).attach(record.resources)


def take_down(record: Record, ledger: Ledger) -> None:
    """End an environment that was kept and strike it off."""
    attach(record).down()
    ledger.remove(record.id)


def forget_cluster(backend: str, name: str) -> None:
    """Strike off a cluster that an earlier run kept and that is no more."""
    ledger = Ledger()
    for record in ledger.kept():
        if (record.backend, record.cluster, record.owner) == (backend, name, None):
            ledger.remove(record.id)


def claim_cluster(cluster: Cluster, *, worker: str | None, folder: Path) -> Claim:
    """Write down a cluster that this run uses, until the claim is released."""
    nodes = {"nodes": cluster.describe()["nodes"]}
    id = _id_of(cluster, worker)
    return Ledger().claim(_record_of(cluster, id, folder, nodes, os.getpid()))


# --- what workers share -------------------------------------------------------------------------


def left_in(cluster: Cluster) -> dict[str, Any]:
    """What a worker leaves in a cluster that others use too, as JSON types."""
    described = cluster.describe()
    for pod in described["pods"]:
        pod["namespace"] = cluster.real_namespace(pod["namespace"])
    return {
        "name": cluster.name,
        "digest": cluster.config.digest,
        "specification": cluster.config.to_dict(),
        "description": described,
    }


def shared_backends(run: Owner) -> list[str]:
    """The backends on which the workers of a run have shared clusters."""
    from pytest_multinet.cluster.folders import state_folder
    from pytest_multinet.cluster.record import records

    shared = any(record.run == run for record in records(state_folder(os.environ)))
    return ["kind"] if shared else []


def keep_shared(
    backend: str, ended: Ended, left: Sequence[Mapping[str, Any]], *, folder: Path, rerun: str
) -> Kept:
    """Write down a cluster that workers have shared and that was kept.

    Args:
        backend: its backend.
        ended: what its backend says of it.
        left: what each worker left in it, of those that lived to tell.
        folder: root folder of the tests.
        rerun: the command that runs the failed tests again.
    """
    first: Mapping[str, Any] = left[0] if left else {}
    description = dict(first.get("description", {}))
    for key in ("pods", "links", "networks"):
        description[key] = [item for one in left for item in one["description"][key]]
    resources = dict(ended.kept or {})
    ledger = Ledger()
    with ledger.locked():
        id = _id_for(ended.name, str(folder), resources, ledger)
        ledger.write(
            Record(
                id=id,
                backend=backend,
                cluster=ended.name,
                folder=str(folder),
                created=now(),
                digest=str(first.get("digest", "")),
                specification=first.get("specification", {}),
                description=description,
                resources=resources,
            )
        )
    pods = [f"{pod['namespace']}/{pod['name']}" for pod in description["pods"]]
    return Kept(id, backend, len(description.get("nodes", [])), pods, rerun)


def reap() -> list[str]:
    """Remove what runs left that could not end; the names of what was removed.

    On embedded nothing can be left but records, which :class:`Ledger` strikes off itself.
    """
    Ledger().records()
    from pytest_multinet.cluster.folders import state_folder
    from pytest_multinet.cluster.record import records

    if all(record.state == "kept" for record in records(state_folder(os.environ))):
        return []
    from pytest_multinet.cluster import kind

    removed = kind.reap()
    for name in removed:
        forget_cluster("kind", name)
    return removed
