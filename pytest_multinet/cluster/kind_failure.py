"""Why ``kind create cluster`` failed, in words that say what to do; and the logs that show it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from pytest_multinet.cluster.kind_program import KindProgram

_CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"too many open files|inotify_init|no space left on device.*inotify",
        "the kernel's inotify limits are too low for that many nodes: "
        "sudo sysctl fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=524288",
    ),
    (
        r"no space left on device|disk quota exceeded",
        "the disk is full: 'docker system df' shows what Docker holds, and 'docker system prune' "
        "frees what is unused",
    ),
    (
        r"port is already allocated|address already in use|ports are not available",
        "a host port of port_mappings is taken by another program or container "
        "('docker ps', 'ss -ltnp'); choose another, or stop it",
    ),
    (
        r"node\(s\) already exist for a cluster with the name",
        "a cluster of that name exists; choose another name with --multinet-cluster-name, or "
        "'kind delete cluster --name ...' if it is no longer needed",
    ),
    (
        r"failed to pull image|pull access denied|manifest unknown|no such host"
        r"|not found: manifest",
        "the node image is neither on this machine nor could it be pulled; is its name right "
        "(--multinet-node-image), and is there a network? 'multinet bundle' is for machines "
        "without one",
    ),
    (
        r"cgroups? v1|cgroup_v1"
        r"|could not find a log line that matches.*(systemd|Multi-User)",
        "the node image does not boot here: this machine may still use cgroup v1, which newer "
        "images refuse; take an older one (kindest/node:v1.31.0), or boot with "
        "systemd.unified_cgroup_hierarchy=1",
    ),
    (
        r"permission denied.*docker\.sock|docker\.sock.*permission denied",
        "no permission on Docker's socket: add yourself to the group 'docker' and log in again",
    ),
    (
        r"Cannot connect to the Docker daemon|Is the docker daemon running",
        "Docker is not running, or stopped meanwhile",
    ),
    (
        r"kubelet is not (running|healthy)|timed out waiting for the condition",
        "the nodes did not become healthy in time: is the machine overloaded, or short of memory?",
    ),
    (
        r"unknown field|error unmarshal|unable to decode config|strict decoding error|yaml: ",
        "kind does not understand the configuration file",
    ),
)


def cause(output: str) -> str | None:
    """The cause and the next step, for the usual failures."""
    for pattern, text in _CAUSES:
        if re.search(pattern, output, re.IGNORECASE | re.DOTALL):
            return text
    return None


def failed_line(output: str) -> str:
    """Kind's own ``ERROR:`` line, else its last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    line = (errors or lines or ["no output"])[-1 if not errors else 0]
    return line if len(line) <= 600 else f"{line[:600]} ..."


def export_logs(kind: KindProgram, name: str, folder: Path) -> Path | None:
    """``kind export logs`` into a folder, without what must stay secret; ``None`` if it failed.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = kind.run("export", "logs", "--name", name, str(folder), timeout=120.0)
    for file in folder.rglob("*"):
        if file.is_file():
            _make_harmless(file)
    if run.returncode and not any(folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return folder


_SECRET_NAMES = re.compile(r"kubeconfig|admin\.conf|\.(key|pem|crt)$|token|secret", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    rb"(client-key-data|client-certificate-data|certificate-authority-data)\s*:\s*\S+"
    rb"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+"
    rb"|(?<=token=)\S+|(?<=--token )\S+|\b[a-z0-9]{6}\.[a-z0-9]{16}\b"
    rb"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----",
    re.DOTALL,
)


def _make_harmless(file: Path) -> None:
    if _SECRET_NAMES.search(file.name):
        file.unlink()
        return
    data = file.read_bytes()
    clean = _SECRET_TEXT.sub(b"(removed)", data)
    if clean != data:
        file.write_bytes(clean)
