"""The hooks by which pytest knows us; each says what is to be done, others do it."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_multinet import fixtures
from pytest_multinet.errors import MultinetError, NeedsCapability, UsageError
from pytest_multinet.fixtures import (
    CONFIG_OF,
    FOLDER,
    PROPERTY,
    REGISTRY,
    RUN,
    SETTINGS,
    registry_of,
)
from pytest_multinet.session import settings as session_settings
from pytest_multinet.session.settings import OPTIONS

if TYPE_CHECKING:
    from _pytest.fixtures import SubRequest

    from pytest_multinet.cluster.owner import Owner


# --- options ------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare every option, on the command line and in the ini file."""
    group = parser.getgroup("multinet", "Kubernetes pods with several interfaces (multinet)")
    for option in OPTIONS:
        names = f"ini {option.ini}, environment {option.variable}"
        for flag, arguments in option.flags().items():
            help = f"{arguments.pop('help', option.help)} ({names})"
            group.addoption(flag, dest=option.ini, help=help, **arguments)
        parser.addini(option.ini, option.help, type="args" if option.many else None, default=None)


def pytest_load_initial_conftests(args: list[str]) -> None:
    """Refuse a misspelt flag: pytest would, too, but without the right name."""
    try:
        session_settings.check_flags(args)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_configure(config: pytest.Config) -> None:
    """Find the settings; nothing is probed and nothing is built."""
    _register_fixtures(config)
    config.addinivalue_line(
        "markers",
        'multinet_backend(*names): run the test only on these backends ("embedded", "kind"), '
        "else skip it",
    )
    config.addinivalue_line(
        "markers",
        "multinet_capture: keep the packets of this test with the artifacts, passed or failed",
    )
    try:
        settings = _settings(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[SETTINGS] = settings


def _register_fixtures(config: pytest.Config) -> None:
    """Register the fixtures, without the name ``kind_cluster`` where a plugin owns that."""
    plugins = config.pluginmanager
    if plugins.is_registered(fixtures):
        return
    ours = ModuleType(fixtures.__name__)  # only they: pytest looks at every name
    names = {*fixtures.__all__, "environment_of_the_test"}
    if _owner_of_kind_cluster(config) is not None:
        names.remove("kind_cluster")
    vars(ours).update({name: getattr(fixtures, name) for name in sorted(names)})
    plugins.register(ours, fixtures.__name__)


def _owner_of_kind_cluster(config: pytest.Config) -> str | None:
    """The name of another plugin, not a conftest.py, that has a fixture ``kind_cluster``."""
    ours = fixtures.kind_cluster
    for name, plugin in config.pluginmanager.list_name_plugin():
        theirs = getattr(plugin, "__dict__", {}).get("kind_cluster", ours)
        if theirs is not ours and not name.endswith("conftest.py"):
            return name
    return None


def _settings(config: pytest.Config) -> session_settings.Settings:
    has_private = hasattr(config, "_inicfg")  # pytest 9 warns of the public name
    keys: Mapping[str, Any] = getattr(config, "_inicfg" if has_private else "inicfg")
    session_settings.check_ini(keys, config.inipath)
    for warning in session_settings.check_environment(os.environ):
        config.issue_config_time_warning(pytest.PytestConfigWarning(warning), stacklevel=2)
    return session_settings.resolve(
        {o.name: config.getoption(o.ini) for o in OPTIONS},
        {o.name: config.getini(o.ini) for o in OPTIONS},
        os.environ,
        folder=Path(config.invocation_params.dir),
        ini_file=config.inipath,
    )


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Show the settings that differ from their defaults, and their sources."""
    changed = str(config.stash[SETTINGS])
    lines = [f"multinet: {changed}"] if changed else []
    owner = _owner_of_kind_cluster(config)
    if owner is not None:
        lines.append(
            f"multinet: the fixture kind_cluster is plugin {owner}'s; ours is multinet_cluster, "
            "or 'from pytest_multinet.fixtures import kind_cluster'"
        )
    return lines


# --- collection ---------------------------------------------------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a marker that names no backend."""
    for item in items:
        for marker in item.iter_markers("multinet_backend"):
            _check_marker(item, marker)


def _check_marker(item: pytest.Item, marker: pytest.Mark) -> None:
    known = session_settings.BACKENDS[1:]
    bad = [name for name in marker.args if name not in known] or list(marker.kwargs)
    if bad or not marker.args:
        given = f"has {bad[0]!r}" if bad else "names no backend"
        raise pytest.UsageError(
            f"{item.nodeid}: marker multinet_backend {given}; expected some of {', '.join(known)}"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Stop before the first test where something required is missing."""
    config = session.config
    settings = config.stash[SETTINGS]
    if not settings.require or config.option.collectonly or hasattr(config, "workerinput"):
        return
    from pytest_multinet.session.backend import check_required

    try:
        check_required(settings.require, settings.source("require"))
    except MultinetError as error:
        raise pytest.UsageError(str(error)) from None


# --- a test -------------------------------------------------------------------------------------


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test of another backend; change to the environment it asks for."""
    item.config.stash[FOLDER] = item.path.parent
    for marker in item.iter_markers("multinet_backend"):
        backend = registry_of(item.config).choice.backend
        if backend not in marker.args:
            raise NeedsCapability(
                marker.args[0],
                f"runs only on {' or '.join(marker.args)}, this run is on {backend}: "
                f"--multinet-backend={marker.args[0]}",
            )
    registry = item.config.stash.get(REGISTRY, None)
    if registry is None or not registry.config_fixtures:
        return
    # A test whose closure names nothing of ours may still ask, by request.getfixturevalue().
    names: list[str] = getattr(item, "fixturenames", [])
    asks = not {*registry.config_fixtures, "request"}.isdisjoint(names)
    if asks and fixtures.ENVIRONMENT not in names:
        names.insert(0, fixtures.ENVIRONMENT)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Show what was built instead of calling the test, or watch its packets, as was asked."""
    settings = item.config.stash[SETTINGS]
    marked = item.get_closest_marker("multinet_capture") is not None
    if settings.topology_only or settings.capture != "off" or marked:
        from pytest_multinet.report import evidence

        evidence.before_call(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record the backend; skip what cannot be done here; show our errors without our inside."""
    if call.when == "call":
        _record_backend(item)
    if call.excinfo is None:
        report = yield
        _leave_evidence(item, call, report)
        return report
    from pytest_multinet.report import terminal

    terminal.skip_what_is_missing(item, call)
    report = yield
    terminal.shorten(item, call, report)
    _leave_evidence(item, call, report)
    return report


def _leave_evidence(
    item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
) -> None:
    """Keep what a failed test looked like, and whatever else was asked to be kept."""
    settings = item.config.stash[SETTINGS]
    marked = item.get_closest_marker("multinet_capture") is not None
    wanted = settings.capture != "off" or marked or "GITHUB_STEP_SUMMARY" in os.environ
    if (report.failed or wanted) and item.config.stash.get(REGISTRY, None) is not None:
        from pytest_multinet.report import evidence

        evidence.after_phase(item, call, report)


def _record_backend(item: pytest.Item) -> None:
    """Note the backend of a test that used it, for the summary and for junit files."""
    registry = item.config.stash.get(REGISTRY, None)
    request: pytest.FixtureRequest | None = getattr(item, "_request", None)
    if registry is None or request is None or "multinet_cluster" not in request.fixturenames:
        return
    entry = (PROPERTY, registry.choice.backend)
    if entry not in item.user_properties:
        item.user_properties.append(entry)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Say why an address never equals a text, and in what two interfaces differ."""
    ours = {"ipaddress", "pytest_multinet.model.interface"}
    sides = {type(left).__module__, type(right).__module__}
    if sides.isdisjoint(ours) and type(right).__name__ != "tuple":
        return None
    from pytest_multinet.report.comparison import explain

    return explain(op, left, right)


# --- fixtures -----------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: SubRequest
) -> Generator[None, Any, Any]:
    """Note what is built from which configuration, and who uses it."""
    __tracebackhide__ = True  # else we stand in every traceback of a failed fixture
    registry = request.config.stash.get(REGISTRY, None)
    if fixturedef.argname in CONFIG_OF.values():
        registry = registry_of(request.config)
    if registry is None or request.config.getoption("setupplan", False):
        return (yield)
    config_fixture = _config_of(fixturedef)
    try:
        with _timer_stopped(request.config, fixturedef):
            value = yield
    finally:
        if config_fixture is not None:
            config = request.getfixturevalue(config_fixture)
            finish = partial(fixturedef.finish, request=request)
            registry.built(fixturedef, config_fixture, config, finish)
    if fixturedef.argname in CONFIG_OF.values():
        registry.configured(fixturedef.argname, value, _where(fixturedef))
    elif registry.config_fixtures:
        registry.depends(
            fixturedef,
            fixturedef.argname,
            fixturedef.argnames,
            where=_where(fixturedef),
            scope=fixturedef.scope,
            node=request.node,
        )
    return value


def pytest_fixture_post_finalizer(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> None:
    """Note that a fixture is no more."""
    registry = request.config.stash.get(REGISTRY, None)
    if registry is not None:
        registry.finished(fixturedef)


def _config_of(fixturedef: pytest.FixtureDef[Any]) -> str | None:
    """The configuration fixture of a fixture of ours, under whatever name it was imported."""
    return CONFIG_OF.get(fixturedef.func.__name__) if _is_ours(fixturedef) else None


def _is_ours(fixturedef: pytest.FixtureDef[Any]) -> bool:
    return getattr(fixturedef.func, "__module__", None) == fixtures.__name__


def _where(fixturedef: pytest.FixtureDef[Any]) -> str:
    code = getattr(fixturedef.func, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else fixturedef.baseid


# --- pytest-timeout -----------------------------------------------------------------------------

_TIMER: pytest.StashKey[tuple[pytest.Item, object] | None] = pytest.StashKey()


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: object) -> None:
    """Note the timer of the test that runs."""
    item.config.stash[_TIMER] = (item, settings)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> None:
    """Note that the test has none any more."""
    item.config.stash[_TIMER] = None


@contextmanager
def _timer_stopped(config: pytest.Config, fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
    """Start a test's time anew after a fixture of ours: what it builds serves all tests."""
    timer = config.stash.get(_TIMER, None)
    if timer is None or not _is_ours(fixturedef):
        yield
        return
    item, settings = timer
    item.ihook.pytest_timeout_cancel_timer(item=item)
    try:
        yield
    finally:
        item.ihook.pytest_timeout_set_timer(item=item, settings=settings)


# --- the end ------------------------------------------------------------------------------------


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a pytest-xdist worker whose run it belongs to."""
    owner = _this_run()
    node.workerinput[RUN] = (owner.pid, owner.start)


def _this_run() -> Owner:
    from pytest_multinet.cluster.owner import Owner

    return Owner.of(os.getpid()) or Owner(os.getpid(), "")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End what is left; a pytest-xdist worker tells the controller."""
    config = session.config
    if config.pluginmanager.hasplugin("dsession"):  # the controller; its workers are gone
        _end_what_workers_shared(config)
    registry = config.stash.get(REGISTRY, None)
    if registry is None:
        return
    registry.close()
    output: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if output is not None:
        output["multinet"] = registry.outcome()


def _end_what_workers_shared(config: pytest.Config) -> None:
    from pytest_multinet.session.keep import shared_backends

    run = _this_run()
    if shared_backends(run):
        registry_of(config).end_run(run)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take over what a pytest-xdist worker has to tell."""
    summary = getattr(node, "workeroutput", {}).get("multinet")
    if summary:
        registry_of(node.config).merge(summary)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the line that tells how many tests ran where."""
    registry = terminalreporter.config.stash.get(REGISTRY, None)
    if registry is not None:
        from pytest_multinet.report.terminal import summarize

        summarize(terminalreporter, registry)
