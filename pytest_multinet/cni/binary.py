"""Runs a plugin's real binary inside a holder (CNI specification 1.1, section 2)."""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from pytest_multinet.errors import CniError
from pytest_multinet.net.holder import HeldNamespace

_TIMEOUT = 60.0
_FIXED_FD = 99
NETNS = "/proc/{pid}/fd/{fd}"
# CHECK compares CNI_NETNS with a path in its input, which is written before the plugin's process
# is there: so the namespace gets a descriptor whose number is known beforehand.
NETNS_OF_CHECK = f"/proc/self/fd/{_FIXED_FD}"
_FD_VARIABLE = "CNI_SANDBOX_FD"
_AT_FIXED_FD = f"""
import os, sys
os.dup2(int(os.environ.pop("{_FD_VARIABLE}")), {_FIXED_FD})
os.execv(sys.argv[1], sys.argv[1:])
"""


def find_plugin(cni_path: str, plugin_type: str) -> str | None:
    """The plugin's file in the first folder of ``cni_path`` that has it."""
    for folder in cni_path.split(":"):
        path = Path(folder) / plugin_type
        if folder and path.is_file():
            return str(path)
    return None


def run_plugin(
    node_namespace: HeldNamespace,
    sandbox_namespace: HeldNamespace,
    program_path: str,
    env: Mapping[str, str],
    stdin: bytes,
) -> tuple[int, bytes, bytes]:
    """Run a plugin in a node's view and network namespace.

    Args:
        node_namespace: where the plugin runs; its view must have been made.
        sandbox_namespace: the pod's; the plugin inherits a descriptor of it, unless it is closed.
        program_path: of the plugin.
        env: the protocol's variables; ``{pid}`` and ``{fd}`` in values are replaced.
        stdin: the configuration.

    Returns:
        Exit code (negative: the signal), standard output, standard error.

    Raises:
        CniError: the program cannot be run, or does not end within a minute.
    """
    argv, variables = [program_path], dict(env)
    if env.get("CNI_NETNS") == NETNS_OF_CHECK:
        argv = [sys.executable, "-I", "-S", "-c", _AT_FIXED_FD, program_path]
        variables[_FD_VARIABLE] = "{fd}"
    streams: list[int] = []
    try:
        for content in (stdin, b"", b""):
            fd = os.memfd_create("cni")
            streams.append(fd)
            os.write(fd, content)
            os.lseek(fd, 0, os.SEEK_SET)
        status = node_namespace.holder.run(
            node_namespace,
            argv,
            fds=(streams[0], streams[1], streams[2]),
            env=variables,
            passed=() if sandbox_namespace.fd < 0 else (sandbox_namespace.fd,),
        )
        with status:
            code = _wait(status, program_path)
        return code, _content(streams[1]), _content(streams[2])
    finally:
        for fd in streams:
            os.close(fd)


def _wait(status: socket.socket, program: str) -> int:
    """The exit code of a program that the holder started."""
    poll = select.poll()
    poll.register(status, select.POLLIN)
    while True:
        if not poll.poll(_TIMEOUT * 1000):
            raise CniError(f"{program} did not end within {_TIMEOUT:.0f} s")
        verb, _, number = status.recv(64).decode().partition(" ")
        if verb == "exit":
            return int(number)
        if verb == "error":
            reason = os.strerror(int(number)).lower()
            raise CniError(f"fork/exec {program}: {reason}")
        if verb != "started":
            raise CniError(f"{program}: the process that started it has gone")


def _content(fd: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", closefd=False) as file:
        return file.read()
