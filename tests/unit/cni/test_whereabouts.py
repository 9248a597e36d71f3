"""What whereabouts gives out, without a kernel; the cases are those of its README and tests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_multinet.cni.runtime import Runtime, Sandbox
from pytest_multinet.errors import CniError, NeedsKubernetes
from pytest_multinet.model.nad import parse_network_config
from pytest_multinet.net.holder import HeldNamespace

NOWHERE = cast("HeldNamespace", SimpleNamespace(fd=3))


class Node:
    """A host of a cluster that shares its memory."""

    name = "worker"
    namespace = NOWHERE
    cni_path = "/opt/cni/bin"

    def __init__(self, cluster: dict[str, Any]) -> None:
        self.state: dict[str, Any] = {}
        self.cluster_state = cluster
        self.runtime = Runtime(self)

    def exec_plugin(self, *_: object) -> None:
        return None

    def add(self, pod: str, ifname: str = "net1", **ipam: Any) -> list[str]:
        args = {"IgnoreUnknown": "1", "K8S_POD_NAMESPACE": "default", "K8S_POD_NAME": pod}
        sandbox = Sandbox(f"{pod}-id", NOWHERE, "/x")
        result = self.runtime.add(_network(ipam), sandbox, ifname, args=args)
        return [str(ip.address) for ip in result.ips]

    def delete(self, pod: str, **ipam: Any) -> None:
        self.runtime.delete(_network(ipam), Sandbox(f"{pod}-id", NOWHERE, "/x"), "net1")


def _network(ipam: dict[str, Any]) -> Any:
    plugin = {"type": "whereabouts", "ipam": {"type": "whereabouts", **ipam}}
    return parse_network_config({"cniVersion": "0.3.1", "name": "net", "plugins": [plugin]})


@pytest.fixture
def node() -> Node:
    return Node({})


def test_nodes_of_a_cluster_share_a_range():
    cluster: dict[str, Any] = {}
    one, two = Node(cluster), Node(cluster)
    assert one.add("a", range="10.2.3.0/24") == ["10.2.3.1/24"]
    assert two.add("b", range="10.2.3.0/24") == ["10.2.3.2/24"]
    one.delete("a", range="10.2.3.0/24")
    assert two.add("c", range="10.2.3.0/24") == ["10.2.3.1/24"]


def test_a_range_can_be_written_in_three_ways(node):
    assert node.add("a", range="10.2.3.5-10.2.3.6/24") == ["10.2.3.5/24"]
    bounds = {"range_start": "10.4.0.7", "range_end": "10.4.0.8"}
    assert node.add("b", range="10.4.0.0/24", **bounds) == ["10.4.0.7/24"]
    several = [{"range": "10.5.0.0/24"}, {"range": "fd00::/64"}]
    assert node.add("c", ipRanges=several) == ["10.5.0.1/24", "fd00::1/64"]


def test_excluded_addresses_are_left_out(node):
    exclude = ["10.2.3.1", "10.2.3.2/31", "10.2.3.5/32"]
    given_out = [node.add(pod, range="10.2.3.0/24", exclude=exclude)[0] for pod in "abc"]
    assert given_out == ["10.2.3.4/24", "10.2.3.6/24", "10.2.3.7/24"]


def test_a_small_range_is_exhausted_and_recovers(node):
    for pod in "ab":
        node.add(pod, range="10.2.3.0/30")
    with pytest.raises(CniError) as raised:
        node.add("c", range="10.2.3.0/30")
    assert raised.value.msg == (
        "error at storage engine: Could not allocate IP in range: "
        "ip: 10.2.3.1 / - 10.2.3.2 / range: 10.2.3.0/30 / excludeRanges: []"
    )
    node.delete("a", range="10.2.3.0/30")
    assert node.add("c", range="10.2.3.0/30") == ["10.2.3.1/30"]


def test_overlapping_ranges_share_no_address_unless_they_may(node):
    assert node.add("a", range="10.2.0.0/16") == ["10.2.0.1/16"]
    assert node.add("b", range="10.2.0.0/24") == ["10.2.0.2/24"]
    assert node.add("c", range="10.2.0.0/20", enable_overlapping_ranges=False) == ["10.2.0.1/20"]
    assert node.add("d", range="10.2.0.0/16", network_name="other") == ["10.2.0.1/16"]


def test_a_pod_that_comes_again_keeps_its_address(node):
    assert node.add("a", range="10.2.3.0/24") == node.add("a", range="10.2.3.0/24")
    assert node.add("a", "net2", range="10.2.3.0/24") == ["10.2.3.2/24"]


def test_written_addresses_follow_those_of_the_range(node):
    fixed = [{"address": "10.9.0.5/24", "gateway": "10.9.0.1"}]
    assert node.add("a", range="10.2.3.0/24", addresses=fixed) == ["10.2.3.1/24", "10.9.0.5/24"]


def test_slices_of_nodes_take_a_kubernetes_api(node):
    with pytest.raises(NeedsKubernetes, match="node_slice_size"):
        node.add("a", range="10.2.0.0/16", node_slice_size="/24")


def test_bounds_outside_the_range_count_not(node):
    bounds = {"range_start": "10.9.0.7", "range_end": "10.2.3.0"}
    assert node.add("a", range="10.2.3.0/24", **bounds) == ["10.2.3.1/24"]
    assert node.add("b", range="10.4.3.0/24", range_start="x", range_end="") == ["10.4.3.1/24"]


def test_ranges_of_one_subnet_share_its_addresses(node):
    assert node.add("a", range="10.2.3.9/24") == ["10.2.3.1/24"]
    assert node.add("b", range="10.2.3.1-10.2.3.5/24") == ["10.2.3.2/24"]
    assert node.add("c", range="10.2.3.0/24", range_start="10.2.3.2") == ["10.2.3.3/24"]


def test_a_basic_range_comes_before_those_of_the_list(node):
    several = [
        {"range": "192.168.10.1/24"},
        {"range": "192.168.20.1/24", "exclude": ["192.168.20.1"]},
    ]
    given_out = node.add("a", range="abcd::1/64", ipRanges=several)
    assert given_out == ["abcd::1/64", "192.168.10.1/24", "192.168.20.2/24"]


def test_the_gateway_is_that_of_every_range(node):
    sandbox = Sandbox("a-id", NOWHERE, "/x")
    ipam = {
        "range": "10.2.3.0/24",
        "ipRanges": [{"range": "10.4.0.0/24"}],
        "gateway": "10.2.3.254",
    }
    result = node.runtime.add(_network(ipam), sandbox, "net1")
    assert [str(ip.gateway) for ip in result.ips] == ["10.2.3.254"] * 2


@pytest.mark.parametrize(
    ("ipam", "message"),
    [
        ({"range": "10.2.3"}, "invalid CIDR 10.2.3"),
        ({"range": "x-10.2.3.5/24"}, "invalid range start IP: x"),
        ({"range": "10.9.0.1-10.2.3.5/24"}, "invalid range start for CIDR 10.2.3.0/24: 10.9.0.1"),
        ({"range": "10.2.3.0/31"}, "net mask is too short"),
        ({"range": "10.2.3.0/24", "gateway": "no"}, "couldn't parse gateway IP: no"),
        ({"range": "10.2.3.0/24", "exclude": ["no"]}, "could not parse exclude range"),
    ],
)
def test_a_bad_configuration_is_told(node, ipam, message):
    with pytest.raises(CniError) as raised:
        node.add("a", **ipam)
    assert message in raised.value.msg


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdefgh")), max_size=30))
def test_no_address_is_given_out_twice(steps):
    cluster: dict[str, Any] = {}
    nodes = [Node(cluster), Node(cluster)]
    held: dict[str, list[str]] = {}
    for number, (add, pod) in enumerate(steps):
        node = nodes[number % 2]
        if add:
            held[pod] = node.add(pod, range="10.2.3.0/28")
        else:
            node.delete(pod, range="10.2.3.0/28")
            held.pop(pod, None)
        given_out = [ip for ips in held.values() for ip in ips]
        assert len(set(given_out)) == len(given_out)
