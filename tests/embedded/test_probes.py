"""Probes through sockets inside the namespaces: ICMP, ARP and ND, TCP, UDP, state."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from pytest_multinet.errors import UsageError

from .manifests import network, on, pod


@pytest.fixture
def pair(cluster):
    cluster.apply(network("lan"))
    return cluster.apply(
        [
            pod("left", on("lan", "10.1.1.1/24", "fd00:1::1/64")),
            pod("right", on("lan", "10.1.1.2/24", "fd00:1::2/64"), node="worker2"),
        ]
    )


@pytest.mark.parametrize("version", [4, 6])
def test_ping_counts_what_was_sent_and_received(pair, version):
    left, right = pair
    seen = left.ping(right, interface="net1", count=5, interval=0, version=version)
    assert (seen.sent, seen.received, seen.loss) == (5, 5, 0.0)
    assert [r.sequence for r in seen.replies] == [1, 2, 3, 4, 5]
    assert all(0 < r.rtt < 1 for r in seen.replies)


@pytest.mark.parametrize("target", ["10.1.1.77", "fd00:1::77"])
def test_ping_to_nobody_tells_the_kernels_error(pair, target):
    seen = pair[0].ping(target, interface="net1")
    assert not seen
    assert "nreachable" in seen.errors[0]


def test_ping_with_ttl_1_is_answered_by_the_first_hop(pair):
    left, right = pair
    seen = left.ping(right, interface="eth0", ttl=1)
    assert seen.errors == ("Time to live exceeded from 10.244.1.1",)


@pytest.mark.parametrize("version", [4, 6])
def test_packet_over_the_mtu_fails_where_it_may_not_be_fragmented(pair, version):
    left, right = pair
    header = 28 if version == 4 else 48
    fits = left.ping(
        right, interface="net1", size=1500 - header, dont_fragment=True, version=version
    )
    assert fits
    too_long = left.ping(
        right, interface="net1", size=1501 - header, dont_fragment=True, version=version
    )
    assert not too_long
    assert "too long" in too_long.errors[0]
    assert left.ping(right, interface="net1", size=3000, version=version)


@pytest.mark.parametrize("version", [4, 6])
def test_arping_tells_the_mac_of_who_answers(pair, version):
    left, right = pair
    seen = left.arping(right, interface="net1", version=version)
    assert seen.mac == right.interface("net1").mac
    assert seen.macs == (seen.mac,)


def test_arping_nobody_is_false_and_says_why(pair):
    seen = pair[0].arping("10.1.1.77", interface="net1")
    assert not seen
    assert "10.1.1.77 is failed" in seen.errors[0]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("version", [4, 6])
def test_connection_to_a_listener_succeeds_and_to_none_is_refused(pair, protocol, version):
    left, right = pair
    with right.listen(8080, protocol=protocol) as listener:
        assert listener.port == 8080
        seen = left.connect(right, 8080, protocol=protocol, interface="net1", version=version)
        assert seen.outcome == ("connected" if protocol == "tcp" else "answered")
    after = left.connect(right, 8080, protocol=protocol, interface="net1", version=version)
    assert after.outcome == "refused"


def test_connection_to_nobody_is_unreachable(pair):
    seen = pair[0].connect("10.1.1.77", 80, interface="net1")
    assert seen.outcome in ("unreachable", "timeout")
    assert not seen


def test_listener_on_any_port_tells_which(pair):
    with pair[0].listen() as listener:
        assert 0 < listener.port < 65536


def test_port_in_use_is_a_usage_error(pair):
    with pair[0].listen(9000), pytest.raises(UsageError, match="cannot listen on tcp port 9000"):
        pair[0].listen(9000)


def test_listener_takes_many_connections(pair):
    left, right = pair
    with right.listen(8081) as listener:
        assert all(left.connect(right, listener.port, interface="net1") for _ in range(300))


def test_neighbours_show_who_was_asked(pair):
    left, right = pair
    left.ping(right, interface="net1", version=4)
    entry = next(n for n in left.neighbours if n.address == ip_address("10.1.1.2"))
    assert (entry.interface, entry.mac) == ("net1", right.interface("net1").mac)


def test_routes_of_a_pod_are_those_that_ip_shows(pair):
    left, _ = pair
    shown = left.exec(["ip", "-4", "route"]).stdout.splitlines()
    ours = [str(r) for r in left.routes if r.destination.version == 4]
    assert [line.replace(" proto kernel", "").strip() for line in shown] == ours


def test_interfaces_are_those_that_ip_shows(pair):
    left, _ = pair
    shown = left.exec(["ip", "-o", "link"]).stdout
    for interface in left.interfaces:
        assert f" {interface.name}@" in shown or f" {interface.name}:" in shown
        assert f"mtu {interface.mtu} " in shown
    assert left.interface("net1").parent is not None
    assert left.interface("net1").parent_name is None


def test_many_probes_keep_the_machines_neighbour_table_free(cluster):
    """Pings to 600 addresses leave at most the budget alive, not 600 entries."""
    cluster.apply(network("lan"))
    (made,) = cluster.apply(pod("p", on("lan", "10.1.1.1/16")))
    hosts = [ip_address(int(ip_address("10.1.2.0")) + i) for i in range(600)]
    for host in hosts:
        made.ping(host, interface="net1", timeout=0)
    alive = [n for stack in (*cluster.nodes, made) for n in stack.neighbours]
    assert len(alive) <= cluster.config.neighbours


def test_a_node_is_probed_as_a_pod_is(cluster):
    a, b = cluster.node("worker"), cluster.node("worker2")
    assert a.ping(b).ttl == 64
    assert a.arping(b.address, interface="eth0").mac == b.interface("eth0").mac
