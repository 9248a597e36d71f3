"""What a run has built: clusters by specification, counted, and what they were built from.

Fixtures hold no state.  However often they are imported, equal specifications meet here and
share one cluster; a test that sees another configuration has the old environment finished
first, or is told who still uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_multinet.errors import MultinetError, UsageError
from pytest_multinet.session.backend import (
    Choice,
    backend_module,
    choose,
    open_chosen,
    silent,
)
from pytest_multinet.session.keep import (
    Kept,
    claim_cluster,
    differences,
    forget_cluster,
    keep_cluster,
    keep_shared,
    kept_for,
    left_in,
    shared_backends,
    take_down,
)
from pytest_multinet.session.ledger import Ledger
from pytest_multinet.session.settings import DEFAULT
from pytest_multinet.session.timeline import Timeline

if TYPE_CHECKING:
    from pytest_multinet.cluster.base import Cluster
    from pytest_multinet.cluster.owner import Owner
    from pytest_multinet.cluster.share import Share
    from pytest_multinet.model.topology import ClusterConfig, Spec
    from pytest_multinet.session.ledger import Claim
    from pytest_multinet.session.settings import Settings


@dataclass
class _Shared:
    """A cluster, its place in the ledger, and how many fixtures hold it (0: idle)."""

    cluster: Cluster
    claim: Claim | None
    count: int = 0


@dataclass(frozen=True)
class _Origin:
    """A configuration and the place of the fixture that gave it."""

    config: Spec
    where: str


@dataclass(frozen=True)
class _Built:
    """A fixture that has a value built from a configuration."""

    config_fixture: str
    origin: _Origin
    finish: Callable[[], None]


@dataclass(frozen=True)
class _Holder:
    """A fixture of the user's, narrower than the session, that was built on ours."""

    name: str
    where: str
    scope: str
    node: object


