"""Where Linux-only modules are absent (macOS with Docker Desktop), everything still works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from pytest_multinet.cluster import kind
from pytest_multinet.cluster.kind_cluster import KindCluster

HIDE = """
    import asyncio, os, socket, ssl, subprocess, sys, urllib.request
    import docker, websocket

    class Hidden:
        names = ("pyroute2", "pytest_multinet.net.rtnl", "pytest_multinet.net.requests",
                 "pytest_multinet.net.decode", "pytest_multinet.net.holder",
                 "pytest_multinet.net.foreign", "pytest_multinet.probe.local",
                 "pytest_multinet.cluster.embedded")

        def find_spec(self, name, path=None, target=None):
            if name in self.names:
                raise ImportError(f"{name} is not for this platform")

    sys.meta_path.insert(0, Hidden())
    sys.platform = "darwin"
    for name in ("AF_NETLINK", "AF_PACKET", "SO_BINDTODEVICE"):
        if hasattr(socket, name):
            delattr(socket, name)
    for name in ("setns", "unshare", "memfd_create", "pidfd_open"):
        if hasattr(os, name):
            delattr(os, name)
    os.geteuid = lambda: 501
"""

USE = """
    import json
    from pathlib import Path
    import pytest_multinet
    from pytest_multinet import ClusterConfig
    from pytest_multinet.cluster.kind import attach, open_cluster
    from pytest_multinet.cluster.kind_kept import KeptCluster
    from pytest_multinet.probe.remote import RemoteProber

    config = ClusterConfig(name={name!r}, kind_config=Path({config!r}))
    cluster = open_cluster(config, state_dir=Path({state!r}))
    cluster.install_multus()
    link = cluster.link("worker", "worker2", name="mac1", mtu=1400)
    cluster.apply({nad!r})
    a, b = cluster.apply({pods!r})
    print(json.dumps({{
        "attached": cluster.attached,
        "remote": {{type(s.prober) is RemoteProber for s in (a, cluster.nodes[0])}} == {{True}},
        "mtu": a.interface("net1").mtu,
        "ttl": a.ping(b, interface="net1", count=2).ttl,
        "mac": a.arping(b, interface="net1").mac == b.interface("net1").mac,
        "ready": all(c.ok for c in cluster.install_multus().status()),
        "node": cluster.node("worker").interface("mac1").state,
    }}))
    with link.cut():
        assert not a.ping(b, interface="net1", timeout=1)
    cluster.clear()
    link.delete()
    cluster.keep()
"""


def test_a_kept_cluster_is_used_without_any_linux_only_module(
    cluster: KindCluster, state: Path
) -> None:
    """The cluster is let go of for this test and taken back after it."""
    from .conftest import SEED, lent, network, pod

    nad = network(
        "portable",
        {
            "type": "macvlan",
            "master": "mac1",
            "capabilities": {"ips": True},
            "ipam": {"type": "static"},
        },
    )
    pods = [
        pod(
            f"portable-{n}",
            json.dumps([{"name": "portable", "ips": [f"10.0.8.{n}/24"]}]),
            cluster.node(w).name,
        )
        for n, w in ((1, "worker"), (2, "worker2"))
    ]
    code = textwrap.dedent(HIDE) + textwrap.dedent(USE).format(
        name=cluster.name,
        config=str(SEED / "config-3node.yml"),
        state=str(state),
        nad=nad,
        pods=pods,
    )
    with lent(cluster):
        root = str(Path(kind.__file__).parent.parent.parent)
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": root},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == {
        "attached": True,
        "remote": True,
        "mtu": 1400,
        "ttl": 64,
        "mac": True,
        "ready": True,
        "node": "up",
    }
