"""Networks of a running pod come and go, as dynamic-networks-controller has Multus do it."""

from __future__ import annotations

import json

import pytest

from pytest_multinet import assert_interface, assert_no_interface, assert_no_ping, assert_ping
from pytest_multinet.errors import ManifestError, PodError, UsageError

from .manifests import network, on, pod

NETWORKS = "k8s.v1.cni.cncf.io/networks"


@pytest.fixture
def lan(cluster):
    return cluster.network(network("lan"))


@pytest.fixture
def two(cluster, lan):
    """A pod on one node without a further network, one on the other with the network."""
    return cluster.apply([pod("a"), pod("b", on("lan", "10.1.1.2/24"), node="worker2")])


def test_an_attached_network_is_there_at_once_and_a_detached_one_gone(two, lan):
    a, b = two
    (status,) = a.attach(lan.attach("10.1.1.1/24", mac="02:00:00:00:00:11"))
    assert (status.name, status.interface) == ("default/lan", "net1")
    assert_interface(a, "net1", address="10.1.1.1/24", mac="02:00:00:00:00:11")
    seen = assert_ping(a, b, interface="net1", ttl=64)
    assert (seen.attempts, seen.received) == (1, seen.sent)
    a.detach("net1")
    assert_no_interface(a, "net1", during=0.1)
    assert_no_ping(b, "10.1.1.1", interface="net1", during=0.2)


def test_status_and_annotation_follow(two, lan):
    b = two[1]
    b.attach(lan.attach("10.1.2.2/24"), lan.attach("10.1.3.2/24", interface="x0"))
    assert [s.interface for s in b.network_status] == ["eth0", "net1", "net2", "x0"]
    asked = [(e["name"], e["interface"], e["ips"]) for e in json.loads(b.annotations[NETWORKS])]
    assert asked == [
        ("lan", "net1", ["10.1.1.2/24"]),
        ("lan", "net2", ["10.1.2.2/24"]),
        ("lan", "x0", ["10.1.3.2/24"]),
    ]
    b.detach("net1", "x0")
    assert [s.interface for s in b.network_status] == ["eth0", "net2"]
    assert [e["interface"] for e in json.loads(b.annotations[NETWORKS])] == ["net2"]
    told = json.loads(b.annotations["k8s.v1.cni.cncf.io/network-status"])
    assert [entry["interface"] for entry in told] == ["eth0", "net2"]
    assert [i.name for i in b.interfaces] == ["lo", "eth0", "net2"]


def test_the_last_network_may_go(two):
    b = two[1]
    b.detach("net1")
    assert b.annotations[NETWORKS] == "[]"
    assert [s.name for s in b.network_status] == ["kindnet"]


def test_a_freed_name_and_address_serve_again(cluster, two, lan):
    a, b = two
    b.detach("net1")
    a.attach(lan.attach("10.1.1.2/24", interface="net1"))
    b.attach(lan.attach("10.1.1.3/24", interface="net1"))
    assert_ping(b, a, interface="net1")


def test_text_and_cni_args(cluster, two):
    a = two[0]
    auto = cluster.network(network("auto", capabilities={}))
    a.attach(auto.attach(cni_args={"ips": ["10.1.9.1/24"]}))
    assert_interface(a, "net1", address="10.1.9.1/24")
    bridge = {"type": "host-local", "subnet": "10.5.0.0/24"}
    cluster.apply(network("br", {"type": "bridge", "bridge": "br5", "ipam": bridge}))
    a.attach("br@b0,br")
    assert [str(a.ip(name)) for name in ("b0", "net3")] == ["10.5.0.2", "10.5.0.3"]


def test_a_network_that_fails_takes_those_of_the_same_call_along(cluster, two, lan):
    b = two[1]
    before = b.annotations
    broken = cluster.network(network("broken", master="eth9"))
    with pytest.raises(PodError, match="Link not found"):
        b.attach(lan.attach("10.1.2.2/24"), broken.attach("10.1.3.2/24"))
    assert [i.name for i in b.interfaces] == ["lo", "eth0", "net1"]
    assert b.annotations == before
    assert_ping(two[1], "10.1.1.2", interface="net1")


def test_what_the_controller_drops_is_refused(two, lan):
    with pytest.raises(UsageError, match=r"would drop default_route"):
        two[0].attach(lan.attach("10.1.1.1/24", default_route=["10.1.1.254"]))


def test_a_name_in_use_is_refused(two, lan):
    for name in ("net1", "eth0"):
        with pytest.raises(ManifestError, match=f"interface name {name} already exists"):
            two[1].attach(lan.attach("10.1.1.9/24", interface=name))


@pytest.mark.parametrize("interface", ["eth0", "net7"])
def test_what_cannot_be_detached_is_told_with_what_can(two, interface):
    with pytest.raises(UsageError, match=r"it has net1 besides its default network"):
        two[1].detach(interface)


def test_a_deleted_pod_leaves_nothing_of_what_was_attached(cluster, two):
    only = {"subnet": "10.5.0.0/24", "rangeStart": "10.5.0.9", "rangeEnd": "10.5.0.9"}
    ipam = {"type": "host-local", "ranges": [[only]]}
    br = cluster.network(network("br", {"type": "bridge", "bridge": "br5", "ipam": ipam}))
    a = two[0]
    a.attach(br)
    a.delete()
    (again,) = cluster.apply(pod("c", "br"))
    assert str(again.ip("net1")) == "10.5.0.9"


def test_a_network_whose_definition_has_gone_cannot_be_detached(cluster, two):
    b = two[1]
    cluster.delete(network("lan"))
    with pytest.raises(PodError, match=r"cannot find a network-attachment-definition \(lan\)"):
        b.detach("net1")
    assert [s.interface for s in b.network_status] == ["eth0", "net1"]
    b.delete()


def test_the_same_manifest_is_still_the_living_pod_and_another_still_an_error(cluster, two, lan):
    a = two[0]
    a.attach(lan.attach("10.1.1.1/24"))
    assert cluster.apply(pod("a")) == [a]
    with pytest.raises(UsageError, match="exists with other arguments"):
        cluster.apply(pod("a", on("lan", "10.1.1.1/24")))
