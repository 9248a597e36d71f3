"""The one real cluster that the tests of several folders share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_multinet.cluster.kind_cluster import KindCluster

SEED = Path(__file__).parent / "data" / "seed"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "kind: on the real cluster that all tests share")


@pytest.fixture(scope="session")
def kind_usable() -> None:
    """Skips where Docker or kind is missing; fails where kind is required."""
    from pytest_multinet.cluster import kind

    reason = kind.unusable_reason()
    if reason is None:
        return
    if "kind" in os.environ.get("MULTINET_REQUIRE", "").split(","):
        pytest.fail(f"kind is required (MULTINET_REQUIRE) and cannot be used: {reason}")
    pytest.skip(f"kind cannot be used here: {reason}")


@pytest.fixture(scope="session")
def plugins() -> Path | None:
    """Where the CNI plugins come from; ``None``: the usual places."""
    given = os.environ.get("MULTINET_CNI_PLUGINS")
    return Path(given) if given else None


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of all kind clusters; a given one keeps the shared cluster."""
    given = os.environ.get("MULTINET_TEST_KIND_STATE")
    return Path(given) if given else tmp_path_factory.mktemp("state")


@pytest.fixture(scope="session")
def shared_kind_cluster(
    kind_usable: None, state: Path, plugins: Path | None
) -> Iterator[KindCluster]:
    """One cluster a run: the seed's own configuration, Multus, and its link between workers."""
    from pytest_multinet.cluster import kind
    from pytest_multinet.model.topology import ClusterConfig

    file = SEED / "config-3node.yml"
    if name := os.environ.get("MULTINET_CLUSTER_NAME"):  # the file's own name would win
        text = file.read_text(encoding="utf-8").replace("name: multus-cluster", f"name: {name}")
        file = state / file.name
        file.write_text(text, encoding="utf-8")
    config = ClusterConfig(kind_config=file, cni_plugins=plugins)
    made = kind.open_cluster(config, state_dir=state, progress=print)
    try:
        made.install_multus()
        made.link("worker", "worker2", name="eth1")
        made.search_path = lambda: [SEED]
        yield made
        if os.environ.get("MULTINET_TEST_KIND_STATE"):
            made.keep()
    finally:
        made.close()
