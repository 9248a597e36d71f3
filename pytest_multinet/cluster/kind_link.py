"""A node link of a kind cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_multinet.cluster.isolation import Isolation
from pytest_multinet.cluster.kind_node import KindNode
from pytest_multinet.cluster.network import NodeLink
from pytest_multinet.errors import LinkError
from pytest_multinet.link.veth_nodes import NodeVeth
from pytest_multinet.model.topology import LinkConfig

if TYPE_CHECKING:
    from pytest_multinet.cluster.kind_cluster import KindCluster


class KindLink(NodeLink):
    """A veth between two node containers."""

    def __init__(
        self,
        cluster: KindCluster,
        config: LinkConfig,
        nodes: tuple[KindNode, KindNode],
        isolation: Isolation | None = None,
    ) -> None:
        self.config = config
        self.name = config.name
        real = config if isolation is None else isolation.link(config)
        self.ends = nodes
        self._cluster = cluster
        self._nodes = nodes
        self._veth = NodeVeth(real, nodes, cluster.run_helper)
        self._started: dict[str, str] = {}
        self._deleted = False

    def make(self) -> None:
        """Make it, or take the one that is there and right."""
        self._veth.ensure()
        self._started = {n.name: n.look_again().started for n in self._nodes}

    def ensure(self) -> None:
        """Remake it where a node container was restarted since it was made.

        Raises:
            LinkError: it is gone though no node was restarted.
        """
        if self._deleted:
            return
        restarted = [n for n in self._nodes if n.restarted_since(self._started[n.name])]
        if not restarted:
            return
        self.make()
        names = ", ".join(n.name for n in restarted)
        self._cluster.progress(
            f"link {self.name} was remade: {names} restarted; macvlans of running pods on its "
            "former ends are gone, make those pods again"
        )

    def _checked(self) -> None:
        if self._deleted:
            raise LinkError(f"link {self.name} was deleted")
        restarted = [n.name for n in self._nodes if n.restarted_since(self._started[n.name])]
        if restarted:
            raise LinkError(
                f"link {self.name} is gone: node {', '.join(restarted)} restarted, and with it "
                "went the macvlans on the link; cluster.link(...) again remakes the link, the "
                "pods must be made again"
            )

    def down(self) -> None:
        """Set both ends administratively down."""
        self._checked()
        self._veth.set_up(False)

    def up(self) -> None:
        """Set both ends administratively up."""
        self._checked()
        self._veth.set_up(True)

    def delete(self) -> None:
        """Remove the link, and with it every macvlan on it."""
        if not self._deleted:
            self._deleted = True
            self._veth.delete()
            self._cluster.forget(self)
