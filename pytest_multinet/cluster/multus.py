"""Multus as a cluster shows it: how it runs, and whether it is ready."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True)
class ReadinessCheck:
    """One point of Multus' readiness on one node: ``point``, ``ok``, and what was seen."""

    node: str
    point: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True)
class MultusState:
    """How Multus stands on one node.

    Attributes:
        node: the node's name.
        configurations: files of /etc/cni/net.d in the order in which the runtime reads them;
            the first decides.
        daemon: why its daemon does not answer, ``""`` where it does.
        started: start of its container, seconds since the epoch; ``None``: it does not run.
        ended: why its container ended last (``OOMKilled``), ``""`` where it never did.
        memory: its memory limit, ``""`` without one.
    """

    node: str
    configurations: tuple[str, ...] = ()
    daemon: str = ""
    started: float | None = None
    ended: str = ""
    memory: str = ""


class Multus(ABC):
    """Multus, usable on every node.

    Attributes:
        version: such as ``4.1.0``; on embedded the version whose behaviour is matched.
        mode: ``thick``, ``thin`` or ``embedded``.
    """

    version: str
    mode: str

    @abstractmethod
    def status(self) -> tuple[ReadinessCheck, ...]:
        """Every readiness point on every node, checked now."""

    def __repr__(self) -> str:
        return f"<Multus {self.version} {self.mode}>"
