"""The machine's own network is not touched, not even while a cluster runs (R1)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from pytest_multinet import assert_ping
from pytest_multinet.cluster.embedded import open_cluster
from pytest_multinet.model.topology import ClusterConfig, MacvlanConfig

COMMANDS = (
    ("ip", "-o", "link"),
    ("ip", "-o", "address"),
    ("ip", "route", "show", "table", "all"),
    ("ip", "rule"),
    ("ip", "netns"),
)
SYSCTLS = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/all/rp_filter")


def machine() -> dict[str, object]:
    """Interfaces, addresses, routes, rules, namespace files, sysctls and mounts of the host."""
    seen: dict[str, object] = {
        " ".join(command): subprocess.run(command, capture_output=True, text=True).stdout
        for command in COMMANDS
    }
    # Link statistics and lifetimes move by themselves; what they belong to must not.
    for path in SYSCTLS:
        file = Path("/proc/sys") / path
        seen[path] = file.read_text() if file.exists() else None
    seen["mounts"] = sorted(Path("/proc/self/mountinfo").read_text().splitlines())
    seen["netns files"] = sorted(os.listdir("/run/netns")) if Path("/run/netns").exists() else []
    return seen


def own_mounts(seen: dict[str, object]) -> dict[str, object]:
    """Without what other programs of the machine may change meanwhile: Docker's links."""
    text = {
        key: [
            line
            for line in str(value).splitlines()
            if "docker" not in line
            and "br-" not in line
            and "veth" not in line
            and "172.1" not in line
            and "fc00:" not in line
            and "fe80" not in line
            and "ff00" not in line
        ]
        for key, value in seen.items()
        if isinstance(value, str)
    }
    rest = {key: value for key, value in seen.items() if not isinstance(value, str)}
    rest["mounts"] = [m for m in seen["mounts"] if "docker" not in m]  # type: ignore[attr-defined]
    rest["netns files"] = []
    return {**text, **rest}


def test_nothing_of_the_host_changes_before_during_or_after():
    before = own_mounts(machine())
    with open_cluster(ClusterConfig(timeout=5)) as cluster:
        cluster.link("worker", "worker2")
        network = cluster.network(MacvlanConfig())
        selection = network.attach("10.1.1.101/24").to_dict("default")
        (pod,) = cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": "pod1",
                    "annotations": {
                        "k8s.v1.cni.cncf.io/networks": str([selection]).replace("'", '"')
                    },
                },
                "spec": {"containers": [{"name": "main", "image": "netshoot"}]},
            }
        )
        assert_ping(pod, "10.244.1.1")
        assert pod.exec(["true"])
        assert own_mounts(machine()) == before
    assert own_mounts(machine()) == before
