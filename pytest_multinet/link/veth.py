"""A veth between two nodes whose namespaces can be opened from here (veth(4)).

The pair is made directly in the two namespaces, never first in the machine's own, where udev or
NetworkManager would touch it.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_interface

from pytest_multinet.cluster.network import NodeLink
from pytest_multinet.cluster.stack import Node
from pytest_multinet.errors import LinkError, NetlinkError
from pytest_multinet.model.topology import LinkConfig
from pytest_multinet.net import requests
from pytest_multinet.net.netns import Namespace


class VethLink(NodeLink):
    """A veth with one end in each node.

    Args:
        config: names, MTU, addresses.
        ends: the nodes; ``namespaces``: theirs, in the same order.
        on_delete: called once when the link is removed.
    """

    def __init__(
        self,
        config: LinkConfig,
        ends: tuple[Node, Node],
        namespaces: tuple[Namespace, Namespace],
        on_delete: Callable[[NodeLink], None],
    ) -> None:
        self.config = config
        self.name = config.name
        self.ends = ends
        self._namespaces = namespaces
        self._on_delete = on_delete
        self._deleted = False

    def create(self) -> None:
        """Make the pair, address it, and set both ends up.

        Raises:
            LinkError: an end exists already, or the kernel refuses; nothing is left.
        """
        a, b = self._namespaces
        name, mtu = self.config.name, self.config.mtu
        for node, namespace in zip(self.ends, self._namespaces, strict=True):
            if namespace.rtnl.index(name) is not None:
                raise LinkError(
                    f"link {name} between {self.ends[0].name} and {self.ends[1].name}: "
                    f"{node.name} already has an interface {name!r}; choose another name"
                )
        try:
            a.rtnl.execute(requests.veth(name, name, ns_fd=a.fd, peer_ns_fd=b.fd, mtu=mtu))
        except NetlinkError as error:
            raise self._refused(error) from error
        try:
            addresses = self.config.addresses or (None, None)
            for namespace, text in zip(self._namespaces, addresses, strict=True):
                index = self._index(namespace)
                messages = [requests.set_link(index, up=True, what=f"set {name} up")]
                if text is not None:
                    own = ip_interface(text)
                    messages.insert(0, requests.address(index, own.ip, own.network.prefixlen))
                namespace.rtnl.execute(*messages)
            for namespace in self._namespaces:
                namespace.rtnl.link(name)  # settles the carrier: the first packet must pass
        except NetlinkError as error:
            self.delete()
            raise self._refused(error) from error

    def down(self) -> None:
        self._set(up=False)

    def up(self) -> None:
        self._set(up=True)
        for namespace in self._namespaces:
            namespace.rtnl.link(self.name)

    def delete(self) -> None:
        if self._deleted:
            return
        self._deleted = True
        namespace = self._namespaces[0]
        index = namespace.rtnl.index(self.name)
        if index is not None:
            namespace.rtnl.execute(requests.delete_link(index))
        self._on_delete(self)

    def _set(self, *, up: bool) -> None:
        for namespace in self._namespaces:
            namespace.rtnl.execute(
                requests.set_link(
                    self._index(namespace), up=up, what=f"set {self.name} {'up' if up else 'down'}"
                )
            )

    def _index(self, namespace: Namespace) -> int:
        index = namespace.rtnl.index(self.name)
        if index is None:
            raise LinkError(
                f"{namespace.name} has no interface {self.name!r} any more: the link between "
                f"{self.ends[0].name} and {self.ends[1].name} was removed behind our back, and "
                f"with it every macvlan on it; make the link and the pods again"
            )
        return index

    def _refused(self, error: NetlinkError) -> LinkError:
        a, b = self.ends
        return LinkError(f"link {self.name} between {a.name} and {b.name}: {error}")
