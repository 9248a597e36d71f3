"""Whatever ends a run, nothing is left of it (R2); `make soak` does this 200 times."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from pytest_multinet.cluster.embedded import open_cluster
from pytest_multinet.errors import HolderDied
from pytest_multinet.model.topology import ClusterConfig

from .crash import kill_once
from .manifests import pod


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_left_after_a_kill_at_a_random_moment(seed):
    kill = kill_once(seed)
    assert kill.left == (), kill


def test_a_dead_holder_is_told_as_such():
    with open_cluster(ClusterConfig()) as cluster:
        (made,) = cluster.apply(pod("pod1"))
        holder = made.sandbox.namespace.holder
        os.kill(holder.pid, signal.SIGKILL)
        with pytest.raises(HolderDied, match="signal 9"):
            made.exec(["true"])


def test_closing_twice_is_harmless():
    cluster = open_cluster(ClusterConfig())
    cluster.close()
    cluster.close()


def test_ctrl_c_in_a_terminal_does_not_reach_the_holder_first():
    """The holder has a session of its own: tear-down finds it alive."""
    with open_cluster(ClusterConfig()) as cluster:
        (made,) = cluster.apply(pod("pod1"))
        holder = made.sandbox.namespace.holder.pid
        assert os.getsid(holder) == holder


def test_a_pipe_behind_the_run_ends_with_it():
    """The holder and its children hold no descriptor of ours: `pytest | tee` returns."""
    code = (
        "from pytest_multinet.cluster.embedded import open_cluster\n"
        "from pytest_multinet.model.topology import ClusterConfig\n"
        "import os\n"
        "cluster = open_cluster(ClusterConfig())\n"
        "cluster.node('worker').spawn(['sleep', '1000'])\n"
        "print('ready', flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=20)
    assert done.stdout == b"ready\n"


def test_soft_limit_of_1024_files_is_enough_for_500_pods():
    code = (
        "import resource\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))\n"
        "from pytest_multinet.cluster.embedded import open_cluster\n"
        "from pytest_multinet.cluster.factory import PodFactory\n"
        "from pytest_multinet.model.topology import ClusterConfig\n"
        "with open_cluster(ClusterConfig()) as cluster:\n"
        "    pods = PodFactory(cluster).batch({f'p{i}': {} for i in range(500)})\n"
        "    print(len(cluster.pods()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "500\n", done.stderr
