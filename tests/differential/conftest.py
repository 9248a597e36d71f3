"""The holder of all trials, the binaries they need, and the report of what was tried."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from pytest_multinet.net.holder import Holder, HolderRefused
from tests.cni_site import CNI_PATH, version_of
from tests.differential.tried import Tried

TRIED = pytest.StashKey[Tried]()
_FROM_WORKERS = "differential"

settings.register_profile(
    "differential",
    deadline=None,
    database=None,
    derandomize="MULTINET_DIFFERENTIAL_EXAMPLES" not in os.environ,
    # A trial costs up to a second on a busy machine: a failure is shown as it was found.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TRIED] = Tried()


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:  # one of pytest-xdist's workers
        output[_FROM_WORKERS] = session.config.stash[TRIED].to_json()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    found = getattr(node, "workeroutput", {}).get(_FROM_WORKERS)
    if found is not None:
        node.config.stash[TRIED].merge(found)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    tried = config.stash[TRIED]
    if tried.outcomes:
        terminalreporter.section("native against real CNI plugins")
        for line in tried.lines():
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def tried(pytestconfig: pytest.Config) -> Tried:
    """What this process has tried so far."""
    return pytestconfig.stash[TRIED]


@pytest.fixture(scope="session")
def plugins_version() -> str:
    """Version of the real plugins."""
    found = version_of("macvlan")
    if found is None:
        pytest.skip(f"the real CNI plugins are not in {CNI_PATH} (MULTINET_CNI_PLUGINS)")
    return found


@pytest.fixture(scope="module")
def holder(plugins_version: str) -> Iterator[Holder]:
    try:
        holder = Holder.start()
    except HolderRefused as error:
        pytest.skip(f"namespaces cannot be made here: {error}")
    assert holder.hub is not None
    holder.hub.close()
    yield holder
    holder.close()
