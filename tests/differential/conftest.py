"""The holder of all trials, and the binaries they need."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from pytest_multinet.net.holder import Holder, HolderRefused
from tests.cni_site import CNI_PATH, version_of

settings.register_profile(
    "differential",
    deadline=None,
    database=None,
    derandomize="MULTINET_DIFFERENTIAL_EXAMPLES" not in os.environ,
    # A trial costs up to a second on a busy machine: a failure is shown as it was found.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


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
