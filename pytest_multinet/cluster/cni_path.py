"""Where the embedded backend finds real CNI plugins (CNI_PATH)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pytest_multinet.errors import UsageError

DEFAULT_FOLDERS = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")


class CniPath:
    """The folders with plugins, as ``--multinet-cni-plugins`` and the distribution have them.

    Args:
        given: a folder, which comes first, or a ``.tgz``, which is unpacked when it is needed;
            ``None``: the usual folders only.
    """

    def __init__(self, given: Path | None) -> None:
        if given is not None and not given.exists():
            raise UsageError(
                f"cni-plugins is {str(given)!r}, which does not exist; expected a folder with CNI "
                f"plugins or a .tgz archive of them"
            )
        self._given = given
        self._unpacked: tempfile.TemporaryDirectory[str] | None = None

    @property
    def text(self) -> str:
        """The folders in order, separated by colons."""
        first: list[str] = []
        if self._given is not None:
            first = [str(self._given.resolve()) if self._given.is_dir() else self._unpack()]
        return ":".join([*first, *DEFAULT_FOLDERS])

    def find(self, plugin_type: str) -> str | None:
        """The first executable of that name, or ``None``."""
        for folder in self.text.split(":"):
            program = Path(folder) / plugin_type
            if program.is_file() and os.access(program, os.X_OK):
                return str(program)
        return None

    def close(self) -> None:
        """Remove what was unpacked."""
        if self._unpacked is not None:
            self._unpacked.cleanup()
            self._unpacked = None

    def _unpack(self) -> str:
        if self._unpacked is None:
            from pytest_multinet.cluster.plugins import read_plugins

            assert self._given is not None  # noqa: S101 - only called for an archive
            programs = read_plugins(self._given).programs
            self._unpacked = tempfile.TemporaryDirectory(prefix="multinet-cni-")
            for name, content in programs.items():
                path = Path(self._unpacked.name) / name
                path.write_bytes(content)
                path.chmod(0o755)
        return self._unpacked.name
