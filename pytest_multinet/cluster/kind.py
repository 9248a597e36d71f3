"""The kind backend: a real cluster in Docker containers, made, reused and removed.

Independent steps overlap: images are saved and plugins read while the nodes boot, and put onto
the nodes while kubeadm works.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pytest_multinet.cluster import kind_config
from pytest_multinet.cluster.bundle import use_bundle
from pytest_multinet.cluster.engine import Container, Engine
from pytest_multinet.cluster.folders import state_folder
from pytest_multinet.cluster.kind_boot import KIND_LABEL
from pytest_multinet.cluster.kind_cluster import KindCluster
from pytest_multinet.cluster.kind_kept import KeptCluster, remove_remains
from pytest_multinet.cluster.kind_program import KindProgram
from pytest_multinet.cluster.owner import Owner
from pytest_multinet.cluster.record import Record, RecordFolder, records
from pytest_multinet.cluster.share import Ended, Share, turn
from pytest_multinet.cluster.stages import Stages
from pytest_multinet.errors import BackendUnavailable, ClusterError, MultinetError
from pytest_multinet.model.topology import ClusterConfig


def open_cluster(
    config: ClusterConfig,
    *,
    state_dir: Path | None = None,
    progress: Callable[[str], None] | None = None,
    reuse: bool = True,
    kind_program: str | None = None,
    artifacts: Path | None = None,
    direct: bool = True,
    share: Share | None = None,
) -> KindCluster:
    """Make a kind cluster, or attach to the one that an earlier run kept.

    Args:
        config: what it is to be; with a ``bundle``, images and plugins come from that.
        state_dir: where it is written down; default below ``$XDG_STATE_HOME``.
        progress: called with a line for every stage of more than a second.
        reuse: attach to a kept cluster of the same specification.
        kind_program: ``kind``, by name or path.
        artifacts: folder for the nodes' logs when creation fails.
        direct: open the nodes' and pods' namespaces from here where that is possible; else
            everything goes through programs run inside them.
        share: this process is one of several that use the cluster; the first one makes it.

    Raises:
        BackendUnavailable: Docker or kind cannot be used.
        ClusterError: the name is taken, or the cluster could not be made.
    """
    if config.bundle is not None:
        config = use_bundle(config.bundle, config, progress=progress or (lambda line: None))
    config = kind_config.resolve(config)
    stages = Stages(progress or (lambda line: None))
    root = state_dir or state_folder(os.environ)
    with ExitStack() as stack, turn(root, config.name, share, stages, "makes"):
        engine = Engine()
        stack.callback(engine.close)
        kind = KindProgram(kind_program, engine.environment)
        folder = RecordFolder(root, config.name, share.run if share else None)
        stack.callback(folder.release)
        there = _existing(engine, folder)
        record = folder.read()
        cluster = None
        digest = kind_config.digest(kind_config.specification(config))
        if share and record and (record.state, record.digest) == ("failed", digest):
            raise ClusterError(
                f"another worker could not make cluster {record.name}: {record.error}"
            )
        if record is not None and (
            _is_shared(record, share) or (record.state == "kept" and reuse)
        ):
            cluster = _attach(
                config, engine, kind, folder, record, there, stages, direct=direct, share=share
            )
        if cluster is None:
            if record is not None:
                remove_remains(kind, folder, there, stages)
            with stages.stage("check kind"):
                kind.check()
            made = Record(config.name, run=share.run if share else None)
            cluster = KindCluster(
                config, engine, kind, folder, made, stages, direct=direct, share=share
            )
            stack.pop_all()
            try:
                cluster.create(artifacts)
            except BaseException as error:
                cluster.abandon(error)
                raise
        stack.pop_all()
        return cluster


def _is_shared(record: Record, share: Share | None) -> bool:
    """Whether another worker of the run has made the cluster."""
    if share is None or record.run != share.run:
        return False
    return record.state == "ready"


def end_run(
    run: Owner, keep: Callable[[bool], bool], state_dir: Path | None = None
) -> list[Ended]:
    """End the clusters that the workers of a run have shared; they are gone by now.

    Args:
        run: the controller.
        keep: whether to keep a cluster, told whether an earlier run had kept it before.
        state_dir: where clusters are written down.
    """
    root = state_dir or state_folder(os.environ)
    ended: list[Ended] = []
    for record in records(root):
        if record.run != run:
            continue
        try:
            kept = _end_shared(root, record, keep=keep)
        except (MultinetError, OSError) as error:
            ended.append(Ended(record.name, None, str(error)))
        else:
            ended.append(Ended(record.name, kept))
    return ended


def _end_shared(
    root: Path, record: Record, *, keep: Callable[[bool], bool]
) -> dict[str, Any] | None:
    """What reaches it where it is kept, ``None``: it is gone."""
    folder = RecordFolder(root, record.name, record.run)
    try:
        if record.state != "ready" or not keep(record.reused):
            _remove(folder)
            return None
        record.state, record.run = "kept", None
        folder.write(record)
        return {"name": record.name, "state": str(root), "id": record.name}
    finally:
        folder.release()


def _remove(folder: RecordFolder) -> None:
    """Remove the cluster of a record, where it is ours."""
    engine = Engine()
    try:
        kind = KindProgram(None, engine.environment)
        there = _existing(engine, folder)
        remove_remains(kind, folder, there, Stages(lambda line: None))
    finally:
        engine.close()


def unusable_reason() -> str | None:
    """Why kind cannot be used here and what to do; ``None`` where it can."""
    try:
        engine = Engine(timeout=2.0)
        try:
            KindProgram(None, engine.environment).check()
        finally:
            engine.close()
    except BackendUnavailable as error:
        return str(error)
    return None


def attach(resources: Mapping[str, Any]) -> KeptCluster:
    """Reach a cluster that was kept, by what its ``keep`` returned."""
    return KeptCluster(str(resources["name"]), Path(str(resources["state"])))


def reap(state_dir: Path | None = None, *, kept: bool = False) -> list[str]:
    """Remove clusters whose owner has ended without doing so; returns their names.

    Args:
        state_dir: where clusters are written down.
        kept: also those that were kept on purpose.
    """
    root = state_dir or state_folder(os.environ)
    removed: list[str] = []
    for record in records(root):
        if record.state == "kept" and not kept:
            continue
        with ExitStack() as stack:
            try:
                folder = RecordFolder(root, record.name)
            except ClusterError:
                continue  # its owner lives
            stack.callback(folder.release)
            _remove(folder)
            removed.append(record.name)
    return removed


def _existing(engine: Engine, folder: RecordFolder) -> list[Container]:
    """The node containers of that name, if they are ours.

    Raises:
        ClusterError: they are someone else's.
    """
    there = engine.containers(f"{KIND_LABEL}={folder.name}")
    record = folder.read()
    if not there:
        return there
    ours = set(record.nodes.values()) if record is not None else set[str]()
    if record is None or (ours and not ours & {c.id for c in there}):
        raise ClusterError(
            f"a kind cluster called {folder.name!r} exists that pytest-multinet did not make; it "
            "is left alone. Choose another name with --multinet-cluster-name, or remove it: "
            f"kind delete cluster --name {folder.name}"
        )
    return there


def _attach(
    config: ClusterConfig,
    engine: Engine,
    kind: KindProgram,
    folder: RecordFolder,
    record: Record,
    there: Sequence[Container],
    stages: Stages,
    *,
    direct: bool,
    share: Share | None,
) -> KindCluster | None:
    """The cluster that is there, ``None`` where it is no longer whole."""
    joins = _is_shared(record, share)
    spec = kind_config.specification(config)
    if record.digest != kind_config.digest(spec):
        raise _other_specification(record, json.loads(json.dumps(spec)), joins=joins)
    running = {c.id for c in there if c.running}
    if not record.nodes or set(record.nodes.values()) - running:
        gone = [n for n, i in record.nodes.items() if i not in running] or ["all nodes"]
        names = ", ".join(gone)
        if joins and not folder.alone:
            raise ClusterError(
                f"node {names} of cluster {config.name}, which other workers use, is stopped or "
                f"gone; 'docker start {gone[0]}' starts it again"
            )
        stages.progress(
            f"the {'shared' if joins else 'kept'} cluster {config.name} is not whole ({names} "
            "stopped or gone); making a new one"
        )
        return None
    cluster = KindCluster(config, engine, kind, folder, record, stages, direct=direct, share=share)
    with stages.stage("attach"):
        if joins:
            cluster.join(there)
        else:
            cluster.attach(there)
    return cluster


def _other_specification(record: Record, spec: Mapping[str, Any], *, joins: bool) -> ClusterError:
    there = "is there" if joins else "was kept"
    lines = [
        f"  {key}: {record.spec.get(key)!r} {there}, {value!r} is wanted"
        for key, value in spec.items()
        if record.spec.get(key) != value
    ]
    if joins:
        begin = f"another worker has made cluster {record.name} from another specification:"
        end = (
            "give the two configurations different names (ClusterConfig(name=...)), or run "
            "without pytest-xdist"
        )
    else:
        begin = f"the kept cluster {record.name} was made from another specification:"
        end = "remove it with 'multinet down', or run with the former settings"
    return ClusterError("\n".join([begin, *lines, end]))
