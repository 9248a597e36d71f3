"""Causes that a pod or network meets while it is made: each is named, its neighbour is not."""

from __future__ import annotations

import json

import pytest

from pytest_multinet import MultinetError, assert_interface, assert_ping
from pytest_multinet.cluster.base import Cluster

from .conftest import SHORT, at, definition, host_local, named, network, pod, text_of, two_pods


def test_a_plugin_that_is_not_on_the_node(cluster: Cluster) -> None:
    cluster.apply([network("none", type="notaplugin", ipam=None), network("mv")])
    broken = pod(cluster, "p", "worker", "none")

    assert named(lambda: cluster.apply(broken)) == "plugin-missing"
    assert "notaplugin is not in /opt/cni/bin on diagnosis-worker" in text_of(
        lambda: cluster.apply(broken)
    )
    assert cluster.apply(pod(cluster, "p", "worker", at("mv", "10.1.1.1/24")))


def test_a_master_that_the_node_has_not(cluster: Cluster) -> None:
    cluster.apply([network("mv"), network("wrong", master="eth7")])

    text = text_of(lambda: cluster.apply(pod(cluster, "p", "worker", at("wrong", "10.1.1.1/24"))))
    assert "master eth7 of network default/wrong is not on diagnosis-worker" in text
    elsewhere = pod(cluster, "q", "control-plane", at("mv", "10.1.1.1/24"))
    assert named(lambda: cluster.apply(elsewhere)) == "master-missing"
    assert "diagnosis-worker, diagnosis-worker2 has it" in text_of(
        lambda: cluster.apply(elsewhere)
    )
    assert named(lambda: cluster.apply(pod(cluster, "r", "worker", "mv"))) == "static-without-ips"
    cluster.link("control-plane", "worker", name="eth7")
    assert cluster.apply(pod(cluster, "p", "worker", at("wrong", "10.1.1.1/24")))


def test_static_ipam_without_an_address(cluster: Cluster) -> None:
    given = {"type": "static", "addresses": [{"address": "10.1.1.9/24"}]}
    cluster.apply([network("mv"), network("given", ipam=given)])

    assert named(lambda: cluster.apply(pod(cluster, "p", "worker", "mv"))) == "static-without-ips"
    assert cluster.apply(pod(cluster, "q", "worker", "given"))
    assert cluster.apply(pod(cluster, "p", "worker", at("mv", "10.1.1.1/24")))


def test_a_master_that_a_bridge_has(cluster: Cluster) -> None:
    cluster.apply([network("mv")])
    node = cluster.node("worker")
    node.exec(["ip", "link", "add", "br9", "type", "bridge"], check=True)
    node.exec(["ip", "link", "set", "eth1", "master", "br9"], check=True)
    try:
        broken = pod(cluster, "p", "worker", at("mv", "10.1.1.1/24"))
        assert named(lambda: cluster.apply(broken)) == "master-busy"
        assert "it is a port of bridge br9" in text_of(lambda: cluster.apply(broken))
        assert cluster.apply(pod(cluster, "q", "worker2", at("mv", "10.1.1.2/24")))
    finally:
        node.exec(["ip", "link", "delete", "br9"], check=True)
    assert cluster.apply(broken)


def test_ipvlan_beside_macvlan(cluster: Cluster) -> None:
    cluster.apply([network("mv"), network("iv", type="ipvlan", capabilities={"ips": True})])
    try:
        (first,) = cluster.apply(pod(cluster, "p", "worker", at("iv", "10.1.1.1/24")))
    except MultinetError as error:
        if "operation not supported" in str(error):
            pytest.skip("this kernel has no ipvlan")
        raise
    broken = pod(cluster, "q", "worker", at("mv", "10.1.1.2/24"))

    assert named(lambda: cluster.apply(broken)) == "master-busy"
    assert "pod p has an ipvlan on it (net1)" in text_of(lambda: cluster.apply(broken))
    first.delete()
    assert cluster.apply(broken)


def test_two_pods_with_one_mac_on_a_master(cluster: Cluster) -> None:
    cluster.apply([network("mv")])
    mac = "02:00:00:00:00:07"
    cluster.apply(pod(cluster, "p", "worker", at("mv", "10.1.1.1/24", mac=mac)))
    broken = pod(cluster, "q", "worker", at("mv", "10.1.1.2/24", mac=mac))

    assert named(lambda: cluster.apply(broken)) == "duplicate-mac"
    assert f"MAC address {mac} is taken on master eth1" in text_of(lambda: cluster.apply(broken))
    assert "pod p has it on net1" in text_of(lambda: cluster.apply(broken))
    assert cluster.apply(pod(cluster, "r", "worker2", at("mv", "10.1.1.3/24", mac=mac)))
    other = at("mv", "10.1.1.2/24", mac="02:00:00:00:00:08")
    assert cluster.apply(pod(cluster, "q", "worker", other))


def test_a_multicast_mac_in_the_annotation(cluster: Cluster) -> None:
    cluster.apply([network("mv")])
    broken = pod(cluster, "p", "worker", at("mv", "10.1.1.1/24", mac="01:00:00:00:00:07"))

    assert named(lambda: cluster.apply(broken)) == "multicast-mac"
    wrong = pod(cluster, "p", "worker", at("mv", "10.1.1.1/24", mac="02:zz"))
    assert named(lambda: cluster.apply(wrong)) == ""
    sound = at("mv", "10.1.1.1/24", mac="02:00:00:00:00:07")
    assert cluster.apply(pod(cluster, "p", "worker", sound))


