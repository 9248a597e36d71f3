"""Bridge networks on a real node."""

from __future__ import annotations

import json

import pytest

from pytest_multinet.cluster.kind_cluster import KindCluster
from pytest_multinet.cluster.stack import Pod

from .conftest import network, pod

SYSCTL = "/proc/sys/net/bridge/bridge-nf-call-iptables"


@pytest.fixture
def bridged(clean: KindCluster) -> list[Pod]:
    """Two pods on one node, on one bridge without an address."""
    clean.apply(
        network(
            "bridged",
            {
                "type": "bridge",
                "bridge": "mbr0",
                "capabilities": {"ips": True},
                "ipam": {"type": "static"},
            },
        )
    )
    node = clean.node("worker").name
    return clean.apply(
        [
            pod(f"bridged-{n}", json.dumps([{"name": "bridged", "ips": [f"10.4.0.{n}/24"]}]), node)
            for n in (1, 2)
        ]
    )


def test_two_bridge_pods_of_one_node_reach_each_other(bridged: list[Pod]) -> None:
    assert bridged[0].node.exec(["cat", SYSCTL]).stdout.strip() in ("0", "")
    assert bridged[0].ping(bridged[1], interface="net1", count=3).received == 3


def test_with_bridge_nf_call_iptables_every_packet_is_lost(bridged: list[Pod]) -> None:
    a, b = bridged
    if a.node.exec(["test", "-e", SYSCTL]).returncode:
        pytest.skip("br_netfilter is not loaded on this machine")
    a.node.exec(["tee", SYSCTL], input="1", check=True)
    try:
        assert a.arping(b, interface="net1").mac == b.interface("net1").mac
        assert a.ping(b, interface="net1", count=3, timeout=0.5).received == 0
    finally:
        a.node.exec(["tee", SYSCTL], input="0", check=True)
    assert a.ping(b, interface="net1", count=3).received == 3


def test_services_work_all_the_same(clean: KindCluster) -> None:
    """kindnet routes: the API server's service address answers from a pod, by name."""
    (made,) = clean.apply(pod("client", node=clean.node("worker").name))
    argv = [
        "curl",
        "-sk",
        "--max-time",
        "10",
        "https://kubernetes.default.svc.cluster.local/version",
    ]
    assert "gitVersion" in made.exec(argv, check=True).stdout
