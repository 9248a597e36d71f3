"""Faults made in kernel or cluster state, on every backend that MULTINET_TEST_BACKENDS names."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_multinet import ClusterConfig, MultinetError, open_cluster
from pytest_multinet.cluster.base import Cluster
from pytest_multinet.cluster.stack import Pod

BACKENDS = os.environ.get("MULTINET_TEST_BACKENDS", "embedded").split(",")
SHORT = 0.2  # seconds that an assertion which must fail is given


@pytest.fixture(scope="session", params=BACKENDS)
def whole(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One cluster of three nodes for all tests here."""
    given = os.environ.get("MULTINET_CNI_PLUGINS")
    config = ClusterConfig(name="diagnosis", cni_plugins=Path(given) if given else None)
    with open_cluster(config, backend=request.param) as cluster:
        cluster.install_multus()
        yield cluster


@pytest.fixture
def cluster(whole: Cluster) -> Iterator[Cluster]:
    """The cluster with a link eth1 between its workers, cleared after the test."""
    whole.link("worker", "worker2", name="eth1")
    yield whole
    whole.clear()


def network(name: str, namespace: str = "default", **plugin: Any) -> dict[str, Any]:
    """A NetworkAttachmentDefinition with one plugin: macvlan on eth1 with static addresses."""
    conf = {
        "cniVersion": "0.3.1",
        "name": name,
        "type": "macvlan",
        "master": "eth1",
        "ipam": {"type": "static"},
        "capabilities": {"ips": True, "mac": True},
        **plugin,
    }
    return definition(
        name, json.dumps({k: v for k, v in conf.items() if v is not None}), namespace
    )


def definition(name: str, config: str, namespace: str = "default") -> dict[str, Any]:
    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"config": config},
    }


def host_local(subnet: str, start: str, end: str) -> dict[str, Any]:
    return {
        "type": "host-local",
        "ranges": [[{"subnet": subnet, "rangeStart": start, "rangeEnd": end}]],
    }


def pod(
    cluster: Cluster, name: str, node: str, *networks: str | dict[str, Any], **metadata: Any
) -> dict[str, Any]:
    """A pod manifest on ``node``; networks as names or as JSON elements."""
    selections = [{"name": n} if isinstance(n, str) else n for n in networks]
    annotations = {"k8s.v1.cni.cncf.io/networks": json.dumps(selections)} if selections else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations, **metadata},
        "spec": {
            "nodeName": cluster.node(node).name,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "main",
                    "image": "nicolaka/netshoot:latest",
                    "command": ["sleep", "infinity"],
                    "securityContext": {"privileged": True},
                }
            ],
        },
    }


def at(name: str, *ips: str, **more: Any) -> dict[str, Any]:
    """A selection of network ``name`` with addresses."""
    return {"name": name, "ips": list(ips), **more} if ips else {"name": name, **more}


def two_pods(
    cluster: Cluster, net: str = "mv", nodes: tuple[str, str] = ("worker", "worker2")
) -> tuple[Pod, Pod]:
    a, b = cluster.apply(
        [
            pod(cluster, "a", nodes[0], at(net, "10.1.1.101/24")),
            pod(cluster, "b", nodes[1], at(net, "10.1.1.102/24")),
        ]
    )
    return a, b


def named(act: Callable[[], object]) -> str:
    """The symptom that a failing act names, ``""`` where it names none."""
    with pytest.raises((AssertionError, MultinetError)) as caught:
        act()
    text = str(caught.value)
    assert "diagnosis failed" not in text, text
    found = re.search(r"^\s*cause: .* \[([a-z0-9-]+)\]$", text, re.MULTILINE)
    return found[1] if found else ""


def text_of(act: Callable[[], object]) -> str:
    """What a failing act says."""
    with pytest.raises((AssertionError, MultinetError)) as caught:
        act()
    return str(caught.value)
