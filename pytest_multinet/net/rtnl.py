"""A route netlink socket (rtnetlink(7)) in one namespace.

Requests go out in batches: the kernel works through a batch in order, acknowledges the last and
answers any other only when it fails.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

from pytest_multinet.errors import NetlinkError
from pytest_multinet.net.requests import Message, attr

RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH = 18, 22, 26, 30
RTM_GETNETCONF = 82
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_ERROR, _DONE = 2, 3
_SOL_NETLINK, _CAP_ACK, _EXT_ACK, _STRICT = 270, 10, 11, 12
_HEADER = struct.Struct("=IHHII")
_ERROR_TYPE, _NO_ERROR = struct.pack("=H", _ERROR), bytes(4)
_LINK = struct.Struct("=BxHiII")
_ATTR = struct.Struct("=HH")


def attributes(data: bytes | memoryview, offset: int) -> Iterator[tuple[int, memoryview]]:
    """The attributes of a message body from ``offset`` on, as (kind, payload)."""
    view = memoryview(data)
    end = len(view)
    while offset + 4 <= end:
        length, kind = _ATTR.unpack_from(view, offset)
        if length < 4:
            return
        yield kind & 0x3FFF, view[offset + 4 : offset + length]
        offset += (length + 3) & ~3


class Rtnl:
    """A route netlink socket; it owns ``sock`` and closes it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._sequence = 0
        sock.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        sock.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        sock.setsockopt(_SOL_NETLINK, _STRICT, 1)

    def execute(self, *messages: Message) -> list[bytes]:
        """Carry out requests in order; the answers to those among them that ask for an object.

        Raises:
            NetlinkError: the first that the kernel refused, with its words.
        """
        first = self._sequence + 1
        out: list[bytes] = []
        last = len(messages) - 1
        for i, m in enumerate(messages):
            flags = m.flags | _REQUEST | (_ACK if i == last else 0)
            out.append(_HEADER.pack(16 + len(m.body), m.type, flags, first + i, 0) + m.body)
        self._sequence += len(messages)
        self._socket.send(b"".join(out))
        failed: NetlinkError | None = None
        answers: list[bytes] = []
        while True:
            data = self._socket.recv(65536)
            if failed is None and data[4:6] == _ERROR_TYPE and data[16:20] == _NO_ERROR:
                if _HEADER.unpack_from(data)[3] == self._sequence:
                    return answers  # the acknowledgement, as nearly always
                continue
            for kind, sequence, body in _split(data):
                if sequence < first:
                    continue
                if kind != _ERROR:
                    answers.append(bytes(body))
                    continue
                code = -int.from_bytes(body[:4], "little", signed=True)
                if code and failed is None:
                    what = messages[sequence - first].what
                    failed = NetlinkError(code, what, _words(code, body))
                if sequence == self._sequence:
                    if failed is not None:
                        raise failed
                    return answers

    def get(self, kind: int, body: bytes, what: str) -> bytes:
        """One object: the body of the kernel's answer."""
        self._sequence += 1
        header = _HEADER.pack(16 + len(body), kind, _REQUEST, self._sequence, 0)
        self._socket.send(header + body)
        while True:
            for answer, sequence, data in _split(self._socket.recv(65536)):
                if sequence != self._sequence:
                    continue
                if answer == _ERROR:
                    code = -int.from_bytes(data[:4], "little", signed=True)
                    raise NetlinkError(code, what, _words(code, data))
                return bytes(data)

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Every object that matches: the bodies, in the kernel's order."""
        self._sequence += 1
        header = _HEADER.pack(16 + len(body), kind, _REQUEST | _DUMP, self._sequence, 0)
        self._socket.send(header + body)
        out: list[bytes] = []
        while True:
            for answer, sequence, data in _split(self._socket.recv(1 << 18)):
                if sequence != self._sequence:
                    continue
                if answer == _DONE:
                    return out
                if answer == _ERROR:
                    code = -int.from_bytes(data[:4], "little", signed=True)
                    raise NetlinkError(code, "dump", _words(code, data))
                out.append(bytes(data))

    def link(self, name_or_index: str | int) -> bytes:
        """The ``ifinfomsg`` of one link; reading it also settles its carrier (linkwatch)."""
        if isinstance(name_or_index, int):
            body = _LINK.pack(0, 0, name_or_index, 0, 0)
        else:
            body = _LINK.pack(0, 0, 0, 0, 0) + attr(3, name_or_index.encode() + b"\0")
        return self.get(RTM_GETLINK, body, f"look up link {name_or_index}")

    def index(self, name: str) -> int | None:
        """The index of a link, ``None`` where there is none of that name."""
        try:
            return _LINK.unpack_from(self.link(name))[2]
        except NetlinkError as error:
            if error.errno == errno.ENODEV:
                return None
            raise

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def messages(data: bytes) -> Iterator[tuple[int, memoryview]]:
    """Type and body of every message in what a multicast group sent."""
    for kind, _sequence, body in _split(data):
        yield kind, body


def _split(data: bytes) -> Iterator[tuple[int, int, memoryview]]:
    view, offset = memoryview(data), 0
    while offset + 16 <= len(view):
        length, kind, _flags, sequence, _port = _HEADER.unpack_from(view, offset)
        if length < 16:
            return
        yield kind, sequence, view[offset + 16 : offset + length]
        offset += (length + 3) & ~3


def _words(code: int, body: memoryview) -> str | None:
    """The kernel's own message (NLMSGERR_ATTR_MSG), where it gave one."""
    for kind, data in attributes(body, 20):  # errno and the header of the refused request
        if kind == 1:
            return f"{os.strerror(code).lower()} ({bytes(data).rstrip(bytes(1)).decode()})"
    return None
