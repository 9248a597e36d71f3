"""A kind cluster that was kept, seen from another process; and removing what a run left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_multinet.cluster import kind_failure
from pytest_multinet.cluster.engine import Container, Engine
from pytest_multinet.cluster.kind_orphan import end_creation
from pytest_multinet.cluster.kind_program import KindProgram
from pytest_multinet.cluster.record import Record, RecordFolder, lock_owner, read_record
from pytest_multinet.cluster.rest import KubeApi
from pytest_multinet.cluster.stages import Stages
from pytest_multinet.errors import ClusterError, UsageError


class KeptCluster:
    """A kept cluster: programs in its pods and nodes, and its end.

    Args:
        name: cluster name.
        root: the state folder that it is written down in.
    """

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self.folder = root / "kind" / name

    def _record(self) -> Record:
        record = read_record(self.folder)
        if record is None:
            raise ClusterError(f"cluster {self.name} is no longer kept: there is no record of it")
        return record

    def exec(self, name: str, argv: Sequence[str]) -> int:
        """Run a program in a pod or node on this process's streams; its exit status."""
        return self._run(name, argv, terminal=sys.stdin.isatty() and sys.stdout.isatty())

    def shell(self, name: str) -> int:
        """Open an interactive shell in a pod or node; its exit status."""
        words = ["sh", "-c", "command -v bash >/dev/null && exec bash || exec sh"]
        return self._run(name, words, terminal=sys.stdin.isatty())

    def _run(self, name: str, argv: Sequence[str], *, terminal: bool) -> int:
        record = self._record()
        flags = ["-it"] if terminal else ["-i"]
        node = self._node(record, name)
        if node is not None:
            command = ["docker", "exec", *flags, node, *argv]
        else:
            namespace, pod = self._pod(name)
            command = ["kubectl", "--kubeconfig", str(self.folder / "kubeconfig"), "exec", *flags]
            command += ["-n", namespace, pod, "--", *argv]
        try:
            return subprocess.run(command, check=False).returncode
        except FileNotFoundError:
            raise ClusterError(f"{command[0]!r} is not on PATH, and is needed for this") from None

    def _node(self, record: Record, name: str) -> str | None:
        for node in record.nodes:
            if name in (node, node.removeprefix(f"{self.name}-")):
                return node
        return None

    def _pod(self, name: str) -> tuple[str, str]:
        wanted_namespace, slash, wanted = name.rpartition("/")
        api = KubeApi(self.folder / "kubeconfig")
        try:
            items = api.get("/api/v1/pods")["items"]
        finally:
            api.close()
        pods = [(p["metadata"]["namespace"], p["metadata"]["name"]) for p in items]
        found = [p for p in pods if p[1] == wanted and (not slash or p[0] == wanted_namespace)]
        found.sort(key=lambda p: p[0] != "default")
        if not found:
            shown = ", ".join(f"{n}/{p}" for n, p in pods if n != "kube-system") or "none"
            raise UsageError(f"no pod or node is called {name!r}; pods: {shown}")
        return found[0]

    def down(self) -> None:
        """Remove the cluster; harmless where this very process has taken it over.

        Raises:
            ClusterError: another run is using it, or it could not be removed.
        """
        if read_record(self.folder) is None:
            return
        if lock_owner(self.root, self.name) == os.getpid():
            return
        folder = RecordFolder(self.root, self.name)
        engine = Engine()
        try:
            kind = KindProgram(None, engine.environment)
            ours = set(self._record().nodes.values())
            there = engine.containers(f"io.x-k8s.kind.cluster={self.name}")
            if not ours or ours & {c.id for c in there}:
                remove_remains(kind, folder, there, Stages(lambda line: None))
            else:
                folder.remove()
        finally:
            engine.close()
            folder.release()


def remove_remains(
    kind: KindProgram, folder: RecordFolder, there: Sequence[Container], stages: Stages
) -> None:
    """Remove what a run left that ended before it could, or that was kept."""
    if end_creation(folder.kubeconfig) or there:
        with stages.stage(f"remove what was left of {folder.name}"):
            run = kind.run("delete", "cluster", "--name", folder.name)
            if run.returncode:
                raise ClusterError(
                    f"cannot remove what was left of cluster {folder.name}: "
                    f"{kind_failure.failed_line(run.stderr)}"
                )
    folder.remove()
