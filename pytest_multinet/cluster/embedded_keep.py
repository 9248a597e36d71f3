"""Kept embedded environments: reached from another process through the holder's socket."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_multinet.cluster.held_process import View, interactive, on_terminal
from pytest_multinet.cluster.process import check_argv
from pytest_multinet.errors import UsageError
from pytest_multinet.net.holder import HeldNamespace, Holder


def new_socket_path() -> Path:
    """A path for the socket of a kept holder, in a short folder of mode 0700 (unix(7))."""
    return Path(tempfile.mkdtemp(prefix="multinet-", dir="/tmp")) / "holder"


class AttachedCluster:
    """A kept embedded environment, reached from another process.

    Args:
        resources: what :meth:`EmbeddedCluster.keep` returned.
    """

    def __init__(self, resources: Mapping[str, Any]) -> None:
        self._resources = resources
        self._path = Path(resources["socket"])

    def exec(self, name: str, argv: Sequence[str]) -> int:
        """Run a program in a pod or node on this process's streams; its exit status."""
        check_argv(argv)
        with contextlib.closing(Holder.attach(self._path)) as holder:
            return interactive(self._view(holder, name), argv)

    def shell(self, name: str) -> int:
        """Open an interactive shell in a pod or node; its exit status."""
        shell = os.environ.get("SHELL", "/bin/sh")
        with contextlib.closing(Holder.attach(self._path)) as holder:
            start = on_terminal if os.isatty(0) else interactive
            return start(self._view(holder, name), [shell])

    def down(self) -> None:
        """End the environment."""
        Holder.attach(self._path).quit()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)  # the holder removes it too, maybe later
            self._path.parent.rmdir()

    def _view(self, holder: Holder, name: str) -> View:
        stacks: Mapping[str, Any] = self._resources["stacks"]
        found = _choose(name, stacks)
        entry = stacks[found]
        namespace = HeldNamespace(holder, entry["namespace"], found)
        return View(namespace, entry["root"], entry["image"])


def _choose(name: str, stacks: Mapping[str, Any]) -> str:
    """The pod or node that a user means: its name, or a node's suffix."""
    found = [s for s in stacks if s == name] or [s for s in stacks if s.endswith(f"-{name}")]
    if len(found) != 1:
        raise UsageError(f"no pod or node {name!r} is kept; there are: {', '.join(stacks)}")
    return found[0]
