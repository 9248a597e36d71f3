"""The protocol that every backend fulfils: clusters, nodes, pods, links, networks.

What all backends share stands here (names, aliases, ``apply``, the rule for repeated names,
target resolution); what differs is an abstract method with a leading underscore.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_multinet.cluster.callsite import call_site
from pytest_multinet.cluster.process import Process
from pytest_multinet.errors import MultinetError, NeedsKubernetes, PodError, UsageError
from pytest_multinet.model.attachment import NetworkSelection
from pytest_multinet.model.interface import (
    ArpResult,
    ConnectResult,
    ExecResult,
    Interface,
    IPAddress,
    Neighbour,
    PingResult,
    Route,
)
from pytest_multinet.model.manifest import Document, load_documents
from pytest_multinet.model.nad import NetworkAttachmentDefinition
from pytest_multinet.model.network_status import NetworkStatus
from pytest_multinet.model.pod import PodManifest
from pytest_multinet.model.topology import ClusterConfig, LinkConfig, MacvlanConfig
from pytest_multinet.probe.stack import Listener, Prober

if TYPE_CHECKING:
    from typing_extensions import Self

    from pytest_multinet.probe.capture import Capture

Target: TypeAlias = "str | IPAddress | NetworkStack"
Source: TypeAlias = "str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]]"


class Handle(ABC):
    """Something in a cluster that can be deleted; a context manager that deletes it.

    Attributes:
        kind: Kubernetes kind, or ``NodeLink``.
        name: its name; ``namespace``: its Kubernetes namespace, ``""`` where it has none.
    """

    kind: str
    name: str
    namespace: str

    @abstractmethod
    def delete(self) -> None:
        """Remove it and what it holds; harmless when repeated."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.delete()

    def __repr__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"<{self.kind} {where}{self.name}>"


