"""The picture of a cluster: nodes, links, networks, pods and addresses, and where it broke.

Plain data that :mod:`~pytest_multinet.report.topology_svg` draws; as Mermaid and as text here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_multinet.cluster.base import Cluster
from pytest_multinet.cluster.stack import Pod
from pytest_multinet.diagnosis.finding import Finding

_BETWEEN_NODES = ("node link", "master", "neighbour")
_SHORT = 24  # characters of an address that fit


@dataclass(frozen=True)
class DrawnInterface:
    """One interface of a pod: name, addresses, and the network that it belongs to."""

    name: str
    addresses: tuple[str, ...]
    network: str
    broken: bool = False


@dataclass(frozen=True)
class DrawnPod:
    """A pod and its interfaces."""

    name: str
    node: str
    interfaces: tuple[DrawnInterface, ...]
    broken: bool = False


@dataclass(frozen=True)
class DrawnNode:
    """A node; ``name`` without the cluster's."""

    name: str
    role: str
    address: str
    broken: bool = False


@dataclass(frozen=True)
class DrawnLink:
    """A link between two nodes."""

    name: str
    a: str
    b: str
    mtu: int
    broken: bool = False


@dataclass(frozen=True)
class DrawnNetwork:
    """A NetworkAttachmentDefinition: what it is, and the master that it stands on."""

    name: str
    what: str


@dataclass(frozen=True)
class Picture:
    """All of it.

    Attributes:
        title: one line.
        caption: what broke, ``""`` where nothing did.
    """

    title: str
    nodes: tuple[DrawnNode, ...]
    pods: tuple[DrawnPod, ...]
    links: tuple[DrawnLink, ...]
    networks: tuple[DrawnNetwork, ...]
    caption: str = ""

    def on(self, node: str) -> list[DrawnPod]:
        """The pods of a node."""
        return [pod for pod in self.pods if pod.node == node]


def draw(cluster: Cluster, finding: Finding | None = None, pods: Sequence[Pod] = ()) -> Picture:
    """The picture of a cluster as it is now; what ``finding`` names is marked.

    Args:
        cluster: the cluster.
        finding: what broke.
        pods: the pods to show; default: all.
    """
    shown = list(pods) or list(cluster.pods())
    where = finding.stacks if finding is not None else ()
    nodes_of = {pod.name: pod.node.name for pod in shown}
    broken_nodes = {nodes_of.get(name, name) for name in where}
    on_link = finding is not None and finding.layer in _BETWEEN_NODES

    def short(name: str) -> str:
        return name.removeprefix(f"{cluster.name}-")

    masters = {link.name for link in cluster.node_links}
    hit = [
        link
        for link in cluster.node_links
        if on_link
        and (not broken_nodes or broken_nodes <= {e.name for e in link.ends})
        and (
            finding is None or link.name in f"{finding.cause} {finding.where}" or len(masters) == 1
        )
    ]
    return Picture(
        title=f"{cluster.name} on {cluster.backend}",
        nodes=tuple(
            DrawnNode(short(n.name), n.role, str(n.address), n.name in where)
            for n in cluster.nodes
        ),
        pods=tuple(_pod(pod, short(pod.node.name), finding) for pod in shown),
        links=tuple(
            DrawnLink(
                link.name,
                short(link.ends[0].name),
                short(link.ends[1].name),
                link.mtu,
                link in hit,
            )
            for link in cluster.node_links
        ),
        networks=tuple(
            DrawnNetwork(f"{d.namespace}/{d.name}", _what(d)) for d in cluster.definitions
        ),
        caption=f"{finding.layer}: {finding.cause}" if finding is not None else "",
    )


