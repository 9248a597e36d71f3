"""What host-local gives out, without a kernel."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_multinet.cni.runtime import Runtime, Sandbox
from pytest_multinet.errors import CniError
from pytest_multinet.model.nad import parse_network_config
from pytest_multinet.net.holder import HeldNamespace

NOWHERE = cast("HeldNamespace", SimpleNamespace(fd=3))


class Node:
    """A host that remembers."""

    name = "worker"
    namespace = NOWHERE
    cni_path = "/opt/cni/bin"

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.cluster_state: dict[str, Any] = {}
        self.runtime = Runtime(self)

    def exec_plugin(self, *_: object) -> None:
        return None

    def add(self, pod: str, ipam: dict[str, Any], name: str = "net", **kwargs: Any) -> list[str]:
        network = _network(ipam, name)
        result = self.runtime.add(network, Sandbox(pod, NOWHERE, "/x"), "net1", **kwargs)
        return [str(ip.address) for ip in result.ips]

    def delete(self, pod: str, ipam: dict[str, Any], name: str = "net") -> None:
        self.runtime.delete(_network(ipam, name), Sandbox(pod, NOWHERE, "/x"), "net1")


def _network(ipam: dict[str, Any], name: str) -> Any:
    plugin = {
        "type": "host-local",
        "capabilities": {"ips": True, "ipRanges": True},
        "ipam": {"type": "host-local", **ipam},
    }
    return parse_network_config({"cniVersion": "1.0.0", "name": name, "plugins": [plugin]})


SMALL = {"ranges": [[{"subnet": "10.1.1.0/29"}]]}


def test_the_first_address_follows_the_gateway():
    assert Node().add("a", SMALL) == ["10.1.1.2/29"]


def test_an_address_that_came_back_is_given_out_last():
    node = Node()
    assert node.add("a", SMALL) == ["10.1.1.2/29"]
    node.delete("a", SMALL)
    assert node.add("b", SMALL) == ["10.1.1.3/29"]


def test_a_full_range_says_so_and_recovers():
    node = Node()
    for pod in "abcde":
        node.add(pod, SMALL)
    with pytest.raises(CniError) as raised:
        node.add("f", SMALL)
    assert raised.value.msg == (
        "failed to allocate for range 0: no IP addresses available in range set: 10.1.1.1-10.1.1.6"
    )
    node.delete("c", SMALL)
    assert node.add("f", SMALL) == ["10.1.1.4/29"]


def test_each_network_and_each_folder_has_a_store_of_its_own():
    node = Node()
    elsewhere = {**SMALL, "dataDir": "/run/elsewhere"}
    assert {
        *node.add("a", SMALL),
        *node.add("a", SMALL, name="other"),
        *node.add("a", elsewhere),
    } == {"10.1.1.2/29"}


def test_two_nodes_give_out_the_same_address():
    assert Node().add("a", SMALL) == Node().add("a", SMALL)


def test_a_requested_address_is_given_or_refused():
    node = Node()
    asked = {"ips": ["10.1.1.5/29"]}
    assert node.add("a", SMALL, runtime_config=asked) == ["10.1.1.5/29"]
    with pytest.raises(CniError, match=r"10\.1\.1\.5 is not available in range set") as raised:
        node.add("b", SMALL, runtime_config=asked)
    assert "container a" in str(raised.value.hint)
    with pytest.raises(CniError, match=r"failed to allocate all requested IPs: 10\.9\.9\.9"):
        node.add("c", SMALL, runtime_config={"ips": ["10.9.9.9"]})
    with pytest.raises(CniError, match=r"requested ip 10\.1\.1\.1 is subnet's gateway"):
        node.add("c", SMALL, runtime_config={"ips": ["10.1.1.1"]})


def test_ranges_of_the_pod_come_first():
    given_ranges = {"ipRanges": [[{"subnet": "10.7.0.0/24"}]]}
    assert Node().add("a", SMALL, runtime_config=given_ranges) == ["10.7.0.2/24", "10.1.1.2/29"]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdefgh")), max_size=30))
def test_no_address_is_given_out_twice(steps):
    node = Node()
    held: dict[str, list[str]] = {}
    for add, pod in steps:
        if add:
            if pod in held or len(held) == 5:
                with pytest.raises(CniError):
                    node.add(pod, SMALL)
            else:
                held[pod] = node.add(pod, SMALL)
        else:
            node.delete(pod, SMALL)
            held.pop(pod, None)
        given_out = [ip for ips in held.values() for ip in ips]
        assert len(set(given_out)) == len(given_out)
        assert "10.1.1.1/29" not in given_out
