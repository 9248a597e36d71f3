"""Every exception a user can meet, one tree.

Each message says what was wanted, what is, and the next thing to do.  Whoever
catches :class:`MultinetError` catches all of them.
"""

from __future__ import annotations

from typing import Any


class MultinetError(Exception):
    """Root of all errors raised on purpose by pytest-multinet."""


# --- what the caller wrote ------------------------------------------------------------------


class UsageError(MultinetError):
    """An argument, option or call that cannot be carried out as written."""


class ManifestError(UsageError):
    """A manifest, annotation or CNI configuration that is not what the rules ask for.

    Args:
        message: what is wrong, one sentence.
        source: file name, or a description such as ``<string>``.
        line: line in ``source``, counted from 1.
        field: dotted path of the field, such as ``spec.config.plugins[0].mode``.
        value: the offending value, as found.
        expected: what the field should have been.

    Attributes:
        hint: the cause in our words and the next step, where it is known.
    """

    hint: str | None = None

    def __init__(
        self,
        message: str,
        *,
        source: str | None = None,
        line: int | None = None,
        field: str | None = None,
        value: Any = None,
        expected: str | None = None,
    ) -> None:
        self.message = message
        self.source = source
        self.line = line
        self.field = field
        self.value = value
        self.expected = expected
        super().__init__(message)

    def __str__(self) -> str:
        where = self.source or ""
        if self.line is not None:
            where += f":{self.line}" if where else f"line {self.line}"
        text = f"{where}: {self.message}" if where else self.message
        if self.field:
            text += f"\n  field:    {self.field}"
        if self.value is not None:
            shown = repr(self.value)
            text += f"\n  value:    {shown if len(shown) <= 200 else shown[:197] + '...'}"
        if self.expected:
            text += f"\n  expected: {self.expected}"
        if self.hint:
            text += f"\n  {self.hint}"
        return text


# --- what this machine or backend cannot give -----------------------------------------------


class BackendUnavailable(MultinetError):
    """A backend that was asked for cannot run here; the message says what to do."""


class NeedsCapability(MultinetError):
    """The backend or kernel lacks what a test needs; in a test this is a skip.

    Args:
        capability: short name, as ``--multinet-require`` takes it (``netem``, ``vlan``, ...).
        reason: one sentence.
    """

    def __init__(self, capability: str, reason: str) -> None:
        self.capability = capability
        self.reason = reason
        super().__init__(reason)


class NeedsKubernetes(NeedsCapability):
    """What was asked for exists only on a real Kubernetes API (kind, kubeconfig)."""

    def __init__(self, reason: str) -> None:
        super().__init__("kubernetes", reason)


# --- what went wrong in the environment -----------------------------------------------------


class EnvironmentFailure(MultinetError):
    """The environment could not be built, or broke while it was in use."""


class ClusterError(EnvironmentFailure):
    """A cluster could not be created, reached, reused or deleted."""


class HolderDied(ClusterError):
    """The process that owns the embedded cluster's namespaces has gone."""


class LinkError(EnvironmentFailure):
    """A node-to-node link could not be made, or is no longer what it was."""


class ImageError(EnvironmentFailure):
    """An image is not available to the nodes (or, on embedded, on this machine)."""


class MultusError(EnvironmentFailure):
    """Multus is not installed, not ready, or refused an annotation."""


class CniError(EnvironmentFailure):
    """A CNI plugin failed: the specification's error object (CNI spec 1.1, section 5).

    Args:
        msg: the plugin's short message.
        code: error code of the specification (1-99) or of the plugin (100+; the
            reference plugins use 999 for nearly everything).
        details: the longer message, if any.
        plugin: the plugin type that failed, such as ``macvlan``.
        command: ``ADD``, ``DEL`` or ``CHECK``.
        hint: what we know beyond the plugin's message (the cause, the next step).
    """

    def __init__(
        self,
        msg: str,
        *,
        code: int = 999,
        details: str = "",
        plugin: str | None = None,
        command: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.msg = msg
        self.code = code
        self.details = details
        self.plugin = plugin
        self.command = command
        self.hint = hint
        super().__init__(msg)

    def __str__(self) -> str:
        text = self.msg
        if self.plugin and self.command:
            text = f'plugin type="{self.plugin}" failed ({self.command.lower()}): {text}'
        if self.details:
            text += f"; {self.details}"
        if self.hint:
            text += f" ({self.hint})"
        return text


class PodError(EnvironmentFailure):
    """A pod could not be created, scheduled or started.

    Args:
        message: the whole cause; for a network set-up failure the text that kubelet
            shows after ``networking:`` in its FailedCreatePodSandBox event.
        pod: ``namespace/name``.
        reason: the event's reason (``FailedCreatePodSandBox``, ``FailedScheduling``, ...).
        hint: the cause in our words and the next step.
        node: name of the node where it happened, where that is known.
    """

    def __init__(
        self,
        message: str,
        *,
        pod: str,
        reason: str | None = None,
        hint: str | None = None,
        node: str | None = None,
    ) -> None:
        self.message = message
        self.pod = pod
        self.reason = reason
        self.hint = hint
        self.node = node
        super().__init__(message)

    def __str__(self) -> str:
        text = f"pod {self.pod}: "
        if self.reason:
            text += f"{self.reason}: "
        text += self.message
        if self.hint:
            text += f"\n  {self.hint}"
        return text


class ProgramNotFound(EnvironmentFailure):
    """A program asked for by ``exec``, ``spawn`` or a container command does not exist."""


class ExecFailed(EnvironmentFailure):
    """A program could not be run, or did not become ready."""


class WaitTimeout(EnvironmentFailure):
    """A wait ended at its deadline; the message carries the last cause seen."""


class NetlinkError(MultinetError):
    """The kernel refused a netlink request.

    Args:
        errno: positive error number.
        what: the request in words, such as ``create macvlan net1 on eth1``.
    """

    def __init__(self, errno: int, what: str, message: str | None = None) -> None:
        import os

        self.errno = errno
        self.what = what
        self.strerror = message or os.strerror(errno).lower()
        super().__init__(f"{what}: {self.strerror}")
