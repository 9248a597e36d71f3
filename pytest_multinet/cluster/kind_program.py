"""The ``kind`` command line: where it is, whether it is new enough, and how it is called."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pytest_multinet.errors import BackendUnavailable

OLDEST = (0, 20, 0)
PINNED = "0.27"


class KindProgram:
    """``kind``, on PATH or by path.

    Args:
        program: name or path; ``None``: ``$KIND``, else ``kind`` on PATH.
        environment: for its processes (``DOCKER_HOST``).

    Raises:
        BackendUnavailable: it is not there, or too old.
    """

    def __init__(self, program: str | None, environment: Mapping[str, str]) -> None:
        wanted = program or os.environ.get("KIND") or "kind"
        found = shutil.which(wanted)
        if found is None:
            raise BackendUnavailable(
                f"the program {wanted!r} is not on PATH; install kind >= {PINNED} "
                "(https://kind.sigs.k8s.io, or 'go install sigs.k8s.io/kind@v0.27.0')"
            )
        if shutil.which("docker") is None:
            raise BackendUnavailable(
                "kind needs the command line program 'docker' on PATH; install Docker's CLI"
            )
        self.path = found
        self.environment = {**environment, "KIND_EXPERIMENTAL_PROVIDER": "docker"}

    def check(self) -> str:
        """The version, such as ``0.27.0``; raises where it is too old."""
        shown = self.run("version").stdout
        number = re.search(r"v?(\d+)\.(\d+)\.(\d+)", shown)
        if number is None:
            raise BackendUnavailable(f"{self.path} does not tell its version: {shown!r}")
        version = tuple(int(n) for n in number.groups())
        if version < OLDEST:
            raise BackendUnavailable(
                f"{self.path} is kind {number.group(0)}; at least "
                f"{'.'.join(map(str, OLDEST))} is needed, {PINNED} or newer is tested"
            )
        return ".".join(number.groups())

    def run(
        self, *argv: str, kubeconfig: Path | None = None, timeout: float = 600.0
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end; it never sees the user's own kubeconfig."""
        return subprocess.run(
            [self.path, *argv],
            env=self.with_kubeconfig(kubeconfig),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    def start(self, *argv: str, kubeconfig: Path, log: Path) -> subprocess.Popen[bytes]:
        """Start it, its output in a file, in a session of its own: Ctrl-C is ours to handle."""
        with log.open("wb") as output:
            return subprocess.Popen(
                [self.path, *argv],
                env=self.with_kubeconfig(kubeconfig),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def with_kubeconfig(self, kubeconfig: Path | None) -> dict[str, str]:
        """Its environment."""
        return {**self.environment, "KUBECONFIG": str(kubeconfig or os.devnull)}
