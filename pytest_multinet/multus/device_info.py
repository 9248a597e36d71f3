"""Device information: what a plugin tells Multus of a device, by a file on the node.

NPWG device-info specification 1.1: Multus names a file in the capability ``CNIDeviceInfoFile``, a
plugin that declares it writes JSON there, and ``network-status`` shows that as ``device-info``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol, cast

CAPABILITY = "CNIDeviceInfoFile"
_FOLDER = "/var/run/k8s.cni.cncf.io/devinfo/cni"


class NodeFiles(Protocol):
    """What is asked of a node's file system."""

    def read_file(self, path: str) -> str | None:
        """A file's text, ``None`` where it cannot be read."""
        ...

    def remove_file(self, path: str) -> None:
        """Remove a file; harmless where there is none."""
        ...


def path_of(network: str, container_id: str, interface: str) -> str:
    """The file of one attachment."""
    name = f"{network}-{container_id}_{interface}".replace("/", "-")
    return f"{_FOLDER}/{name}"


def read(files: NodeFiles, path: str) -> Mapping[str, Any] | None:
    """What the plugin wrote; ``None`` where it wrote nothing, or no JSON object."""
    text = files.read_file(path)
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else None
