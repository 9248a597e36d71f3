"""The causes that only a real cluster has: each is made on its nodes and found from outside."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from pytest_multinet import (
    MultinetError,
    assert_flow,
    assert_interface,
    assert_mesh,
    assert_ping,
)
from pytest_multinet.cluster.kind_cluster import KindCluster
from pytest_multinet.cluster.kind_node import KindNode
from pytest_multinet.diagnosis.layers import explain

from .conftest import network, pod

CONFIGURATIONS = "/etc/cni/net.d"


@pytest.fixture
def explained(clean: KindCluster) -> Iterator[KindCluster]:
    """The shared cluster, its errors explained as ``open_cluster`` does."""
    before, clean.explain = clean.explain, partial(explain, clean)
    yield clean
    clean.explain = before


def macvlan(name: str, ipam: dict[str, Any] | None = None) -> dict[str, Any]:
    return network(
        name,
        {
            "type": "macvlan",
            "master": "eth1",
            "capabilities": {"ips": True},
            "ipam": ipam or {"type": "static"},
        },
    )


def on(cluster: KindCluster, node: str, name: str, net: str, *ips: str) -> dict[str, Any]:
    selection = json.dumps([{"name": net, "ips": list(ips)} if ips else {"name": net}])
    return pod(name, selection, cluster.node(node).name)


def named(act: Callable[[], object]) -> str:
    with pytest.raises((AssertionError, MultinetError)) as caught:
        act()
    found = re.search(r"^\s*cause: .* \[([a-z0-9-]+)\]$", str(caught.value), re.MULTILINE)
    return found[1] if found else str(caught.value)


def worker(cluster: KindCluster) -> KindNode:
    return cluster.kind_node(cluster.node("worker").name)


def run(node: KindNode, script: str) -> str:
    result = node.run(["sh", "-c", script])
    assert result.returncode == 0, result
    return result.stdout


def test_a_plugin_is_missing_on_one_node(explained: KindCluster) -> None:
    explained.apply(macvlan("mv"))
    node = worker(explained)
    run(node, "mv /opt/cni/bin/macvlan /opt/cni/macvlan.away")
    try:
        broken = on(explained, "worker", "p", "mv", "10.1.1.1/24")
        assert named(lambda: explained.apply(broken)) == "plugin-missing"
        assert explained.apply(on(explained, "worker2", "q", "mv", "10.1.1.2/24"))
    finally:
        run(node, "mv /opt/cni/macvlan.away /opt/cni/bin/macvlan")
    (repaired,) = explained.apply(broken)
    assert assert_interface(repaired, "net1", address="10.1.1.1/24")


def test_another_configuration_comes_before_multus(explained: KindCluster) -> None:
    explained.apply(macvlan("mv"))
    node = worker(explained)
    other = f"{CONFIGURATIONS}/00-aaa.conflist"
    before = node.read(f"{CONFIGURATIONS}/00-multus.conf")
    run(node, f"cp {CONFIGURATIONS}/10-kindnet.conflist {other}; sleep 2")
    try:
        broken = on(explained, "worker", "p", "mv", "10.1.1.1/24")
        assert named(lambda: explained.apply(broken)) == "annotation-ignored"
        assert explained.apply(on(explained, "worker2", "q", "mv", "10.1.1.2/24"))
    finally:
        run(node, f"rm -f {other}")
        node.write(f"{CONFIGURATIONS}/00-multus.conf", before or "")
        run(node, "sleep 2")
    (repaired,) = explained.apply(broken)
    assert assert_interface(repaired, "net1", address="10.1.1.1/24")


def test_multus_configuration_goes_away(explained: KindCluster) -> None:
    explained.apply(macvlan("mv"))
    node = worker(explained)
    path = f"{CONFIGURATIONS}/00-multus.conf"
    before = node.read(path)
    assert before
    run(node, f"rm {path}; sleep 2")
    try:
        broken = on(explained, "worker", "p", "mv", "10.1.1.1/24")
        assert named(lambda: explained.apply(broken)) == "configuration-gone"
        assert explained.apply(on(explained, "worker2", "q", "mv", "10.1.1.2/24"))
    finally:
        node.write(path, before)
        run(node, "sleep 2")
    (repaired,) = explained.apply(broken)
    assert assert_interface(repaired, "net1", address="10.1.1.1/24")


def test_a_pod_that_already_runs_without_its_network(explained: KindCluster) -> None:
    """The same seen by an assertion, on a pod that nobody waited for."""
    explained.apply(macvlan("mv"))
    node = worker(explained)
    path = f"{CONFIGURATIONS}/00-multus.conf"
    before = node.read(path)
    assert before
    run(node, f"rm {path}; sleep 2")
    try:
        (silent,) = explained.apply(on(explained, "worker", "p", "mv", "10.1.1.1/24"), wait=False)
        _until(lambda: bool(silent.refresh()["status"].get("podIP")))
        assert named(lambda: assert_interface(silent, "net1", within=1)) == "configuration-gone"
    finally:
        node.write(path, before)
        run(node, "sleep 2")
    assert named(lambda: assert_interface(silent, "net1", within=1)) == "annotation-ignored"


def test_multus_socket_does_not_answer(explained: KindCluster) -> None:
    explained.apply(macvlan("mv"))
    node = worker(explained)
    run(node, "mv /run/multus/multus.sock /run/multus/away.sock")
    try:
        broken = on(explained, "worker", "p", "mv", "10.1.1.1/24")
        assert named(lambda: explained.apply(broken)) == "multus-silent"
        assert explained.apply(on(explained, "worker2", "q", "mv", "10.1.1.2/24"))
    finally:
        run(node, "mv /run/multus/away.sock /run/multus/multus.sock")
    (repaired,) = explained.apply(broken)
    assert assert_interface(repaired, "net1", address="10.1.1.1/24")


def test_no_dhcp_daemon_on_the_node(explained: KindCluster) -> None:
    explained.apply([macvlan("dyn", {"type": "dhcp"}), macvlan("mv")])

    broken = on(explained, "worker", "p", "dyn")
    assert named(lambda: explained.apply(broken)) == "dhcp-daemon"
    (sound,) = explained.apply(on(explained, "worker", "q", "mv", "10.1.1.2/24"))
    assert assert_interface(sound, "net1", address="10.1.1.2/24")


def test_host_local_files_of_sandboxes_that_are_gone(explained: KindCluster) -> None:
    ranges = [[{"subnet": "10.9.0.0/24", "rangeStart": "10.9.0.10", "rangeEnd": "10.9.0.11"}]]
    explained.apply(macvlan("small", {"type": "host-local", "ranges": ranges}))
    node = worker(explained)
    folder = "/var/lib/cni/networks/small"
    stale = " ".join(f"{folder}/10.9.0.{n}" for n in (10, 11))
    run(node, f"mkdir -p {folder}; for f in {stale}; do printf 'gone\\r\\nnet1' > $f; done")
    try:
        broken = on(explained, "worker", "p", "small")
        text = _text(lambda: explained.apply(broken))
        assert "[addresses-exhausted]" in text
        assert "0 of 2 are held by running pods" in text
        assert "sandboxes that are gone" in text
        assert explained.apply(on(explained, "worker2", "q", "small"))
    finally:
        run(node, f"rm -f {stale}")
    (repaired,) = explained.apply(broken)
    assert assert_interface(repaired, "net1", address="10.9.0.10/24")


def test_multus_is_killed_for_want_of_memory(explained: KindCluster) -> None:
    explained.apply(macvlan("mv"))
    path = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-multus-ds"
    before = explained.kube.get(path)["spec"]["template"]["spec"]["containers"][0]["resources"]
    _limit(explained, path, {"limits": {"memory": "6500Ki"}, "requests": {"memory": "6500Ki"}})
    try:
        # What runs may stay below it: this is above what runc takes, and below what it needs.
        _until(lambda: any(s.ended == "OOMKilled" for s in explained.multus_states()), 90)
        state = next(s for s in explained.multus_states() if s.ended == "OOMKilled")
        broken = on(explained, state.node, "p", "mv", "10.1.1.1/24")
        assert named(lambda: explained.apply(broken)) == "multus-out-of-memory"
    finally:
        _limit(explained, path, before)
        explained.await_object(
            "/apis/apps/v1/namespaces/kube-system/daemonsets",
            {"fieldSelector": "metadata.name=kube-multus-ds"},
            lambda o: o["status"].get("updatedNumberScheduled") == len(explained.nodes)
            and o["status"].get("numberReady") == len(explained.nodes),
            timeout=120,
        )
    (repaired,) = explained.apply(on(explained, "worker", "r", "mv", "10.1.1.3/24"))
    assert assert_interface(repaired, "net1", address="10.1.1.3/24")


def _limit(cluster: KindCluster, path: str, resources: dict[str, Any]) -> None:
    container = {"name": "kube-multus", "resources": resources}
    body = {"spec": {"template": {"spec": {"containers": [container]}}}}
    strategic = "application/strategic-merge-patch+json"
    cluster.kube.request("PATCH", path, body=body, content_type=strategic)


def _text(act: Callable[[], object]) -> str:
    with pytest.raises((AssertionError, MultinetError)) as caught:
        act()
    return str(caught.value)


def _until(holds: Callable[[], bool], seconds: float = 30) -> None:
    waiting: Retrying = Retrying(
        retry=retry_if_result(lambda held: not held),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(0.5),
    )
    waiting(holds)


def test_a_capture_and_a_mesh_of_real_pods(explained: KindCluster) -> None:
    explained.apply(macvlan("mv"))
    a, b = explained.apply(
        [
            on(explained, "worker", "p", "mv", "10.1.1.1/24"),
            on(explained, "worker2", "q", "mv", "10.1.1.2/24"),
        ]
    )
    with b.capture("net1", filter="icmp") as capture:
        assert assert_ping(a, b, interface="net1", ttl=64)
    assert assert_flow(capture, source=a, target=b, protocol="icmp")
    assert assert_mesh([a, b]).counts() == (2, 2, 0)


def test_a_capture_by_tcpdump_in_the_pod(explained: KindCluster) -> None:
    explained.apply(macvlan("mv"))
    a, b = explained.apply(
        [
            on(explained, "worker", "p", "mv", "10.1.1.1/24"),
            on(explained, "worker2", "q", "mv", "10.1.1.2/24"),
        ]
    )
    b._prober = explained.remote_prober(b)
    with b.capture("net1", filter="icmp") as capture:
        a.ping(b, interface="net1", count=2)
        b.exec(["sleep", "0.5"])  # tcpdump reads in bursts
    assert assert_flow(capture, source="10.1.1.1", target="10.1.1.2", packets=2)
    assert "capture-" not in b.exec(["ls", "/tmp"]).stdout


def test_bridge_pods_lose_packets_where_bridged_packets_are_filtered(
    explained: KindCluster,
) -> None:
    bridge = {"type": "bridge", "bridge": "br7", "capabilities": {"ips": True}}
    explained.apply(network("br", bridge | {"ipam": {"type": "static"}}))
    a, b = explained.apply(
        [
            on(explained, "worker", "p", "br", "10.7.1.1/24"),
            on(explained, "worker", "q", "br", "10.7.1.2/24"),
        ]
    )
    node = worker(explained)
    assert assert_ping(a, b, interface="net1")
    run(node, "sysctl -qw net.bridge.bridge-nf-call-iptables=1")
    try:
        assert named(lambda: assert_ping(a, b, interface="net1", within=1)) == "bridge-filtered"
    finally:
        run(node, "sysctl -qw net.bridge.bridge-nf-call-iptables=0")
    assert assert_ping(a, b, interface="net1")


def test_the_annotation_on_a_real_deployment(explained: KindCluster) -> None:
    explained.apply(macvlan("mv"))
    body = on(explained, "worker", "d", "mv", "10.1.1.9/24")
    annotations = body["metadata"]["annotations"]
    (wrong,) = explained.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d", "annotations": annotations},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": "d"}},
                "template": {
                    "metadata": {"labels": {"app": "d"}},
                    "spec": {
                        k: v
                        for k, v in body["spec"].items()
                        if k != "terminationGracePeriodSeconds"
                    },
                },
            },
        }
    )
    (silent,) = wrong.pods
    assert named(lambda: assert_interface(silent, "net1", within=1)) == "annotation-on-workload"
