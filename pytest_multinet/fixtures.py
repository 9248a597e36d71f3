"""The fixtures.  They hold no state and may be imported; everything else they only wire."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_multinet.session.settings import Settings

if TYPE_CHECKING:
    from pytest_multinet.cluster.base import Cluster
    from pytest_multinet.cluster.factory import LinkFactory, NetworkFactory, PodFactory
    from pytest_multinet.cluster.multus import Multus
    from pytest_multinet.cluster.network import Network, NodeLink
    from pytest_multinet.cluster.share import Share
    from pytest_multinet.model.topology import ClusterConfig, LinkConfig, MacvlanConfig, Spec
    from pytest_multinet.session.registry import Registry

__all__ = [
    "kind_cluster",
    "macvlan_network",
    "macvlan_network_config",
    "multinet_cluster",
    "multinet_cluster_config",
    "multinet_link",
    "multinet_network",
    "multinet_pod",
    "multinet_pod_factory",
    "multus",
    "node_link",
    "node_link_config",
]

SETTINGS = pytest.StashKey[Settings]()
REGISTRY: pytest.StashKey[Registry] = pytest.StashKey()
FOLDER = pytest.StashKey[Path]()  # of the running test
PROPERTY = "multinet_backend"
ENVIRONMENT = "_multinet_environment"
RUN = "multinet_run"  # what the controller tells its pytest-xdist workers: its process
# The fixtures that are built from a configuration, and the fixture that gives it.
CONFIG_OF = {
    "multinet_cluster": "multinet_cluster_config",
    "node_link": "node_link_config",
    "macvlan_network": "macvlan_network_config",
}


def registry_of(config: pytest.Config) -> Registry:
    """The registry of this run, made when something of ours is first used."""
    if REGISTRY not in config.stash:
        from pytest_multinet.report.terminal import show_progress
        from pytest_multinet.session.registry import Registry

        worker: Mapping[str, Any] = getattr(config, "workerinput", {})
        session = config.pluginmanager.get_plugin("session")
        config.stash[REGISTRY] = Registry(
            config.stash[SETTINGS],
            config.rootpath,
            worker=worker.get("workerid"),
            share=_share(worker, config.stash[SETTINGS]),
            folder=lambda: config.stash.get(FOLDER, config.rootpath),
            tests_failed=lambda: session is not None and session.testsfailed > 0,
            progress=partial(show_progress, config),
        )
        config.stash[REGISTRY].dependents(CONFIG_OF)
    return config.stash[REGISTRY]


def _share(worker: Mapping[str, Any], settings: Settings) -> Share | None:
    """A pytest-xdist worker's part in clusters that workers share."""
    if RUN not in worker:
        return None
    from pytest_multinet.cluster.owner import Owner
    from pytest_multinet.cluster.share import Share

    return Share(Owner(*worker[RUN]), worker["workerid"], settings.isolation != "none")


@pytest.fixture(scope="session")
def multinet_cluster_config(pytestconfig: pytest.Config) -> ClusterConfig:
    """What cluster to build; override it in a conftest.py to build another."""
    return pytestconfig.stash[SETTINGS].cluster_config()


@pytest.fixture(scope="session")
def node_link_config() -> LinkConfig:
    """What link ``node_link`` is; override it in a conftest.py."""
    from pytest_multinet.model.topology import LinkConfig

    return LinkConfig()


@pytest.fixture(scope="session")
def macvlan_network_config(node_link_config: LinkConfig) -> MacvlanConfig:
    """What network ``macvlan_network`` is; override it in a conftest.py."""
    from pytest_multinet.model.topology import MacvlanConfig

    return MacvlanConfig(master=node_link_config.name)


@pytest.fixture(scope="session")
def multinet_cluster(
    pytestconfig: pytest.Config, multinet_cluster_config: ClusterConfig
) -> Iterator[Cluster]:
    """The cluster, on the backend in force."""
    with registry_of(pytestconfig).cluster(multinet_cluster_config) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def kind_cluster(multinet_cluster: Cluster) -> Cluster:
    """The cluster, on the backend in force; the same as ``multinet_cluster``."""
    return multinet_cluster


@pytest.fixture(scope="session")
def multus(pytestconfig: pytest.Config, multinet_cluster: Cluster) -> Multus:
    """Multus and the CNI plugins, usable on every node."""
    with registry_of(pytestconfig).timeline.stage("multus"):
        return multinet_cluster.install_multus()


@pytest.fixture(scope="session")
def node_link(
    pytestconfig: pytest.Config, multinet_cluster: Cluster, node_link_config: LinkConfig
) -> NodeLink:
    """A veth between the first two workers, ``eth1`` at both ends."""
    link = node_link_config
    with registry_of(pytestconfig).timeline.stage("node link"):
        return multinet_cluster.link(
            link.a, link.b, name=link.name, mtu=link.mtu, addresses=link.addresses
        )


@pytest.fixture(scope="session")
def macvlan_network(
    pytestconfig: pytest.Config,
    multinet_cluster: Cluster,
    multus: Multus,
    node_link: NodeLink,
    macvlan_network_config: MacvlanConfig,
) -> Network:
    """NetworkAttachmentDefinition ``macvlan-conf``: macvlan on ``node_link``, static ipam."""
    with registry_of(pytestconfig).timeline.stage("network"):
        return multinet_cluster.network(macvlan_network_config)


@pytest.fixture(scope="session")
def multinet_pod(
    pytestconfig: pytest.Config, multinet_cluster: Cluster, multus: Multus
) -> PodFactory:
    """Makes pods that live as long as the cluster."""
    return _pod_factory(pytestconfig, multinet_cluster)


@pytest.fixture
def multinet_pod_factory(
    pytestconfig: pytest.Config, multinet_cluster: Cluster, multus: Multus
) -> Iterator[PodFactory]:
    """Makes pods that are deleted after the test."""
    factory = _pod_factory(pytestconfig, multinet_cluster)
    yield factory
    factory.delete_all()


@pytest.fixture(scope="session")
def multinet_network(multinet_cluster: Cluster, multus: Multus) -> NetworkFactory:
    """Makes any other NetworkAttachmentDefinition."""
    from pytest_multinet.cluster.factory import NetworkFactory

    return NetworkFactory(multinet_cluster)


@pytest.fixture(scope="session")
def multinet_link(multinet_cluster: Cluster) -> LinkFactory:
    """Makes any other link between two nodes."""
    from pytest_multinet.cluster.factory import LinkFactory

    return LinkFactory(multinet_cluster)


@pytest.fixture(name=ENVIRONMENT)
def environment_of_the_test(request: pytest.FixtureRequest) -> None:
    """Change to the environment that the test sees; put in front of tests by the plugin."""
    registry = registry_of(request.config)
    wanted: dict[str, Spec] = {}
    for name in registry.config_fixtures:
        if name in request.fixturenames:
            wanted[name] = request.getfixturevalue(name)
        else:  # it may never ask
            with suppress(Exception):
                wanted[name] = request.getfixturevalue(name)
    registry.switch(wanted, request.node.nodeid, request.node.listchain())


def _pod_factory(config: pytest.Config, cluster: Cluster) -> PodFactory:
    from pytest_multinet.cluster.factory import PodFactory

    timeline = registry_of(config).timeline
    return PodFactory(cluster, around=lambda: timeline.stage("pods"))
