"""Filter expressions (pcap-filter(7)) as programs for a packet socket."""

from __future__ import annotations

import ctypes
import ctypes.util
import shutil
import socket
import struct
import subprocess
from typing import Any, ClassVar

from pytest_multinet.errors import NeedsCapability, UsageError

Program = list[tuple[int, int, int, int]]
_SO_ATTACH_FILTER = 26
_EMPTY_PCAP = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
_PCAP_ERRBUF = 262144


class _Instruction(ctypes.Structure):
    _fields_: ClassVar = [
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint32),
    ]


class _Program(ctypes.Structure):
    _fields_: ClassVar = [("length", ctypes.c_uint), ("code", ctypes.POINTER(_Instruction))]


def compile_filter(expression: str) -> Program:
    """The instructions of an expression for Ethernet frames.

    Raises:
        UsageError: it is no expression; with the compiler's words.
        NeedsCapability: neither libpcap nor tcpdump is on this machine.
    """
    library = _libpcap()
    if library is not None:
        return _by_libpcap(library, expression)
    if shutil.which("tcpdump"):
        return _by_tcpdump(expression)
    raise NeedsCapability(
        "bpf",
        "a capture filter is compiled by libpcap or tcpdump, and neither is on this machine; "
        "install one (Debian: apt-get install libpcap0.8), or capture without a filter",
    )


def attach(sock: socket.socket, program: Program) -> None:
    """Let only packets that pass ``program`` reach the socket (socket(7), SO_ATTACH_FILTER)."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *i) for i in program))
    described = struct.pack("HL", len(program), ctypes.addressof(code))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)


def _libpcap() -> Any | None:
    name = ctypes.util.find_library("pcap")
    for candidate in (name, "libpcap.so.0.8", "libpcap.so.1"):
        if candidate is None:
            continue
        try:
            return ctypes.CDLL(candidate)
        except OSError:  # not under that name
            continue
    return None


def _by_libpcap(library: Any, expression: str) -> Program:
    library.pcap_open_dead.restype = ctypes.c_void_p
    library.pcap_geterr.restype = ctypes.c_char_p
    library.pcap_geterr.argtypes = [ctypes.c_void_p]
    library.pcap_close.argtypes = [ctypes.c_void_p]
    library.pcap_compile.argtypes = [
        ctypes.c_void_p,
        ctypes.POINTER(_Program),
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_uint32,
    ]
    handle = library.pcap_open_dead(1, _PCAP_ERRBUF)
    program = _Program()
    try:
        wrong = library.pcap_compile(
            handle, ctypes.byref(program), expression.encode(), 1, 0xFFFFFFFF
        )
        if wrong:
            raise _refused(expression, library.pcap_geterr(handle).decode(errors="replace"))
        code = [program.code[i] for i in range(program.length)]
        out = [(i.code, i.jt, i.jf, i.k) for i in code]
        library.pcap_freecode(ctypes.byref(program))
        return out
    finally:
        library.pcap_close(handle)


def _by_tcpdump(expression: str) -> Program:
    done = subprocess.run(
        ["tcpdump", "-r", "-", "-ddd", expression],
        input=_EMPTY_PCAP,
        capture_output=True,
        timeout=10,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise _refused(expression, said[-1] if said else "it was refused")
    _, *lines = done.stdout.decode().split("\n")
    rows = [tuple(int(word) for word in line.split()) for line in lines if line.strip()]
    return [(code, jt, jf, k) for code, jt, jf, k in rows]


def _refused(expression: str, why: str) -> UsageError:
    return UsageError(f"filter is {expression!r}: {why}; expected an expression of pcap-filter(7)")
