"""Scenarios that other projects publish, in our words, on whatever backend is in force."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_multinet import PodError, PodFactory

PLUGIN_FAILED = r"FailedCreatePodSandBox"
Refuse = Callable[..., str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where no backend is at hand, they skip; a backend asked for by name is an error."""
    from pytest_multinet.cluster.embedded import unusable_reason

    here = [item for item in items if Path(__file__).parent in item.path.parents]
    if not here or here[0].config.getoption("--multinet-backend", default=None):
        return
    reason = unusable_reason()
    for item in here if reason else ():
        item.add_marker(pytest.mark.skip(reason=f"embedded cannot run here: {reason}"))


@pytest.fixture
def refused(multinet_pod_factory: PodFactory) -> Refuse:
    """Asks for a pod that cannot start, and tells what was said."""

    def ask(name: str, **arguments: Any) -> str:
        with pytest.raises(PodError) as caught:
            multinet_pod_factory(name, **arguments)
        assert caught.value.reason == PLUGIN_FAILED
        return str(caught.value)

    return ask


def single(plugin: dict[str, Any], version: str = "0.3.1", **more: Any) -> str:
    """A configuration of one plugin that is not in a list."""
    return json.dumps({"cniVersion": version, **plugin, **more})


def chain(*plugins: dict[str, Any], version: str = "0.3.1", **more: Any) -> dict[str, Any]:
    """A configuration that is a list of plugins."""
    return {"cniVersion": version, **more, "plugins": list(plugins)}
