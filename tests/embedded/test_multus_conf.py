"""Multus' configuration on the nodes: isolation of namespaces, files, chains."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_multinet import assert_interface, assert_ping
from pytest_multinet.cluster.embedded import EmbeddedCluster, open_cluster
from pytest_multinet.errors import PodError
from pytest_multinet.model.topology import ClusterConfig

from .manifests import network, on, pod, raw_network

HOST_LOCAL = {"type": "host-local", "subnet": "10.5.0.0/24"}
BRIDGE = {"type": "bridge", "bridge": "br-own", "ipam": HOST_LOCAL}


def opened(**config: Any) -> EmbeddedCluster:
    return open_cluster(ClusterConfig(timeout=5, **config))


def conflist(name: str, *plugins: dict[str, Any]) -> dict[str, Any]:
    return {"cniVersion": "0.3.1", "name": name, "plugins": list(plugins)}


def in_namespace(manifest: dict[str, Any], namespace: str) -> dict[str, Any]:
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}


# --- namespace isolation --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "allowed"),
    [
        ({}, {"default", "infra", "team"}),
        ({"namespace_isolation": True}, {"default", "team"}),
        ({"namespace_isolation": True, "global_namespaces": ("infra",)}, {"infra", "team"}),
        ({"namespace_isolation": True, "global_namespaces": ()}, {"team"}),
        ({"global_namespaces": ()}, {"default", "infra", "team"}),
    ],
)
def test_whose_networks_a_pod_may_use(config, allowed):
    with opened(**config) as cluster:
        seen = set()
        for number, space in enumerate(("default", "infra", "team")):
            cluster.apply(in_namespace(network("br", {**BRIDGE, "bridge": "br5"}), space))
            manifest = in_namespace(
                pod(f"pod{number}", {"name": "br", "namespace": space}), "team"
            )
            try:
                cluster.apply(manifest)
            except PodError as error:
                assert (  # noqa: PT017 - which of them fail is what is tested
                    "namespace isolation enabled, annotation violates permission, pod is in "
                    f"namespace team but refers to target namespace {space}" in str(error)
                )
            else:
                seen.add(space)
        assert seen == allowed


def test_the_default_network_annotation_is_not_isolated():
    with opened(namespace_isolation=True, global_namespaces=()) as cluster:
        cluster.apply(in_namespace(network("own", BRIDGE), "kube-system"))
        (made,) = cluster.apply(pod("p", annotations={"v1.multus-cni.io/default-network": "own"}))
        assert str(made.ip()) == "10.5.0.2"


def test_networks_of_a_running_pod_are_not_isolated():
    """dynamic-networks-controller reads the network itself and does not look at the namespace."""
    with opened(namespace_isolation=True, global_namespaces=()) as cluster:
        (lan,) = cluster.apply(in_namespace(network("br", BRIDGE), "infra"))
        (made,) = cluster.apply(pod("p"))
        (status,) = made.attach(lan)
        assert status.name == "infra/br"


# --- files on the nodes ---------------------------------------------------------------------


def test_network_without_spec_names_a_file_by_the_name_inside_it():
    files = {"50-anything.conf": {"cniVersion": "0.3.1", "name": "lan", **BRIDGE}}
    with opened(cni_conf=files) as cluster:
        manifest = raw_network("lan", "")
        del manifest["spec"]
        cluster.apply(manifest)
        (made,) = cluster.apply(pod("p", "lan"))
        assert [(s.name, s.interface) for s in made.network_status] == [
            ("kindnet", "eth0"),
            ("default/lan", "net1"),
        ]
        assert str(made.ip("net1")) == "10.5.0.2"


def test_capabilities_of_a_selection_reach_a_network_from_a_file():
    macvlan = {
        "type": "macvlan",
        "master": "eth1",
        "capabilities": {"ips": True},
        "ipam": {"type": "static"},
    }
    with opened(cni_conf={"lan.conflist": conflist("lan", macvlan)}) as cluster:
        cluster.link("worker", "worker2")
        cluster.apply(raw_network("lan", ""))
        a, b = cluster.apply(
            [
                pod("a", on("lan", "10.1.1.1/24")),
                pod("b", on("lan", "10.1.1.2/24"), node="worker2"),
            ]
        )
        assert_ping(a, b, interface="net1")


def test_network_without_a_file_lists_the_files_that_are_there():
    with opened(cni_conf={"20-other.conflist": conflist("other", BRIDGE)}) as cluster:
        cluster.apply(raw_network("lan", ""))
        with pytest.raises(PodError) as raised:
            cluster.apply(pod("p", "lan"))
    text = str(raised.value)
    assert "no network available in the name lan in cni dir /etc/cni/net.d" in text
    assert "there: 10-kindnet.conflist (kindnet), 20-other.conflist (other)" in text


def test_a_broken_file_in_front_is_told():
    with opened(cni_conf={"05-broken.json": "{", "20-lan.conflist": conflist("lan", BRIDGE)}) as c:
        c.apply(raw_network("lan", ""))
        with pytest.raises(PodError, match=r"Error loading CNI config file .*/05-broken\.json"):
            c.apply(pod("p", "lan"))


def test_the_first_file_by_name_is_the_default_network():
    with opened(cni_conf={"05-mine.conflist": conflist("mine", BRIDGE)}) as cluster:
        (made,) = cluster.apply(pod("p"))
        (status,) = made.network_status
        assert (status.name, status.default, str(made.ip())) == ("mine", True, "10.5.0.2")


def test_a_default_network_that_cannot_be_read_fails_every_pod():
    with opened(cni_conf={"05-mine.conflist": "{}"}) as cluster:
        with pytest.raises(PodError, match=r"failed to get clusterNetwork: .*05-mine"):
            cluster.apply(pod("p"))
        assert cluster.pods() == ()


def test_files_know_their_nodes_pod_range_and_name():
    ipam = {"type": "host-local", "subnet": "{{PodCIDR}}"}
    own = conflist("own", {"type": "ptp", "mtu": 1400, "ipam": ipam})
    for config in ({"default_cni": own}, {"cni_conf": {"05-own.conflist": own}}):
        with opened(**config) as cluster:
            a, b = cluster.apply([pod("a"), pod("b", node="worker2")])
            assert [str(p.ip()) for p in (a, b)] == ["10.244.1.2", "10.244.2.2"]
            assert_interface(a, "eth0", mtu=1400)


# --- chains ---------------------------------------------------------------------------------


def test_plugins_chained_to_the_default_network_by_its_own_list():
    ptp = {"type": "ptp", "ipam": {"type": "host-local", "subnet": "{{PodCIDR}}"}}
    tuning = {"type": "tuning", "mtu": 1300, "sysctl": {"net.ipv4.conf.IFNAME.arp_ignore": "1"}}
    with opened(default_cni=conflist("own", ptp, tuning)) as cluster:
        (made,) = cluster.apply(pod("p"))
        assert_interface(made, "eth0", mtu=1300)
        assert made.sysctl("ipv4/conf/eth0/arp_ignore") == "1"


def test_plugins_chained_to_the_default_network_by_a_folder_of_its_name():
    files = {
        "kindnet/20-mac.conf": {"type": "tuning", "mac": "02:00:00:00:00:99"},
        "kindnet/10-mtu.conf": {"type": "tuning", "mtu": 1300},
        "other/10-mtu.conf": {"type": "tuning", "mtu": 1200},
    }
    with opened(cni_conf=files) as cluster:
        a, b = cluster.apply([pod("a"), pod("b", node="worker2")])
        assert_interface(a, "eth0", mtu=1300, mac="02:00:00:00:00:99")
        types = [plugin["type"] for plugin in a.cni[0]["network"]["plugins"]]
        assert types == ["ptp", "portmap", "tuning", "tuning"]
        assert_ping(a, b, interface="eth0", ttl=62)


def test_plugins_chained_by_a_folder_to_a_network_from_a_file():
    files = {
        "lan.conflist": conflist("lan", BRIDGE),
        "lan/10-mtu.conf": {"type": "tuning", "mtu": 1300},
    }
    with opened(cni_conf=files) as cluster:
        cluster.apply(raw_network("lan", ""))
        (made,) = cluster.apply(pod("p", "lan"))
        assert_interface(made, "net1", mtu=1300)
