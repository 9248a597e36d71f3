"""A node and a pod in a holder, on which CNI plugins can be tried, native or real."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pytest_multinet.cni import binary
from pytest_multinet.cni.native import links
from pytest_multinet.cni.runtime import Runtime, Sandbox
from pytest_multinet.errors import NetlinkError
from pytest_multinet.net import decode, requests
from pytest_multinet.net.decode import LinkInfo
from pytest_multinet.net.holder import HeldNamespace, Holder
from pytest_multinet.net.rtnl import RTM_GETROUTE, Rtnl, attributes

CNI_PATH = os.environ.get("MULTINET_CNI_PLUGINS") or "/opt/cni/bin:/usr/lib/cni"
SANDBOX = "/var/run/netns/cni-6b0ba5d9"
MASTER_MAC, SECOND_MAC = "02:aa:00:00:00:01", "02:aa:00:00:00:02"
_WITHOUT_DAD = [("ipv6/conf/default/accept_dad", "0"), ("ipv6/conf/all/accept_dad", "0")]
_INTERFACE_SYSCTLS = (
    "ipv4/conf/{}/arp_notify",
    "ipv4/conf/{}/arp_filter",
    "ipv4/conf/{}/rp_filter",
    "ipv6/conf/{}/ndisc_notify",
    "ipv6/conf/{}/disable_ipv6",
    "ipv6/conf/{}/accept_ra",
    "ipv6/conf/{}/accept_dad",
)
_ALL_PROTOCOLS = 0x0003
_NODE_SYSCTLS = ("ipv4/ip_forward", "ipv6/conf/all/forwarding")
_CHOSEN = re.compile(r"02:(00|aa|bb):00:00:00:..").fullmatch
_RANDOM_NAME = re.compile(r"\bveth[0-9a-f]{8}\b")


def version_of(plugin: str) -> str | None:
    """The version that a plugin's binary tells, ``None`` where there is no binary."""
    path = binary.find_plugin(CNI_PATH, plugin)
    if path is None:
        return None
    told = subprocess.run([path], capture_output=True, text=True, check=False).stderr
    found = re.search(r"v([0-9.]+)", told)
    return found[1] if found else "unknown"


