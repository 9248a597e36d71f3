"""The manifests of this folder: what `ip address`, `ip route` and `ping` would show."""

from ipaddress import ip_address, ip_network

from pytest_multinet import (
    assert_arp,
    assert_interface,
    assert_no_ping,
    assert_no_route,
    assert_ping,
    assert_route,
)


def test_each_pod_has_its_address_on_the_macvlan(pods):
    left, right = pods
    assert_interface(left, "net1", address="10.1.1.101/24", type="macvlan", mtu=1500, state="up")
    assert_interface(right, "net1", address="10.1.1.102/24", type="macvlan", mtu=1500, state="up")


def test_each_pod_keeps_its_address_on_the_pod_network(pods):
    for pod in pods:
        assert pod.ip("eth0") in ip_network("10.244.0.0/16")


def test_multus_reports_both_interfaces(pods):
    left, _ = pods
    default, lan = left.network_status
    assert default.default
    assert default.interface == "eth0"
    assert (lan.name, lan.interface) == ("default/lan", "net1")
    assert lan.ips == (ip_address("10.1.1.101"),)


def test_the_pods_reach_each_other_over_the_macvlan(pods):
    left, right = pods
    assert_ping(left, right, interface="net1", ttl=64)
    assert_ping(right, left, interface="net1", ttl=64)


def test_the_pods_reach_each_other_over_the_pod_network(pods):
    left, right = pods
    assert_ping(left, right, interface="eth0", ttl=62)


def test_an_address_on_the_macvlan_is_resolved_to_the_other_pod(pods):
    left, right = pods
    assert_arp(left, "10.1.1.102", interface="net1", mac=right.interface("net1").mac)


def test_the_macvlan_adds_its_subnet_and_no_default_route(pods):
    left, _ = pods
    assert_route(left, "10.1.1.0/24", interface="net1")
    assert_no_route(left, "default", interface="net1")


def test_nobody_answers_for_an_address_that_is_not_there(pods):
    left, _ = pods
    assert_no_ping(left, "10.1.1.103", interface="net1")


def test_the_link_between_the_workers_carries_no_address(kind_cluster, pods):
    for name in ("worker", "worker2"):
        eth1 = assert_interface(kind_cluster.node(name), "eth1", type="veth", state="up")
        assert not eth1.ipv4


def test_a_program_in_a_pod_sees_the_same(pods):
    left, _ = pods
    assert "10.1.1.101/24" in left.exec(["ip", "address", "show", "net1"]).stdout
    assert left.exec(["hostname"]).stdout.strip() == "left"
