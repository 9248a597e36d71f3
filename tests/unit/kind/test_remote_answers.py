"""What programs print, read into the same objects that sockets give."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

import pytest

from pytest_multinet.model.interface import ExecResult
from pytest_multinet.probe import remote

IPUTILS = """PING 10.1.1.102 (10.1.1.102) from 10.1.1.101 net1: 56(84) bytes of data.
64 bytes from 10.1.1.102: icmp_seq=1 ttl=64 time=0.077 ms
64 bytes from 10.1.1.102: icmp_seq=2 ttl=64 time=0.049 ms

--- 10.1.1.102 ping statistics ---
2 packets transmitted, 2 received, 0% packet loss, time 53ms
"""
IPUTILS6 = """PING fd00::2(fd00::2) from fd00::1 net1: 56 data bytes
64 bytes from fd00::2: icmp_seq=1 ttl=64 time=0.077 ms

--- fd00::2 ping statistics ---
1 packets transmitted, 1 received, 0% packet loss, time 0ms
"""
BUSYBOX = """PING 10.1.1.102 (10.1.1.102): 56 data bytes
64 bytes from 10.1.1.102: seq=0 ttl=64 time=0.100 ms

--- 10.1.1.102 ping statistics ---
1 packets transmitted, 1 packets received, 0% packet loss
"""
UNREACHABLE = """PING 10.1.1.77 (10.1.1.77) 56(84) bytes of data.
From 10.1.1.101 icmp_seq=1 Destination Host Unreachable

--- 10.1.1.77 ping statistics ---
1 packets transmitted, 0 received, +1 errors, 100% packet loss, time 0ms
"""


def ping(stdout: str, stderr: str = "", code: int = 0, target: str = "10.1.1.102"):
    result = ExecResult(("ping",), code, stdout, stderr)
    return remote.ping_result("pod", ip_address(target), "net1", 2, result)


def test_replies_of_iputils_and_busybox() -> None:
    seen = ping(IPUTILS)
    assert (seen.sent, seen.received, seen.ttl) == (2, 2, 64)
    assert [(r.sequence, round(r.rtt, 6)) for r in seen.replies] == [(1, 0.000077), (2, 0.000049)]
    assert ping(IPUTILS6, target="fd00::2").received == 1
    assert (ping(BUSYBOX).received, ping(BUSYBOX).sent) == (1, 1)


def test_an_error_names_its_sender() -> None:
    seen = ping(UNREACHABLE, code=1)
    assert seen.received == 0
    assert seen.errors == ("Destination Host Unreachable from 10.1.1.101",)


def test_a_ping_that_could_not_send_tells_why() -> None:
    seen = ping("", "ping: connect: Network is unreachable\n", 2)
    assert seen.errors == ("connect: Network is unreachable",)
    seen = ping("", "", 2)
    assert seen.errors == ("ping ended with status 2",)


def test_a_macvlan_as_ip_shows_it() -> None:
    link = {
        "ifindex": 3, "link_index": 14, "ifname": "net1", "mtu": 1500, "operstate": "UP",
        "flags": ["BROADCAST", "UP", "LOWER_UP"], "link_type": "ether", "link_netnsid": 0,
        "address": "C6:94:CD:10:88:7C",
        "linkinfo": {"info_kind": "macvlan", "info_data": {"mode": "bridge"}},
        "addr_info": [{"family": "inet", "local": "10.1.1.101", "prefixlen": 24}],
    }  # fmt: skip
    seen = remote.interface_of(link, {3: "net1", 14: "wrong"})
    assert (seen.type, seen.mode, seen.state, seen.up) == ("macvlan", "bridge", "up", True)
    assert seen.mac == "c6:94:cd:10:88:7c"
    assert seen.addresses == (ip_interface("10.1.1.101/24"),)
    assert (seen.parent, seen.parent_name) == (14, None)  # it lives in another namespace


@pytest.mark.parametrize(
    ("route", "text"),
    [
        (
            {"dst": "default", "gateway": "10.1.1.1", "dev": "net1"},
            "default via 10.1.1.1 dev net1",
        ),
        (
            {
                "dst": "10.1.1.0/24",
                "dev": "net1",
                "protocol": "kernel",
                "scope": "link",
                "prefsrc": "10.1.1.101",
            },
            "10.1.1.0/24 dev net1 scope link src 10.1.1.101",
        ),
        ({"dst": "10.9.0.1", "type": "blackhole"}, "blackhole 10.9.0.1"),
    ],
)
def test_routes_as_ip_shows_them(route: dict[str, str], text: str) -> None:
    assert str(remote.route_of(route, 4)) == text


def test_the_default_route_of_ipv6() -> None:
    route = remote.route_of({"dst": "default", "dev": "eth0", "metric": 1024}, 6)
    assert (route.destination, route.metric) == (ip_network("::/0"), 1024)


def test_neighbours_that_tell_something() -> None:
    entry = {"dst": "10.1.1.2", "dev": "net1", "lladdr": "AA:00:00:00:00:01", "state": ["STALE"]}
    seen = remote.neighbour_of(entry)
    assert seen is not None
    assert (seen.mac, seen.state) == ("aa:00:00:00:00:01", "stale")
    assert remote.neighbour_of({"dst": "ff02::1", "dev": "net1", "state": ["NOARP"]}) is None


@pytest.mark.parametrize(
    ("protocol", "code", "stdout", "stderr", "outcome"),
    [
        ("tcp", 0, "", "", "connected"),
        ("tcp", 1, "", "socat[1] E connect(): Connection refused", "refused"),
        ("tcp", 1, "", "socat[1] E connect(): Connection timed out", "timeout"),
        ("tcp", 1, "", "socat[1] E connect(): No route to host", "unreachable"),
        ("tcp", 1, "", "socat[1] E connect(): Network is unreachable", "unreachable"),
        ("udp", 0, "multinet", "", "answered"),
        ("udp", 0, "", "", "timeout"),
        ("udp", 1, "", "socat[1] E read(): Connection refused", "refused"),
    ],
)
def test_outcomes_of_socat(
    protocol: str, code: int, stdout: str, stderr: str, outcome: str
) -> None:
    result = ExecResult(("socat",), code, stdout, stderr)
    assert remote.connect_outcome(protocol, result)[0] == outcome