class Site:
    """A node with ``eth1`` (default route, 192.168.50.1/24) and ``eth2``, and one pod.

    It is a host for the runtime.
    """

    def __init__(self, holder: Holder, *, real: bool = False, cni_path: str = CNI_PATH) -> None:
        self.holder = holder
        self.state: dict[str, Any] = {}
        self.cluster_state: dict[str, Any] = {}
        self.cni_path = cni_path
        self.name = "worker"
        self._viewed = False
        names = ["worker", "switch", "pod"]
        self.namespace, self.switch, self.pod = holder.namespaces(names, _WITHOUT_DAD)
        self.sandbox = Sandbox("c0ffee", self.pod, SANDBOX)
        self.runtime = Runtime(self, real=real)
        for name, mac in (("eth1", MASTER_MAC), ("eth2", SECOND_MAC)):
            self.namespace.rtnl.execute(
                requests.veth(name, name, peer_ns_fd=self.switch.fd, mac=mac)
            )
            both = [(n, self.index(name, n)) for n in (self.namespace, self.switch)]
            for namespace, index in both:
                namespace.rtnl.execute(requests.set_link(index, up=True))
            for namespace, index in both:  # reading a link settles its carrier
                namespace.rtnl.link(index)
        index = self.index("eth1")
        self.namespace.rtnl.execute(
            requests.address(index, ip_address("192.168.50.1"), 24),
            requests.route(
                (ip_address("0.0.0.0"), 0), index=index, gateway=ip_address("192.168.50.254")
            ),
        )

    def another_pod(self, container_id: str = "decaf") -> Sandbox:
        """A second pod on the same node."""
        (namespace,) = self.holder.namespaces([container_id], _WITHOUT_DAD)
        return Sandbox(container_id, namespace, f"/var/run/netns/{container_id}")

    def index(self, name: str, namespace: HeldNamespace | None = None) -> int:
        """Index of a link, on the node unless told otherwise."""
        index = (namespace or self.namespace).rtnl.index(name)
        assert index is not None, f"no link {name}"
        return index

    def exec_plugin(
        self, plugin_type: str, env: Mapping[str, str], stdin: bytes, sandbox: HeldNamespace
    ) -> tuple[int, bytes, bytes] | None:
        path = binary.find_plugin(self.cni_path, plugin_type)
        if path is None:
            return None
        if not self._viewed:
            self.holder.view(self.namespace, self.name, "127.0.0.1 localhost\n")
            self._viewed = True
        return binary.run_plugin(self.namespace, sandbox, str(Path(path)), env, stdin)

    def close(self) -> None:
        """Give everything back."""
        for namespace in (self.pod, self.namespace, self.switch):
            namespace.close()

    @contextlib.contextmanager
    def announcements(self) -> Iterator[list[str]]:
        """Who announces which address by ARP on the node's eth1 and eth2 during the block.

        The kernel shows a packet socket what leaves a link while it is being sent, so that no
        announcement is still to come after the block.
        """
        heard: list[str] = []
        frames: list[bytes] = []
        with contextlib.ExitStack() as stack:
            sockets: list[socket.socket] = []
            for name in ("eth1", "eth2"):
                sock = self.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW)
                stack.enter_context(sock)
                sock.bind((name, _ALL_PROTOCOLS))
                sock.setblocking(False)
                sockets.append(sock)
            yield heard
            for sock in sockets:
                with contextlib.suppress(BlockingIOError, OSError):  # it may have moved away
                    while True:
                        frames.append(sock.recv(2048))
        macs = self.mac_names()
        for frame in frames:
            if frame[12:14] == b"\x08\x06":
                sender = macs.get(frame[22:28].hex(":"), "?")
                addresses = [str(ip_address(frame[i : i + 4])) for i in (28, 38)]
                heard.append(f"{frame[21]} {sender} {' '.join(addresses)}")

    def picture(self) -> dict[str, Any]:
        """Everything that plugins change, in words that two sites share."""
        return {
            where: _picture(namespace, _NODE_SYSCTLS if where == "node" else ())
            for where, namespace in (("node", self.namespace), ("pod", self.pod))
        }

    def mac_names(self) -> dict[str, str]:
        """A name for every MAC address that a link here has: they are mostly random."""
        names: dict[str, str] = {}
        for where, namespace in (("node", self.namespace), ("pod", self.pod)):
            for link in decode.links(namespace.rtnl):
                if link.mac:
                    names.setdefault(link.mac, f"<mac of {where} {neutral(link.name)}>")
        return names


def neutral(text: str) -> str:
    """A text without what is random in it."""
    text = _RANDOM_NAME.sub("veth*", text)
    text = re.sub(r"Interface:(0x[0-9a-f]+|[0-9]+)", "Interface:#", text)
    text = text.replace("{0.0.0.0 00000000000000000000ffff00000000}", "{0.0.0.0 00000000}")
    head, several, tail = text.partition("failed to allocate all requested IPs: ")
    # Which of them are left over, and in which order they are told, is random there.
    return head + several + " ".join("IP" for _ in tail.split(" ")) if several else text


def _picture(namespace: HeldNamespace, sysctls: tuple[str, ...]) -> dict[str, Any]:
    rtnl = namespace.rtnl
    for link in 2 * decode.links(rtnl):  # reading a link settles its carrier, then its bridge's
        rtnl.link(link.index)
    found = decode.links(rtnl)
    addresses = decode.addresses(rtnl)
    names = {link.index: neutral(link.name) for link in found}
    told: dict[str, Any] = {}
    for link in found:
        told.setdefault(neutral(link.name), []).append(
            {
                **_link(rtnl, link, names),
                "addresses": [
                    str(a) for a in addresses.get(link.index, []) if not a.is_link_local
                ],
                "sysctls": _sysctls(namespace, link.name),
            }
        )
    routes = [
        str(route)
        for route in decode.routes(rtnl, names)
        if not route.destination.is_link_local and not route.destination.is_multicast
    ]
    settings = dict(zip(sysctls, _read(namespace, sysctls), strict=True))
    return {
        "links": told,
        "routes": routes,
        "sysctls": settings,
        "by source": _by_source(rtnl),
        "traffic control": _traffic_control(rtnl, names),
    }


