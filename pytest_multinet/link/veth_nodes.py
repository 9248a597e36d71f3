"""A veth pair between two nodes that are containers.

As root the pair is made by one netlink request, directly in the two namespaces: it never shows
in the host's, where udev or NetworkManager would touch it.  Otherwise a privileged container of
the node image does the same and is removed.
"""

from __future__ import annotations

import json
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Protocol

from pytest_multinet.errors import LinkError, NetlinkError
from pytest_multinet.model.interface import ExecResult
from pytest_multinet.model.nested import mapping
from pytest_multinet.model.topology import LinkConfig
from pytest_multinet.net.netns import Namespace

OWNER = "pytest-multinet"
_IFLA_ADDRESS, _IFLA_ALIAS, _IFLA_LINKINFO, _IFLA_MTU, _IFLA_PEER = 1, 20, 18, 4, 5
_LINK = struct.Struct("=BxHiII")


@dataclass(frozen=True, slots=True)
class EndFacts:
    """What one end is now; ``peer`` is the other end's index, ``kind`` such as ``veth``."""

    kind: str
    index: int
    peer: int | None
    mtu: int
    up: bool
    alias: str
    mac: str


class NodeAccess(Protocol):
    """A node, as far as links need it.

    Attributes:
        name: its name.
    """

    name: str

    @property
    def namespace(self) -> Namespace | None:
        """Its network namespace, ``None`` where that cannot be opened from here."""
        ...

    @property
    def pid(self) -> int:
        """Its first process, in the engine's process namespace."""
        ...

    def run(self, argv: Sequence[str]) -> ExecResult:
        """Run a program on it."""
        ...


class _End(ABC):
    """One end of a link, reached by netlink or by ``ip``."""

    def __init__(self, node: NodeAccess, name: str) -> None:
        self.node = node
        self.name = name

    @abstractmethod
    def facts(self) -> EndFacts | None: ...

    @abstractmethod
    def set_up(self, up: bool) -> None: ...

    @abstractmethod
    def mark(self, alias: str) -> None: ...

    @abstractmethod
    def add_address(self, address: str) -> None: ...

    @abstractmethod
    def delete(self) -> None: ...


class _NetlinkEnd(_End):
    def __init__(self, node: NodeAccess, name: str, namespace: Namespace) -> None:
        super().__init__(node, name)
        self.namespace = namespace

    def facts(self) -> EndFacts | None:
        from pytest_multinet.net.rtnl import attributes

        try:
            data = self.namespace.rtnl.link(self.name)
        except NetlinkError as error:
            if error.errno == 19:  # ENODEV
                return None
            raise
        _family, _type, index, flags, _change = _LINK.unpack_from(data)
        found = {kind: bytes(value) for kind, value in attributes(data, _LINK.size)}
        info = dict(attributes(found.get(_IFLA_LINKINFO, b""), 0))
        peer = found.get(_IFLA_PEER)
        return EndFacts(
            kind=_text(bytes(info.get(1, b""))),
            index=index,
            peer=int.from_bytes(peer, "little") if peer else None,
            mtu=int.from_bytes(found.get(_IFLA_MTU, b""), "little"),
            up=bool(flags & 1),
            alias=_text(found.get(_IFLA_ALIAS, b"")),
            mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        )

    def _index(self) -> int:
        facts = self.facts()
        if facts is None:
            raise LinkError(f"node {self.node.name} has no link {self.name}")
        return facts.index

    def set_up(self, up: bool) -> None:
        from pytest_multinet.net import requests

        self.namespace.rtnl.execute(requests.set_link(self._index(), up=up))

    def mark(self, alias: str) -> None:
        from pytest_multinet.net import requests

        body = _LINK.pack(0, 0, self._index(), 0, 0) + requests.attr(_IFLA_ALIAS, alias.encode())
        what = f"mark link {self.name}"
        self.namespace.rtnl.execute(requests.Message(requests.RTM_NEWLINK, 0, body, what))

    def add_address(self, address: str) -> None:
        from pytest_multinet.net import requests

        given = ip_interface(address)
        prefix = given.network.prefixlen
        self.namespace.rtnl.execute(requests.address(self._index(), given.ip, prefix))

    def delete(self) -> None:
        from pytest_multinet.net import requests

        facts = self.facts()
        if facts is not None:
            self.namespace.rtnl.execute(requests.delete_link(facts.index))


class _ProgramEnd(_End):
    def facts(self) -> EndFacts | None:
        result = self.node.run(["ip", "-j", "-d", "link", "show"])
        if result.returncode:
            raise LinkError(f"cannot look at the links of node {self.node.name}: {result.stderr}")
        for link in json.loads(result.stdout or "[]"):
            if link.get("ifname") == self.name:
                return EndFacts(
                    kind=str(mapping(link, "linkinfo").get("info_kind", "")),
                    index=link["ifindex"],
                    peer=link.get("link_index"),
                    mtu=link["mtu"],
                    up="UP" in link["flags"],
                    alias=link.get("ifalias", ""),
                    mac=link.get("address", ""),
                )
        return None

    def _ip(self, *argv: str) -> None:
        result = self.node.run(["ip", *argv])
        if result.returncode:
            raise LinkError(
                f"'ip {' '.join(argv)}' on node {self.node.name}: {result.stderr.strip()}"
            )

    def set_up(self, up: bool) -> None:
        self._ip("link", "set", self.name, "up" if up else "down")

    def mark(self, alias: str) -> None:
        self._ip("link", "set", self.name, "alias", alias)

    def add_address(self, address: str) -> None:
        more = ["nodad"] if ip_interface(address).version == 6 else []
        self._ip("address", "add", address, "dev", self.name, *more)

    def delete(self) -> None:
        if self.facts() is not None:
            self._ip("link", "delete", self.name)


