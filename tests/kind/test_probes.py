"""Two ways to ask a stack, one answer."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from pytest_multinet.cluster.kind_cluster import KindCluster
from pytest_multinet.cluster.stack import Pod
from pytest_multinet.probe.local import LocalProber
from pytest_multinet.probe.remote import RemoteProber
from pytest_multinet.probe.stack import Prober

from .conftest import network, pod

pytestmark = pytest.mark.skipif("__import__('os').geteuid() != 0", reason="namespaces need root")


@pytest.fixture(scope="module")
def pair(cluster: KindCluster) -> Iterator[tuple[Pod, Pod]]:
    nad = cluster.network(
        network(
            "probed",
            {
                "type": "macvlan",
                "master": "eth1",
                "capabilities": {"ips": True},
                "ipam": {"type": "static"},
            },
        )
    )
    pods = cluster.apply(
        [
            pod(
                f"probe-{n}",
                json.dumps([{"name": "probed", "ips": [f"10.6.0.{n}/24", f"fd00:6::{n}/64"]}]),
                cluster.node(w).name,
            )
            for n, w in ((1, "worker"), (2, "worker2"))
        ]
    )
    yield pods[0], pods[1]
    cluster.delete_pods(pods)
    nad.delete()


@pytest.fixture(params=["local", "remote"])
def prober(request: pytest.FixtureRequest, cluster: KindCluster, pair: tuple[Pod, Pod]) -> Prober:
    return pair[0].prober if request.param == "local" else cluster.remote_prober(pair[0])


def test_the_namespace_is_asked_directly_where_it_can_be_opened(pair: tuple[Pod, Pod]) -> None:
    assert isinstance(pair[0].prober, LocalProber)


def test_interfaces_routes_are_equal(cluster: KindCluster, pair: tuple[Pod, Pod]) -> None:
    local, remote = pair[0].prober, cluster.remote_prober(pair[0])
    assert isinstance(remote, RemoteProber)
    assert remote.interfaces() == local.interfaces()
    assert remote.routes() == local.routes()
    for node in cluster.nodes:
        other = cluster.kind_node(node.name).exec_prober
        assert other.interfaces() == node.prober.interfaces()
        assert other.routes() == node.prober.routes()


def test_neighbours_are_equal(cluster: KindCluster, pair: tuple[Pod, Pod]) -> None:
    pair[0].exec(["ping", "-c", "1", "10.6.0.2"], check=True)
    remote = cluster.remote_prober(pair[0])
    seen = {(n.address, n.interface, n.mac) for n in remote.neighbours()}
    assert seen == {(n.address, n.interface, n.mac) for n in pair[0].prober.neighbours()}
    assert seen


@pytest.mark.parametrize("address", ["10.6.0.2", "fd00:6::2"])
def test_ping_that_is_answered(prober: Prober, address: str) -> None:
    result = ping(prober, address)
    assert (result.sent, result.received, result.ttl, result.errors) == (2, 2, 64, ())
    assert [r.sequence for r in result.replies] == [1, 2]
    assert 0 < (result.rtt or 0) < 1


def test_ping_that_is_not_answered(prober: Prober) -> None:
    result = ping(prober, "10.6.0.77", timeout=0.5)
    assert (result.sent, result.received, result.ttl) == (2, 0, None)


def test_ping_too_large_for_the_mtu(prober: Prober) -> None:
    result = ping(prober, "10.6.0.2", size=3000, dont_fragment=True)
    assert result.received == 0
    assert result.errors


def test_arping(prober: Prober, pair: tuple[Pod, Pod]) -> None:
    from ipaddress import ip_address

    found = prober.arping(ip_address("10.6.0.2"), interface="net1", count=1, timeout=1)
    assert found.mac == pair[1].interface("net1").mac
    nobody = prober.arping(ip_address("10.6.0.77"), interface="net1", count=1, timeout=1)
    assert (nobody.mac, nobody.macs) == (None, ())
    six = prober.arping(ip_address("fd00:6::2"), interface="net1", count=1, timeout=1)
    assert six.mac == found.mac


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("way", ["local", "remote"])
def test_connect_and_listen(
    cluster: KindCluster, pair: tuple[Pod, Pod], prober: Prober, protocol: str, way: str
) -> None:
    from ipaddress import ip_address

    server = pair[1].prober if way == "local" else cluster.remote_prober(pair[1])
    target = ip_address("10.6.0.2")
    with server.listen(9321, protocol=protocol, address=None):
        answer = connect(prober, target, protocol)
        assert answer.outcome == ("connected" if protocol == "tcp" else "answered")
    refused = connect(prober, target, protocol)
    assert refused.outcome == "refused"
    silent = connect(prober, ip_address("10.6.0.77"), protocol)
    assert silent.outcome in ("timeout", "unreachable")


def test_an_image_without_a_shell_is_probed_too(clean: KindCluster) -> None:
    image = clean.pause_image()
    (made,) = clean.apply(
        pod("shell-less", node=clean.node("worker").name, image=image, command=None)
    )
    assert made.interface("eth0").state == "up"
    remote = clean.remote_prober(made)
    assert remote.interfaces() == made.prober.interfaces()
    assert made.ping(made.node.address, interface="eth0")
    assert ping(remote, str(made.node.address), interface="eth0").received == 2


def ping(
    prober: Prober,
    address: str,
    *,
    timeout: float = 1,
    size: int = 56,
    dont_fragment: bool = False,
    interface: str = "net1",
):
    from ipaddress import ip_address

    return prober.ping(
        ip_address(address),
        interface=interface,
        count=2,
        interval=0.1,
        timeout=timeout,
        size=size,
        dont_fragment=dont_fragment,
        ttl=None,
    )


def connect(prober: Prober, target, protocol: str):
    return prober.connect(target, 9321, protocol=protocol, interface="net1", timeout=1)
