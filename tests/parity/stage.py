"""What a parity test works with: its pods on one backend, and the verdict it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from itertools import permutations
from typing import Any

import pytest

from pytest_multinet.assertions.patience import until
from pytest_multinet.cluster.stack import Handle, NetworkStack, Pod
from pytest_multinet.errors import NeedsCapability, PodError

from . import verdict
from .scenario import Manifest
from .site import Site

WITHIN = 1.2  # seconds for an answer; who is silent that long is not reached


class Stage:
    """One scenario on one backend.

    Attributes:
        site: the backend.
        pods: the scenario's pods, by name.
        refusal: what was said of its pod that cannot start, ``""`` where it has none.
    """

    def __init__(self, site: Site, pods: Mapping[str, Pod], refusal: str, undo: ExitStack) -> None:
        self.site = site
        self.cluster = site.cluster
        self.pods = dict(pods)
        self.refusal = refusal
        self._undo = undo
        self._notes: list[str] = []

    def pod(self, name: str) -> Pod:
        """A pod of the scenario."""
        return self.pods[name]

    def stack(self, name: str) -> NetworkStack:
        """A pod of the scenario, or a node by its alias."""
        return self.pods[name] if name in self.pods else self.cluster.node(name)

    def note(self, text: str) -> None:
        """A line of the verdict."""
        self._notes.append(text)

    # --- what can be asked ------------------------------------------------------------------

    def ping(
        self, a: str, b: str, interface: str | None = "net1", via: str | None = None, **more: Any
    ) -> int | None:
        """The TTL with which ``b`` answers ``a``, ``None`` where it does not.

        ``b`` is a pod, a node's alias or an address; ``via`` binds to another interface than the
        one whose address is meant.
        """
        version = more.get("version")
        target: Any = b
        if b in self.pods or not (b[0].isdigit() or ":" in b):
            target = self.stack(b).address_on(interface, version)
        source = self.stack(a)
        out = via or (interface if a in self.pods else None)
        result = until(
            lambda: source.ping(target, interface=out, count=2, timeout=0.6, **more), bool, WITHIN
        )
        wording = "".join(f" {k}={v}" for k, v in more.items())
        self.note(f"{a} -> {b} {interface}{wording}: {_seen(result.ttl)}")
        return result.ttl

    def reach(self, interface: str = "net1", **more: Any) -> dict[str, int | None]:
        """The TTL of every ordered pair of pods, ``a>b``."""
        return {
            f"{a}>{b}": self.ping(a, b, interface, **more) for a, b in permutations(self.pods, 2)
        }

    def arp(self, a: str, b: str, interface: str = "net1", **more: Any) -> bool:
        """Whether ``b``'s own MAC address answers for ``b``'s address."""
        source, target = self.stack(a), self.stack(b)
        result = until(lambda: source.arping(target, interface=interface, **more), bool, WITHIN)
        own = result.mac == target.interface(interface).mac
        self.note(f"{a} asks for {b} on {interface}: {'its own MAC' if own else result.mac}")
        return own

    def routes(self, name: str, version: int = 4) -> list[str]:
        """Routes in order; the cluster's own addresses by name."""
        plain = verdict.plain(self.pods[name])
        return [plain(str(r)) for r in self.pods[name].routes if r.destination.version == version]

    def interface(self, name: str, interface: str) -> str:
        """An interface in one line."""
        return verdict.of_interface(self.stack(name).interface(interface))

    def look(self, node: str, interface: str, state: str = "up") -> str:
        """An interface of a node once it has settled, noted."""
        stack = self.stack(node)
        settled = until(lambda: stack.interface(interface), lambda i: i.state == state, WITHIN)
        text = verdict.of_interface(settled)
        self.note(f"{node}: {text}")
        return text

    def status(self, name: str) -> list[tuple[str, str, list[str]]]:
        """Network, interface and addresses of each entry of the network-status but the first."""
        return [
            (s.name, s.interface, [str(ip) for ip in s.ips])
            for s in self.pods[name].network_status[1:]
        ]

    def sysctl(self, name: str, path: str) -> str | None:
        """A value under ``/proc/sys/net``, noted."""
        value = self.stack(name).sysctl(path)
        self.note(f"{name}: {path} = {value}")
        return value

    def limits(self, node: str, interface: str) -> list[str]:
        """The rates of the traffic control classes of a node's interface, noted."""
        text = self.stack(node).exec(["tc", "class", "show", "dev", interface], check=True).stdout
        rates = sorted(line.split("rate ")[1].split()[0] for line in text.splitlines())
        self.note(f"{node}: rates of the host's end: {rates}")
        return rates

    def refused(self, words: str) -> bool:
        """Whether the pod that cannot start was refused in these words."""
        if words not in self.refusal:
            self.note(f"refused otherwise: {self.refusal}")
            return False
        self.note(f"refused: {words}")
        return True

    # --- what a test makes itself -----------------------------------------------------------

    def apply(self, *manifests: Manifest) -> list[Pod]:
        """Make more, deleted after the test; returns the pods."""
        handles: list[Handle] = self.cluster.apply([self.site.staged(m) for m in manifests])
        self._undo.callback(self.site.delete, handles)
        pods = [h for h in handles if isinstance(h, Pod)]
        self.pods |= {pod.name: pod for pod in pods}
        return pods

    def apply_if_possible(self, *manifests: Manifest) -> list[Pod]:
        """Make more; the test is skipped where the kernel lacks what it takes."""
        try:
            return self.apply(*manifests)
        except NeedsCapability as error:
            pytest.skip(error.reason)
        except PodError as error:
            if "not supported" not in error.message:
                raise
            pytest.skip(error.message.rpartition("): ")[2])

    def remove(self, name: str) -> None:
        """Delete a pod."""
        self.site.delete([self.pods.pop(name)])

    def verdict(self) -> list[str]:
        """All that is seen of the scenario."""
        lines = [line for pod in self.pods.values() for line in verdict.of_pod(pod)]
        return lines + self._notes


def _seen(ttl: int | None) -> str:
    return "no answer" if ttl is None else f"ttl {ttl}"
