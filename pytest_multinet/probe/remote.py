"""A prober that asks by programs inside the stack: ``ip``, ``ping``, ``arping``, ``socat``.

For stacks whose namespace cannot be opened from here (another machine, Docker Desktop, no root).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_interface, ip_network
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from pytest_multinet.errors import ExecFailed, ProgramNotFound, WaitTimeout
from pytest_multinet.model.interface import (
    ArpResult,
    ConnectResult,
    ExecResult,
    Interface,
    IPAddress,
    Neighbour,
    PingReply,
    PingResult,
    Route,
)
from pytest_multinet.model.nested import items, mapping

if TYPE_CHECKING:
    from pytest_multinet.cluster.process import Process
    from pytest_multinet.probe.capture import Capture

_ECHO = re.compile(
    r"bytes from (?P<source>[^\s:]+(?::[^\s]+)*?):? .*?(?:icmp_)?seq=(?P<seq>\d+) "
    r"(?:ttl|hlim)=(?P<ttl>\d+)(?: time=(?P<time>[\d.]+) ms)?"
)
_SENT = re.compile(r"(\d+) packets transmitted, (\d+) (?:packets )?received")
_FROM = re.compile(r"^From (?P<source>\S+?):? (?:icmp_seq=\d+ )?(?P<what>[A-Z].*)$", re.MULTILINE)
_ARP = re.compile(r"\[((?:[0-9A-Fa-f]{1,2}:){5}[0-9A-Fa-f]{1,2})\]")
_LISTENING = re.compile(r"listening on AF=\d+ \S*:(\d+)$", re.MULTILINE)
_PROTOCOLS = {"kernel": "kernel", "boot": "boot", "static": "static", "ra": "ra"}


class Runner(Protocol):
    """Runs a program inside the stack to its end."""

    def __call__(self, argv: Sequence[str], timeout: float) -> ExecResult:
        """The result; raises ``ProgramNotFound`` where the program does not exist."""
        ...


class RemoteProber:
    """Questions to one stack, answered by programs that run inside it.

    Args:
        name: whose stack it is, for results and messages.
        run: runs a program inside the stack.
        spawn: starts one there that stays, for listeners.
        look: runs a program that only looks at the network (``ip``); by default ``run``.  It may
            run beside the stack, where the stack's own image has no such program.
    """

    def __init__(
        self,
        name: str,
        run: Runner,
        spawn: Callable[[Sequence[str], str], Process],
        look: Runner | None = None,
    ) -> None:
        self.name = name
        self._run = run
        self._spawn = spawn
        self._look = look or run

    # --- what is there ----------------------------------------------------------------------

    def opened(self, interface: str | None) -> None:
        """The namespace cannot be opened from here."""

    def interfaces(self) -> tuple[Interface, ...]:
        """Every interface, in index order."""
        found = self._json(["ip", "-j", "-d", "address", "show"])
        names = {link["ifindex"]: link["ifname"] for link in found}
        links = (interface_of(link, names) for link in found)
        return tuple(sorted(links, key=lambda i: i.index))

    def routes(self) -> tuple[Route, ...]:
        """The main table's routes: IPv4, then IPv6, kernel order."""
        found: list[Route] = []
        for flag, version in (("-4", 4), ("-6", 6)):
            shown = self._json(["ip", flag, "-j", "-d", "route", "show", "table", "main"])
            found += [route_of(r, version) for r in shown if r.get("type") != "multicast"]
        return tuple(found)

    def neighbours(self) -> tuple[Neighbour, ...]:
        """ARP and ND entries."""
        shown = self._json(["ip", "-j", "neighbour", "show"])
        return tuple(n for entry in shown if (n := neighbour_of(entry)) is not None)

    def neighbour(self, address: IPAddress, interface: str) -> Neighbour | None:
        """The ARP or ND entry of ``address`` on ``interface``."""
        wanted = (n for n in self.neighbours() if n.interface == interface)
        return next((n for n in wanted if n.address == address), None)

    def counters(self) -> dict[str, dict[str, int]]:
        """Packets, bytes, errors and drops of every interface."""
        out: dict[str, dict[str, int]] = {}
        for link in self._json(["ip", "-j", "-s", "link", "show"]):
            held: dict[str, dict[str, int]] = link.get("stats64") or {}
            out[link["ifname"]] = {
                f"{way}_{what}": held.get(way, {}).get(what, 0)
                for what in ("packets", "bytes", "errors", "dropped")
                for way in ("rx", "tx")
            }
        return out

    def sysctl(self, path: str) -> str | None:
        """The value of ``/proc/sys/net/<path>``, ``None`` where it cannot be read."""
        result = self._look(["cat", f"/proc/sys/net/{path}"], 10.0)
        return None if result.returncode else result.stdout.strip()

    def _json(self, argv: list[str]) -> list[dict[str, Any]]:
        result = self._look(argv, 10.0)
        if result.returncode:
            raise ExecFailed(f"{' '.join(argv)} in {self.name}: {result.stderr.strip()}")
        return [entry for entry in json.loads(result.stdout or "[]") if entry]

    # --- probes -----------------------------------------------------------------------------

    def ping(
        self,
        target: IPAddress,
        *,
        interface: str | None,
        count: int,
        interval: float,
        timeout: float,
        size: int,
        dont_fragment: bool,
        ttl: int | None,
    ) -> PingResult:
        """Send echo requests with ``ping``."""
        argv = ["ping", f"-{target.version}", "-n", "-c", str(count), "-s", str(size)]
        argv += ["-i", f"{max(interval, 0.002):g}", "-W", f"{timeout:g}"]
        argv += ["-M", "do"] if dont_fragment else []
        argv += ["-t", str(ttl)] if ttl is not None else []
        argv += ["-I", interface] if interface else []
        result = self._run([*argv, str(target)], count * max(interval, timeout) + timeout + 10)
        return ping_result(self.name, target, interface, count, result)

    def arping(
        self, target: IPAddress, *, interface: str, count: int, timeout: float
    ) -> ArpResult:
        """Ask with ``arping`` (IPv6: by a ping that makes the kernel solicit)."""
        if target.version == 6:
            return self._solicit(target, interface, count, timeout)
        macs: list[str] = []
        errors: list[str] = []
        sent = 0
        for _ in range(count):
            sent += 1
            whole = max(1, round(timeout + 0.49))  # arping counts in seconds
            argv = [
                "arping",
                "-f",
                "-b",
                "-c",
                "1",
                "-w",
                str(whole),
                "-I",
                interface,
                str(target),
            ]
            result = self._run(argv, whole + 10.0)
            macs += [_mac(m) for m in _ARP.findall(result.stdout)]
            if result.returncode and not macs and result.stderr.strip():
                errors.append(result.stderr.strip())
        unique = tuple(dict.fromkeys(macs))
        return ArpResult(
            self.name,
            target,
            interface,
            unique[0] if unique else None,
            unique,
            sent,
            errors=tuple(dict.fromkeys(errors)),
        )

    def _solicit(self, target: IPAddress, interface: str, count: int, timeout: float) -> ArpResult:
        forget = ["ip", "-6", "neighbour", "del", str(target), "dev", interface]
        self._look(forget, 5.0)
        self._run(
            [
                "ping",
                "-6",
                "-n",
                "-c",
                str(count),
                "-i",
                "0.2",
                "-W",
                f"{timeout:g}",
                "-I",
                interface,
                str(target),
            ],
            count * (timeout + 0.2) + 10,
        )
        macs = tuple(
            n.mac
            for n in self.neighbours()
            if n.address == target and n.interface == interface and n.mac and n.state != "failed"
        )
        return ArpResult(self.name, target, interface, macs[0] if macs else None, macs, count)

    def connect(
        self,
        target: IPAddress,
        port: int,
        *,
        protocol: str,
        interface: str | None,
        timeout: float,
    ) -> ConnectResult:
        """Open a TCP connection, or send one UDP datagram and wait for an answer, by ``socat``."""
        bound = f",so-bindtodevice={interface}" if interface else ""
        host = f"[{target}]" if target.version == 6 else str(target)
        began = time.monotonic()
        if protocol == "tcp":
            address = f"TCP{target.version}:{host}:{port},connect-timeout={timeout:g}{bound}"
            argv = ["socat", "-u", "OPEN:/dev/null", address]
        else:
            address = f"UDP{target.version}:{host}:{port}{bound}"
            script = 'printf multinet | socat -t "$1" - "$2"'
            argv = ["sh", "-c", script, "sh", f"{timeout:g}", address]
        try:
            result = self._run(argv, timeout + 10)
        except WaitTimeout as error:
            result = ExecResult(tuple(argv), 1, "", f"Connection timed out ({error})")
        outcome, why = connect_outcome(protocol, result)
        return ConnectResult(
            self.name,
            target,
            port,
            protocol,
            outcome,
            why,
            interface,
            time.monotonic() - began,
        )

    def capture(self, interface: str, *, filter: str | None, limit: int) -> Capture:
        """A capture by tcpdump inside the stack."""
        from pytest_multinet.probe.remote_capture import RemoteCapture

        return RemoteCapture(
            self.name, self._run, self._spawn, interface, filter=filter, limit=limit
        )

    def listen(self, port: int, *, protocol: str, address: str | None) -> RemoteListener:
        """Listen with ``socat``; whatever arrives is sent back."""
        version = ip_address(address).version if address else 4
        bound = f",bind={f'[{address}]' if version == 6 else address}" if address else ""
        if protocol == "tcp":
            place = f"TCP{version}-LISTEN:{port},reuseaddr,fork{bound}"
        else:
            place = f"UDP{version}-RECVFROM:{port},reuseaddr,fork{bound}"
            if port == 0:
                raise ExecFailed("a UDP listener by socat needs a port; name one")
        ready = r"listening on" if protocol == "tcp" else r"receiving on|successfully|starting"
        process = self._spawn(["socat", "-d", "-d", "-d", place, "PIPE"], ready)
        if not port:
            found = _LISTENING.search(process.output)
            port = int(found.group(1)) if found else 0
        return RemoteListener(process, port)


