"""Programs in pods and nodes: their own network, processes, host name and files."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pytest_multinet.cluster.embedded import open_cluster
from pytest_multinet.errors import ExecFailed, WaitTimeout
from pytest_multinet.model.topology import ClusterConfig

from .manifests import pod


@pytest.fixture
def made(cluster):
    return cluster.apply(pod("pod1"))[0]


def test_streams_status_and_input_are_told_apart(made):
    seen = made.exec(["sh", "-c", "cat; echo oops >&2; exit 3"], input="hello\n")
    assert (seen.stdout, seen.stderr, seen.returncode) == ("hello\n", "oops\n", 3)
    assert not seen


def test_check_raises_with_what_the_program_wrote(made):
    with pytest.raises(ExecFailed, match="oops"):
        made.exec(["sh", "-c", "echo oops >&2; exit 3"], check=True)


def test_signal_is_a_negative_status(made):
    assert made.exec(["sh", "-c", "kill -9 $$"]).returncode == -9


def test_environment_is_the_pods_and_not_ours(made):
    assert "PYTEST_CURRENT_TEST" in os.environ
    seen = made.exec(["env"], env={"COLOUR": "blue"}).stdout
    assert "COLOUR=blue" in seen
    assert "PYTEST_CURRENT_TEST" not in seen


def test_a_pod_has_processes_of_its_own(made):
    seen = made.exec(["sh", "-c", "ls /proc | grep -c '^[0-9]'"])
    assert 2 <= int(seen.stdout) <= 5
    assert made.exec(["readlink", "/proc/1/ns/net"]).stdout.startswith("net:[")


def test_a_pod_has_the_sys_of_its_own_network(made):
    assert made.exec(["ls", "/sys/class/net"]).stdout.split() == ["eth0", "lo"]


def test_runtime_folders_are_the_pods_own(made):
    before = set(os.listdir("/run"))
    made.exec(["touch", "/run/only-here"], check=True)
    made.exec(["touch", "/var/lib/cni/only-here"], check=True)
    assert set(os.listdir("/run")) == before
    assert not Path("/var/lib/cni/only-here").exists()


def test_two_pods_of_one_name_in_two_namespaces_are_two(cluster):
    other = pod("pod1")
    other["metadata"]["namespace"] = "other"
    first, second = cluster.apply([pod("pod1"), other])
    first.exec(["touch", "/run/first"], check=True)
    assert second.exec(["test", "-e", "/run/first"]).returncode == 1
    assert first.ip() != second.ip()


def test_a_pod_made_again_has_a_fresh_view(cluster):
    (first,) = cluster.apply(pod("pod1"))
    first.exec(["touch", "/run/first"], check=True)
    first.delete()
    (second,) = cluster.apply(pod("pod1"))
    assert second.exec(["test", "-e", "/run/first"]).returncode == 1


def test_a_node_knows_the_other_nodes_by_name(cluster):
    hosts = cluster.node("worker").exec(["cat", "/etc/hosts"]).stdout
    for node in cluster.nodes:
        assert f"{node.address}\t{node.name}" in hosts


def test_spawned_program_is_ready_when_its_output_says_so(made):
    with made.spawn(
        ["sh", "-c", "sleep 0.05; echo listening; sleep 100"], ready="^listening$"
    ) as p:
        assert p.returncode is None
        assert p.output == "listening\n"
    assert p.returncode == -15


def test_spawned_server_is_ready_when_its_port_listens(made):
    server = "import socket; s = socket.create_server(('', 7070)); s.accept(); s.accept()"
    with made.spawn(["/usr/bin/env", "python3", "-c", server], ready=7070):
        assert made.connect(made.ip(), 7070)


def test_spawned_program_that_ends_first_is_an_error_with_its_output(made):
    with pytest.raises(ExecFailed, match=r"it ended with 2; its output:\s+bad option"):
        made.spawn(["sh", "-c", "echo bad option; exit 2"], ready="listening")


def test_program_that_ignores_sigterm_is_killed(made):
    script = "trap '' TERM; echo set; while :; do sleep 0.1; done"
    process = made.spawn(["sh", "-c", script], ready="set")
    process.terminate(grace=0.2)
    assert process.returncode == -9
    process.terminate()


def test_wait_gives_the_status_or_says_that_it_still_runs(made):
    process = made.spawn(["sh", "-c", "sleep 0.1; exit 4"])
    with pytest.raises(WaitTimeout):
        process.wait(0.01)
    assert process.wait(5) == 4


def test_container_command_runs_and_its_output_is_the_log(cluster):
    script = "echo up on $(hostname); exec sleep 1000"
    (made,) = cluster.apply(pod("pod1", command=["sh", "-c"], args=[script]))
    assert eventually(made.logs)
    assert made.logs() == "up on pod1\n"
    listed = made.exec(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).stdout
    assert "sleep 1000" in listed


def test_processes_of_a_deleted_pod_end_with_it(cluster):
    (made,) = cluster.apply(pod("pod1", command=["sh", "-c", "echo up; exec sleep 31415"]))
    made.spawn(["sleep", "27182"])
    assert eventually(lambda: running("31415", "27182") == 2)
    made.delete()
    assert eventually(lambda: running("31415", "27182") == 0)


def eventually(holds) -> bool:
    deadline = time.monotonic() + 5
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def running(*arguments: str) -> int:
    """Processes of the machine with exactly one of these as their argument."""
    found = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        found += words[:1] == [b"sleep"] and words[1].decode() in arguments
    return found


def test_image_root_stands_for_the_files_of_an_image(tmp_path):
    root = tmp_path / "root"
    for folder in ("proc", "sys", "run", "dev", "etc", "bin", "var/lib"):
        (root / folder).mkdir(parents=True)
    (root / "etc" / "motd").write_text("from the image\n")
    busybox = Path("/bin/busybox")
    if not busybox.exists():
        pytest.skip("no static program to put into an image root: install busybox-static")
    (root / "bin" / "busybox").write_bytes(busybox.read_bytes())
    (root / "bin" / "busybox").chmod(0o755)
    config = ClusterConfig(image_roots={"example/image": str(root)})
    with open_cluster(config) as cluster:
        (made,) = cluster.apply(pod("pod1", image="example/image"))
        assert made.exec(["busybox", "cat", "/etc/motd"]).stdout == "from the image\n"
        assert "eth0" in made.exec(["busybox", "ls", "/sys/class/net"]).stdout


def test_output_of_a_megabyte_arrives_whole(made):
    seen = made.exec(["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"])
    assert seen.stdout == "x" * 1_000_000
