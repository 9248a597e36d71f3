"""One process with the kind backend: prints its times as JSON.  The first argument says what.

``create``: from nothing to the first passing ping.  ``attach``: a kept cluster, to the first
ping between its nodes, and on to two pods.  ``link``: a node link made and removed, both ways.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from pytest_multinet.cluster.kind import KindCluster, open_cluster
from pytest_multinet.cluster.kind_node import KindNode
from pytest_multinet.link.veth_nodes import NodeVeth
from pytest_multinet.model.topology import ClusterConfig, LinkConfig

NETWORK = {
    "cniVersion": "0.3.1",
    "name": "lan",
    "type": "macvlan",
    "master": "eth1",
    "capabilities": {"ips": True},
    "ipam": {"type": "static"},
}


def manifests(cluster: KindCluster) -> list[dict[str, Any]]:
    """The network and two pods, one on each worker."""
    network = {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "lan"},
        "spec": {"config": json.dumps(NETWORK)},
    }
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"pod{n}",
                "annotations": {
                    "k8s.v1.cni.cncf.io/networks": json.dumps(
                        [{"name": "lan", "ips": [f"10.1.1.10{n}/24"]}]
                    )
                },
            },
            "spec": {
                "nodeName": cluster.node(worker).name,
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": "main",
                        "image": "nicolaka/netshoot:latest",
                        "command": ["sleep", "infinity"],
                    }
                ],
            },
        }
        for n, worker in ((1, "worker"), (2, "worker2"))
    ]
    return [network, *pods]


def use(cluster: KindCluster, began: float) -> dict[str, float]:
    """Multus, link, a ping between nodes, then pods and a ping between them."""
    times: dict[str, float] = {}
    cluster.install_multus()
    cluster.link("worker", "worker2")
    assert cluster.node("worker").ping(cluster.node("worker2"))
    times["nodes"] = time.time() - began
    _network, a, b = cluster.apply(manifests(cluster))
    assert a.ping(b, interface="net1")
    times["pods"] = time.time() - began
    return times


def links(cluster: KindCluster) -> dict[str, float]:
    """Median times of one link, made by netlink and by a helper container."""
    names = (cluster.node("worker").name, cluster.node("worker2").name)
    times: dict[str, float] = {}
    for way, direct, runs in (("direct", True, 20), ("helper", False, 5)):
        nodes = tuple(_node(cluster, name, direct=direct) for name in names)
        seconds: list[float] = []
        for number in range(runs):
            config = LinkConfig(*names, name=f"bench{number}")
            start = time.perf_counter()
            link = NodeVeth(config, (nodes[0], nodes[1]), cluster.run_helper)
            link.ensure()
            seconds.append(time.perf_counter() - start)
            link.delete()
        times[way] = statistics.median(seconds)
    return times


def _node(cluster: KindCluster, name: str, *, direct: bool) -> KindNode:
    known = cluster.kind_node(name)
    address = str(known.address)
    return KindNode(
        cluster.engine, cluster.config, known.container, known.role, address, direct=direct
    )


def main() -> None:
    """Do what the arguments say: WHAT NAME STATE PLUGINS BEGAN."""
    what, name, state, plugins, began = sys.argv[1:]
    config = ClusterConfig(name=name, cni_plugins=Path(plugins) if plugins else None)
    cluster = open_cluster(config, state_dir=Path(state))
    try:
        times = links(cluster) if what == "link" else use(cluster, float(began))
        times |= {f"stage {s}": seconds for s, seconds in cluster.stages}
    except BaseException:
        cluster.close()
        raise
    cluster.keep()
    print(json.dumps(times))


if __name__ == "__main__":
    main()
