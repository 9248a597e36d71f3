"""assert_mesh: every ordered pair, right and diagnosed once for each cause."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from pytest_multinet import MeshResult, UsageError, assert_mesh
from pytest_multinet.assertions.failure import mesh_of
from pytest_multinet.cluster.base import Cluster
from pytest_multinet.cluster.stack import Pod

from .conftest import SHORT, at, network, pod


def some_pods(cluster: Cluster, count: int, *, net: str = "mv", first: int = 1) -> list[Pod]:
    return cluster.apply(
        [
            pod(
                cluster,
                f"{net}{n}",
                ("worker", "worker2")[n % 2],
                at(net, f"10.1.{(first + n) // 250}.{(first + n) % 250 + 1}/16"),
            )
            for n in range(count)
        ]
    )


def failed(pods: Sequence[Pod], **more: object) -> tuple[str, MeshResult]:
    with pytest.raises(AssertionError) as caught:
        assert_mesh(pods, **{"within": SHORT, "during": SHORT, **more})  # pyright: ignore[reportArgumentType]
    result = mesh_of(caught.value)
    assert result is not None
    return str(caught.value), result


def test_all_pods_of_one_network_reach_each_other(cluster: Cluster) -> None:
    cluster.apply(network("mv"))
    pods = some_pods(cluster, 7)

    result = assert_mesh(pods)

    assert result
    assert result.counts() == (42, 42, 0)
    assert result.reaches("mv0", "mv6")
    assert result.table().splitlines()[2] == ("mv0  - o o o o o o   - o o o o o o   - . . . . . .")


def test_forty_five_pods_leave_no_neighbour_behind(cluster: Cluster) -> None:
    cluster.apply(network("mv"))
    pods = some_pods(cluster, 45)

    assert assert_mesh(pods).counts() == (1980, 1980, 0)
    assert [n for p in pods for n in p.neighbours] == []


def test_private_pods_of_one_node_reach_nobody(cluster: Cluster) -> None:
    cluster.apply(network("mv", mode="private"))
    pods = some_pods(cluster, 6)[::2]
    assert len({p.node.name for p in pods}) == 1

    assert assert_mesh(pods, expect="none", during=SHORT).counts() == (6, 0, 0)
    text, result = failed(pods)
    assert result.counts() == (6, 0, 6)
    assert "mode private keeps the macvlans of one master apart" in text
    assert text.count("broken:") == 1


def test_a_function_says_who_should_reach_whom(cluster: Cluster) -> None:
    cluster.apply(network("mv", mode="private"))
    pods = some_pods(cluster, 4)

    def across(a: Pod, b: Pod) -> bool:
        return a.node.name != b.node.name

    assert assert_mesh(pods, expect=across, during=SHORT).counts() == (12, 8, 0)
    rows = [[across(a, b) for b in pods] for a in pods]
    assert assert_mesh(pods, expect=rows, during=SHORT)
    names = {(a.name, b.name): True for a in pods for b in pods if across(a, b)}
    assert assert_mesh(pods, expect=names, during=SHORT)


def test_a_pod_that_is_down_is_one_cause_for_all_its_pairs(cluster: Cluster) -> None:
    cluster.apply(network("mv"))
    pods = some_pods(cluster, 6)
    pods[3].exec(["ip", "link", "set", "net1", "down"], check=True)

    text, result = failed(pods)

    assert result.counts() == (30, 20, 10)
    assert {p for pair in result.different for p in pair if 3 in pair} == set(range(6))
    assert "10 pairs: mv3 -> mv0" in text
    assert text.count("broken:") == 1
    assert "it is administratively down" in text
    pods[3].exec(["ip", "link", "set", "net1", "up"], check=True)
    assert assert_mesh(pods)


def test_two_causes_are_told_apart(cluster: Cluster) -> None:
    cluster.apply(network("mv"))
    pods = some_pods(cluster, 6)
    pods[0].exec(["ip", "link", "set", "net1", "down"], check=True)
    own = pods[5].interface("net1").ipv4[0]
    pods[5].exec(["ip", "address", "delete", str(own), "dev", "net1"], check=True)

    text, result = failed(pods)

    assert result.counts()[2] == 18
    assert "it is administratively down" in text
    assert f"network-status says {own.ip}, the kernel has" in text
    assert text.count("broken:") == 2


def test_a_cut_link_is_one_cause_for_all_pairs_across(cluster: Cluster) -> None:
    cluster.apply(network("mv"))
    pods = some_pods(cluster, 6)
    (link,) = cluster.node_links

    with link.cut():
        text, result = failed(pods)
    assert result.counts()[1] == 0, "macvlans hear nothing while their master is down"
    assert "broken:   node link" in text
    assert text.count("broken:") == 1
    assert assert_mesh(pods)


def test_a_pair_that_should_not_reach_is_told(cluster: Cluster) -> None:
    cluster.apply(network("mv"))
    a, b, c = some_pods(cluster, 3)

    def apart(source: Pod, target: Pod) -> bool:
        return {source.name, target.name} != {a.name, b.name}

    text, result = failed([a, b, c], expect=apart)
    assert list(result.different) == [(0, 1), (1, 0)]
    assert "2 do and should not (mv0 -> mv1, mv1 -> mv0)" in text


def test_two_pods_with_one_address_do_not_reach_each_other(cluster: Cluster) -> None:
    cluster.apply(network("mv"))
    twins = cluster.apply(
        [
            pod(cluster, "a", "worker", at("mv", "10.1.0.7/16")),
            pod(cluster, "b", "worker2", at("mv", "10.1.0.7/16")),
        ]
    )
    others = some_pods(cluster, 2, first=20)

    text, result = failed([*twins, *others])

    assert (0, 1) in result.different
    assert (1, 0) in result.different
    assert result.reaches("mv0", "mv1")
    assert "it would answer itself" in text


@pytest.mark.parametrize("seed", range(3))
def test_verdicts_agree_with_what_was_blocked(cluster: Cluster, seed: int) -> None:
    """Blackhole routes at random: a pair is reached where the target's reply is not dropped.

    (The request is bound to net1, which passes over routes without an interface.)
    """
    cluster.apply(network("mv"))
    pods = some_pods(cluster, 13)
    choose = random.Random(seed)
    blocked = {(i, j) for i in range(13) for j in range(13) if i != j and choose.random() < 0.15}
    for i in range(13):
        lines = [f"route add blackhole {pods[j].ip('net1')}" for k, j in blocked if k == i]
        if lines:
            pods[i].exec(["ip", "-batch", "-"], input="\n".join(lines) + "\n", check=True)

    def free(a: Pod, b: Pod) -> bool:
        return (pods.index(b), pods.index(a)) not in blocked

    assert assert_mesh(pods, expect=free, during=SHORT)
    _, result = failed(pods)
    wrong = {(i, j) for i, j in result.pairs if not free(pods[i], pods[j])}
    assert set(result.different) == wrong


def test_a_mesh_by_arp_and_by_tcp(cluster: Cluster) -> None:
    cluster.apply(network("mv"))
    pods = some_pods(cluster, 4)

    assert assert_mesh(pods, probe="arp")
    servers = [p.listen(8080) for p in pods]
    try:
        assert assert_mesh(pods, probe=("tcp", 8080))
        servers[1].close()
        text, result = failed(pods, probe=("tcp", 8080))
    finally:
        for server in servers:
            server.close()
    assert {j for _, j in result.different} == {1}
    assert "nothing listens on tcp/8080" in text


def test_a_mesh_by_udp(cluster: Cluster) -> None:
    cluster.apply(network("mv"))
    pods = some_pods(cluster, 4)

    servers = [p.listen(5353, protocol="udp") for p in pods]
    try:
        assert assert_mesh(pods, probe=("udp", 5353)).counts() == (12, 12, 0)
        servers[2].close()
        # Those that answer are threads of this process, which share its processor with others.
        text, result = failed(pods, probe=("udp", 5353), within=2.0)
    finally:
        for server in servers:
            server.close()
    assert {j for _, j in result.different} == {2}
    assert "nothing listens on udp/5353" in text


def test_a_mesh_over_the_pod_network(cluster: Cluster) -> None:
    pods = cluster.apply([pod(cluster, f"p{n}", ("worker", "worker2")[n % 2]) for n in range(4)])

    assert assert_mesh(pods, interface="eth0").counts() == (12, 12, 0)


def test_ipv6_reaches_as_well(cluster: Cluster) -> None:
    cluster.apply(network("mv"))
    pods = cluster.apply(
        [
            pod(cluster, f"p{n}", ("worker", "worker2")[n % 2], at("mv", f"fd00:1::{n + 1}/64"))
            for n in range(4)
        ]
    )

    assert assert_mesh(pods, version=6).counts() == (12, 12, 0)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"expect": "some"}, "expect is 'some'"),
        ({"expect": [[True]]}, "expected 2 by 2"),
        ({"expect": {("mv0", "mv9"): True}}, "expect names 'mv9'"),
        ({"probe": "smoke"}, "probe is 'smoke'"),
    ],
)
def test_bad_arguments_are_told(cluster: Cluster, more: dict[str, object], said: str) -> None:
    cluster.apply(network("mv"))
    pods = some_pods(cluster, 2)

    with pytest.raises(UsageError, match=said):
        assert_mesh(pods, **more)  # pyright: ignore[reportArgumentType]
