"""What stands on the terminal: progress, short errors, the summary."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_multinet.errors import EnvironmentFailure, MultinetError, NeedsCapability
from pytest_multinet.fixtures import PROPERTY, SETTINGS
from pytest_multinet.session.backend import LABELS

if TYPE_CHECKING:
    from _pytest._code.code import Traceback, TracebackEntry

    from pytest_multinet.session.registry import Registry

_PACKAGE = Path(__file__).resolve().parent.parent
_INSIDE = (_PACKAGE, Path(os.__file__).parent, Path(pytest.__file__).parent.parent)
_FAILED_SETUPS = pytest.StashKey[dict[int, tuple[BaseException, str]]]()


def show_progress(config: pytest.Config, line: str) -> None:
    """Write one line at once, whatever is captured; nothing with -q or without a terminal."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.get_verbosity() < 0:
        return
    capture = config.pluginmanager.get_plugin("capturemanager")
    uncaptured = nullcontext() if capture is None else capture.global_and_fixture_disabled()
    worker: Mapping[str, Any] = getattr(config, "workerinput", {})
    with uncaptured:
        if worker:  # nobody sees its terminal; its standard error is the controller's
            os.write(2, f"\n[{worker['workerid']}] multinet: {line}\n".encode())
            return
        if capture is not None:
            reporter.ensure_newline()
        reporter.write_line(f"multinet: {line}")


# --- a test's outcome ---------------------------------------------------------------------------


def skip_what_is_missing(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Turn "the backend or kernel cannot do this" into a skip, unless it is required."""
    error = call.excinfo.value if call.excinfo else None
    if not isinstance(error, NeedsCapability) or call.when == "teardown":
        return
    settings = item.config.stash[SETTINGS]
    needed = _required(error.capability, settings.require)
    if needed is None:
        call.excinfo = _raised(pytest.skip.Exception(error.reason, _use_item_location=True))
        return
    source = settings.source("require")
    message = f"{error.reason}; {needed} is required (require={needed}, {source})"
    call.excinfo = _raised(EnvironmentFailure(message).with_traceback(error.__traceback__))
    item.session.shouldfail = f"multinet: {needed} is required and missing"


def _required(capability: str, required: tuple[str, ...]) -> str | None:
    """The required name that asks for a capability; a Kubernetes API is what kind has."""
    names = (capability, "kind") if capability == "kubernetes" else (capability,)
    return next((name for name in names if name in required), None)


def shorten(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Show our errors by the user's own lines and the message, without our inside.

    An environment that could not be built tells its cause in the first test; later ones
    refer to that.  With ``--tb=long`` or ``--full-trace`` all is shown.
    """
    excinfo = call.excinfo
    if excinfo is None or not report.failed or _is_full(item.config):
        return
    ours = isinstance(excinfo.value, MultinetError)
    if not ours and not (isinstance(excinfo.value, AssertionError) and _raised_inside(excinfo)):
        return
    first = _first_test(item, excinfo.value) if ours and call.when == "setup" else None
    if first is not None:
        cause = str(excinfo.value).partition("\n")[0]
        excinfo = _raised(EnvironmentFailure(f"failed before, see {first}: {cause}"))
    if not _theirs(excinfo):
        report.longrepr = excinfo.getrepr(style="value", tbfilter=False, chain=False)
        return
    style = "short" if item.config.getoption("tbstyle", "auto") == "short" else "long"
    report.longrepr = excinfo.getrepr(style=style, tbfilter=_theirs, funcargs=True, chain=False)


def _is_full(config: pytest.Config) -> bool:
    asked_for_all = config.getoption("tbstyle", "auto") in ("long", "native")
    return asked_for_all or bool(config.getoption("fulltrace", False))


def _first_test(item: pytest.Item, error: BaseException) -> str | None:
    """The earlier test that failed for the very same error; pytest raises it again for each."""
    seen = item.config.stash.setdefault(_FAILED_SETUPS, {})
    known, first = seen.setdefault(id(error), (error, item.nodeid))
    return first if known is error and first != item.nodeid else None


def _theirs(excinfo: pytest.ExceptionInfo[BaseException]) -> Traceback:
    """The traceback without our frames, pytest's and the standard library's."""
    return excinfo.traceback.filter(
        lambda entry: not (entry.ishidden(excinfo) or _is_below(entry, _INSIDE))
    )


def _raised_inside(excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
    return _is_below(excinfo.traceback[-1], (_PACKAGE,)) and bool(_theirs(excinfo))


def _is_below(entry: TracebackEntry, folders: tuple[Path, ...]) -> bool:
    path = Path(entry.path)
    return any(folder in path.parents for folder in folders)


def _raised(error: BaseException) -> pytest.ExceptionInfo[BaseException]:
    try:
        raise error
    except BaseException:
        return pytest.ExceptionInfo.from_current()


# --- the end of the run -------------------------------------------------------------------------


def summarize(reporter: pytest.TerminalReporter, registry: Registry) -> None:
    """Write how many tests ran where, what set-up took, what was kept and what went wrong."""
    counts = _counts(reporter)
    loud = reporter.config.get_verbosity() >= 0
    lines = [line for kept in registry.kept for line in kept.lines()]
    if registry.artifacts:
        lines.insert(0, _evidence(registry.artifacts))
    if loud and counts and registry.timeline.seconds:
        lines.insert(0, f"set-up: {registry.timeline}")
    lines += [line for text in registry.topologies.values() for line in text.splitlines()]
    problems = [f"tear-down: {problem}" for problem in registry.problems]
    if lines or problems:
        reporter.section("multinet")
    for line in lines:
        reporter.write_line(line)
    for problem in problems:
        reporter.write_line(problem, red=True)
    last: list[str] = []
    for backend, count in counts.items():
        tests = "1 test" if count == 1 else f"{count} tests"
        last.append(f"{tests} on {_described(backend, registry.why)}")
    for line in last:
        reporter.write_line(f"multinet: {line}")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        from pytest_multinet.report.github import write_summary

        write_summary(Path(summary), last, registry.pictures, registry.artifacts)


def _evidence(folders: Sequence[str]) -> str:
    """Where the artifacts are."""
    if len(folders) == 1:
        return f"artifacts:    {folders[0]}/README.md"
    return f"artifacts:    {os.path.dirname(folders[0])} ({len(folders)} failed tests)"


def _described(backend: str, why: str) -> str:
    reason = f"; {why}" if why else ""
    return f"{LABELS[backend]}{reason}"


def _counts(reporter: pytest.TerminalReporter) -> dict[str, int]:
    """How many tests ran on each backend."""
    counts: dict[str, int] = {}
    for outcome, reports in reporter.stats.items():
        for report in reports:
            if outcome == "rerun" or getattr(report, "when", None) != "call":
                continue
            backend = dict(report.user_properties).get(PROPERTY)
            if isinstance(backend, str):
                counts[backend] = counts.get(backend, 0) + 1
    return counts