class RemoteListener:
    """A listener that a program in the stack holds."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self._port = port

    @property
    def port(self) -> int:
        """The port."""
        return self._port

    def close(self) -> None:
        """Stop listening."""
        self._process.terminate()

    def __enter__(self) -> RemoteListener:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


# --- reading what the programs print --------------------------------------------------------


def interface_of(link: Mapping[str, Any], names: Mapping[int, str]) -> Interface:
    """One entry of ``ip -j -d address show``."""
    info = mapping(link, "linkinfo")
    kind = info.get("info_kind") or (
        "loopback" if link.get("link_type") == "loopback" else "device"
    )
    parent = link.get("link_index")
    local = parent is not None and "link_netnsid" not in link
    if parent is None and link.get("link") is not None:
        by_name = {name: index for index, name in names.items()}
        parent, local = by_name.get(link["link"]), True
    mode = mapping(info, "info_data").get("mode")
    # NO-CARRIER is iproute2's word for up without LOWER_UP, and no flag of the kernel's.
    flags = tuple(str(f) for f in link.get("flags") or () if f != "NO-CARRIER")
    addresses = [
        ip_interface(f"{a['local']}/{a['prefixlen']}")
        for a in items(link, "addr_info")
        if a.get("local")
    ]
    return Interface(
        name=link["ifname"],
        index=link["ifindex"],
        type=kind,
        mac=(link.get("address") or "").lower() if link.get("link_type") == "ether" else "",
        mtu=link["mtu"],
        state=str(link.get("operstate") or "unknown").lower(),
        up="UP" in flags,
        addresses=tuple(addresses),
        parent=parent,
        parent_name=names.get(parent) if parent is not None and local else None,
        mode=mode if kind in ("macvlan", "macvtap", "ipvlan", "ipvtap") else None,
        master=link.get("master"),
        flags=flags,
    )


def route_of(route: Mapping[str, Any], version: int) -> Route:
    """One entry of ``ip -j route show``."""
    destination = route["dst"]
    if destination == "default":
        destination = "0.0.0.0/0" if version == 4 else "::/0"
    gateway = route.get("gateway") or mapping(route, "via").get("host")
    source = route.get("prefsrc")
    return Route(
        destination=ip_network(destination),
        gateway=ip_address(gateway) if gateway else None,
        interface=route.get("dev"),
        source=ip_address(source) if source else None,
        metric=int(route.get("metric") or 0),
        scope=str(route.get("scope") or "global"),
        protocol=str(route.get("protocol") or "boot"),
        type=str(route.get("type") or "unicast"),
    )


def neighbour_of(entry: Mapping[str, Any]) -> Neighbour | None:
    """One entry of ``ip -j neighbour show``; ``None`` for ``noarp`` and multicast."""
    states = [str(s).lower() for s in entry.get("state") or ()] or ["none"]
    address = ip_address(entry["dst"])
    if "noarp" in states or address.is_multicast:
        return None
    mac = entry.get("lladdr")
    return Neighbour(address, entry["dev"], mac.lower() if mac else None, states[0])


def ping_result(
    source: str, target: IPAddress, interface: str | None, count: int, result: ExecResult
) -> PingResult:
    """What ``ping`` (iputils or busybox) printed."""
    replies = tuple(
        PingReply(int(m["seq"]), int(m["ttl"]), float(m["time"] or 0) / 1e3)
        for m in _ECHO.finditer(result.stdout)
        if "DUP" not in m.string[m.end() : m.end() + 8]
    )
    counted = _SENT.search(result.stdout)
    sent = int(counted.group(1)) if counted else (0 if not result.stdout else count)
    errors = [f"{m['what'].strip()} from {m['source']}" for m in _FROM.finditer(result.stdout)]
    errors += _complaints(result.stderr, "ping")
    if counted is None and not errors:
        errors.append(f"ping ended with status {result.returncode}")
    return PingResult(
        source=source,
        target=target,
        interface=interface,
        sent=sent or count,
        received=len(replies),
        replies=replies,
        errors=tuple(dict.fromkeys(errors)),
        total_sent=sent or count,
        total_received=len(replies),
    )


def connect_outcome(protocol: str, result: ExecResult) -> tuple[str, str | None]:
    """(outcome, the kernel's words) of a ``socat`` that connected."""
    text = result.stderr
    for words, outcome in (
        ("Connection refused", "refused"),
        ("Connection timed out", "timeout"),
        ("No route to host", "unreachable"),
        ("Network is unreachable", "unreachable"),
    ):
        if words in text:
            return outcome, words
    if protocol == "udp":
        answered = "multinet" in result.stdout
        return ("answered", None) if answered else ("timeout", "no answer")
    if result.returncode == 0:
        return "connected", None
    return "timeout", (_complaints(text, "socat") or [f"status {result.returncode}"])[-1]


def _complaints(text: str, program: str) -> list[str]:
    lines: Iterable[str] = (line.strip() for line in text.splitlines())
    return [
        line.removeprefix(f"{program}:").strip()
        for line in lines
        if line and not line.startswith(("PING", "WARNING", f"{program}: Warning"))
    ]


def _mac(text: str) -> str:
    return ":".join(part.zfill(2) for part in text.lower().split(":"))


def first_that_exists(*runners: Runner) -> Runner:
    """A runner that tries the next one where a program does not exist."""

    def run(argv: Sequence[str], timeout: float) -> ExecResult:
        for runner in runners[:-1]:
            try:
                return runner(argv, timeout)
            except ProgramNotFound:
                continue
        return runners[-1](argv, timeout)

    return run
