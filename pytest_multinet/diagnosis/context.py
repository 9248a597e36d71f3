"""What a diagnosis may look at: the stacks of a path, the cluster, real state read once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from pytest_multinet.cluster.base import Cluster
from pytest_multinet.cluster.multus import MultusState
from pytest_multinet.cluster.schedule import schedule
from pytest_multinet.cluster.stack import NetworkStack, Node, Pod
from pytest_multinet.errors import MultinetError
from pytest_multinet.model.attachment import NetworkSelection, interface_names
from pytest_multinet.model.interface import (
    ArpResult,
    ConnectResult,
    Interface,
    IPAddress,
    Neighbour,
    PingResult,
    Route,
)
from pytest_multinet.model.nad import NetworkAttachmentDefinition, NetworkConf
from pytest_multinet.model.pod import PodManifest

Seen = PingResult | ArpResult | ConnectResult
UPPER = ("macvlan", "ipvlan")


@dataclass(frozen=True)
class Attachment:
    """One network of a pod: what asked for it, and the configuration that it leads to.

    Attributes:
        selection: the annotation's element.
        interface: its name in the pod.
        definition: the NetworkAttachmentDefinition, ``None`` where there is none.
    """

    selection: NetworkSelection
    interface: str
    definition: NetworkAttachmentDefinition | None

    @property
    def plugins(self) -> tuple[NetworkConf, ...]:
        """The plugins of its configuration."""
        config = self.definition.config if self.definition else None
        return config.plugins if config else ()

    def plugin(self, *types: str) -> NetworkConf | None:
        """Its first plugin of one of these types."""
        return next((p for p in self.plugins if p.type in types), None)

    @property
    def master(self) -> str | None:
        """The master that the configuration names."""
        found = self.plugin("macvlan", "ipvlan", "vlan")
        return str(found.raw["master"]) if found and found.raw.get("master") else None


@dataclass(frozen=True)
class Context:
    """The question, and real state read through the protocol, each part at most once.

    Attributes:
        cluster: whose stacks these are, ``None`` where unknown.
        source: the stack that probed, or the only one that is asked about.
        target: the stack that was meant, ``None`` for a bare address.
        address: that was probed.
        interface: that was probed over, or asked about.
        seen: what the probe saw.
        error: what set-up raised.
        manifests: of the pods that were being made.
        layer: the layer that is broken, as the walk found it.
    """

    cluster: Cluster | None = None
    source: NetworkStack | None = None
    target: NetworkStack | None = None
    address: IPAddress | None = None
    interface: str | None = None
    seen: Seen | None = None
    error: MultinetError | None = None
    manifests: Sequence[PodManifest] = ()
    layer: str = ""
    _read: dict[tuple[str, str], Any] = field(default_factory=dict[tuple[str, str], Any])

    def at(self, layer: str) -> Context:
        """The same with the broken layer known; what was read is shared."""
        return replace(self, layer=layer)

    # --- stacks -----------------------------------------------------------------------------

    def interfaces(self, stack: NetworkStack) -> tuple[Interface, ...]:
        """Every interface of a stack."""
        return self._once("interfaces", stack, lambda: stack.interfaces)

    def routes(self, stack: NetworkStack) -> tuple[Route, ...]:
        """The main table of a stack."""
        return self._once("routes", stack, lambda: stack.routes)

    def neighbours(self, stack: NetworkStack) -> tuple[Neighbour, ...]:
        """ARP and ND entries of a stack."""
        return self._once("neighbours", stack, lambda: stack.neighbours)

    def _once(self, what: str, stack: NetworkStack, read: Any) -> Any:
        key = (what, _key(stack))
        if key not in self._read:
            self._read[key] = read()
        return self._read[key]

    def find(self, stack: NetworkStack, name: str) -> Interface | None:
        """The interface ``name`` of a stack."""
        return next((i for i in self.interfaces(stack) if i.name == name), None)

    def carrying(self, stack: NetworkStack, address: IPAddress | None) -> Interface | None:
        """The interface of a stack that has ``address``."""
        for interface in self.interfaces(stack):
            if any(a.ip == address for a in interface.addresses):
                return interface
        return None

    def master(self, pod: Pod, interface: Interface) -> Interface | None:
        """The interface on the pod's node that one of the pod stands on."""
        for candidate in self.interfaces(pod.node):
            if candidate.index == interface.parent:
                return candidate
        return None

    @property
    def ends(self) -> Iterator[tuple[NetworkStack, str]]:
        """Source and target, each with the interface that is meant there."""
        if self.source is not None:
            yield self.source, self.interface or "eth0"
        if self.target is not None:
            yield self.target, self.far

    @property
    def far(self) -> str:
        """The interface that is meant at the target."""
        if self.target is None:
            return ""
        carrying = self.carrying(self.target, self.address)
        if carrying is not None:
            return carrying.name
        promised = self.target.network_status if isinstance(self.target, Pod) else ()
        for status in promised:
            if self.address in status.ips:
                return status.interface
        named = self.interface and self.find(self.target, self.interface)
        return self.interface or "eth0" if named or isinstance(self.target, Pod) else "eth0"

    @property
    def route(self) -> Route | None:
        """The route that the source takes to the address."""
        if self.source is None or self.address is None:
            return None
        return self.route_to(self.source, self.address, self.interface)

    @property
    def out(self) -> str:
        """The interface by which the source sends."""
        route = self.route
        return self.interface or (route.interface if route else None) or "eth0"

    @property
    def origin(self) -> tuple[IPAddress, ...]:
        """The source's addresses that the target has to answer to."""
        held = self.find(self.source, self.out) if self.source is not None else None
        version = self.address.version if self.address is not None else 4
        addresses = held.addresses if held is not None else ()
        return tuple(a.ip for a in addresses if a.version == version)

    def route_to(
        self, stack: NetworkStack, target: IPAddress, interface: str | None
    ) -> Route | None:
        """The route of the main table that fits best; of equals, the first."""
        fits = [
            r
            for r in self.routes(stack)
            if r.destination.version == target.version
            and target in r.destination
            and interface in (None, r.interface)
        ]
        return max(fits, key=lambda r: r.destination.prefixlen) if fits else None

    @property
    def pods(self) -> tuple[Pod, ...]:
        """The pods that are asked about: target first, since it is what cannot be reached."""
        return tuple(s for s in (self.target, self.source) if isinstance(s, Pod))

    @property
    def all_pods(self) -> tuple[Pod, ...]:
        """Every pod of the cluster that was made here."""
        return self.cluster.pods() if self.cluster is not None else self.pods

    # --- networks ---------------------------------------------------------------------------

    @cached_property
    def definitions(self) -> tuple[NetworkAttachmentDefinition, ...]:
        """Every NetworkAttachmentDefinition of the cluster."""
        return self.cluster.definitions if self.cluster is not None else ()

    @cached_property
    def multus(self) -> tuple[MultusState, ...]:
        """How Multus stands on each node; empty where it is built in."""
        return self.cluster.multus_states() if self.cluster is not None else ()

    def attachments(self, manifest: PodManifest) -> list[Attachment]:
        """The networks of a pod, in the annotation's order."""
        known = {(d.namespace, d.name): d for d in self.definitions}
        names = interface_names(manifest.networks)
        return [
            Attachment(selection, name, known.get((selection.namespace, selection.name)))
            for selection, name in zip(manifest.networks, names, strict=True)
        ]

    def attachment(self, pod: Pod, interface: str) -> Attachment | None:
        """The network behind one interface of a pod."""
        found = self.attachments(pod.manifest)
        return next((a for a in found if a.interface == interface), None)

    # --- an error of set-up -----------------------------------------------------------------

    @cached_property
    def text(self) -> str:
        """What the error says, hints left out."""
        return str(getattr(self.error, "message", None) or self.error or "")

    @cached_property
    def manifest(self) -> PodManifest | None:
        """The pod that the error is about."""
        pod = str(getattr(self.error, "pod", "")).split(" ")[0]
        for manifest in self.manifests:
            if f"{manifest.namespace}/{manifest.name}" == pod:
                return manifest
        return None

    @cached_property
    def failed(self) -> Attachment | None:
        """The network whose attachment failed: named by the error, else the pod's only one."""
        if self.manifest is None:
            return None
        found = self.attachments(self.manifest)
        for candidate in found:
            config = candidate.definition.config if candidate.definition else None
            if config is not None and f'"{config.name}"' in self.text:
                return candidate
        named = [a for a in found if f"({a.selection.name})" in self.text]
        return named[0] if named else found[0] if len(found) == 1 else None

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Where the failed pod was to run: the node that the error or the pod names."""
        if self.cluster is None:
            return ()
        manifest = self.manifest
        wanted = getattr(self.error, "node", None)
        if not wanted and manifest is not None:
            wanted = manifest.node_name or manifest.node_selector.get("kubernetes.io/hostname")
        named = tuple(n for n in self.cluster.nodes if n.name == wanted)
        if named or manifest is None:
            return named
        return tuple(schedule(self.cluster, [manifest]))


def _key(stack: NetworkStack) -> str:
    return f"{getattr(stack, 'namespace', '') if isinstance(stack, Pod) else 'node'}/{stack.name}"
