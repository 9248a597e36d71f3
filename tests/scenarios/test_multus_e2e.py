"""Multus' own end-to-end cases: github.com/k8snetworkplumbingwg/multus-cni, folder e2e."""

from __future__ import annotations

import pytest

from pytest_multinet import (
    Cluster,
    ClusterConfig,
    NetworkFactory,
    NodeLink,
    PodFactory,
    assert_interface,
    assert_mesh,
    assert_ping,
    assert_route,
    open_cluster,
)

from .conftest import chain, single

STATIC_MACVLAN = {
    "type": "macvlan",
    "master": "eth1",
    "mode": "bridge",
    "ipam": {"type": "static"},
}


def test_a_pod_that_asks_for_nothing_starts(multinet_pod_factory: PodFactory) -> None:
    """e2e/test-simple-pod.sh: an ordinary pod runs under Multus as without it."""
    pod = multinet_pod_factory("simple")
    assert [s.interface for s in pod.network_status] == ["eth0"]
    assert_ping(pod, pod.node.address, interface="eth0")


def test_macvlan_with_a_static_address_on_each_worker(
    node_link: NodeLink, multinet_network: NetworkFactory, multinet_pod_factory: PodFactory
) -> None:
    """e2e/test-simple-macvlan1.sh: macvlan and an empty tuning, one pod on each worker."""
    network = multinet_network(
        "e2e-macvlan", chain({**STATIC_MACVLAN, "capabilities": {"ips": True}}, {"type": "tuning"})
    )
    one, two = multinet_pod_factory.batch(
        {
            "macvlan-1": {"node": "worker", "networks": network.attach("10.70.1.11/24")},
            "macvlan-2": {"node": "worker2", "networks": network.attach("10.70.1.12/24")},
        }
    )
    assert_interface(one, "net1", address="10.70.1.11/24", type="macvlan")
    assert_interface(two, "net1", address="10.70.1.12/24", type="macvlan")
    assert_ping(one, two, interface="net1", ttl=64)


def test_default_route_for_the_one_pod_that_asks_for_it(
    node_link: NodeLink, multinet_network: NetworkFactory, multinet_pod_factory: PodFactory
) -> None:
    """e2e/test-default-route1.sh: addresses without the capability, and one default-route."""
    network = multinet_network("e2e-default-route", chain(STATIC_MACVLAN))
    routed = network.attach("10.70.2.21/24", default_route=["10.70.2.254"])
    one, two = multinet_pod_factory.batch(
        {
            "default-1": {"networks": routed},
            "default-2": {"networks": network.attach("10.70.2.22/24")},
        }
    )
    assert_route(one, "default", gateway="10.70.2.254", interface="net1")
    assert [r.interface for r in one.routes if r.default] == ["net1"]
    assert [r.interface for r in two.routes if r.default] == ["eth0"]


def test_six_pods_of_a_deployment_all_become_ready(
    multinet_cluster: Cluster, multus: object
) -> None:
    """e2e/test-connection-limit.sh: many pods at once do not exhaust Multus' connections."""
    labels = {"app": "many"}
    template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": multinet_cluster.config.pod_image,
                        "command": ["sleep", "infinity"]}]}}  # fmt: skip
    (deployment,) = multinet_cluster.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "many", "namespace": multinet_cluster.namespace},
            "spec": {"replicas": 6, "selector": {"matchLabels": labels}, "template": template},
        }
    )
    with deployment:
        assert len(deployment.pods) == 6
        assert len({pod.ip() for pod in deployment.pods}) == 6
        assert_mesh(list(deployment.pods), interface="eth0")


def test_a_bridge_network_that_is_no_list(
    multinet_network: NetworkFactory, multinet_pod_factory: PodFactory
) -> None:
    """e2e/static-pod-nad.yml: one bridge plugin, host-local on a /16, asked for by name."""
    plugin = {
        "type": "bridge",
        "bridge": "e2ebr0",
        "ipam": {"type": "host-local", "subnet": "10.71.0.0/16"},
    }
    multinet_network("e2e-bridge", single(plugin, name="testnet"))
    pod = multinet_pod_factory("static-web", networks="e2e-bridge")
    assert_interface(pod, "net1", address="10.71.0.2/16", type="veth")


def test_a_conf_file_in_the_default_networks_folder_joins_its_chain() -> None:
    """e2e/test-subdirectory-chaining.sh: net.d/kindnet/x.conf, a tuning plugin for eth0."""
    tuning = {
        "cniVersion": "0.3.1",
        "name": "sysctltwiddle",
        "type": "tuning",
        "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"},
    }
    config = ClusterConfig(name="chaining", cni_conf={"kindnet/sysctltwiddle.conf": tuning})
    with open_cluster(config, backend="embedded") as cluster:
        pod = PodFactory(cluster)("sysctl-modified")
        assert pod.sysctl("ipv4/conf/eth0/arp_filter") == "1"


def test_the_density_network_hands_out_addresses_that_nobody_uses(
    node_link: NodeLink, multinet_network: NetworkFactory, multinet_pod_factory: PodFactory
) -> None:
    """e2e/kubeburner/templates/density-macvlan-nad.yml: cniVersion 0.4.0, host-local."""
    plugin = {
        "type": "macvlan",
        "master": "eth1",
        "mode": "bridge",
        "ipam": {"type": "host-local", "subnet": "10.72.0.0/16"},
    }
    multinet_network("density", single(plugin, "0.4.0", name="density-macvlan"))
    names = [f"density-{n}" for n in range(8)]
    pods = multinet_pod_factory.batch(
        {n: {"node": "worker", "networks": "density"} for n in names}
    )
    assert len({pod.ip("net1") for pod in pods}) == 8
    assert_ping(pods[0], pods[7], interface="eth0")


@pytest.mark.parametrize("selection", ["density2@x1", "density2", "density2,density2"])
def test_the_short_form_gives_as_many_interfaces_as_it_names(
    node_link: NodeLink,
    multinet_network: NetworkFactory,
    multinet_pod_factory: PodFactory,
    selection: str,
) -> None:
    """docs/how-to-use.md of Multus: names, and name@interface."""
    plugin = {
        "type": "macvlan",
        "master": "eth1",
        "ipam": {"type": "host-local", "subnet": "10.73.0.0/24"},
    }
    multinet_network("density2", single(plugin))
    pod = multinet_pod_factory("short-form", networks=selection)
    wanted = {"density2@x1": ["x1"], "density2": ["net1"]}.get(selection, ["net1", "net2"])
    assert [s.interface for s in pod.network_status][1:] == wanted