class NetworkStack(ABC):
    """A network stack that can be looked at and probed: a pod or a node.

    Attributes:
        name: of the pod or node.
        cluster: that it belongs to.
        patience: seconds that a positive assertion about it may wait by default.
    """

    name: str
    cluster: Cluster
    patience: float = 30.0

    @property
    @abstractmethod
    def prober(self) -> Prober:
        """The way to this stack."""

    @abstractmethod
    def exec(
        self,
        argv: Sequence[str],
        *,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        check: bool = False,
    ) -> ExecResult:
        """Run a program inside the stack to its end.

        Args:
            argv: program and arguments; never a shell line.
            input: text for its standard input.
            env: variables added to the environment.
            timeout: seconds until it is killed and :class:`WaitTimeout` raised; ``None``: the
                cluster's ``timeout``.
            check: raise :class:`ExecFailed` on a status other than 0.

        Raises:
            ProgramNotFound: the program does not exist there.
        """

    @abstractmethod
    def spawn(
        self,
        argv: Sequence[str],
        *,
        ready: str | int | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Process:
        """Start a program and return while it runs.

        Args:
            argv: program and arguments.
            ready: wait until it is: a regular expression that its output must match, or a TCP
                port that it must listen on; ``None``: do not wait.
            env: variables added to the environment.
            timeout: seconds for ``ready``; ``None``: the cluster's ``timeout``.

        Raises:
            ExecFailed: it ended, or was not ready in time; the message has its output.
        """

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """Every interface, in index order."""
        return self.prober.interfaces()

    def interface(self, name: str) -> Interface:
        """The interface called ``name``; :class:`UsageError` names those that exist."""
        found = self.interfaces
        for interface in found:
            if interface.name == name:
                return interface
        names = ", ".join(i.name for i in found)
        raise UsageError(f"{self.name} has no interface {name!r}; it has {names}")

    @property
    def routes(self) -> tuple[Route, ...]:
        """The main table, IPv4 then IPv6, in the kernel's order."""
        return self.prober.routes()

    @property
    def neighbours(self) -> tuple[Neighbour, ...]:
        """ARP and ND entries."""
        return self.prober.neighbours()

    def sysctl(self, path: str) -> str | None:
        """The value of ``/proc/sys/net/<path>`` here, ``None`` where it cannot be read."""
        return self.prober.sysctl(path)

    def address_on(self, interface: str | None, version: int | None = None) -> IPAddress:
        """This stack's first address on ``interface`` (default ``eth0``), link-local last.

        Raises:
            UsageError: no such interface, or no address of that IP version on it.
        """
        seen = self.interface(interface or "eth0")
        candidates = [a.ip for a in seen.addresses if version in (None, a.version)]
        candidates.sort(key=lambda a: a.is_link_local)
        if not candidates:
            wanted = f"IPv{version} address" if version else "address"
            raise UsageError(f"{self.name} has no {wanted} on {seen.name}: {seen!r}")
        return candidates[0]

    def resolve(
        self, target: Target, interface: str | None = None, version: int | None = None
    ) -> IPAddress:
        """The address that ``target`` means when probed from here over ``interface``.

        A stack is its address on the interface of that name (a stack without one: ``eth0``).
        """
        if isinstance(target, NetworkStack):
            if interface and all(i.name != interface for i in target.interfaces):
                interface = None if isinstance(target, Node) else interface
            return target.address_on(interface, version)
        try:
            return ip_address(target)
        except ValueError:
            raise UsageError(
                f"target is {target!r}; expected an IP address without prefix length, a pod or "
                "a node"
            ) from None

    def ping(
        self,
        target: Target,
        *,
        interface: str | None = None,
        count: int = 1,
        interval: float = 0.05,
        timeout: float = 1.0,
        size: int = 56,
        dont_fragment: bool = False,
        ttl: int | None = None,
        version: int | None = None,
    ) -> PingResult:
        """Send ICMP echo requests (RFC 792, RFC 4443) and tell what came back.

        Args:
            target: an address, or a pod or node, which means its address on ``interface``.
            interface: bind to this interface, as ``ping -I`` does.
            count: requests to send.
            interval: seconds between them.
            timeout: seconds to wait for each reply.
            size: payload bytes.
            dont_fragment: set DF, so that a packet over the path MTU fails.
            ttl: TTL (hop limit) of the requests.
            version: 4 or 6, where ``target`` is a pod or node with both.
        """
        address = self.resolve(target, interface, version)
        return self.prober.ping(
            address,
            interface=interface,
            count=count,
            interval=interval,
            timeout=timeout,
            size=size,
            dont_fragment=dont_fragment,
            ttl=ttl,
        )

    def arping(
        self,
        target: Target,
        *,
        interface: str = "net1",
        count: int = 1,
        timeout: float = 1.0,
        version: int | None = None,
    ) -> ArpResult:
        """Ask who has ``target`` on ``interface``: ARP for IPv4, ND for IPv6."""
        address = self.resolve(target, interface, version)
        return self.prober.arping(address, interface=interface, count=count, timeout=timeout)

    def connect(
        self,
        target: Target,
        port: int,
        *,
        protocol: str = "tcp",
        interface: str | None = None,
        timeout: float = 1.0,
        version: int | None = None,
    ) -> ConnectResult:
        """Open a TCP connection to ``target``, or send a UDP datagram that must be answered."""
        if protocol not in {"tcp", "udp"}:
            raise UsageError(f"protocol is {protocol!r}; expected tcp or udp")
        if not 0 < port < 65536:
            raise UsageError(f"port is {port}; expected 1 to 65535")
        address = self.resolve(target, interface, version)
        return self.prober.connect(
            address, port, protocol=protocol, interface=interface, timeout=timeout
        )

    def capture(
        self, interface: str = "net1", *, filter: str | None = None, limit: int = 16 << 20
    ) -> Capture:
        """Capture what passes ``interface`` while the ``with`` block runs.

        Example::

            with pod.capture("net1", filter="icmp") as capture:
                other.ping(pod, interface="net1")
            assert capture.flows[0].packets == 1
            capture.save("net1.pcapng")

        Args:
            interface: name of the interface.
            filter: expression of pcap-filter(7), such as ``tcp port 80``.
            limit: bytes of packets to keep; the oldest make room.
        """
        return self.prober.capture(interface, filter=filter, limit=limit)

    def listen(
        self, port: int = 0, *, protocol: str = "tcp", address: str | None = None
    ) -> Listener:
        """Listen on ``port`` (0: any free one); a context manager that stops again.

        TCP connections are accepted, UDP datagrams are sent back to their sender.
        """
        if protocol not in {"tcp", "udp"}:
            raise UsageError(f"protocol is {protocol!r}; expected tcp or udp")
        return self.prober.listen(port, protocol=protocol, address=address)


class Node(NetworkStack):
    """A node of the cluster, seen as a network stack.

    Attributes:
        name: full name; ``role``: ``control-plane`` or ``worker``.
        address: its address on the cluster's underlay (``InternalIP``).
    """

    name: str
    role: str
    address: IPAddress

    def __repr__(self) -> str:
        return f"<Node {self.name} {self.address}>"


class Pod(NetworkStack, Handle):
    """A running pod, seen as a network stack.

    Attributes:
        manifest: what it was made from.
        node: the node that it runs on.
    """

    kind = "Pod"
    manifest: PodManifest
    node: Node

    @property
    @abstractmethod
    def annotations(self) -> Mapping[str, str]:
        """Its annotations now, ``network-status`` included."""

    @property
    @abstractmethod
    def network_status(self) -> tuple[NetworkStatus, ...]:
        """One entry per attachment, the default network first (NPWG spec 1.3, section 4.2)."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self.manifest.labels

    def ip(self, interface: str = "eth0", version: int | None = None) -> IPAddress:
        """Its first address on ``interface``, link-local addresses last."""
        return self.address_on(interface, version)

    @abstractmethod
    def logs(self, container: str | None = None) -> str:
        """What its container has written so far."""

    @property
    def events(self) -> tuple[str, ...]:
        """What the cluster noted about it, ``reason: message`` each; none without Kubernetes."""
        return ()

    @property
    def cni(self) -> tuple[Mapping[str, Any], ...]:
        """What each CNI plugin list was asked and what it answered, in the order of attachment.

        ``interface``, ``network`` (the configuration) and ``result`` each; none where the
        runtime's own notes cannot be read.
        """
        return ()

    @property
    def owner(self) -> Mapping[str, Any] | None:
        """The workload that made it (its Deployment, DaemonSet, ...), ``None`` without one."""
        return None

    @property
    def started(self) -> float | None:
        """When it was bound to its node, seconds since the epoch; ``None`` where nobody notes."""
        return None

    def __repr__(self) -> str:
        return f"<Pod {self.namespace}/{self.name} on {self.node.name}>"


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


@dataclass(frozen=True)
class _Made:
    """What was made under a name: its handle, from what, and where it was asked for."""

    handle: Handle
    digest: str
    where: str


class Cluster(ABC):
    """A running cluster; a context manager that closes it.

    Attributes:
        backend: ``embedded``, ``kind`` or ``kubeconfig``.
        config: what it was made from.
        namespace: Kubernetes namespace of objects that name none.
        attached: taken over from an earlier run that kept it.
        search_path: folders in which ``apply`` looks for a relative path, in order.
        progress: called with one line for every stage of long work.
        explain: called with an error before it is raised, and the pods that were being made;
            may add what caused it.
    """

    backend: str
    config: ClusterConfig
    namespace: str = "default"
    attached: bool = False

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config
        self.search_path: Callable[[], Sequence[Path]] = lambda: [Path.cwd()]
        self.progress: Callable[[str], None] = lambda line: None
        self.explain: Callable[[MultinetError, Sequence[PodManifest]], None] = _as_it_is
        self._made: dict[tuple[str, str, str], _Made] = {}

    # --- what a backend gives --------------------------------------------------------------

    @property
    @abstractmethod
    def nodes(self) -> tuple[Node, ...]:
        """Every node: control plane first, then workers in order."""

    @abstractmethod
    def install_multus(self) -> Multus:
        """Make Multus and the CNI plugins usable on every node; repeated: the same."""

    @abstractmethod
    def close(self) -> None:
        """Undo everything; goes on past errors and raises them together at the end."""

    @abstractmethod
    def keep(self, id: str) -> dict[str, Any]:
        """Let the environment outlive this process under the name ``id``; :meth:`close` is void.

        Returns:
            What the backend's ``attach`` needs to reach it again, as JSON types; ``owner`` is
            the process whose end is the environment's, where there is one.
        """

    @abstractmethod
    def load_image(self, *images: str) -> None:
        """Make local images available to every node without a registry."""

    @abstractmethod
    def _make_link(self, config: LinkConfig, ends: tuple[Node, Node]) -> NodeLink: ...

    @abstractmethod
    def _make_network(self, definition: NetworkAttachmentDefinition) -> Network: ...

    @abstractmethod
    def _make_pods(self, manifests: Sequence[PodManifest], *, wait: bool) -> list[Pod]:
        """Start pods together; when one fails, those of this call are removed again."""

    @abstractmethod
    def _make_object(self, document: Document) -> Handle:
        """Apply any other kind."""

    @property
    def definitions(self) -> tuple[NetworkAttachmentDefinition, ...]:
        """Every NetworkAttachmentDefinition in the cluster that can be read."""
        return tuple(
            made.handle.definition
            for made in self._made.values()
            if isinstance(made.handle, Network)
        )

    @property
    def node_links(self) -> tuple[NodeLink, ...]:
        """The links made here, in order of creation."""
        return tuple(
            made.handle for made in self._made.values() if isinstance(made.handle, NodeLink)
        )

    def multus_states(self) -> tuple[MultusState, ...]:
        """How Multus stands on each node; none where it is built in."""
        return ()

    @property
    def kubeconfig(self) -> Path:
        """Path of this cluster's own kubeconfig file."""
        raise NeedsKubernetes(f"the {self.backend} backend has no Kubernetes API: no kubeconfig")

    @property
    def api(self) -> Any:
        """A ``kubernetes.client.ApiClient`` for this cluster."""
        raise NeedsKubernetes(f"the {self.backend} backend has no Kubernetes API")

    # --- names ------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.config.name

    def node(self, name: str | Node) -> Node:
        """A node by full name, by what follows ``<cluster>-``, or by alias.

        The aliases ``control-plane``, ``worker``, ``worker2``, ... mean the nth node of that
        role by name, where no node bears the name itself.
        """
        if isinstance(name, Node):
            return name
        nodes = self.nodes
        for node in nodes:
            if name in (node.name, node.name.removeprefix(f"{self.name}-")):
                return node
        for role in ("control-plane", "worker"):
            number = name.removeprefix(role)
            if name.startswith(role) and (not number or number.isdigit()):
                of_role = sorted((n for n in nodes if n.role == role), key=lambda n: n.name)
                position = int(number or 1)
                if 0 < position <= len(of_role):
                    return of_role[position - 1]
        names = ", ".join(n.name for n in nodes)
        raise UsageError(f"cluster {self.name} has no node {name!r}; it has {names}")

    def pod(self, name: str, namespace: str | None = None) -> Pod:
        """The pod of that name."""
        found = self._made.get(("Pod", namespace or self.namespace, name))
        if found is None or not isinstance(found.handle, Pod):
            names = ", ".join(f"{p.namespace}/{p.name}" for p in self.pods()) or "none"
            raise UsageError(f"no pod {namespace or self.namespace}/{name}; there are: {names}")
        return found.handle

    def pods(
        self,
        selector: str | Mapping[str, str] | None = None,
        namespace: str | None = None,
    ) -> tuple[Pod, ...]:
        """Pods made here, in order of creation.

        Args:
            selector: labels that must match: ``{"app": "x"}`` or ``app=x,tier!=y``.
            namespace: only this one; ``None``: all.
        """
        return tuple(
            made.handle
            for made in self._made.values()
            if isinstance(made.handle, Pod)
            and namespace in (None, made.handle.namespace)
            and _selected(made.handle.labels, selector)
        )

    # --- making things ----------------------------------------------------------------------

    def link(
        self,
        a: str | Node,
        b: str | Node,
        name: str = "eth1",
        mtu: int = 1500,
        addresses: Sequence[str] = (),
    ) -> NodeLink:
        """A veth between two nodes, ``name`` at both ends.

        The same call again returns the same link; one that differs is a :class:`UsageError`.
        """
        ends = (self.node(a), self.node(b))
        config = LinkConfig(
            a=ends[0].name, b=ends[1].name, name=name, mtu=mtu, addresses=tuple(addresses)
        )
        key = ("NodeLink", f"{config.a}+{config.b}", name)
        return self._once(key, config.digest, lambda: self._make_link(config, ends))

    def network(
        self, definition: MacvlanConfig | NetworkAttachmentDefinition | Mapping[str, Any]
    ) -> Network:
        """A NetworkAttachmentDefinition, from a configuration, a model or a manifest."""
        if isinstance(definition, MacvlanConfig):
            definition = {
                "apiVersion": "k8s.cni.cncf.io/v1",
                "kind": "NetworkAttachmentDefinition",
                "metadata": {"name": definition.name, "namespace": definition.namespace},
                "spec": {"config": json.dumps(definition.cni_config())},
            }
        if isinstance(definition, NetworkAttachmentDefinition):
            definition = definition.manifest()
        (handle,) = self.apply(definition)
        if not isinstance(handle, Network):
            raise UsageError(f"expected a NetworkAttachmentDefinition, got {handle!r}")
        return handle

    def apply(self, source: Source, *, wait: bool = True) -> list[Any]:
        """Apply manifests as ``kubectl apply -f`` does, and wait for the pods.

        Everything is read and checked before anything is made.

        Args:
            source: a path (relative ones are tried in ``search_path``), text (a string with a
                newline), a mapping, or a list of mappings.
            wait: wait until pods run.

        Returns:
            One handle per document, in order.

        Raises:
            ManifestError: file, line, field, value and what was expected.
            PodError: a pod could not start; the pods of this call are removed again.
        """
        documents = self.documents(source)
        try:
            parsed = [self._parse(document) for document in documents]
        except MultinetError as error:
            self.explain(error, ())
            raise
        handles: list[Handle | None] = [None] * len(documents)
        batch: list[int] = []
        where = call_site()

        def flush() -> None:
            manifests = [m for i in batch if isinstance(m := parsed[i], PodManifest)]
            for i, pod in zip(batch, self._pods_once(manifests, where, wait=wait), strict=True):
                handles[i] = pod
            batch.clear()

        for i, (document, model) in enumerate(zip(documents, parsed, strict=True)):
            if isinstance(model, PodManifest):
                batch.append(i)
                continue
            flush()
            namespace = getattr(model, "namespace", None) or document.namespace or ""
            key = (document.kind, namespace, document.name)
            make = self._maker(document, model)
            handles[i] = self._once(key, _digest(document.data), make, where)
        flush()
        return [h for h in handles if h is not None]

    def delete(self, source: Source) -> None:
        """Delete what the manifests name; what does not exist is passed over."""
        for document in reversed(self.documents(source)):
            namespace = document.namespace or self.namespace
            for key in ((document.kind, n, document.name) for n in (namespace, "")):
                if key in self._made:
                    self._made[key].handle.delete()

    def clear(self) -> None:
        """Delete everything that was made here, newest first; nodes and Multus stay."""
        with ExitStack() as stack:
            for made in self._made.values():
                stack.callback(made.handle.delete)
        self._made.clear()

    def describe(self) -> dict[str, Any]:
        """Nodes, pods, links and networks, as JSON types."""
        return {
            "nodes": [
                {"name": n.name, "role": n.role, "address": str(n.address)} for n in self.nodes
            ],
            "pods": [
                {
                    "name": p.name,
                    "namespace": p.namespace,
                    "node": p.node.name,
                    "interfaces": {
                        s.interface: [str(ip) for ip in s.ips] for s in p.network_status
                    },
                }
                for p in self.pods()
            ],
            "links": [
                {"name": h.name, "ends": [e.name for e in h.ends], "mtu": h.mtu}
                for made in self._made.values()
                if isinstance(h := made.handle, NodeLink)
            ],
            "networks": [
                f"{made.handle.namespace}/{made.handle.name}"
                for made in self._made.values()
                if isinstance(made.handle, Network)
            ],
        }

    def documents(self, source: Source) -> list[Document]:
        """Read manifests without applying them; see :meth:`apply`."""
        if isinstance(source, str) and "\n" not in source:
            source = Path(source)
        if not isinstance(source, Path):
            return load_documents(source)
        tried = [source] if source.is_absolute() else [f / source for f in self.search_path()]
        for path in tried:
            if path.is_file():
                return load_documents(path.read_text(encoding="utf-8"), name=str(path))
        places = "\n  ".join(dict.fromkeys(map(str, tried)))
        raise UsageError(f"no manifest {str(source)!r}; looked for\n  {places}")

    def create_pods(self, manifests: Sequence[PodManifest], *, wait: bool = True) -> list[Pod]:
        """Start several pods together, under the rule for repeated names."""
        return self._pods_once(manifests, call_site(), wait=wait)

    def forget(self, handle: Handle) -> None:
        """Strike a handle off the list of what exists; backends call it on deletion."""
        for key, made in list(self._made.items()):
            if made.handle is handle:
                del self._made[key]

    def _parse(self, document: Document) -> object:
        if document.kind == "Pod":
            return PodManifest.from_document(document, self.namespace)
        if document.kind == "NetworkAttachmentDefinition":
            return NetworkAttachmentDefinition.from_document(document, self.namespace)
        return self._check_object(document)

    def _check_object(self, document: Document) -> object:
        """Refuse a kind that this backend cannot apply, before anything is made."""
        return document

    def _maker(self, document: Document, model: object) -> Callable[[], Handle]:
        if isinstance(model, NetworkAttachmentDefinition):
            return lambda: self._make_network(model)
        return lambda: self._make_object(document)

    def _once(
        self,
        key: tuple[str, str, str],
        digest: str,
        make: Callable[[], Any],
        where: str | None = None,
    ) -> Any:
        """Make it, or return what the same request made before."""
        where = where or call_site()
        before = self._made.get(key)
        if before is not None:
            self._refuse_other(before, key, digest)
            return before.handle
        handle = make()
        self._made[key] = _Made(handle, digest, where)
        return handle

    def _pods_once(self, manifests: Sequence[PodManifest], where: str, *, wait: bool) -> list[Pod]:
        keys = [("Pod", m.namespace, m.name) for m in manifests]
        digests = [_digest(m.raw) for m in manifests]
        wanted: dict[tuple[str, str, str], tuple[PodManifest, str]] = {}
        for key, manifest, digest in zip(keys, manifests, digests, strict=True):
            if key in self._made:
                self._refuse_other(self._made[key], key, digest)
            elif key in wanted and wanted[key][1] != digest:
                raise UsageError(f"two different pods are called {key[1]}/{key[2]} in one call")
            else:
                wanted[key] = (manifest, digest)
        if wanted:
            new = [m for m, _ in wanted.values()]
            try:
                pods = self._make_pods(new, wait=wait)
            except MultinetError as error:
                self.explain(error, new)
                raise
            for (key, (_, digest)), pod in zip(wanted.items(), pods, strict=True):
                self._made[key] = _Made(pod, digest, where)
        return [self.pod(m.name, m.namespace) for m in manifests]

    @staticmethod
    def _refuse_other(before: _Made, key: tuple[str, str, str], digest: str) -> None:
        if before.digest == digest:
            return
        kind, namespace, name = key
        example = f"; for a short-lived one use 'with multinet_pod({name!r}, ...) as pod:'"
        raise UsageError(
            f"{kind} {namespace}/{name} exists with other arguments, made at {before.where}; "
            f"use another name, or delete it first{example if kind == 'Pod' else ''}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except MultinetError:
            if error is None:
                raise

    def __repr__(self) -> str:
        return f"<Cluster {self.name} on {self.backend}, {len(self.nodes)} nodes>"


def schedule(cluster: Cluster, manifests: Sequence[PodManifest]) -> list[Node]:
    """The node of each pod: the one it names, else the worker with the fewest pods.

    Raises:
        PodError: no node is what a manifest names; the message has the scheduler's reason.
    """
    load = Counter(pod.node.name for pod in cluster.pods())
    workers = [n for n in cluster.nodes if n.role == "worker"] or list(cluster.nodes)
    chosen: list[Node] = []
    for manifest in manifests:
        wanted = manifest.node_name or manifest.node_selector.get("kubernetes.io/hostname")
        if wanted is None:
            node = min(workers, key=lambda n: load[n.name])
        else:
            node = _named_node(cluster, wanted, manifest)
        load[node.name] += 1
        chosen.append(node)
    return chosen


def _named_node(cluster: Cluster, name: str, manifest: PodManifest) -> Node:
    for node in cluster.nodes:
        if node.name == name:
            return node
    raise PodError(
        f"no node is called {name!r}; nodes: {', '.join(n.name for n in cluster.nodes)}",
        pod=f"{manifest.namespace}/{manifest.name}",
        reason="FailedScheduling",
        hint="give nodeName, or the selector kubernetes.io/hostname, the full name of a node",
    )


def _as_it_is(error: MultinetError, manifests: Sequence[PodManifest]) -> None:
    """Adds nothing to an error: what a cluster does that nobody diagnoses."""


def _digest(data: object) -> str:
    return json.dumps(data, sort_keys=True, default=str)


def _selected(labels: Mapping[str, str], selector: str | Mapping[str, str] | None) -> bool:
    if not selector:
        return True
    if not isinstance(selector, str):
        return all(labels.get(k) == v for k, v in selector.items())
    for term in filter(None, (t.strip() for t in selector.split(","))):
        key, unequal, value = term.partition("!=")
        if not unequal:
            key, equal, value = term.replace("==", "=").partition("=")
            if not equal:
                if key.startswith("!") == (key.lstrip("!") in labels):
                    return False
                continue
        if (labels.get(key.strip()) == value.strip()) == bool(unequal):
            return False
    return True
