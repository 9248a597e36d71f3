"""What this suite wants: its cluster's name, and the pods that its tests share."""

import pytest

from pytest_multinet import ClusterConfig


@pytest.fixture(scope="session")
def multinet_cluster_config(multinet_cluster_config: ClusterConfig) -> ClusterConfig:
    """The defaults of the command line, under this suite's name."""
    return multinet_cluster_config.with_(name="seed-macvlan")


@pytest.fixture(scope="session")
def pods(kind_cluster, multus, node_link):
    """The manifests of this folder, applied once: the network first, then the pods."""
    kind_cluster.apply("manifests/macvlan.yaml")
    return kind_cluster.apply("manifests/pods.yaml")
