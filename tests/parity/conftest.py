"""One scenario, two backends: what each of them leaves is compared."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from pytest_multinet.cluster.embedded import open_cluster, unusable_reason
from pytest_multinet.cluster.stack import Handle, Pod
from pytest_multinet.model.topology import ClusterConfig

from . import table
from .record import Rows
from .scenario import MARK, Manifest, Scenario
from .site import EmbeddedSite, KindSite, Site
from .stage import Stage

ROWS = pytest.StashKey[Rows]()
RECORDED_ROWS = pytest.StashKey[Rows]()
RECORD = "MULTINET_TEST_PARITY_RECORD"  # set: what this run sees becomes the record


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARK}(scenario): networks and pods of a parity test")
    config.stash[ROWS] = Rows()
    config.stash[RECORDED_ROWS] = Rows.load()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The comparison comes last."""
    items.sort(key=lambda item: item.path.name == "test_verdicts.py")


def pytest_sessionfinish(session: pytest.Session) -> None:
    rows = session.config.stash[ROWS]
    if RECORD in os.environ and len(rows):
        recorded = session.config.stash[RECORDED_ROWS]
        recorded.update(rows)
        recorded.save()
        table.write(recorded)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How far the comparison went."""
    rows = terminalreporter.config.stash[ROWS]
    if len(rows):
        both, differing = len(rows.on_both()), len(rows.differing())
        terminalreporter.write_line(
            f"parity: {both} rows on both backends, {differing} differ, {len(rows) - both} "
            "unproven by this run: held against the record alone, or skipped"
        )


@pytest.fixture(scope="session")
def embedded_cluster() -> Iterator[Site]:
    reason = unusable_reason()
    if reason is not None:
        pytest.skip(f"embedded cannot run here: {reason}")
    with open_cluster(ClusterConfig(timeout=5)) as cluster:
        cluster.link("worker", "worker2")
        yield EmbeddedSite(cluster)


@pytest.fixture(scope="session", params=["embedded", pytest.param("kind", marks=pytest.mark.kind)])
def site(request: pytest.FixtureRequest) -> Site:
    """The backend."""
    if request.param == "embedded":
        return request.getfixturevalue("embedded_cluster")
    return KindSite(request.getfixturevalue("shared_kind_cluster"))


@dataclass
class Company:
    """What all scenarios of a module made, in one go."""

    pods: dict[str, Pod] = field(default_factory=dict[str, Pod])
    refusals: dict[str, str] = field(default_factory=dict[str, str])


@pytest.fixture(scope="module")
def company(request: pytest.FixtureRequest, site: Site) -> Iterator[Company]:
    """Pods of one module start together and end together: on kind each costs seconds."""
    scenarios = {
        item.name: scenario
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.module is request.module
        and backend_of(item) == site.backend
        and (scenario := scenario_of(item))
    }
    made = Company()
    with ExitStack() as undo:
        for link in {link for s in scenarios.values() for link in s.links}:
            undo.callback(site.cluster.link("worker", "worker2", name=link).delete)
        documents: list[Manifest] = []
        for document in (d for s in scenarios.values() for d in s.documents):
            if document not in documents:  # scenarios may share
                documents.append(document)
        documents = [site.staged(d) for d in sorted(documents, key=lambda d: d["kind"] == "Pod")]
        handles: list[Handle] = site.cluster.apply(documents)
        undo.callback(site.delete, handles)
        made.pods = {h.name: h for h in handles if isinstance(h, Pod)}
        made.refusals = site.refusals({n: s.refused for n, s in scenarios.items() if s.refused})
        yield made


@pytest.fixture
def stage(request: pytest.FixtureRequest, site: Site, company: Company) -> Iterator[Stage]:
    """The test's scenario."""
    scenario = scenario_of(request.node) or Scenario()
    names = [d["metadata"]["name"] for d in scenario.documents if d["kind"] == "Pod"]
    pods = {name: company.pods[name] for name in names}
    with ExitStack() as undo:
        yield Stage(site, pods, company.refusals.get(request.node.name, ""), undo)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """A test that has passed leaves its verdict."""
    stage = getattr(item, "funcargs", {}).get("stage")
    if stage is None:
        return (yield)
    rows, row, backend = item.config.stash[ROWS], row_of(item), stage.site.backend
    try:
        yield
    except pytest.skip.Exception as skipped:
        rows.skip(row, backend, str(skipped))
        raise
    seen = stage.verdict()
    rows.record(row, backend, seen)
    recorded = item.config.stash[RECORDED_ROWS].of(row, backend)
    if recorded is not None and RECORD not in os.environ:
        assert seen == recorded, f"{backend} was seen to do otherwise; `make parity` records anew"


@pytest.fixture
def rows(request: pytest.FixtureRequest) -> Rows:
    """What this run has seen so far."""
    return request.config.stash[ROWS]


def scenario_of(item: pytest.Item) -> Scenario | None:
    mark = item.get_closest_marker(MARK)
    return mark.args[0] if mark else None


def backend_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("site") if callspec else None


def row_of(item: pytest.Item) -> str:
    """``group: sentence``, from the names of the module and the test."""
    assert isinstance(item, pytest.Function)
    sentence = item.originalname.removeprefix("test_").replace("_", " ")
    others = [part for part in item.callspec.id.split("-", 1) if part != backend_of(item)]
    case = f": {'-'.join(others)}" if others else ""
    return f"{item.path.stem.removeprefix('test_').replace('_', ' ')}: {sentence}{case}"