def test_a_multicast_mac_in_the_configuration(cluster: Cluster) -> None:
    cluster.apply(
        [network("odd", mac="03:00:00:00:00:07"), network("even", mac="02:00:00:00:00:09")]
    )

    broken = pod(cluster, "p", "worker", at("odd", "10.1.1.1/24"))
    assert named(lambda: cluster.apply(broken)) == "multicast-mac"
    assert cluster.apply(pod(cluster, "p", "worker", at("even", "10.1.1.1/24")))


@pytest.mark.parametrize("annotation", ["mv,", '[{"name": "default/mv", "ips": ["10.1.1.1/24"]}]'])
def test_a_name_that_is_empty_or_holds_a_namespace(cluster: Cluster, annotation: str) -> None:
    cluster.apply([network("mv")])
    broken = pod(cluster, "p", "worker")
    broken["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"] = annotation

    assert named(lambda: cluster.apply(broken)) == "empty-or-qualified-name"
    absent = pod(cluster, "p", "worker", "not-there")
    assert named(lambda: cluster.apply(absent)) == ""
    assert cluster.apply(pod(cluster, "p", "worker", at("mv", "10.1.1.1/24", namespace="default")))


def test_a_network_in_another_namespace_than_the_pod(cluster: Cluster) -> None:
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "apart"}}
    cluster.apply([space, network("mv", "apart")])
    broken = pod(cluster, "p", "worker", at("mv", "10.1.1.1/24"))

    assert named(lambda: cluster.apply(broken)) == "network-in-other-namespace"
    assert "name it apart/mv" in text_of(lambda: cluster.apply(broken))
    assert named(lambda: cluster.apply(pod(cluster, "p", "worker", "nowhere"))) == ""
    assert cluster.apply(pod(cluster, "p", "worker", at("mv", "10.1.1.1/24", namespace="apart")))


def test_a_configuration_that_is_not_json(cluster: Cluster) -> None:
    broken = definition("mv", "{cniVersion: 0.3.1}")

    assert named(lambda: cluster.apply(broken)) == "not-json"
    typeless = definition("mv", json.dumps({"cniVersion": "0.3.1", "name": "mv", "plugins": []}))
    assert named(lambda: cluster.apply(typeless)) == ""
    assert cluster.apply(network("mv"))


def test_ips_given_as_a_string(cluster: Cluster) -> None:
    cluster.apply([network("mv")])
    broken = pod(cluster, "p", "worker", {"name": "mv", "ips": "10.1.1.1/24"})

    assert named(lambda: cluster.apply(broken)) == "not-json"
    assert 'write ips as a list: "ips"' in text_of(lambda: cluster.apply(broken))
    no_prefix = pod(cluster, "p", "worker", at("mv", "10.1.1.300/24"))
    assert named(lambda: cluster.apply(no_prefix)) == ""
    assert cluster.apply(pod(cluster, "p", "worker", at("mv", "10.1.1.1/24")))


def test_a_cni_version_that_no_plugin_knows(cluster: Cluster) -> None:
    broken = network("mv", cniVersion="3.1.0")

    assert named(lambda: cluster.apply(broken)) == "cni-version"
    wrong_mode = network("mv", mode="sideways")
    cluster.apply(wrong_mode)
    assert named(lambda: cluster.apply(pod(cluster, "p", "worker", at("mv", "10.1.1.1/24")))) == ""
    cluster.delete(wrong_mode)
    assert cluster.apply(network("mv", cniVersion="1.0.0"))


def test_host_local_has_given_out_every_address(cluster: Cluster) -> None:
    small = host_local("10.9.0.0/24", "10.9.0.10", "10.9.0.11")
    wide = host_local("10.8.0.0/24", "10.8.0.10", "10.8.0.20")
    cluster.apply([network("small", ipam=small), network("wide", ipam=wide)])
    first, _ = cluster.apply([pod(cluster, f"p{n}", "worker", "small") for n in range(2)])
    broken = pod(cluster, "q", "worker", "small")

    assert named(lambda: cluster.apply(broken)) == "addresses-exhausted"
    assert "2 of 2 are held by running pods (p0, p1)" in text_of(lambda: cluster.apply(broken))
    assert cluster.apply(pod(cluster, "r", "worker2", "small"))
    assert cluster.apply(pod(cluster, "s", "worker", "wide"))
    first.delete()
    assert cluster.apply(broken)


def test_a_sound_set_up_is_explained_to_nobody(cluster: Cluster) -> None:
    cluster.apply([network("mv")])
    a, b = two_pods(cluster)
    assert assert_ping(a, b, interface="net1").attempts == 1


def _deployment(cluster: Cluster, name: str, *, on_template: bool) -> dict[str, object]:
    annotation = {"k8s.v1.cni.cncf.io/networks": json.dumps([at("mv", "10.1.1.50/24")])}
    body = pod(cluster, name, "worker")
    template = {"metadata": {"labels": {"app": name}}, "spec": body["spec"]}
    template["spec"].pop("terminationGracePeriodSeconds")
    if on_template:
        template["metadata"]["annotations"] = annotation
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "annotations": {} if on_template else annotation},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": template,
        },
    }


def test_an_annotation_on_the_deployment_instead_of_its_template(cluster: Cluster) -> None:
    cluster.apply([network("mv")])
    (wrong,) = cluster.apply(_deployment(cluster, "wrong", on_template=False))
    (plain,) = cluster.apply(pod(cluster, "plain", "worker"))

    assert (
        named(lambda: assert_interface(wrong.pods[0], "net1", within=SHORT))
        == "annotation-on-workload"
    )
    assert named(lambda: assert_interface(plain, "net1", within=SHORT)) == ""
    wrong.delete()
    (right,) = cluster.apply(_deployment(cluster, "right", on_template=True))
    assert assert_interface(right.pods[0], "net1", address="10.1.1.50/24")
