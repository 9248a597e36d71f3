"""Multus' six readiness points on a real cluster, each named when it fails."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from pytest_multinet.cluster.kind_cluster import KindCluster
from pytest_multinet.cluster.kind_multus import KindMultus
from pytest_multinet.cluster.multus import ReadinessCheck
from pytest_multinet.errors import MultusError, PodError
from pytest_multinet.multus import install

from .conftest import network, pod


def failing(cluster: KindCluster) -> list[ReadinessCheck]:
    return [check for check in cluster.install_multus().status() if not check.ok]


def test_every_point_holds_on_every_node(cluster: KindCluster) -> None:
    multus = cluster.install_multus()
    assert (multus.version, multus.mode) == ("4.1.0", "thick")
    seen = {(c.node, c.point) for c in multus.status() if c.ok}
    on_nodes = [p for p in install.POINTS if p != install.ESTABLISHED]
    assert seen >= {(n.name, p) for n in cluster.nodes for p in on_nodes}
    assert ("", install.ESTABLISHED) in seen


def test_nothing_of_the_canary_is_left(cluster: KindCluster) -> None:
    cluster.install_multus()
    for path in (
        "/api/v1/namespaces/kube-system/pods",
        "/apis/k8s.cni.cncf.io/v1/namespaces/kube-system/network-attachment-definitions",
    ):
        names = [i["metadata"]["name"] for i in cluster.kube.get(path)["items"]]
        assert [n for n in names if "canary" in n] == []


def test_multus_has_256_mib_or_more_and_a_pinned_image(cluster: KindCluster) -> None:
    path = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-multus-ds"
    container = cluster.kube.get(path)["spec"]["template"]["spec"]["containers"][0]
    assert int(container["resources"]["limits"]["memory"].removesuffix("Mi")) >= 256
    assert container["image"].endswith(":v4.1.0-thick")


@pytest.mark.parametrize(
    ("break_it", "repair", "point", "words"),
    [
        pytest.param(
            ["mv", "/opt/cni/bin/multus-shim", "/opt/cni/bin/.away"],
            ["mv", "/opt/cni/bin/.away", "/opt/cni/bin/multus-shim"],
            install.EXECUTABLE,
            "not in /opt/cni/bin: multus-shim",
            id="shim gone",
        ),
        pytest.param(
            ["chmod", "a-x", "/opt/cni/bin/multus-shim"],
            ["chmod", "a+x", "/opt/cni/bin/multus-shim"],
            install.EXECUTABLE,
            "multus-shim",
            id="shim not executable",
        ),
        pytest.param(
            ["cp", "/etc/cni/net.d/10-kindnet.conflist", "/etc/cni/net.d/00-aaa.conflist"],
            ["rm", "/etc/cni/net.d/00-aaa.conflist"],
            install.FIRST,
            "the first file of /etc/cni/net.d is 00-aaa.conflist",
            id="not first",
        ),
        pytest.param(
            ["mv", "/run/multus/multus.sock", "/run/multus/away"],
            ["mv", "/run/multus/away", "/run/multus/multus.sock"],
            install.DAEMON,
            "multus.sock",
            id="socket gone",
        ),
    ],
)
def test_a_point_that_fails_is_named_with_its_node(
    cluster: KindCluster, break_it: list[str], repair: list[str], point: str, words: str
) -> None:
    assert failing(cluster) == []
    node = cluster.node("worker2")
    node.exec(break_it, check=True)
    try:
        found = [c for c in failing(cluster) if c.point == point]
    finally:
        node.exec(repair, check=True)
    assert [c.node for c in found] == [node.name]
    assert words in found[0].detail
    cluster_ready_again(cluster)


def test_a_plugin_that_a_network_uses_must_be_on_every_node(clean: KindCluster) -> None:
    clean.apply(network("mv", {"type": "macvlan", "master": "eth1", "ipam": {"type": "static"}}))
    node = clean.node("worker2")
    node.exec(["mv", "/opt/cni/bin/macvlan", "/opt/cni/bin/.macvlan"], check=True)
    try:
        (found,) = failing(clean)
        assert (found.node, found.point) == (node.name, install.EXECUTABLE)
        assert "macvlan" in found.detail
        with pytest.raises(PodError) as caught:
            clean.apply(pod("pluginless", "mv", node.name))
        assert f"'macvlan' is not in /opt/cni/bin on node {node.name}" in str(caught.value)
    finally:
        node.exec(["mv", "/opt/cni/bin/.macvlan", "/opt/cni/bin/macvlan"], check=True)


def test_without_a_default_network_the_error_names_the_point() -> None:
    class Bare:
        name = "bare"

        def listing(self, folder: str) -> dict[str, bool]:
            return {}

        def read(self, path: str) -> str | None:
            return None

        def answers(self, socket_path: str) -> str | None:
            return "no such file"

    points = install.check_node(Bare(), "thick", [])
    assert [p.ok for p in points] == [False] * 4
    error = install.not_ready(points)
    assert isinstance(error, MultusError)
    for point in install.POINTS[:4]:
        assert f"bare: {point}" in str(error)


def test_an_installed_multus_is_recognised_and_left_alone(cluster: KindCluster) -> None:
    path = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-multus-ds"
    before = cluster.kube.get(path)["metadata"]["resourceVersion"]
    other = KindMultus(cluster)
    other.make_usable()
    assert (other.version, other.mode) == ("4.1.0", "thick")
    assert cluster.kube.get(path)["metadata"]["generation"] == 1
    assert cluster.kube.get(path)["metadata"]["resourceVersion"] == before


def test_multus_killed_in_mid_run_comes_back_and_pods_start_again(clean: KindCluster) -> None:
    clean.apply(
        network(
            "mv",
            {
                "type": "macvlan",
                "master": "eth1",
                "capabilities": {"ips": True},
                "ipam": {"type": "static"},
            },
        )
    )
    node = clean.node("worker")
    pods = "/api/v1/namespaces/kube-system/pods"
    query = {"labelSelector": "name=multus", "fieldSelector": f"spec.nodeName={node.name}"}
    (daemon,) = clean.kube.get(pods, query)["items"]
    clean.kube.delete(f"{pods}/{daemon['metadata']['name']}", grace=0)
    selection = json.dumps([{"name": "mv", "ips": ["10.3.0.1/24"]}])
    (made,) = clean.apply(pod("patient", selection, node.name))
    assert [s.interface for s in made.network_status] == ["eth0", "net1"]
    cluster_ready_again(clean)


def cluster_ready_again(cluster: KindCluster) -> None:
    from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

    ready: Callable[[], list[ReadinessCheck]] = retry(
        retry=retry_if_result(bool), stop=stop_after_delay(30), wait=wait_fixed(0.3)
    )(lambda: failing(cluster))
    ready()
