"""The floor: a minimal raw netlink script that builds the same picture as an embedded cluster.

It packs its messages by hand, enters namespaces itself, checks nothing but errors and knows
nothing of Kubernetes.  ``python benchmarks/floor.py seed RUNS`` or ``pods COUNT RUNS`` prints one
JSON line with the seconds of every run and, for ``pods``, the memory of the process in KiB.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    if _libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")


def attr(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def u32(kind: int, value: int) -> bytes:
    return attr(kind, struct.pack("=I", value))


def ip4(text: str) -> bytes:
    return socket.inet_aton(text)


class Ns:
    """A namespace and a netlink socket in it."""

    def __init__(self, forward: bool = False) -> None:
        unshare(CLONE_NEWNET)
        self.fd = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        if forward:
            with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
                file.write("1")

    def enter(self) -> None:
        if _libc.setns(self.fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def do(self, kind: int, body: bytes, flags: int = 0x600) -> None:
        self.sock.send(struct.pack("=IHHII", 16 + len(body), kind, flags | 5, 1, 0) + body)
        data = self.sock.recv(65536)
        code = struct.unpack_from("=i", data, 16)[0]
        if code:
            raise OSError(-code, os.strerror(-code))

    def index(self, name: str) -> int:
        body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attr(3, name.encode() + b"\0")
        self.sock.send(struct.pack("=IHHII", 16 + len(body), 18, 1, 1, 0) + body)
        return struct.unpack_from("=i", self.sock.recv(65536), 20)[0]

    def up(self, index: int, master: int = 0) -> None:
        body = struct.pack("=BxHiII", 0, 0, index, 1, 1) + (u32(10, master) if master else b"")
        self.do(16, body, 0)

    def address(self, index: int, ip: str, length: int) -> None:
        data = attr(2, ip4(ip)) + attr(1, ip4(ip))
        self.do(20, struct.pack("=BBBBI", 2, length, 0, 0, index) + data)

    def route(self, to: str, length: int, via: str = "", index: int = 0, scope: int = 0) -> None:
        body = struct.pack("=BBBBBBBBI", 2, length, 0, 0, 254, 3, scope, 1, 0)
        body += attr(1, ip4(to)) if length else b""
        body += attr(5, ip4(via)) if via else b""
        body += u32(4, index) if index else b""
        self.do(24, body, 0xE00 - 0x200)  # CREATE | APPEND: two defaults may stand side by side

    def link(self, name: str, kind: str, data: bytes, extra: bytes = b"") -> None:
        info = attr(1, kind.encode()) + (attr(2, data) if data else b"")
        body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attr(3, name.encode() + b"\0") + extra
        self.do(16, body + attr(18, info))

    def veth(self, name: str, peer: str, there: Ns) -> None:
        other = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attr(3, peer.encode() + b"\0")
        self.link(name, "veth", attr(1, other + u32(28, there.fd)))

    def close(self) -> None:
        self.sock.close()
        os.close(self.fd)


def nodes(count: int) -> tuple[Ns, list[Ns]]:
    """The hub and its nodes, with eth0 each and routes to each other's pods."""
    hub = Ns()
    hub.link("br0", "bridge", b"")
    bridge = hub.index("br0")
    hub.address(bridge, "172.18.0.1", 16)
    hub.up(bridge)
    made = [Ns(forward=True) for _ in range(count)]
    for i, node in enumerate(made):
        hub.veth(f"node{i}", "eth0", node)
        eth0 = node.index("eth0")
        node.up(1)
        node.address(eth0, f"172.18.0.{2 + i}", 16)
        node.up(eth0)
        node.route("0.0.0.0", 0, "172.18.0.1")
        for j in range(count):
            if j != i:
                node.route(f"10.244.{j}.0", 24, f"172.18.0.{2 + j}")
        hub.up(hub.index(f"node{i}"), bridge)
    return hub, made


def wire(a: Ns, b: Ns) -> tuple[int, int]:
    a.veth("eth1", "eth1", b)
    ends = a.index("eth1"), b.index("eth1")
    a.up(ends[0])
    b.up(ends[1])
    a.index("eth1")
    b.index("eth1")
    return ends


def pod(node: Ns, number: int, serial: int, master: int, net1: str) -> Ns:
    """A pod with eth0 (point to point, routed) and net1 (macvlan)."""
    made = Ns()
    made.up(1)
    gateway, own = f"10.244.{number}.1", f"10.244.{number}.{1 + serial}"
    host = f"veth{serial}"
    made.veth("eth0", host, node)
    eth0, peer = made.index("eth0"), node.index(host)
    node.address(peer, gateway, 32)
    node.up(peer)
    node.route(own, 32, index=peer, scope=253)
    made.address(eth0, own, 32)
    made.up(eth0)
    made.route(gateway, 32, index=eth0, scope=253)
    made.route(f"10.244.{number}.0", 24, gateway)
    made.route("0.0.0.0", 0, gateway)
    node.link("net1", "macvlan", u32(1, 4), u32(28, made.fd) + u32(5, master))
    index = made.index("net1")
    made.address(index, net1, 24 if net1.startswith("10.1.1.") else 16)
    made.up(index)
    made.index("net1")
    return made


def ping(source: Ns, target: str) -> None:
    source.enter()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        sock.settimeout(2)
        packet = struct.pack("!BBHHH", 8, 0, 0xF7FD, 1, 1)
        sock.sendto(packet, (target, 0))
        while sock.recv(1024)[20] != 0:
            pass


def seed() -> float:
    started = time.perf_counter()
    hub, made = nodes(3)
    eth1 = wire(made[1], made[2])
    pods = [
        pod(made[1], 1, 1, eth1[0], "10.1.1.101"),
        pod(made[2], 2, 1, eth1[1], "10.1.1.102"),
    ]
    ping(pods[0], "10.1.1.102")
    for namespace in (*pods, *made, hub):
        namespace.close()
    return time.perf_counter() - started


def settled(work: Callable[[], T]) -> T:
    """Do a run once the kernel has taken down the namespaces of the one before."""
    time.sleep(0.1)
    return work()


def memory(pid: int | None = None) -> int:
    """Proportional set size of a process, this one by default, KiB (proc_pid_smaps(5))."""
    for line in Path(f"/proc/{pid or 'self'}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise LookupError("Pss")


def many(count: int) -> tuple[float, int]:
    started = time.perf_counter()
    hub, made = nodes(3)
    eth1 = wire(made[1], made[2])
    pods = [
        pod(
            made[1 + i % 2],
            1 + i % 2,
            1 + i // 2,
            eth1[i % 2],
            f"10.2.{1 + i // 250}.{1 + i % 250}",
        )
        for i in range(count)
    ]
    taken = time.perf_counter() - started
    used = memory()
    for namespace in (*pods, *made, hub):
        namespace.close()
    return taken, used


def main() -> None:
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | CLONE_NEWNET)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    what, *numbers = sys.argv[1:]
    if what == "seed":
        print(json.dumps({"seconds": [settled(seed) for _ in range(int(numbers[0]))]}))
    else:
        runs = [many(int(numbers[0])) for _ in range(int(numbers[1]))]
        print(json.dumps({"seconds": [r[0] for r in runs], "memory": [r[1] for r in runs]}))


if __name__ == "__main__":
    main()
