"""The same verdicts where stacks are asked by programs, since their namespace is out of reach."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_multinet import NeedsCapability, assert_mesh, assert_mtu, assert_ping
from pytest_multinet.cluster.base import Cluster
from pytest_multinet.cluster.stack import NetworkStack, Pod
from pytest_multinet.probe.remote import RemoteProber
from pytest_multinet.probe.remote_capture import read_pcap

from .conftest import SHORT, named, network, pod, text_of, two_pods

pytestmark = pytest.mark.skipif(
    any(shutil.which(p) is None for p in ("ping", "tcpdump", "ip")), reason="needs ping, tcpdump"
)


def by_programs(stack: Any) -> None:
    """Ask this stack by programs from now on."""

    def run(argv: Sequence[str], timeout: float) -> Any:
        return stack.exec(argv, timeout=timeout)

    def spawn(argv: Sequence[str], ready: str) -> Any:
        return stack.spawn(argv, ready=ready)

    stack._prober = RemoteProber(stack.name, run, spawn)


@pytest.fixture
def pair(cluster: Cluster) -> tuple[Pod, Pod]:
    cluster.apply(network("mv"))
    a, b = two_pods(cluster)
    stacks: list[NetworkStack] = [a, b]
    for stack in stacks:
        by_programs(stack)
    return a, b


def test_reachable_pods_and_a_mesh_of_them(pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    assert assert_ping(a, b, interface="net1", ttl=64).attempts == 1
    assert assert_mesh([a, b]).counts() == (2, 2, 0)
    assert assert_mtu(a, b, 1500, interface="net1") == 1500


def test_a_cause_is_named_all_the_same(cluster: Cluster, pair: tuple[Pod, Pod]) -> None:
    a, b = pair
    (link,) = cluster.node_links
    with link.cut():
        text = text_of(lambda: assert_ping(a, b, interface="net1", timeout=0.3, within=SHORT))
    assert "broken:   node link" in text
    link.delete()
    failing = named(lambda: assert_ping(a, "10.1.1.102", timeout=0.3, within=SHORT))
    assert failing == "interface-vanished"


def test_a_capture_that_tcpdump_refuses_is_a_capability_that_is_missing(
    pair: tuple[Pod, Pod],
) -> None:
    _, b = pair
    capture = b.capture("net1", filter="icmp")
    refused = ""
    try:
        capture.start()
        capture.stop()
    except NeedsCapability as error:
        refused = error.reason
    assert not refused or "its tcpdump may not give up its privileges" in refused
    assert b.exec(["sh", "-c", "ls /tmp/capture-*"]).returncode != 0 or refused


def test_what_tcpdump_writes_is_read_as_the_packets_that_were(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.apply(network("mv"))
    a, b = two_pods(cluster)
    with b.capture("net1", filter="icmp") as capture:
        a.ping(b, interface="net1", count=2)
    ours, theirs = capture.save(tmp_path / "a.pcapng"), tmp_path / "a.pcap"
    convert = ["tcpdump", "-r", str(ours), "-w", str(theirs)]
    if subprocess.run(convert, capture_output=True, check=False).returncode:
        pytest.skip("tcpdump may not write here")

    read = list(read_pcap(theirs.read_bytes()))
    assert [p.data for p in read] == [p.data for p in capture.packets]
    assert [p.flow for p in read] == [p.flow for p in capture.packets]
    assert read[0].time == pytest.approx(capture.packets[0].time, abs=1e-5)


def test_counters_and_sysctls_read_alike(cluster: Cluster) -> None:
    (local,) = cluster.apply(pod(cluster, "p", "worker"))
    direct = local.prober.counters()["eth0"], local.sysctl("ipv4/ip_forward")
    by_programs(local)
    shown = local.prober.counters()["eth0"], local.sysctl("ipv4/ip_forward")
    assert set(shown[0]) == set(direct[0])
    assert shown[1] == direct[1]
    assert local.sysctl("ipv4/nothing") is None
