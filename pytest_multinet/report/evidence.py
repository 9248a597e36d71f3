"""When evidence is taken: around the call of a test, and after it has failed."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pytest_multinet.errors import MultinetError
from pytest_multinet.fixtures import REGISTRY, SETTINGS
from pytest_multinet.report import artifacts
from pytest_multinet.report.topology import as_mermaid, as_text, draw
from pytest_multinet.session.registry import Registry
from pytest_multinet.session.rings import Rings

_RINGS = pytest.StashKey[Rings]()
PROPERTY = "multinet_artifacts"
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"


def before_call(item: pytest.Item) -> None:
    """Show what was built instead of calling the test, or watch its packets, as was asked."""
    registry = item.config.stash.get(REGISTRY, None)
    settings = item.config.stash[SETTINGS]
    if settings.topology_only:
        if registry is not None:
            show_topology(registry)
        pytest.skip("--multinet-topology-only: the environment was built, no test is called")
    if registry is not None and _uses(item):
        item.stash[_RINGS] = Rings(registry.clusters)


def show_topology(registry: Registry) -> None:
    """Note the picture of each cluster, for the summary and the artifacts' folder."""
    folder = registry.settings.artifacts(registry.root)
    for cluster in registry.clusters:
        picture = draw(cluster)
        registry.topologies[cluster.name] = as_text(picture)
        registry.pictures[cluster.name] = _mermaid(picture)
        if folder is not None:
            from pytest_multinet.report.topology_svg import as_svg

            folder.mkdir(parents=True, exist_ok=True)
            for suffix, text in (("svg", as_svg(picture)), ("mmd", as_mermaid(picture))):
                path = folder / f"topology-{cluster.name}.{suffix}"
                path.write_text(text, encoding="utf-8")


def after_phase(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """End the rings; where the test failed, leave its folder and link it."""
    rings = item.stash.get(_RINGS, None)
    if rings is not None and call.when == "call":
        rings.stop()
        del item.stash[_RINGS]
    registry = item.config.stash.get(REGISTRY, None)
    if registry is None or not registry.clusters or call.when == "teardown":
        return
    if os.environ.get(STEP_SUMMARY):
        _note_pictures(registry)
    error = call.excinfo.value if call.excinfo is not None else None
    folder = _folder(item, registry)
    if folder is None:
        return
    if error is None or not report.failed:
        if rings is not None and call.when == "call" and _keeps_all(item):
            rings.save(folder)
        return
    if _uses(item) or isinstance(error, MultinetError):
        _leave(item, report, registry, error, folder, rings)


def _leave(
    item: pytest.Item,
    report: pytest.TestReport,
    registry: Registry,
    error: BaseException,
    folder: Path,
    rings: Rings | None,
) -> None:
    try:
        captures = rings.save(folder) if rings is not None else []
        artifacts.leave(
            folder, test=item.nodeid, error=error, clusters=registry.clusters, captures=captures
        )
    except Exception as failed:  # evidence must not hide the failure
        registry.problems.append(f"artifacts of {item.nodeid}: {type(failed).__name__}: {failed}")
        return
    shown = os.path.relpath(folder, item.config.invocation_params.dir)
    registry.artifacts.append(shown)
    report.sections.append(("multinet artifacts", f"{shown}/README.md"))
    item.user_properties.append((PROPERTY, shown))
    report.user_properties.append((PROPERTY, shown))
    _note_failure(registry, item, error)
    _link_in_html(item, report, folder)


def _uses(item: pytest.Item) -> bool:
    request: pytest.FixtureRequest | None = getattr(item, "_request", None)
    names = request.fixturenames if request is not None else ()
    return "multinet_cluster" in names


def _keeps_all(item: pytest.Item) -> bool:
    settings = item.config.stash[SETTINGS]
    return settings.capture == "all" or item.get_closest_marker("multinet_capture") is not None


def _folder(item: pytest.Item, registry: Registry) -> Path | None:
    root = registry.settings.artifacts(registry.root)
    return root / artifacts.folder_name(item.nodeid) if root is not None else None


def _mermaid(picture: Any) -> str:
    return f"```mermaid\n{as_mermaid(picture)}```\n"


def _note_pictures(registry: Registry) -> None:
    """Keep the fullest picture of each cluster for the step summary."""
    for cluster in registry.clusters:
        size = len(cluster.pods())
        if size > registry.drawn.get(cluster.name, -1):
            registry.drawn[cluster.name] = size
            registry.pictures[cluster.name] = _mermaid(draw(cluster))


def _note_failure(registry: Registry, item: pytest.Item, error: BaseException) -> None:
    mesh = artifacts.mesh_of(error)
    if mesh is not None:
        registry.pictures[item.nodeid] = f"```text\n{mesh.table()}\n```\n"


def _link_in_html(item: pytest.Item, report: pytest.TestReport, folder: Path) -> None:
    """Put the picture and a link into the report of pytest-html, where it is in use."""
    html = item.config.pluginmanager.get_plugin("html")
    if html is None or not getattr(item.config.option, "htmlpath", None):
        return
    try:
        made: Any = import_module("pytest_html.extras")
    except ImportError:
        return
    base = Path(str(getattr(item.config.option, "htmlpath", "."))).resolve().parent
    found: list[Any] = getattr(report, "extras", [])
    found.append(made.url(os.path.relpath(folder / "README.md", base), name="multinet artifacts"))
    picture = folder / "topology.svg"
    if picture.is_file():
        found.append(made.svg(picture.read_text(encoding="utf-8")))
    report.extras = found  # pyright: ignore[reportAttributeAccessIssue]