def _by_source(rtnl: Rtnl) -> list[str]:
    """Rules with a source, and the routes of the tables from 100 on."""
    told: list[str] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        empty = bytes([family]) + bytes(11)
        for what, request in (("rule", 34), ("route", RTM_GETROUTE)):
            for body in rtnl.dump(request, empty):
                found = {k: bytes(data).hex() for k, data in attributes(body, 12)}
                if 100 <= body[4] < 200:
                    keys = (1, 2, 5, 6, 7) if what == "route" else (2,)
                    shown = " ".join(found.get(k, "-") for k in keys)
                    told.append(f"{what} {body[4]} /{body[1]} /{body[2]} {body[6]} {shown}")
    return told


def _link(rtnl: Rtnl, link: LinkInfo, names: Mapping[int, str]) -> dict[str, Any]:
    more = links.decode(rtnl.link(link.index))
    return {
        "type": link.type,
        "mode": link.mode,
        "mtu": link.mtu,
        "flags": link.flag_names,
        "state": link.state,
        "mac": link.mac if _CHOSEN(link.mac) else "random",
        "master": names.get(link.master or 0),
        "queue length": more.queue_length,
        "promiscuity": more.promiscuity,
        **_tap(rtnl, link),
    }


def _tap(rtnl: Rtnl, link: LinkInfo) -> dict[str, str]:
    """Who may open a tap device, and with which flags."""
    if link.type != "tun":
        return {}
    (info,) = (data for kind, data in attributes(rtnl.link(link.index), 16) if kind == 18)
    (options,) = (data for kind, data in attributes(info, 0) if kind == 2)
    return {"tap": " ".join(f"{k}={bytes(v).hex()}" for k, v in attributes(options, 0) if k < 8)}


def _traffic_control(rtnl: Rtnl, names: Mapping[int, str]) -> list[str]:
    """Queueing disciplines other than the usual, their classes and filters."""
    told: list[str] = []
    empty = bytes(20)
    for body in rtnl.dump(38, empty):  # RTM_GETQDISC
        kind, shown = _tc(body, names)
        if kind not in ("noqueue", "pfifo_fast", "mq", "fq_codel"):
            told.append(f"qdisc {shown}")
            about = bytes(4) + body[4:8] + bytes(4) + body[8:12] + bytes(4)
            for what, request in (("class", 42), ("filter", 46)):
                told += [f"{what} {_tc(b, names)[1]}" for b in rtnl.dump(request, about)]
    return sorted(told)


def _tc(body: bytes, names: Mapping[int, str]) -> tuple[str, str]:
    """Kind, and all that is told of a qdisc, class or filter, without what is counted."""
    index, handle, parent, info = struct.unpack_from("=iIII", body, 4)
    found = {kind: bytes(data) for kind, data in attributes(body, 20)}
    kind = found.get(1, b"").rstrip(b"\0").decode()
    shown = [kind, names.get(index, str(index)), f"{handle:x} {parent:x}"]
    if kind == "u32":
        shown.append(f"{info:x}")  # priority and protocol; of other kinds, how many hold it
    for option, data in attributes(found.get(2, b""), 0):
        if option == 7 and kind == "u32":
            shown.append(f"7={_actions(data, names)}")
        elif option == 2 and kind == "htb":  # TCA_HTB_INIT; at its end, packets counted
            shown.append(f"2={bytes(data[:16]).hex()}")
        elif not (option == 9 and kind == "u32"):  # TCA_U32_PCNT
            shown.append(f"{option}={bytes(data).hex()}")
    return kind, " ".join(shown)


def _actions(data: memoryview, names: Mapping[int, str]) -> list[tuple[Any, ...]]:
    """The redirections of a filter: action, what is done, and to which link."""
    told: list[tuple[Any, ...]] = []
    for order, action in attributes(data, 0):
        found = {kind: bytes(value) for kind, value in attributes(action, 0)}
        options = {kind: bytes(value) for kind, value in attributes(found.get(2, b""), 0)}
        if 2 in options:  # TCA_MIRRED_PARMS
            _, _, then, _, _, what, to = struct.unpack_from("=IIiiiiI", options[2])
            told.append((order, then, what, names.get(to, str(to))))
    return told


def _sysctls(namespace: HeldNamespace, name: str) -> dict[str, str]:
    paths = [template.format(name) for template in _INTERFACE_SYSCTLS]
    return dict(zip(_INTERFACE_SYSCTLS, _read(namespace, paths), strict=True))


def _read(namespace: HeldNamespace, paths: Any) -> list[str]:
    try:
        return namespace.holder.sysctls([(namespace, path, None) for path in paths])
    except NetlinkError as error:
        return [str(error)] * len(paths)
