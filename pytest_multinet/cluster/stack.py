"""Pods and nodes as network stacks: what can be looked at, probed and run there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_multinet.cluster.process import Process
from pytest_multinet.errors import NeedsCapability, UsageError
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
from pytest_multinet.model.network_status import NetworkStatus
from pytest_multinet.model.pod import PodManifest
from pytest_multinet.probe.stack import Listener, Prober

if TYPE_CHECKING:
    from typing_extensions import Self

    from pytest_multinet.cluster.base import Cluster
    from pytest_multinet.cluster.network import Attachment
    from pytest_multinet.probe.capture import Capture

Target: TypeAlias = "str | IPAddress | NetworkStack"


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
        return self._address_of(self.interface(interface or "eth0"), version)

    def _address_of(self, seen: Interface, version: int | None) -> IPAddress:
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
            found = {i.name: i for i in target.interfaces}
            name = interface or "eth0"
            if name not in found and isinstance(target, Node):
                name = "eth0"
            if name in found:
                return target._address_of(found[name], version)
            return target.address_on(name, version)
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

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels, as far as this side knows them: those that every node of its role has."""
        labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux"}
        if self.role == "control-plane":
            labels["node-role.kubernetes.io/control-plane"] = ""
        return labels

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

    def attach(self, *networks: Attachment) -> tuple[NetworkStatus, ...]:
        """Attach the running pod to further networks, by changing its annotation ``networks``.

        Multus does that where the dynamic-networks-controller runs.  Every network of the pod
        then has its interface's name in the annotation, since the controller needs it.

        Args:
            networks: networks, ``network.attach(...)`` with addresses, MAC, interface, cni-args,
                or text such as ``macvlan-conf@net5``.

        Returns:
            Their entries of ``network-status``.

        Raises:
            NeedsCapability: the backend has no dynamic-networks-controller.
            PodError: one could not be attached; those of this call are detached again.
        """
        raise _no_hot_plug(self)

    def detach(self, *interfaces: str) -> None:
        """Take the running pod off networks, by the names of their interfaces in the pod.

        Raises:
            NeedsCapability: the backend has no dynamic-networks-controller.
            UsageError: no network is attached by that name.
            PodError: a network's definition has gone, or its DEL failed.
        """
        raise _no_hot_plug(self)

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


def _no_hot_plug(pod: Pod) -> NeedsCapability:
    return NeedsCapability(
        "embedded",
        f"pod {pod.namespace}/{pod.name}: networks of a running pod change on the embedded "
        f"backend only; on {pod.cluster.backend} that takes Multus' dynamic-networks-controller, "
        "which is not installed",
    )
