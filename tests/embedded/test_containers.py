"""What a container around us takes away, made without one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
from pytest_multinet.cluster.embedded import open_cluster
from pytest_multinet.model.topology import ClusterConfig

with open_cluster(ClusterConfig(nodes=1)) as cluster:
    (pod,) = cluster.apply({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod1"},
        "spec": {"containers": [{"name": "main", "image": "netshoot"}]},
    })
    print(*sorted(pod.exec(["ls", "/sys/class/net"]).stdout.split()))
"""


def test_pods_have_their_own_sys_where_the_containers_is_read_only() -> None:
    prepare = 'mount -o remount,ro,bind /sys && exec "$0" -c "$1"'
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    argv = ["unshare", "--mount", *user, "sh", "-c", prepare, sys.executable, CODE]
    try:
        found = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        pytest.skip("needs the program unshare (util-linux)")
    assert (found.stdout, found.returncode) == ("eth0 lo\n", 0), found.stderr
