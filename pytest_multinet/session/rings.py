"""A ring of packets for each interface of each pod, while a test runs."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from pytest_multinet.cluster.base import Cluster
from pytest_multinet.errors import MultinetError
from pytest_multinet.probe.capture import Capture

_LIMIT = 1 << 20  # bytes of one ring
_MOST = 64  # rings of one test


class Rings:
    """Captures at every interface of the pods there are; ``save`` writes those that saw packets.

    Args:
        clusters: whose pods to watch.
    """

    def __init__(self, clusters: Iterable[Cluster]) -> None:
        self.captures: list[tuple[str, Capture]] = []
        self._stack = ExitStack()
        for cluster in clusters:
            for pod in cluster.pods():
                for interface in pod.interfaces:
                    if interface.type == "loopback" or len(self.captures) >= _MOST:
                        continue
                    self._start(
                        f"{pod.name}-{interface.name}", pod.capture(interface.name, limit=_LIMIT)
                    )

    def _start(self, name: str, capture: Capture) -> None:
        try:
            self._stack.enter_context(capture)
        except MultinetError:  # no packet socket, no tcpdump: one ring less
            return
        self.captures.append((name, capture))

    def stop(self) -> None:
        """End them all."""
        self._stack.close()

    def save(self, folder: Path) -> list[Path]:
        """Write every ring that holds packets; the files."""
        held = [(name, capture) for name, capture in self.captures if capture.packets]
        if held:
            folder.mkdir(parents=True, exist_ok=True)
        return [capture.save(folder / f"{name}.pcapng") for name, capture in held]
