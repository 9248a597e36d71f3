"""A TCP stream between two namespaces, as fast as it goes."""

from __future__ import annotations

import socket
import threading
import time

from pytest_multinet.model.interface import IPAddress
from pytest_multinet.net.netns import Namespace

_CHUNK = 1 << 17
_PATIENCE = 5.0  # s until a stream that stands still is given up


def stream(
    source: Namespace,
    target: Namespace,
    address: IPAddress,
    *,
    interface: str | None,
    seconds: float,
) -> tuple[int, float]:
    """Send for ``seconds``; the bytes that arrived, and how long that took.

    Raises:
        OSError: no connection came about, or it broke.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with (
        target.socket(family, socket.SOCK_STREAM) as listener,
        source.socket(family, socket.SOCK_STREAM) as sender,
    ):
        listener.bind((str(address), 0))
        listener.listen(1)
        listener.settimeout(_PATIENCE)
        sender.settimeout(_PATIENCE)
        if interface is not None:
            name = interface.encode() + b"\0"
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
        sender.connect((str(address), listener.getsockname()[1]))
        receiver, _ = listener.accept()
        with receiver:
            receiver.settimeout(_PATIENCE)
            seen = _Receiver(receiver)
            seen.start()
            data = bytes(_CHUNK)
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                sender.sendall(data)
            sender.shutdown(socket.SHUT_WR)
            seen.join()
    return seen.bytes, max(seen.last - seen.first, 1e-9)


class _Receiver(threading.Thread):
    """Counts what arrives until the sender has finished."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(name="throughput", daemon=True)
        self._socket = sock
        self.bytes = 0
        self.first = self.last = 0.0

    def run(self) -> None:
        """Read to the end."""
        buffer = bytearray(_CHUNK)
        while count := self._socket.recv_into(buffer):
            self.last = time.perf_counter()
            self.first = self.first or self.last
            self.bytes += count
