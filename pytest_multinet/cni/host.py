"""Where plugins work: a node, and the namespace of one pod on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pytest_multinet.net.holder import HeldNamespace


@dataclass(slots=True)
class Sandbox:
    """One pod's network namespace, as the runtime sees it.

    Attributes:
        container_id: what the runtime calls the pod (CNI_CONTAINERID).
        namespace: the pod's network namespace.
        path: what results show as ``interfaces[].sandbox``.
    """

    container_id: str
    namespace: HeldNamespace
    path: str


class Host(Protocol):
    """One node, as plugins see it.

    Attributes:
        state: what the native plugins of this node remember.
        cluster_state: the same, shared by all nodes.
    """

    state: dict[str, Any]
    cluster_state: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the node."""
        ...

    @property
    def namespace(self) -> HeldNamespace:
        """The node's network namespace."""
        ...

    @property
    def cni_path(self) -> str:
        """Folders of the plugins' binaries, separated by colons (CNI_PATH)."""
        ...

    def exec_plugin(
        self, plugin_type: str, env: Mapping[str, str], stdin: bytes, sandbox: HeldNamespace
    ) -> tuple[int, bytes, bytes] | None:
        """Run a plugin's binary in the node's view; see :mod:`pytest_multinet.cni.binary`.

        Args:
            plugin_type: name of the executable.
            env: the protocol's variables; ``{pid}`` and ``{fd}`` in values become the plugin's
                process id and its descriptor of ``sandbox``.
            stdin: the configuration.
            sandbox: the pod's namespace.

        Returns:
            Exit code, standard output, standard error; ``None`` where the path has no such file.
        """
        ...
