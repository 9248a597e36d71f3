"""The embedded backend: network namespaces that behave as a kind cluster with Multus does.

The picture is kind's: nodes with ``eth0`` on an underlay 172.18.0.0/16, pods with ``eth0`` from
10.244.<node>.0/24 as kindnet gives it (ptp and host-local), further interfaces as Multus attaches
them.  Everything lives in the namespaces of one holder process.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from pytest_multinet.cluster import workload
from pytest_multinet.cluster.base import Cluster
from pytest_multinet.cluster.cni_path import CniPath
from pytest_multinet.cluster.embedded_keep import AttachedCluster, new_socket_path
from pytest_multinet.cluster.embedded_stacks import UNDERLAY, EmbeddedNode, EmbeddedPod, Stack
from pytest_multinet.cluster.held_process import HeldProcess, run
from pytest_multinet.cluster.kind_config import node_labels, resolve
from pytest_multinet.cluster.multus import Multus, ReadinessCheck
from pytest_multinet.cluster.network import Network, NodeLink
from pytest_multinet.cluster.owner import Owner
from pytest_multinet.cluster.process import check_argv
from pytest_multinet.cluster.schedule import schedule
from pytest_multinet.cluster.share import Ended, Share
from pytest_multinet.cluster.stack import Handle, Node, Pod
from pytest_multinet.cni.native import links
from pytest_multinet.cni.runtime import Runtime
from pytest_multinet.errors import (
    BackendUnavailable,
    ClusterError,
    ExecFailed,
    NeedsKubernetes,
    NetlinkError,
    PodError,
)
from pytest_multinet.link.veth import VethLink
from pytest_multinet.model.conf_dir import ConfDir
from pytest_multinet.model.interface import ExecResult, IPAddress
from pytest_multinet.model.manifest import Document
from pytest_multinet.model.nad import NetworkAttachmentDefinition, read_metadata_maps
from pytest_multinet.model.pod import PodManifest
from pytest_multinet.model.topology import ClusterConfig, LinkConfig
from pytest_multinet.multus.delegates import MultusConf
from pytest_multinet.net import requests, usable
from pytest_multinet.net.holder import HeldNamespace, Holder, HolderRefused
from pytest_multinet.probe.neighbours import NeighbourBudget

MULTUS_VERSION = "4.1.0"
_ANYWHERE = IPv4Address("0.0.0.0")  # noqa: S104
_IPV6_MTU = 1280  # RFC 8200, section 5: a link with less has no IPv6
_RETRANSMIT = 20  # ms between ARP requests, so that silence is a verdict after 72 ms, not 3 s


def open_cluster(
    config: ClusterConfig,
    *,
    progress: Callable[[str], None] | None = None,
    share: Share | None = None,
    artifacts: Path | None = None,
) -> EmbeddedCluster:
    """Build an embedded cluster, or fail and leave nothing.

    Args:
        config: what it is to be.
        progress: called with a line for every stage that takes long.
        share: nothing is shared here: every worker has a cluster of its own.
        artifacts: nothing is left here to be read.

    Raises:
        BackendUnavailable: namespaces cannot be made here; the message says what to do.
    """
    cluster = EmbeddedCluster(config)
    if progress is not None:
        cluster.progress = progress
    cluster.start()
    return cluster


def unusable_reason() -> str | None:
    """Why embedded cannot run here and what to do; ``None`` where it can (it is tried)."""
    return usable.unusable_reason()


def attach(resources: Mapping[str, Any]) -> AttachedCluster:
    """Reach a kept environment by what :meth:`EmbeddedCluster.keep` returned."""
    return AttachedCluster(resources)


def end_run(run: Owner, keep: Callable[[bool], bool]) -> list[Ended]:
    """Nothing was shared."""
    return []


class EmbeddedNetwork(Network):
    """A NetworkAttachmentDefinition that the embedded Multus looks up."""

    def __init__(self, cluster: EmbeddedCluster, definition: NetworkAttachmentDefinition) -> None:
        self.definition = definition
        self.name = definition.name
        self.namespace = definition.namespace
        self._cluster = cluster

    def delete(self) -> None:
        self._cluster.forget(self)


class _Namespace(Handle):
    """A Kubernetes namespace: on embedded a name and its labels."""

    kind = "Namespace"
    namespace = ""

    def __init__(self, cluster: EmbeddedCluster, name: str, labels: Mapping[str, str]) -> None:
        self.name = name
        self.labels = labels
        self._cluster = cluster

    def delete(self) -> None:
        """Delete it, and everything in it."""
        self._cluster.empty(self.name)
        self._cluster.forget(self)


class EmbeddedMultus(Multus):
    """The semantics of Multus 4.1.0, built in."""

    version = MULTUS_VERSION
    mode = "embedded"

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self._cluster = cluster

    def status(self) -> tuple[ReadinessCheck, ...]:
        kind = self._cluster.config.cni
        return tuple(
            ReadinessCheck(node.name, "built in", True, f"CNI plugins: {kind}")
            for node in self._cluster.nodes
        )


class EmbeddedCluster(Cluster):
    """An embedded cluster; see the module's docstring."""

    backend = "embedded"

    def __init__(self, config: ClusterConfig) -> None:
        super().__init__(resolve(config))
        self.shared_state: dict[str, Any] = {}
        self.budget = NeighbourBudget(self._namespaces, self.config.neighbours)
        self.cni_path = CniPath(self.config.cni_plugins)
        self._nodes: tuple[EmbeddedNode, ...] = ()
        self._runtimes: dict[str, Runtime] = {}
        self._holder: Holder | None = None
        self._undo = ExitStack()
        self._undo.callback(self.cni_path.close)
        self._kept = False

    # --- building ---------------------------------------------------------------------------

    def start(self, holder: Holder | None = None) -> None:
        """Wire the nodes in a holder: a new one, or one that was started ahead of time."""
        if holder is None:
            try:
                holder = Holder.start()
            except HolderRefused as error:
                reason = usable.explain(error)
                raise BackendUnavailable(f"embedded cannot run here: {reason}") from error
        self._holder = holder
        self._undo.callback(holder.close)
        try:
            self._wire(holder)
        except BaseException:
            self.close()
            raise

    def _wire(self, holder: Holder) -> None:
        assert holder.hub is not None  # noqa: S101 - a holder that was started has one
        hub = holder.hub
        self._undo.callback(hub.release)
        names = self.config.node_names
        # Docker gives a container of an IPv4 network no IPv6 on interfaces that appear later.
        sysctls = [("ipv4/ip_forward", "1"), ("ipv6/conf/default/disable_ipv6", "1")]
        namespaces = holder.namespaces(names, sysctls)
        for namespace in namespaces:
            self._undo.callback(namespace.release)
        self._nodes = tuple(
            EmbeddedNode(self, namespace, _role(self.config, i), i, own)
            for i, (namespace, own) in enumerate(
                zip(namespaces, node_labels(self.config), strict=True)
            )
        )
        bridge = self._wire_hub(hub)
        ports = hub.rtnl.execute(*(links.question(f"node{i}") for i in range(len(names))))
        indices = [links.decode(body).index for body in ports]
        hub.rtnl.execute(
            *(requests.set_link(index, up=True, master=bridge) for index in indices),
            *map(links.question, (*indices, bridge)),  # settles them: the first packet must pass
        )
        for node in self._nodes:
            self._wire_node(node)

    def _wire_hub(self, hub: HeldNamespace) -> int:
        """The bridge that stands for Docker's network, and a veth from there to every node."""
        made = hub.rtnl.execute(
            requests.bridge("br0"), requests.set_link(1, up=True), links.question("br0")
        )
        bridge = links.decode(made[0]).index
        hub.rtnl.execute(
            requests.address(bridge, UNDERLAY[1], UNDERLAY.prefixlen),
            requests.set_link(bridge, up=True),
            *(
                requests.veth(
                    f"node{i}", "eth0", peer_ns_fd=node.namespace.fd, peer_mac=_mac(node.address)
                )
                for i, node in enumerate(self._nodes)
            ),
        )
        return bridge

    def _wire_node(self, node: EmbeddedNode) -> None:
        rtnl = node.namespace.rtnl
        index = rtnl.index("eth0") or 0
        rtnl.execute(
            requests.set_link(1, up=True),
            requests.address(index, node.address, UNDERLAY.prefixlen),
            requests.set_link(index, up=True),
            requests.route((_ANYWHERE, 0), gateway=UNDERLAY[1]),
            *(
                requests.route((other.pod_network.network_address, 24), gateway=other.address)
                for other in self._nodes
                if other is not node
            ),
            *self._timing(index),
            links.question(index),
        )

    def conf_dir(self, node: EmbeddedNode) -> ConfDir:
        """The CNI configuration files of a node: kindnet's, or the user's."""
        if self.config.default_cni is not None:
            files: dict[str, Any] = {"10-multinet.conflist": self.config.default_cni}
        else:
            files = {"10-kindnet.conflist": _kindnet(str(node.pod_network))}
        files |= self.config.cni_conf
        own = {"{{PodCIDR}}": str(node.pod_network), "{{Node}}": node.name}
        return ConfDir({name: _filled(content, own) for name, content in files.items()})

    def _namespaces(self) -> Iterable[HeldNamespace]:
        for node in self._nodes:
            yield node.namespace
        for pod in self.pods():
            if isinstance(pod, EmbeddedPod):
                yield pod.sandbox.namespace
        if self._holder is not None and self._holder.hub is not None:
            yield self._holder.hub

    @staticmethod
    def _timing(index: int, mtu: int = 1500) -> Iterator[requests.Message]:
        yield requests.neighbour_timing(index, 2, _RETRANSMIT)
        if mtu >= _IPV6_MTU:
            yield requests.neighbour_timing(index, 10, _RETRANSMIT)

    def hasten(self, namespace: HeldNamespace, interfaces: Sequence[str]) -> None:
        """Make silence on these interfaces a verdict after 72 ms, not after 3 s."""
        rtnl = namespace.rtnl
        try:
            found = [links.decode(body) for body in rtnl.execute(*map(links.question, interfaces))]
        except NetlinkError:  # a plugin type that makes no interface of that name
            found = [link for name in interfaces if (link := links.find(rtnl, name))]
        messages = [message for link in found for message in self._timing(link.index, link.mtu)]
        if messages:
            rtnl.execute(*messages)

    # --- the protocol -----------------------------------------------------------------------

    @property
    def nodes(self) -> tuple[EmbeddedNode, ...]:
        return self._nodes

    def runtime(self, node: EmbeddedNode) -> Runtime:
        """The CNI runtime of a node; it remembers the results of its ADDs."""
        if node.name not in self._runtimes:
            self._runtimes[node.name] = Runtime(node, real=self.config.cni == "real")
        return self._runtimes[node.name]

    def multus_conf(self, node: EmbeddedNode) -> MultusConf:
        """How Multus is configured on a node."""
        shared = self.config.global_namespaces if self.config.namespace_isolation else None
        return MultusConf(node.conf_dir, self.definition, shared)

    def definition(self, namespace: str, name: str) -> NetworkAttachmentDefinition | None:
        """The NetworkAttachmentDefinition of that name."""
        made = self._made.get(("NetworkAttachmentDefinition", namespace, name))
        return made.handle.definition if made and isinstance(made.handle, Network) else None

    def install_multus(self) -> Multus:
        return EmbeddedMultus(self)

    def load_image(self, *images: str) -> None:
        missing = [image for image in images if image not in self.config.image_roots]
        if missing:
            self.progress(
                f"embedded pulls no images: {', '.join(missing)} stand for this machine's programs"
            )

    def _check_object(self, document: Document) -> object:
        if document.kind in workload.KINDS:
            self._workload_pods(document)
        elif document.kind != "Namespace":
            raise NeedsKubernetes(
                f"{document.source}: embedded has no Kubernetes API for {document.kind!r}; it "
                f"takes Pod, NetworkAttachmentDefinition, Namespace, {', '.join(workload.KINDS)} "
                f"(use --multinet-backend=kind)"
            )
        return document

    def _make_object(self, document: Document) -> Handle:
        if document.kind not in workload.KINDS:
            return _Namespace(self, document.name, read_metadata_maps(document)[0])
        pods = self.create_pods(self._workload_pods(document))
        for pod in pods:
            if isinstance(pod, EmbeddedPod):
                pod.workload = document.data
        return workload.Workload(document, document.namespace or self.namespace, pods, self.forget)

    def _workload_pods(self, document: Document) -> list[PodManifest]:
        return workload.pods_of(document, self.namespace, self._nodes)

    def _make_network(self, definition: NetworkAttachmentDefinition) -> Network:
        return EmbeddedNetwork(self, definition)

    def _make_link(self, config: LinkConfig, ends: tuple[Node, Node]) -> NodeLink:
        a, b = (self.node(end) for end in ends)
        assert isinstance(a, EmbeddedNode)  # noqa: S101 - nodes of this cluster
        assert isinstance(b, EmbeddedNode)  # noqa: S101
        link = VethLink(config, ends, (a.namespace, b.namespace), self.forget)
        link.create()
        self.hasten(a.namespace, [config.name])
        self.hasten(b.namespace, [config.name])
        return link

    def _make_pods(self, manifests: Sequence[PodManifest], *, wait: bool) -> list[Pod]:
        holder = self._live_holder()
        nodes = schedule(self, manifests, self._namespace_labels())
        namespaces = holder.namespaces([m.name for m in manifests])
        pods: list[Pod] = []
        with ExitStack() as undo:
            for namespace in namespaces:
                undo.callback(namespace.close)
            for manifest, node, namespace in zip(manifests, nodes, namespaces, strict=True):
                assert isinstance(node, EmbeddedNode)  # noqa: S101 - nodes of this cluster
                pod = EmbeddedPod(self, manifest, node, namespace)
                undo.callback(pod.tear_down)
                try:
                    pod.set_up()
                except PodError as error:
                    error.node = node.name
                    raise
                pods.append(pod)
            undo.pop_all()
        return pods

    def _namespace_labels(self) -> dict[str, Mapping[str, str]]:
        handles = (made.handle for made in self._made.values())
        return {handle.name: handle.labels for handle in handles if isinstance(handle, _Namespace)}

    def empty(self, namespace: str) -> None:
        """Delete everything that was made in a Kubernetes namespace, newest first."""
        for made in list(reversed(self._made.values())):
            if made.handle.namespace == namespace:
                made.handle.delete()

    def node(self, name: str | Node) -> EmbeddedNode:
        found = super().node(name)
        assert isinstance(found, EmbeddedNode)  # noqa: S101 - nodes of this cluster
        return found

    # --- programs ---------------------------------------------------------------------------

    def exec_in(
        self,
        stack: Stack,
        argv: Sequence[str],
        input: str | None,
        env: Mapping[str, str] | None,
        timeout: float | None,
        *,
        check: bool,
    ) -> ExecResult:
        """Run a program in a stack's view to its end."""
        check_argv(argv)
        limit = self.config.timeout if timeout is None else timeout
        result = run(stack.view(), argv, input=input, env=env, timeout=limit)
        if check and result.returncode:
            raise ExecFailed(f"{stack.namespace.name}: {result!r}")
        return result

    def spawn_in(
        self,
        stack: Stack,
        argv: Sequence[str],
        ready: str | int | None,
        env: Mapping[str, str] | None,
        timeout: float | None,
    ) -> HeldProcess:
        """Start a program in a stack's view."""
        check_argv(argv)
        process = HeldProcess(stack.view(), argv, env)
        stack.processes.append(process)
        if ready is not None:
            limit = self.config.timeout if timeout is None else timeout
            process.await_ready(ready, limit, stack.namespace)
        return process

    def hosts_file(self, stack: Stack) -> str:
        """The text of ``/etc/hosts`` in a stack, as kubelet writes it for a pod."""
        lines = [
            "127.0.0.1\tlocalhost",
            "::1\tlocalhost ip6-localhost ip6-loopback",
            "fe00::0\tip6-localnet",
            "ff02::1\tip6-allnodes",
            "ff02::2\tip6-allrouters",
        ]
        known = stack.names or [(str(node.address), node.name) for node in self._nodes]
        lines += [f"{address}\t{name}" for address, name in known]
        return "\n".join(lines) + "\n"

    # --- the end ----------------------------------------------------------------------------

    def close(self) -> None:
        if self._kept:
            return
        for pod in self.pods():
            if isinstance(pod, EmbeddedPod):
                pod.release()
        for node in self._nodes:
            node.stack.close()
        self._made.clear()
        self._nodes = ()
        self._undo.close()
        self._holder = None

    def keep(self, id: str) -> dict[str, Any]:
        """Let the environment outlive this process; what :func:`attach` needs to reach it."""
        holder = self._live_holder()
        stacks = {node.name: node.stack for node in self._nodes}
        for pod in self.pods():
            if isinstance(pod, EmbeddedPod):
                own = pod.namespace == self.namespace
                stacks[pod.name if own else f"{pod.namespace}/{pod.name}"] = pod.stack
        known: dict[str, dict[str, Any]] = {}
        for name, stack in stacks.items():
            view = stack.view()  # made now: nobody can make it later
            number = stack.namespace.number
            known[name] = {"namespace": number, "root": view.root, "image": view.image}
        path = new_socket_path()
        holder.keep(path)
        self._kept = True
        self._undo.pop_all()
        for pod in self.pods():
            if isinstance(pod, EmbeddedPod):
                pod.release()
        for namespace in self._namespaces():
            namespace.release()
        holder.disconnect()
        return {"owner": holder.pid, "socket": str(path), "stacks": known}

    def _live_holder(self) -> Holder:
        if self._holder is None:
            raise ClusterError(f"cluster {self.name} is closed")
        return self._holder


def _role(config: ClusterConfig, number: int) -> str:
    return "control-plane" if number == 0 else "worker"


def _kindnet(pod_network: str) -> dict[str, Any]:
    """The default network as kindnet writes it on a node."""
    ipam = {
        "type": "host-local",
        "dataDir": "/run/cni-ipam-state",
        "routes": [{"dst": "0.0.0.0/0"}],
        "ranges": [[{"subnet": pod_network}]],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "mtu": 1500, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return {"cniVersion": "0.3.1", "name": "kindnet", "plugins": plugins}


def _filled(content: Any, values: Mapping[str, str]) -> Any:
    """A file's content with the node's own values in their places."""
    text = content if isinstance(content, str) else json.dumps(content)
    if not any(place in text for place in values):
        return content
    for place, value in values.items():
        text = text.replace(place, value)
    return text


def _mac(address: IPAddress) -> str:
    """The hardware address that Docker gives a container with this address."""
    return f"02:42:{address.packed.hex(':')}"