class NodeVeth:
    """A veth between two nodes; ``ensure`` makes it what it should be.

    Args:
        config: name, MTU, addresses.
        nodes: the two nodes.
        helper: runs a program in a privileged container that sees every process.
    """

    def __init__(
        self,
        config: LinkConfig,
        nodes: tuple[NodeAccess, NodeAccess],
        helper: Callable[[Sequence[str]], ExecResult],
    ) -> None:
        self.config = config
        self._nodes = nodes
        self._helper = helper
        self.mark = f"{OWNER}:{config.digest}"
        self._macs: set[str] = set()

    def _ends(self) -> tuple[_End, _End]:
        ends: list[_End] = []
        for node in self._nodes:
            namespace = node.namespace
            if namespace is None:
                ends.append(_ProgramEnd(node, self.config.name))
            else:
                ends.append(_NetlinkEnd(node, self.config.name, namespace))
        return ends[0], ends[1]

    def ensure(self) -> bool:
        """Make the link where it is not there as it should be; whether it had to be made.

        Raises:
            LinkError: a link of that name exists that is not ours, or it could not be made.
        """
        ends = self._ends()
        facts = [end.facts() for end in ends]
        for end, found in zip(ends, facts, strict=True):
            if found is not None and not found.alias.startswith(f"{OWNER}:"):
                raise LinkError(
                    f"node {end.node.name} already has an interface {self.config.name!r} "
                    f"({found.kind or 'device'}) that pytest-multinet did not make; it is left "
                    "alone, choose another name for the link"
                )
        if self._as_wanted(facts):
            for end, found in zip(ends, facts, strict=True):
                if found is not None and not found.up:
                    end.set_up(True)
            return False
        for end in ends:
            end.delete()
        self._make(ends)
        return True

    def _as_wanted(self, facts: Sequence[EndFacts | None]) -> bool:
        a, b = facts
        if a is None or b is None:
            return False
        paired = a.peer == b.index and b.peer == a.index
        return paired and all(
            f.kind == "veth" and f.mtu == self.config.mtu and f.alias == self.mark for f in (a, b)
        )

    def _make(self, ends: tuple[_End, _End]) -> None:
        name, mtu = self.config.name, self.config.mtu
        where = " and ".join(end.node.name for end in ends)
        try:
            a, b = ends
            if isinstance(a, _NetlinkEnd) and isinstance(b, _NetlinkEnd):
                from pytest_multinet.net import requests

                pair = requests.veth(name, name, peer_ns_fd=b.namespace.fd, mtu=mtu)
                a.namespace.rtnl.execute(pair)
            else:
                self._make_by_helper()
            for number, end in enumerate(ends):
                end.mark(self.mark)
                if self.config.addresses:
                    end.add_address(self.config.addresses[number])
                end.set_up(True)
            self._macs = {f.mac for f in _settle(ends) if f is not None}
        except NetlinkError as error:
            ends[0].delete()
            raise LinkError(f"cannot make link {name} between {where}: {error}") from error
        except LinkError:
            ends[0].delete()
            raise

    def _make_by_helper(self) -> None:
        a, b = self._nodes
        name, mtu = self.config.name, str(self.config.mtu)
        argv = ["nsenter", "--target", str(a.pid), "--net", "ip", "link", "add", name]
        argv += ["mtu", mtu, "type", "veth", "peer", "name", name, "mtu", mtu, "netns", str(b.pid)]
        result = self._helper(argv)
        if result.returncode:
            raise LinkError(
                f"cannot make link {name} between {a.name} and {b.name}: {result.stderr.strip()}"
            )

    def set_up(self, up: bool) -> None:
        """Set both ends administratively up or down.

        Raises:
            LinkError: an end is gone.
        """
        ends = self._ends()
        for end in ends:
            if end.facts() is None:
                raise LinkError(f"link {self.config.name} is gone from node {end.node.name}")
        for end in ends:
            end.set_up(up)
        _settle(ends)

    def exists(self) -> bool:
        """Whether both ends are there and ours."""
        return all(
            f is not None and f.alias == self.mark for f in (e.facts() for e in self._ends())
        )

    def delete(self) -> None:
        """Remove it, where it is ours; harmless when repeated.

        The plugin host-device takes the mark off a link, not its MAC address.
        """
        for end in self._ends():
            found = end.facts()
            if found is not None and (found.alias == self.mark or found.mac in self._macs):
                end.delete()


def _settle(ends: Sequence[_End]) -> list[EndFacts | None]:
    """Read both ends once: the kernel then works off the carrier changes that it has queued."""
    return [end.facts() for end in ends]


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")