class Registry:
    """Everything that one test process has built.

    Args:
        settings: in force.
        root: pytest's root folder.
        worker: the pytest-xdist worker that this is, ``None`` without.
        share: its part in clusters that workers share.
        folder: of the test that runs, where relative paths start.
        tests_failed: whether a test has failed until now.
        progress: called with one line for each stage that takes long.

    Attributes:
        timeline: what set-up took.
        kept: environments that were left behind on purpose.
        left: what workers had in clusters that they shared.
        artifacts: folders with the evidence of failed tests.
        pictures: clusters and meshes as Markdown, for a step summary, by title.
        topologies: clusters as text, for the terminal, by name.
        drawn: how many pods each picture of a cluster shows.
        problems: what went wrong at the end, after the last test.
        why: why this backend, where it was not asked for by name.
    """

    def __init__(
        self,
        settings: Settings,
        root: Path,
        *,
        worker: str | None = None,
        share: Share | None = None,
        folder: Callable[[], Path] | None = None,
        tests_failed: Callable[[], bool] = lambda: False,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings
        self.root = root
        self.worker = worker
        self.share = share
        self.timeline = Timeline()
        self.progress = progress or silent
        self._folder = folder or (lambda: root)
        self._tests_failed = tests_failed
        self.kept: list[Kept] = []
        self.left: list[dict[str, Any]] = []
        self.artifacts: list[str] = []
        self.pictures: dict[str, str] = {}
        self.topologies: dict[str, str] = {}
        self.drawn: dict[str, int] = {}
        self.problems: list[str] = []
        self.why = ""
        self._choice: Choice | None = None
        self._refusal: MultinetError | None = None
        self._shared: dict[str, _Shared] = {}
        self._failed: dict[str, MultinetError] = {}
        self._switching = False
        self._origins: dict[str, list[_Origin]] = {}
        self._built: dict[Hashable, _Built] = {}
        self._holders: dict[Hashable, _Holder] = {}
        self._dependent: set[str] = set()

    # --- the backend ------------------------------------------------------------------------

    @property
    def choice(self) -> Choice:
        """The backend in force, decided once, when it is first needed.

        Raises:
            BackendUnavailable: none can run here.
        """
        if self._refusal is not None:
            raise self._refusal
        if self._choice is None:
            try:
                self._choice = choose(self.settings.backend)
            except MultinetError as error:
                self._refusal = error
                raise
            self.why = self._choice.why
        return self._choice

    # --- clusters ---------------------------------------------------------------------------

    @property
    def clusters(self) -> tuple[Cluster, ...]:
        """Those that live."""
        return tuple(shared.cluster for shared in self._shared.values())

    @contextmanager
    def cluster(self, config: ClusterConfig) -> Iterator[Cluster]:
        """The cluster of that specification, shared with all who ask for an equal one."""
        shared = self._acquire(config)
        try:
            yield shared.cluster
        finally:
            self._release(config.digest)

    def _acquire(self, config: ClusterConfig) -> _Shared:
        key = config.digest
        if key in self._failed:
            raise self._failed[key]
        shared = self._shared.get(key)
        if shared is None:
            self._close_idle()
            cluster = self._open(config)
            shared = self._shared[key] = _Shared(cluster, self._claim(cluster))
        elif shared.count == 0:
            with self.timeline.stage("clearing"):
                shared.cluster.clear()
        shared.count += 1
        return shared

    def _open(self, config: ClusterConfig) -> Cluster:
        try:
            choice = self.choice
            with self.timeline.stage("cluster"):
                taken_over = self._take_over(choice.backend, config)
                cluster = open_chosen(
                    choice,
                    config,
                    self.progress,
                    share=self.share,
                    artifacts=self.settings.artifacts(self.root),
                )
        except MultinetError as error:
            self._failed[config.digest] = error
            raise
        cluster.attached = cluster.attached or taken_over
        cluster.search_path = self._search_path
        cluster.progress = self.progress
        return cluster

    def _take_over(self, backend: str, config: ClusterConfig) -> bool:
        """Put this run's environment in the place of an equal one that was kept in this folder.

        As on kind, what the former run had made goes; nodes are quicker built than cleaned.
        """
        kept = None if self.worker else kept_for(backend, config, self.root)
        if kept is None:
            return False
        different = differences(kept, config)
        if different:
            self.progress(
                f"the kept environment {kept.id} stays as it is and this run builds its own: "
                f"{different}; 'multinet down {kept.id}' ends it"
            )
            return False
        take_down(kept, Ledger())
        self.progress(f"takes the place of the kept environment {kept.id}, and is kept too")
        return True

    def _claim(self, cluster: Cluster) -> Claim | None:
        """Write down that this run uses the cluster; without a state folder it goes unlisted."""
        with suppress(OSError):
            if cluster.attached:
                forget_cluster(cluster.backend, cluster.name)  # kept no more: in use
            return claim_cluster(cluster, worker=self.worker, folder=self.root)
        return None

    def _release(self, key: str) -> None:
        shared = self._shared[key]
        shared.count -= 1
        if shared.count == 0 and not self._switching:
            del self._shared[key]
            self._end(shared)

    def _close_idle(self) -> None:
        for key, shared in list(self._shared.items()):
            if shared.count == 0:
                del self._shared[key]
                if shared.cluster.shared:
                    shared.cluster.clear()
                elif self._keeps(shared.cluster.attached):
                    name = shared.cluster.name
                    why = "the run went on with another configuration"
                    self.problems.append(f"{name} was not kept: {why}")
                self._close(shared)

    def _search_path(self) -> Sequence[Path]:
        return [self._folder(), self.root]

    def _end(self, shared: _Shared) -> None:
        cluster = shared.cluster
        if cluster.shared:
            try:
                self.left.append(left_in(cluster))
            except MultinetError as error:  # a pod that someone else deleted
                self.problems.append(f"what is in {cluster.name} cannot be told: {error}")
        if cluster.shared or not self._keeps(cluster.attached):
            self._close(shared)
        else:
            if shared.claim is not None:
                shared.claim.release()
            kept = keep_cluster(cluster, worker=self.worker, folder=self.root, rerun=self._rerun())
            self.kept.append(kept)

    def _rerun(self) -> str:
        return " ".join(["pytest", "--lf", *self.settings.flags()])

    def _keeps(self, attached: bool) -> bool:
        """Whether to keep a cluster; what an earlier run kept stays until told otherwise."""
        keep = self.settings.keep
        if attached and self.settings.source("keep") == DEFAULT:
            return True
        return keep == "always" or (keep == "failed" and self._tests_failed())

    @staticmethod
    def _close(shared: _Shared) -> None:
        try:
            shared.cluster.close()
        finally:
            if shared.claim is not None:
                shared.claim.release()

    def close(self) -> None:
        """End what is left over at the end of the run; what goes wrong is a problem."""
        while self._shared:
            _, shared = self._shared.popitem()
            try:
                self._end(shared)
            except MultinetError as error:
                self.problems.append(str(error))

    # --- pytest-xdist -----------------------------------------------------------------------

    def end_run(self, run: Owner) -> None:
        """As the controller: end what the workers, which are gone, have shared."""
        for backend in shared_backends(run):
            for ended in backend_module(backend).end_run(run, self._keeps):
                if ended.problem:
                    self.problems.append(ended.problem)
                if ended.kept is None:
                    forget_cluster(backend, ended.name)
                    continue
                left = [one for one in self.left if one["name"] == ended.name]
                try:
                    kept = keep_shared(backend, ended, left, folder=self.root, rerun=self._rerun())
                except (MultinetError, OSError) as error:
                    self.problems.append(f"{ended.name} is kept, and not written down: {error}")
                else:
                    self.kept.append(kept)

    def outcome(self) -> dict[str, Any]:
        """What a worker has to tell at its end, as plain data."""
        return {
            "seconds": self.timeline.seconds,
            "kept": [asdict(kept) for kept in self.kept],
            "left": self.left,
            "problems": self.problems,
            "artifacts": self.artifacts,
            "pictures": self.pictures,
            "topologies": self.topologies,
            "why": self.why,
        }

    def merge(self, outcome: Mapping[str, Any]) -> None:
        """Take over a worker's :meth:`outcome`."""
        self.timeline.merge(outcome["seconds"])
        self.kept += [Kept(**kept) for kept in outcome["kept"]]
        self.left += outcome["left"]
        self.problems += outcome["problems"]
        self.artifacts += outcome["artifacts"]
        self.pictures |= outcome["pictures"]
        self.topologies |= outcome["topologies"]
        self.why = self.why or outcome["why"]

    # --- configurations ---------------------------------------------------------------------

    def configured(self, config_fixture: str, config: Spec, where: str) -> None:
        """Note that a configuration fixture gave ``config``.

        Raises:
            UsageError: it is no configuration of that kind.
        """
        from pytest_multinet.model.topology import ClusterConfig, LinkConfig, MacvlanConfig

        kinds = {"multinet_cluster_config": ClusterConfig, "node_link_config": LinkConfig}
        kind = kinds.get(config_fixture, MacvlanConfig)
        if not isinstance(config, kind):
            raise UsageError(
                f"{config_fixture} at {where} returned {config!r}; expected a {kind.__name__}"
            )
        self._origins.setdefault(config_fixture, []).append(_Origin(config, where))

    def built(
        self, fixture: Hashable, config_fixture: str, config: Spec, finish: Callable[[], None]
    ) -> None:
        """Note that a fixture was built, or failed to be, from a configuration."""
        self._built[fixture] = _Built(config_fixture, self._origin(config_fixture, config), finish)

    def depends(
        self,
        fixture: Hashable,
        name: str,
        arguments: Iterable[str],
        *,
        where: str,
        scope: str,
        node: object,
    ) -> None:
        """Note a fixture that was set up, if it was built on one of ours."""
        if not (name in self._dependent or self._dependent.intersection(arguments)):
            return
        self._dependent.add(name)
        if scope in ("class", "module", "package"):
            self._holders[fixture] = _Holder(name, where, scope, node)

    def dependents(self, names: Iterable[str]) -> None:
        """Name the fixtures whose dependents :meth:`depends` is to note."""
        self._dependent.update(names)

    def finished(self, fixture: Hashable) -> None:
        """Note that a fixture's value is no more."""
        self._built.pop(fixture, None)
        self._holders.pop(fixture, None)

    @property
    def config_fixtures(self) -> tuple[str, ...]:
        """The configuration fixtures that something was built from."""
        return tuple(dict.fromkeys(b.config_fixture for b in self._built.values()))

    def switch(self, wanted: Mapping[str, Spec], test: str, nodes: Sequence[object]) -> None:
        """Finish what was built from other configurations than those that a test sees.

        Args:
            wanted: configuration by name of its fixture, as the test sees them.
            test: its node id.
            nodes: it and all its collectors.

        Raises:
            UsageError: a fixture that the test's own collectors hold still uses the old one.
        """
        other = [
            built
            for built in self._built.values()
            if built.config_fixture in wanted
            and built.origin.config != wanted[built.config_fixture]
        ]
        if not other:
            return
        for holder in self._holders.values():
            if holder.node in nodes:
                name = other[0].config_fixture
                self._refuse(test, other[0], self._origin(name, wanted[name]), holder)
        self._switching = True
        try:
            while self._built:
                self._built.popitem()[1].finish()
        finally:
            self._switching = False

    def _origin(self, config_fixture: str, config: Spec) -> _Origin:
        for origin in reversed(self._origins.get(config_fixture, ())):
            if origin.config is config:
                return origin
        return _Origin(config, config_fixture)

    @staticmethod
    def _refuse(test: str, old: _Built, new: _Origin, holder: _Holder) -> None:
        changes = old.origin.config.differences(new.config)
        shown = ", ".join(f"{k} {a!r} -> {b!r}" for k, (a, b) in changes.items())
        raise UsageError(
            f"{test} asks for another environment ({shown}) while the old one is in use\n"
            f"  in use:    {old.config_fixture} at {old.origin.where}\n"
            f"  asked for: {old.config_fixture} at {new.where}\n"
            f"  used by:   {holder.scope}-scoped fixture {holder.name} at {holder.where}\n"
            f"  move the tests with the other configuration to a module or folder of their own"
        )
