"""Every ordered pair of many stacks by ICMP, through sockets that stay open.

A mesh of 40 stacks would fill the machine's neighbour table (1,024 entries for all namespaces).
So it goes by blocks: two groups of eleven stacks probe each other both ways, which costs one
entry a pair, 242 in all; then each of them strikes off what it caused, in one request.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from pytest_multinet.errors import NetlinkError
from pytest_multinet.model.interface import IPAddress
from pytest_multinet.net import decode, requests
from pytest_multinet.net.holder import HeldNamespace
from pytest_multinet.net.netns import Namespace

if TYPE_CHECKING:
    from typing_extensions import Self

    from pytest_multinet.probe.neighbours import NeighbourBudget

Pair = tuple[int, int]
GROUP = 11  # two groups: 2 x 11 x 11 = 242 entries
_BATCH = 250  # descriptors of one message
_ECHO = struct.Struct("!BBHHH")
_ICMP_FILTER, _ICMP6_FILTER = 1, 1
_ECHO_REPLY_ONLY = struct.pack("=I", ~1 & 0xFFFFFFFF)
_identifiers = itertools.count(os.getpid() + 0x4000)


@dataclass(frozen=True)
class End:
    """One stack of a mesh.

    Attributes:
        namespace: its namespace; ``interface``: the one that is probed over.
        index: of that interface.
        address: by which the others probe it.
    """

    namespace: Namespace
    interface: str
    index: int
    address: IPAddress


@dataclass
class _Source:
    """An end's open socket, what identifies its requests, and the pairs that it waits for."""

    end: End
    socket: socket.socket
    identifier: int
    kept: frozenset[int] = frozenset()
    caused: set[int] = field(default_factory=set[int])


