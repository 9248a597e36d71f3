"""Packets seen at an interface, by a packet socket (packet(7)) in its namespace.

A thread reads them while the test goes on.  Memory is bounded: the oldest packets make room, and
what was lost, here or in the kernel, is told.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pytest_multinet.errors import NeedsCapability, UsageError
from pytest_multinet.model.flow import Announcement, Flow, Packet, Tuple5, announcement
from pytest_multinet.net.netns import Namespace
from pytest_multinet.probe import bpf
from pytest_multinet.probe.pcapng import pcapng

if TYPE_CHECKING:
    from typing_extensions import Self

LIMIT = 16 << 20  # bytes of packets that are kept
_SNAP = 65535
_ALL = 3  # ETH_P_ALL
_SOL_PACKET, _ADD_MEMBERSHIP, _STATISTICS, _AUXDATA = 263, 1, 6, 8
_PROMISCUOUS = 1
_TIMESTAMP = 35  # SO_TIMESTAMPNS
_RCVBUFFORCE = 33
_BUFFER = 8 << 20
_VLAN_VALID = 0x10
_AUX = struct.Struct("=IIIHHHH")


class Capture:
    """What passes an interface while its ``with`` block runs.

    Args:
        name: of the stack.
        namespace: its namespace; ``interface``: of it.
        filter: expression of pcap-filter(7).
        limit: bytes of packets to keep; the oldest make room.

    Attributes:
        dropped: packets that the kernel could not hand over; ``discarded``: that made room.
    """

    def __init__(
        self,
        name: str,
        namespace: Namespace,
        interface: str,
        *,
        filter: str | None = None,
        limit: int = LIMIT,
    ) -> None:
        self.name = name
        self.interface = interface
        self.filter = filter
        self.dropped = 0
        self.discarded = 0
        self._namespace = namespace
        self._limit = limit
        self._held = 0
        self._packets: deque[Packet] = deque()
        self._flows: dict[Tuple5, list[Any]] = {}
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._program = bpf.compile_filter(filter) if filter else None

    # --- running ----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin; every packet from now on is seen.

        Raises:
            UsageError: there is no such interface.
        """
        if self._socket is not None:
            return
        sock = self._open()
        self._socket = sock
        self._wake, self._end = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(
            target=self._read, args=(sock,), name=f"capture-{self.interface}", daemon=True
        )
        self._thread.start()

    def _open(self) -> socket.socket:
        sock = self._namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            if self._program is not None:
                bpf.attach(sock, self._program)
            sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
            sock.setsockopt(_SOL_PACKET, _AUXDATA, 1)
            try:
                sock.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _BUFFER)
            except OSError:  # an ordinary user takes what it may
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            try:
                sock.bind((self.interface, _ALL))
            except OSError as error:
                raise UsageError(
                    f"{self.name} has no interface {self.interface!r} to capture at: "
                    f"{error.strerror}"
                ) from error
            index = _index(sock)
            member = struct.pack("=iHH8s", index, _PROMISCUOUS, 0, bytes(8))
            sock.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, member)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        return sock

    def stop(self) -> None:
        """End; what has arrived until now is kept.  Harmless when repeated."""
        sock, thread = self._socket, self._thread
        if sock is None or thread is None:
            return
        os.close(self._end)
        thread.join()
        os.close(self._wake)
        statistics = sock.getsockopt(_SOL_PACKET, _STATISTICS, 8)
        self.dropped += struct.unpack("=II", statistics)[1]
        sock.close()
        self._socket = None

    def _read(self, sock: socket.socket) -> None:
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        poll.register(self._wake, select.POLLIN | select.POLLHUP)
        ended = False
        while not ended:
            ended = any(fd == self._wake for fd, _ in poll.poll())
            self._drain(sock)

    def _drain(self, sock: socket.socket) -> None:
        while True:
            try:
                data, ancillary, _, _ = sock.recvmsg(_SNAP, 256)
            except OSError:
                return
            self._take(data, ancillary)

    def _take(self, data: bytes, ancillary: list[tuple[int, int, bytes]]) -> None:
        when, length = time.time(), len(data)
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _TIMESTAMP:
                seconds, nanoseconds = struct.unpack("=qq", value[:16])
                when = seconds + nanoseconds / 1e9
            elif level == _SOL_PACKET and kind == _AUXDATA and len(value) >= _AUX.size:
                status, length, _, _, _, tag, protocol = _AUX.unpack_from(value)
                if status & _VLAN_VALID:  # the kernel has taken the tag off
                    data = data[:12] + struct.pack("!HH", protocol or 0x8100, tag) + data[12:]
                    length += 4
        self.add(Packet(when, data, max(length, len(data))))

    def add(self, packet: Packet) -> None:
        """Keep a packet, and count it."""
        with self._lock:
            self._packets.append(packet)
            self._held += len(packet.data)
            while self._held > self._limit and self._packets:
                self._held -= len(self._packets.popleft().data)
                self.discarded += 1
            key = packet.flow
            if key is None:
                return
            seen = self._flows.get(key)
            if seen is None:
                self._flows[key] = [1, packet.length, packet.time, packet.time]
                return
            seen[0] += 1
            seen[1] += packet.length
            seen[3] = packet.time

    # --- what was seen ----------------------------------------------------------------------

    @property
    def packets(self) -> tuple[Packet, ...]:
        """The packets that are kept, oldest first."""
        with self._lock:
            return tuple(self._packets)

    @property
    def flows(self) -> tuple[Flow, ...]:
        """Every flow, in the order of its first packet; of discarded packets too."""
        with self._lock:
            return tuple(Flow(key, *seen) for key, seen in self._flows.items())

    @property
    def announcements(self) -> tuple[Announcement, ...]:
        """Gratuitous ARP and unsolicited neighbour advertisements, oldest first."""
        found = (announcement(packet) for packet in self.packets)
        return tuple(a for a in found if a is not None)

    def save(self, path: str | Path) -> Path:
        """Write the packets as pcapng; the path."""
        path = Path(path)
        comment = f"{self.interface} of {self.name}"
        if self.filter:
            comment += f", filter: {self.filter}"
        if self.discarded:
            comment += f"; {self.discarded} older packets made room"
        data = pcapng(
            self.packets, interface=self.interface, comment=comment, dropped=self.dropped
        )
        path.write_bytes(data)
        return path

    def scapy(self) -> list[Any]:
        """The packets parsed by scapy, where it is installed.

        Raises:
            NeedsCapability: it is not.
        """
        try:
            from scapy.layers.l2 import Ether  # pyright: ignore
        except ImportError as error:
            raise NeedsCapability(
                "scapy", "needs the Python package scapy: pip install scapy"
            ) from (error)
        return [Ether(packet.data) for packet in self.packets]

    def __repr__(self) -> str:
        lost = f", {self.dropped} dropped" if self.dropped else ""
        lost += f", {self.discarded} discarded" if self.discarded else ""
        return (
            f"<Capture {self.interface} of {self.name}: {len(self.packets)} packets, "
            f"{len(self.flows)} flows{lost}>"
        )


def _index(sock: socket.socket) -> int:
    """The index of the interface that a packet socket is bound to."""
    import fcntl

    name = str(sock.getsockname()[0]).encode()
    answer = fcntl.ioctl(sock, 0x8933, struct.pack("16s16x", name))  # SIOCGIFINDEX
    return struct.unpack_from("=i", answer, 16)[0]
