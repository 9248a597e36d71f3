"""Which backend runs the tests, and why; the only place that knows which ones there are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pytest_multinet.cluster.folders import state_folder
from pytest_multinet.errors import BackendUnavailable, ClusterError, MultinetError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_multinet.cluster.base import Cluster
    from pytest_multinet.cluster.owner import Owner
    from pytest_multinet.cluster.share import Ended, Share
    from pytest_multinet.model.pod import PodManifest
    from pytest_multinet.model.topology import ClusterConfig

AUTO = ("embedded", "kind")
LABELS = {
    "embedded": "embedded (not Kubernetes); real: --multinet-backend=kind",
    "kind": "kind",
}


class Attached(Protocol):
    """A kept environment, seen from another process."""

    def exec(self, name: str, argv: Sequence[str]) -> int:
        """Run a program in a pod or node on this process's streams; its exit status."""
        ...

    def shell(self, name: str) -> int:
        """Open an interactive shell in a pod or node; its exit status."""
        ...

    def down(self) -> None:
        """End the environment."""
        ...


class BackendModule(Protocol):
    """What a module ``cluster/<backend>.py`` gives."""

    def open_cluster(
        self,
        config: ClusterConfig,
        *,
        progress: Callable[[str], None] = ...,
        share: Share | None = ...,
        artifacts: Path | None = ...,
    ) -> Cluster:
        """Build a cluster, or fail and leave nothing; or join that of another worker.

        What is to be read after a failure goes below ``artifacts``.
        """
        ...

    def unusable_reason(self) -> str | None:
        """Why the backend cannot run here and what to do; ``None`` where it can."""
        ...

    def attach(self, resources: Mapping[str, Any]) -> Attached:
        """Reach a cluster that was kept, by what its ``keep`` returned."""
        ...

    def end_run(self, run: Owner, keep: Callable[[bool], bool]) -> list[Ended]:
        """End what the workers of a run have shared, once they are gone."""
        ...


@dataclass(frozen=True)
class Choice:
    """The backend in force, and ``why`` where that was not asked for by name."""

    backend: str
    why: str = ""


def backend_module(name: str) -> BackendModule:
    """The module of a backend, imported now."""
    if name == "embedded":
        from pytest_multinet.cluster import embedded

        return embedded
    if name == "kind":
        from pytest_multinet.cluster import kind

        return kind
    raise UsageError(f"backend is {name!r}; expected auto, embedded or kind")


def unusable_reason(name: str) -> str | None:
    """Why a backend cannot run here; ``None`` where it can."""
    return backend_module(name).unusable_reason()


def choose(name: str = "auto") -> Choice:
    """Decide on a backend; ``auto``: embedded where it can run, else kind.

    Raises:
        BackendUnavailable: the one asked for, or every one, cannot run; with what to do.
    """
    if name != "auto":
        reason = unusable_reason(name)
        if reason is not None:
            raise BackendUnavailable(f"backend {name} was asked for and cannot run here: {reason}")
        return Choice(name)
    reasons: list[str] = []
    for candidate in AUTO:
        reason = unusable_reason(candidate)
        if reason is None:
            return Choice(candidate, "; ".join(reasons))
        reasons.append(f"{candidate} cannot run here: {reason}")
    raise BackendUnavailable("no backend can run here\n  " + "\n  ".join(reasons))


def check_required(names: Iterable[str], source: str) -> None:
    """Raise :class:`BackendUnavailable` where a required backend cannot run here.

    Capabilities are known only when a test asks for one; see :class:`NeedsCapability`.
    """
    for name in names:
        backend = "kind" if name == "kubernetes" else name
        reason = unusable_reason(backend) if backend in AUTO else None
        if reason is not None:
            raise BackendUnavailable(
                f"{name} is required (require={name}, {source}) and cannot run here: {reason}"
            )


def open_cluster(
    config: ClusterConfig | None = None,
    backend: str = "auto",
    *,
    progress: Callable[[str], None] | None = None,
) -> Cluster:
    """Build a cluster without pytest; a context manager that closes it.

    Example::

        with open_cluster(ClusterConfig(nodes=3), backend="embedded") as cluster:
            link = cluster.link("worker", "worker2", name="eth1")
            pods = cluster.apply("pods.yaml")

    Args:
        config: what to build; default: three nodes called ``multus-cluster-...``.
        backend: ``auto``, ``embedded`` or ``kind``.
        progress: called with one line for each stage that takes long.

    Raises:
        BackendUnavailable: the backend cannot run here; with what to do.
        ClusterError: the cluster could not be built; nothing of it is left.
    """
    from pytest_multinet.model.topology import ClusterConfig

    return open_chosen(choose(backend), config or ClusterConfig(), progress or silent)


def open_chosen(
    choice: Choice,
    config: ClusterConfig,
    progress: Callable[[str], None],
    *,
    share: Share | None = None,
    artifacts: Path | None = None,
) -> Cluster:
    """Build a cluster on a backend that was decided on; ``share``: for a pytest-xdist worker."""
    module = backend_module(choice.backend)
    try:
        cluster = module.open_cluster(config, progress=progress, share=share, artifacts=artifacts)
    except OSError as error:  # what is written down could not be: a full disk, a foreign folder
        where = error.filename or f"{state_folder(os.environ)}, or {tempfile.gettempdir()}"
        raise ClusterError(
            f"cluster {config.name} could not be made: {error.strerror} ({where})"
        ) from error

    def explain(error: MultinetError, manifests: Sequence[PodManifest]) -> None:
        from pytest_multinet.diagnosis.layers import explain

        explain(cluster, error, manifests)

    cluster.explain = explain
    return cluster


def silent(line: str) -> None:
    """Say nothing."""