class Mesh:
    """Open sockets in every stack; a context manager that closes them.

    Args:
        ends: the stacks, all of one IP version.
        budget: of the neighbour entries of this process, swept before and after.
    """

    def __init__(self, ends: Sequence[End], budget: NeighbourBudget | None = None) -> None:
        self._ends = ends
        self._budget = budget
        self._version = ends[0].address.version
        self._sources: list[_Source] = []
        self._targets = [self._destination(end) for end in ends]
        self._places = {end.address: place for place, end in enumerate(ends)}
        self._deletions: dict[tuple[int, int], requests.Message] = {}

    def __enter__(self) -> Self:
        if self._budget is not None:
            self._budget.sweep()
        v4 = self._version == 4
        protocol = socket.IPPROTO_ICMP if v4 else socket.IPPROTO_ICMPV6
        family = socket.AF_INET if v4 else socket.AF_INET6
        namespaces = [e.namespace for e in self._ends]
        sockets = open_sockets(namespaces, family, int(protocol))
        for end, sock in zip(self._ends, sockets, strict=True):
            self._sources.append(_Source(end, sock, next(_identifiers) & 0xFFFF))
        try:
            for source in self._sources:
                self._prepare(source)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()
        if self._budget is not None:
            self._budget.sweep()

    def _close(self) -> None:
        for source in self._sources:
            source.socket.close()
        self._sources.clear()

    def _prepare(self, source: _Source) -> None:
        sock, end = source.socket, source.end
        sock.setblocking(False)
        name = end.interface.encode() + b"\0"
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
        if self._version == 4:
            sock.setsockopt(255, _ICMP_FILTER, _ECHO_REPLY_ONLY)
        else:
            words = [0xFFFFFFFF] * 8
            words[4] &= ~(1 << 1)  # 129, echo reply
            packed = struct.pack("=8I", *words)
            sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, packed)
        entries = decode.neighbour_keys(end.namespace.rtnl)
        source.kept = frozenset(
            self._places[address]
            for index, address, _ in entries
            if index == end.index and address in self._places
        )

    def _destination(self, end: End) -> tuple[str, int] | tuple[str, int, int, int]:
        if self._version == 4:
            return str(end.address), 0
        return str(end.address), 0, 0, 0

    # --- rounds -----------------------------------------------------------------------------

    def probe(self, pairs: Iterable[Pair], patience: float) -> set[Pair]:
        """Send one echo request for each pair; those that were answered.

        Args:
            pairs: places of source and target.
            patience: seconds that the pairs of one block may take to answer.
        """
        answered: set[Pair] = set()
        sources, targets = self._sources, self._targets
        packets = [self._packets(source) for source in sources]
        for block in blocks(pairs):
            waiting = set(block)
            active = dict.fromkeys(i for i, _ in block)
            for i, j in block:
                source = sources[i]
                source.caused.add(j)
                sources[j].caused.add(i)
                try:
                    source.socket.sendto(packets[i][j], targets[j])
                except OSError:  # no route, no neighbour: an answer that does not come
                    continue
            self._drain(active, waiting)
            if waiting:
                self._wait(active, waiting, patience)
            answered.update(pair for pair in block if pair not in waiting)
            self._strike(itertools.chain.from_iterable(block))
        return answered

    def _packets(self, source: _Source) -> list[bytes]:
        """One request for each target; the sequence number is the target's place."""
        identifier, count = source.identifier, len(self._ends)
        if self._version == 6:  # the kernel adds the checksum
            return [_ECHO.pack(128, 0, 0, identifier, j) for j in range(count)]
        packets: list[bytes] = []
        for j in range(count):
            total = 0x0800 + identifier + j
            total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
            packets.append(_ECHO.pack(8, 0, total, identifier, j))
        return packets

    def _drain(self, active: Iterable[int], waiting: set[Pair]) -> None:
        for i in active:
            source = self._sources[i]
            receive = source.socket.recvfrom
            while True:
                try:
                    packet, address = receive(2048)
                except OSError:
                    break
                j = self._answered(packet, address[0], source.identifier)
                if j is not None:
                    waiting.discard((i, j))

    def _answered(self, packet: bytes, sender: str, identifier: int) -> int | None:
        """The place of the stack that a packet is the reply of."""
        start = (packet[0] & 15) * 4 if self._version == 4 else 0
        if len(packet) < start + 8:
            return None
        if int.from_bytes(packet[start + 4 : start + 6], "big") != identifier:
            return None
        j = int.from_bytes(packet[start + 6 : start + 8], "big")
        if j >= len(self._targets) or sender.partition("%")[0] != self._targets[j][0]:
            return None
        return j

    def _wait(self, active: Iterable[int], waiting: set[Pair], patience: float) -> None:
        poll = select.poll()
        by_fd: dict[int, int] = {}
        for i in active:
            fd = self._sources[i].socket.fileno()
            poll.register(fd, select.POLLIN)
            by_fd[fd] = i
        deadline = time.monotonic() + patience
        while waiting and (left := deadline - time.monotonic()) > 0:
            ready = [by_fd[fd] for fd, _ in poll.poll(left * 1000)]
            if not ready:
                return
            self._drain(ready, waiting)

    def _strike(self, places: Iterable[int]) -> None:
        """Delete the neighbour entries that a block caused, in one request a stack."""
        for i in set(places):
            source = self._sources[i]
            index = source.end.index
            messages = [self._deletion(index, j) for j in source.caused - source.kept]
            source.caused.clear()
            if messages:
                with contextlib.suppress(NetlinkError):  # one that was never made, or has gone
                    source.end.namespace.rtnl.execute(*messages)

    def _deletion(self, index: int, j: int) -> requests.Message:
        message = self._deletions.get((index, j))
        if message is None:
            message = requests.neighbour(index, self._ends[j].address, delete=True)
            self._deletions[index, j] = message
        return message


def blocks(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """Ordered pairs in blocks whose neighbour entries are bounded: two groups a block."""
    found: dict[Pair, list[Pair]] = {}
    for pair in pairs:
        a, b = pair[0] // GROUP, pair[1] // GROUP
        found.setdefault((a, b) if a <= b else (b, a), []).append(pair)
    return iter(found.values())


def open_sockets(
    namespaces: Sequence[Namespace], family: int, protocol: int
) -> list[socket.socket]:
    """A raw socket in each namespace; those of one holder are asked for together."""
    first = namespaces[0]
    together = isinstance(first, HeldNamespace) and all(
        isinstance(n, HeldNamespace) and n.holder is first.holder for n in namespaces
    )
    out: list[socket.socket] = []
    try:
        if not (together and isinstance(first, HeldNamespace)):
            out.extend(n.socket(family, socket.SOCK_RAW, protocol) for n in namespaces)
            return out
        held = [n for n in namespaces if isinstance(n, HeldNamespace)]
        for start in range(0, len(held), _BATCH):
            part = held[start : start + _BATCH]
            wanted = [(n, family, int(socket.SOCK_RAW), protocol) for n in part]
            out += first.holder.sockets(wanted)
    except BaseException:
        for sock in out:
            sock.close()
        raise
    return out
