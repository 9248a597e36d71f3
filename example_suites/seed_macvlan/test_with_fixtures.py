"""The same without YAML: `macvlan_network` makes the network, `multinet_pod` the pods."""

from pytest_multinet import assert_interface, assert_no_ping, assert_ping


def test_macvlan_joins_pods_on_two_nodes(macvlan_network, multinet_pod):
    pod1 = multinet_pod("pod1", node="worker", networks=[macvlan_network.attach("10.1.2.101/24")])
    pod2 = multinet_pod("pod2", node="worker2", networks=[macvlan_network.attach("10.1.2.102/24")])

    assert_interface(pod1, "net1", address="10.1.2.101/24", type="macvlan")
    assert_ping(pod1, pod2, interface="net1", ttl=64)
    assert_ping(pod1, pod2, interface="eth0", ttl=62)


def test_a_cut_link_separates_them(node_link, macvlan_network, multinet_pod):
    pod1 = multinet_pod("pod1", node="worker", networks=[macvlan_network.attach("10.1.2.101/24")])
    pod2 = multinet_pod("pod2", node="worker2", networks=[macvlan_network.attach("10.1.2.102/24")])

    with node_link.cut():
        assert_no_ping(pod1, pod2, interface="net1")
    assert_ping(pod1, pod2, interface="net1")
