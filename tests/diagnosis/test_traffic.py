"""Captures, flows, path MTU, announcements and duplicate addresses."""

from __future__ import annotations

import struct
import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest

from pytest_multinet import (
    ExecFailed,
    NeedsCapability,
    UsageError,
    assert_announced,
    assert_arp,
    assert_flow,
    assert_mtu,
    assert_no_duplicate_address,
    assert_ping,
    path_mtu,
    throughput,
)
from pytest_multinet.cluster.base import Cluster
from pytest_multinet.cluster.stack import Pod
from pytest_multinet.model.flow import Packet, five_tuple
from pytest_multinet.probe import bpf

from .conftest import SHORT, at, network, pod, text_of, two_pods


@pytest.fixture
def pair(cluster: Cluster) -> tuple[Pod, Pod]:
    cluster.apply(network("mv"))
    return two_pods(cluster)


def test_a_capture_sees_both_directions_of_a_ping(pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    with b.capture("net1", filter="icmp") as capture:
        a.ping(b, interface="net1", count=3, interval=0)

    there, back = capture.flows
    assert str(there.key) == "icmp 10.1.1.101 -> 10.1.1.102"
    assert str(back.key) == "icmp 10.1.1.102 -> 10.1.1.101"
    assert (there.packets, there.bytes) == (3, 3 * (14 + 20 + 8 + 56))
    assert there.first <= back.first <= back.last
    assert capture.packets[0].source_mac == a.interface("net1").mac
    assert (capture.dropped, capture.discarded) == (0, 0)


def test_a_node_sees_what_passes_between_its_pods_and_the_link(
    cluster: Cluster, pair: tuple[Pod, Pod]
) -> None:
    a, b = pair
    with cluster.node("worker").capture("eth1") as capture:
        assert_ping(a, b, interface="net1")
    assert assert_flow(capture, source=a, target=b, protocol="icmp").packets == 1


def test_a_filter_leaves_the_rest_out(pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    with b.listen(8080), b.capture("net1", filter="tcp port 8080") as capture:
        a.ping(b, interface="net1")
        a.connect(b, 8080, interface="net1")
    assert {f.key.protocol for f in capture.flows} == {"tcp"}
    flow = assert_flow(capture, source="10.1.1.101", target=b, protocol="tcp", port=8080)
    assert flow.key.source_port > 1024


def test_a_flow_that_did_not_pass_is_told_with_those_that_did(pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    with b.capture("net1", filter="icmp") as capture:
        a.ping(b, interface="net1")
    text = text_of(lambda: assert_flow(capture, source=a, protocol="udp", within=0))
    assert "expected: 1 packets or more, protocol udp, from a" in text
    assert "icmp 10.1.1.101 -> 10.1.1.102: 1 packets" in text
    few = text_of(lambda: assert_flow(capture, source=a, protocol="icmp", packets=5, within=0))
    assert "expected: 5 packets or more" in few


def test_a_bad_filter_or_interface_is_told(pair: tuple[Pod, Pod]) -> None:
    a, _ = pair
    with pytest.raises(UsageError, match="filter is 'icmp and or'"):
        a.capture("net1", filter="icmp and or")
    with pytest.raises(UsageError, match="a has no interface 'net9' to capture at"):
        a.capture("net9").start()


def test_libpcap_and_tcpdump_compile_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    expression = "tcp port 80 or vlan 7 or arp"
    by_library = bpf.compile_filter(expression)
    monkeypatch.setattr(bpf, "_libpcap", lambda: None)
    assert bpf.compile_filter(expression) == by_library


def test_without_a_compiler_a_filter_is_a_capability_that_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bpf, "_libpcap", lambda: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NeedsCapability, match=r"apt-get install libpcap0\.8"):
        bpf.compile_filter("icmp")


def test_tcpdump_reads_what_is_saved(pair: tuple[Pod, Pod], tmp_path: Path) -> None:
    a, b = pair
    with b.capture("net1", filter="icmp or arp") as capture:
        a.ping(b, interface="net1", count=2, interval=0)
    path = capture.save(tmp_path / "net1.pcapng")

    read = subprocess.run(
        ["tcpdump", "-nr", str(path)], capture_output=True, text=True, check=True
    )
    lines = read.stdout.splitlines()
    assert len(lines) == len(capture.packets)
    assert sum("10.1.1.101 > 10.1.1.102: ICMP echo request" in line for line in lines) == 2
    assert sum("10.1.1.102 > 10.1.1.101: ICMP echo reply" in line for line in lines) == 2


def test_memory_is_bounded_and_the_loss_is_told(pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    with b.capture("net1", filter="icmp", limit=5000) as capture:
        a.ping(b, interface="net1", count=20, interval=0, size=400)
    assert sum(len(p.data) for p in capture.packets) <= 5000
    assert capture.discarded == 40 - len(capture.packets)
    assert sum(f.packets for f in capture.flows) == 40
    assert f"{capture.discarded} discarded" in repr(capture)


def test_packets_that_the_kernel_drops_are_counted(pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    capture = b.capture("net1", filter="icmp")
    capture.start()
    with capture._lock:  # the reader stands still, and the socket's buffer fills
        a.exec(["ping", "-q", "-f", "-c", "3000", "-s", "4000", "-W", "1", "10.1.1.102"])
    capture.stop()
    seen = sum(f.packets for f in capture.flows)
    assert capture.dropped > 0 or seen >= 6000
    assert ("dropped" in repr(capture)) == (capture.dropped > 0)


def test_an_address_that_is_set_is_announced(cluster: Cluster) -> None:
    cluster.apply(network("mv"))
    with cluster.node("worker2").capture("eth1") as capture:
        (a,) = cluster.apply(pod(cluster, "a", "worker", at("mv", "10.1.1.101/24")))
    mac = a.interface("net1").mac
    assert assert_announced(capture, "10.1.1.101", mac=mac).address == ip_address("10.1.1.101")
    text = text_of(lambda: assert_announced(capture, "10.1.1.9", within=0))
    assert f"10.1.1.101 is at {mac}" in text


def test_the_path_mtu_is_what_passes_unfragmented(cluster: Cluster, pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    assert assert_mtu(a, b, 1500, interface="net1") == 1500
    text = text_of(lambda: assert_mtu(a, b, 9000, interface="net1", within=SHORT))
    assert "path MTU 1500" in text
    assert "broken:   mtu" in text


def test_a_smaller_mtu_at_the_far_end_is_found(cluster: Cluster, pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    cluster.node("worker2").exec(["ip", "link", "set", "eth1", "mtu", "1300"], check=True)
    assert path_mtu(a, b, interface="net1", timeout=0.1) == 1304, "veth leaves room for a VLAN tag"
    assert path_mtu(b, a, interface="net1", timeout=0.1) == 1300
    text = text_of(lambda: assert_mtu(a, b, 1500, interface="net1", within=SHORT))
    assert "b net1 1300" in text
    big = text_of(
        lambda: assert_ping(
            a, b, interface="net1", size=1472, dont_fragment=True, timeout=0.1, within=SHORT
        )
    )
    assert "broken:   mtu" in big
    assert "short packets pass and long ones do not" in big


def test_throughput_is_a_figure_and_a_ratio(pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    net1 = throughput(a, b, interface="net1", seconds=0.1)
    eth0 = throughput(a, b, interface="eth0", seconds=0.1)
    assert net1.bytes > 1 << 20
    assert net1.bits_per_second > 0
    assert net1 / eth0 == pytest.approx(1 / (eth0 / net1))
    assert "<Throughput a -> b dev net1:" in repr(net1)


def test_throughput_to_a_pod_that_is_cut_off_is_an_error(
    cluster: Cluster, pair: tuple[Pod, Pod]
) -> None:
    a, b = pair
    (link,) = cluster.node_links
    with link.cut(), pytest.raises(ExecFailed, match=r"a cannot send to b \(10\.1\.1\.102\)"):
        throughput(a, b, interface="net1", seconds=0.1)


def test_a_duplicate_address_is_found_by_asking(cluster: Cluster, pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    assert_no_duplicate_address(a, "net1", during=SHORT)
    (c,) = cluster.apply(pod(cluster, "c", "worker2", at("mv", "10.1.1.101/24")))

    text = text_of(lambda: assert_no_duplicate_address(a, "net1", during=SHORT))
    assert f"{c.interface('net1').mac} answers" in text
    assert "c on diagnosis-worker2 (net1) has 10.1.1.101 too" in text
    assert_no_duplicate_address(b, "net1", during=SHORT)
    c.delete()
    assert_no_duplicate_address(a, "net1", during=SHORT)


def test_a_duplicate_ipv6_address_is_found_by_asking(cluster: Cluster) -> None:
    cluster.apply(network("mv"))
    a, b = cluster.apply(
        [
            pod(cluster, "a", "worker", at("mv", "fd00:1::1/64")),
            pod(cluster, "b", "worker2", at("mv", "fd00:1::1/64")),
        ]
    )
    text = text_of(lambda: assert_no_duplicate_address(a, "net1", during=SHORT))
    assert "should have fd00:1::1 on net1 alone" in text
    assert b.interface("net1").mac in text


def test_ipv6_works_by_neighbour_discovery_and_link_local(pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    local = b.interface("net1").ipv6[0].ip
    assert local.is_link_local
    assert assert_ping(a, str(local), interface="net1", ttl=64)
    assert assert_arp(a, str(local), interface="net1", mac=b.interface("net1").mac)
    assert [r for r in a.routes if r.protocol == "ra"] == []


@pytest.mark.parametrize(
    ("frame", "shown"),
    [
        (
            bytes(12)
            + b"\x08\x00"
            + b"\x45"
            + bytes(8)
            + b"\x11"
            + bytes(2)
            + bytes([10, 0, 0, 1, 10, 0, 0, 2])
            + struct.pack("!HH", 53, 5353),
            "udp 10.0.0.1:53 -> 10.0.0.2:5353",
        ),
        (
            bytes(12)
            + b"\x81\x00\x00\x07\x08\x00"
            + b"\x45"
            + bytes(8)
            + b"\x01"
            + bytes(2)
            + bytes([10, 0, 0, 1, 10, 0, 0, 2]),
            "icmp 10.0.0.1 -> 10.0.0.2",
        ),
        (
            bytes(12)
            + b"\x86\xdd"
            + bytes(6)
            + b"\x00\x40"
            + bytes(15)
            + b"\x01"
            + bytes(15)
            + b"\x02"
            + b"\x06\x00"
            + bytes(6)
            + struct.pack("!HH", 1000, 80),
            "tcp ::1:1000 -> ::2:80",
        ),
        (bytes(12) + b"\x88\xcc", "None"),
        (b"\x00" * 10, "None"),
    ],
)
def test_flows_are_told_apart_by_five_fields(frame: bytes, shown: str) -> None:
    assert str(five_tuple(frame)) == shown
    assert Packet(0.0, frame, len(frame)).flow == five_tuple(frame)
