"""A capture by tcpdump inside a stack whose namespace cannot be opened from here."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pytest_multinet.errors import ExecFailed, NeedsCapability, ProgramNotFound
from pytest_multinet.model.flow import Packet
from pytest_multinet.probe.capture import Capture

if TYPE_CHECKING:
    from pytest_multinet.cluster.process import Process
    from pytest_multinet.probe.remote import Runner

_LOST = re.compile(r"(\d+) packets? dropped by kernel")
_HEADER, _RECORD = struct.Struct("IHHiIII"), struct.Struct("IIII")


class RemoteCapture(Capture):
    """As :class:`Capture`; the packets are there once it has stopped."""

    def __init__(
        self,
        name: str,
        run: Runner,
        spawn: Callable[[Sequence[str], str], Process],
        interface: str,
        *,
        filter: str | None,
        limit: int,
    ) -> None:
        none: Any = None  # no namespace: nothing of the base class that uses one is called
        super().__init__(name, none, interface, limit=limit)
        self.filter = filter
        self._run = run
        self._spawn = spawn
        self._file = f"/tmp/capture-{uuid4().hex}.pcap"  # noqa: S108 - in the pod, unguessable
        self._process: Process | None = None

    def start(self) -> None:
        """Begin; returns when tcpdump listens."""
        # Not -w FILE: some builds of tcpdump then want to change the file's owner.
        script = 'exec tcpdump -U -n -i "$1" -w - ${3:+"$3"} > "$2"'
        argv = ["sh", "-c", script, "sh", self.interface, self._file, self.filter or ""]
        try:
            self._process = self._spawn(argv, "listening on")
        except (ProgramNotFound, ExecFailed) as error:
            why = "its image has no tcpdump"
            if "Couldn't change" in str(error):
                why = "its tcpdump may not give up its privileges there"
            elif not isinstance(error, ProgramNotFound) and "not found" not in str(error):
                raise
            raise NeedsCapability(
                "capture",
                f"the namespace of {self.name} cannot be opened from here, and {why}; run beside "
                "Docker as root, or use an image with tcpdump",
            ) from error

    def stop(self) -> None:
        """End, and fetch what was written."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        found = _LOST.search(process.output)
        self.dropped += int(found[1]) if found else 0
        written = self._run(["base64", self._file], 30.0)
        self._run(["rm", "-f", self._file], 10.0)
        for packet in read_pcap(base64.b64decode(written.stdout)):
            self.add(packet)


def read_pcap(data: bytes) -> Iterator[Packet]:
    """The packets of a pcap file (pcap-savefile(5)) in this machine's byte order."""
    if len(data) < _HEADER.size:
        return
    nano = _HEADER.unpack_from(data)[0] == 0xA1B23C4D
    at = _HEADER.size
    while at + _RECORD.size <= len(data):
        seconds, fraction, held, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        when = seconds + fraction / (1e9 if nano else 1e6)
        yield Packet(when, data[at : at + held], length)
        at += held
