"""``multinet up`` on kind, the commands for it, and a run that attaches to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]

NAME = "multinet-up"
TOPOLOGY = f"""
cluster: {{name: {NAME}, nodes: 1}}
manifests: [network.yaml, pod.yaml]
"""
NETWORK = """
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: br}
spec:
  config: '{"cniVersion": "0.3.1", "type": "bridge", "bridge": "br7",
            "ipam": {"type": "static", "addresses": [{"address": "10.2.0.1/24"}]}}'
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: pod1, annotations: {k8s.v1.cni.cncf.io/networks: br}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "nicolaka/netshoot:latest", command: [sleep, infinity]}]
"""
SUITE = """
def test_it(multinet_cluster, multus):
    assert multinet_cluster.attached
    assert multinet_cluster.pods() == ()
"""


@pytest.fixture
def command(tmp_path: Path, plugins: Path | None, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a module of Python in a folder, with a state folder of its own."""
    for name in [n for n in os.environ if n.startswith(("MULTINET_", "PYTEST_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    if plugins is not None:
        monkeypatch.setenv("MULTINET_CNI_PLUGINS", str(plugins))
    for folder in ("lab", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "lab.yaml").write_text(TOPOLOGY)
        (tmp_path / folder / "network.yaml").write_text(NETWORK)
        (tmp_path / folder / "pod.yaml").write_text(POD)
        (tmp_path / folder / "test_it.py").write_text(SUITE)

    def command(
        module: str, *arguments: str, folder: str = "lab", input: str = ""
    ) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", module, *arguments]
        return subprocess.run(
            argv, cwd=tmp_path / folder, input=input, capture_output=True, text=True, timeout=300
        )

    return command


def test_up_is_used_by_the_commands_and_by_the_next_run(command: Command) -> None:
    try:
        _is_built_and_used(command)
        _next_run_attaches_or_says_what_differs(command)
    finally:
        ended = command("pytest_multinet.cli", "down", "--all")
    assert ended.stdout == f"{NAME} ended\n", ended.stderr
    assert json.loads(command("pytest_multinet.cli", "ls", "--json").stdout) == []
    left = ["docker", "ps", "-aq", "--filter", f"label=io.x-k8s.kind.cluster={NAME}"]
    assert subprocess.run(left, capture_output=True, check=True).stdout == b""


def _is_built_and_used(command: Command) -> None:
    def multinet(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return command("pytest_multinet.cli", *arguments, **more)

    made = multinet("up", "--backend=kind", "lab.yaml")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith(f"kept:         {NAME} on kind, 1 node, 1 pod\n")
    (record,) = json.loads(multinet("ls", "--json").stdout)
    assert (record["id"], record["backend"]) == (NAME, "kind")
    assert "pod1" in multinet("ls").stdout
    assert "10.2.0.1/24" in multinet("exec", "pod1", "--", "ip", "addr", "show", "net1").stdout
    assert multinet("exec", "default/pod1", "--", "sh", "-c", "exit 7").returncode == 7
    assert multinet("exec", "pod1", "--", "cat", input="typed").stdout == "typed"
    shell = multinet("shell", "control-plane", input="hostname\nexit 3\n")
    assert (shell.stdout, shell.returncode) == (f"{NAME}-control-plane\n", 3)
    refused = multinet("exec", "pod9", "--", "true")
    assert (refused.returncode, "default/pod1" in refused.stderr) == (2, True)
    assert multinet("gc").stdout == "nothing to remove\n"
    refused = multinet("up", "--backend=kind", "lab.yaml", folder="other")
    assert (refused.returncode, f"multinet down {NAME}" in refused.stderr) == (2, True)


def _next_run_attaches_or_says_what_differs(command: Command) -> None:
    def run(nodes: int) -> str:
        options = ("--multinet-backend=kind", f"--multinet-cluster-name={NAME}")
        return command("pytest", *options, f"--multinet-nodes={nodes}").stdout

    differs = run(nodes=2)
    assert "1 error" in differs, differs
    assert "nodes: 1 was kept, 2 is wanted" in differs
    assert "multinet down" in differs
    same = run(nodes=1)
    assert "1 passed" in same, same
    assert f"kept:         {NAME} on kind, 1 node, 0 pods" in same