def _pod(pod: Pod, node: str, finding: Finding | None) -> DrawnPod:
    broken = finding is not None and pod.name in finding.stacks
    where = finding.where.split() if finding is not None else []
    held = {i.name: i for i in pod.interfaces}
    drawn: list[DrawnInterface] = []
    for status in pod.network_status:
        seen = held.get(status.interface)
        addresses = tuple(
            str(a) for a in (seen.addresses if seen else ()) if not a.ip.is_link_local
        )
        bad = broken and (status.interface in where or seen is None)
        network = "" if status.default else status.name
        drawn.append(DrawnInterface(status.interface, addresses, network, bad or seen is None))
    return DrawnPod(pod.name, node, tuple(drawn), broken)


def _what(definition: object) -> str:
    config = getattr(definition, "config", None)
    if config is None:
        return "a file on the nodes"
    plugin = config.plugins[0]
    words = [plugin.type, str(plugin.raw.get("mode") or "")]
    if plugin.raw.get("master"):
        words.append(f"on {plugin.raw['master']}")
    if plugin.raw.get("bridge"):
        words.append(f"on {plugin.raw['bridge']}")
    return " ".join(word for word in words if word)


# --- text -----------------------------------------------------------------------------------


def as_text(picture: Picture) -> str:
    """The picture as an indented list."""
    lines = [picture.title]
    for node in picture.nodes:
        lines.append(f"  {node.name} ({node.role}) {node.address}{_mark(node.broken)}")
        for pod in picture.on(node.name):
            lines.append(f"    {pod.name}{_mark(pod.broken)}")
            for interface in pod.interfaces:
                network = f"  {interface.network}" if interface.network else ""
                held = " ".join(interface.addresses) or "no address"
                lines.append(f"      {interface.name:<6} {held}{network}{_mark(interface.broken)}")
    lines += [
        f"  {link.name}: {link.a} -- {link.b}, mtu {link.mtu}{_mark(link.broken)}"
        for link in picture.links
    ]
    lines += [f"  {network.name}: {network.what}" for network in picture.networks]
    if picture.caption:
        lines.append(f"  broken: {picture.caption}")
    return "\n".join(lines)


def _mark(broken: bool) -> str:
    return "  <-- broken" if broken else ""


# --- Mermaid --------------------------------------------------------------------------------


def as_mermaid(picture: Picture) -> str:
    """The picture as a Mermaid flowchart, as GitHub draws it."""
    lines = ["flowchart TB"]
    bad: list[str] = []
    for node in picture.nodes:
        own = _id("node", node.name)
        title = f"{node.name} {node.address}"
        lines.append(f'  subgraph {own}["{title}"]')
        for pod in picture.on(node.name):
            held = "<br/>".join(
                " ".join([i.name, *(a for a in i.addresses)]) for i in pod.interfaces
            )
            label = f'"<b>{pod.name}</b><br/>{held}"'
            lines.append(f"    {_id('pod', pod.name)}[{label}]")
            if pod.broken:
                bad.append(_id("pod", pod.name))
        if not picture.on(node.name):
            lines.append(f'    {own}_empty["no pods"]')
        lines.append("  end")
        if node.broken:
            bad.append(own)
    lines += [f'  {_id("net", n.name)}(["{n.name}<br/>{n.what}"])' for n in picture.networks]
    edges = 0
    red: list[int] = []
    for pod in picture.pods:
        for interface in pod.interfaces:
            if not interface.network:
                continue
            ends = f"{_id('pod', pod.name)} ---|{interface.name}| {_id('net', interface.network)}"
            lines.append(f"  {ends}")
            if interface.broken:
                red.append(edges)
            edges += 1
    for link in picture.links:
        a, b = _id("node", link.a), _id("node", link.b)
        lines.append(f"  {a} ===|{link.name} mtu {link.mtu}| {b}")
        if link.broken:
            red.append(edges)
        edges += 1
    lines.append("  classDef broken stroke:#c00,stroke-width:3px")
    lines += [f"  class {name} broken" for name in bad]
    lines += [f"  linkStyle {number} stroke:#c00,stroke-width:3px" for number in red]
    return "\n".join(lines) + "\n"


def _id(kind: str, name: str) -> str:
    return f"{kind}_{re.sub(r'[^A-Za-z0-9]', '_', name)}"
