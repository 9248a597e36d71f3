"""Multus' namespace isolation as the cluster's configuration asks for it."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_multinet.errors import PodError

from .conftest import OpenCluster, network, pod

BRIDGE = {
    "type": "bridge",
    "bridge": "br5",
    "ipam": {"type": "host-local", "subnet": "10.5.0.0/24"},
}


def in_namespace(manifest: dict[str, Any], namespace: str) -> dict[str, Any]:
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}


@pytest.mark.parametrize("mode", ["thick", "thin"])
def test_whose_networks_a_pod_may_use(open_cluster: OpenCluster, mode: str) -> None:
    cluster = open_cluster(
        f"isolated-{mode}",
        nodes=1,
        multus_mode=mode,
        namespace_isolation=True,
        global_namespaces=("infra",),
    )
    cluster.install_multus()
    spaces = ("infra", "team", "other")
    for space in spaces:
        kind = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}
        cluster.apply([kind, network("br", BRIDGE, namespace=space)])
    made = [in_namespace(pod(f"{space}-pod", f"{space}/br"), "team") for space in spaces]
    shared, own, refused = made
    for handle in cluster.apply([shared, own]):
        assert [status.interface for status in handle.network_status] == ["eth0", "net1"]
    with pytest.raises(PodError) as caught:
        cluster.apply(refused)
    assert "namespace isolation enabled, annotation violates permission" in str(caught.value)
    assert "pod is in namespace team but refers to target namespace other" in str(caught.value)
