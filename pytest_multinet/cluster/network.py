"""Networks that pods are attached to, and links between nodes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from pytest_multinet.cluster.stack import Handle, Node
from pytest_multinet.errors import UsageError
from pytest_multinet.model.attachment import NetworkSelection, parse_networks
from pytest_multinet.model.nad import NetworkAttachmentDefinition
from pytest_multinet.model.topology import LinkConfig


class Network(Handle):
    """A NetworkAttachmentDefinition in the cluster."""

    kind = "NetworkAttachmentDefinition"
    definition: NetworkAttachmentDefinition

    def attach(
        self,
        *ips: str,
        mac: str | None = None,
        interface: str | None = None,
        default_route: Sequence[str] | None = None,
        cni_args: Mapping[str, Any] | None = None,
        port_mappings: Sequence[Any] = (),
        bandwidth: Any = None,
    ) -> NetworkSelection:
        """One attachment of a pod to this network, for ``networks=[...]``.

        Args:
            ips: addresses with prefix length, such as ``10.1.1.101/24``.
            mac: hardware address to ask for.
            interface: name in the pod; default ``net<position>``.
            default_route: gateways that become the pod's default route; an empty list
                removes every default route.
            cni_args: merged into ``args.cni`` of every plugin.
            port_mappings: :class:`PortMapping` objects.
            bandwidth: a :class:`Bandwidth`.
        """
        return NetworkSelection(
            name=self.name,
            namespace=self.namespace,
            interface=interface,
            ips=tuple(ips),
            mac=mac,
            port_mappings=tuple(port_mappings),
            bandwidth=bandwidth,
            default_route=None if default_route is None else tuple(default_route),
            cni_args=dict(cni_args or {}),
        )


Attachment: TypeAlias = "Network | NetworkSelection | str"


def selections_of(networks: Iterable[Attachment], namespace: str) -> list[NetworkSelection]:
    """What the annotation says of networks, selections, and texts in its short form.

    Args:
        networks: in the order in which they are attached.
        namespace: of the pod, for texts that name none.
    """
    found: list[NetworkSelection] = []
    for network in networks:
        if isinstance(network, str):
            found += parse_networks(network, namespace)
        elif isinstance(network, NetworkSelection):
            found.append(network)
        elif isinstance(network, Network):  # pyright: ignore[reportUnnecessaryIsInstance]
            found.append(network.attach())
        else:
            raise UsageError(
                f"networks holds {network!r}; expected a network, network.attach(...), or "
                "text such as 'macvlan-conf'"
            )
    return found


class NodeLink(Handle):
    """A link between two nodes.

    Attributes:
        name: interface name at both ends, as the user gave it.
        ends: the two nodes.
        mtu: bytes.
    """

    kind = "NodeLink"
    namespace = ""
    config: LinkConfig
    ends: tuple[Node, Node]

    @property
    def mtu(self) -> int:
        """MTU of both ends, bytes."""
        return self.config.mtu

    @abstractmethod
    def down(self) -> None:
        """Set both ends administratively down."""

    @abstractmethod
    def up(self) -> None:
        """Set both ends administratively up."""

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Link down inside the ``with`` block, up after it."""
        self.down()
        try:
            yield
        finally:
            self.up()

    def __repr__(self) -> str:
        a, b = self.ends
        return f"<NodeLink {self.name} {a.name} -- {b.name} mtu {self.mtu}>"
