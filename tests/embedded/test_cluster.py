"""The cluster as users hold it: names, manifests, links, networks, deletion."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from pytest_multinet import assert_no_ping, assert_ping
from pytest_multinet.cluster.embedded import open_cluster
from pytest_multinet.errors import ClusterError, LinkError, NeedsKubernetes, UsageError
from pytest_multinet.model.topology import ClusterConfig, MacvlanConfig

from .conftest import SEED
from .manifests import network, on, pod


def test_nodes_are_found_by_name_suffix_and_alias(cluster):
    for name in ("multus-cluster-worker2", "worker2"):
        assert cluster.node(name).name == "multus-cluster-worker2"
    assert cluster.node("control-plane").role == "control-plane"


def test_unknown_node_lists_those_that_exist(cluster):
    with pytest.raises(UsageError, match="multus-cluster-worker, multus-cluster-worker2"):
        cluster.node("worker3")


def test_one_node_runs_pods_too():
    with open_cluster(ClusterConfig(nodes=1)) as cluster:
        (made,) = cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "p"},
                "spec": {"containers": [{"name": "m", "image": "i"}]},
            }
        )
        assert made.node.role == "control-plane"
        assert made.ip() == ip_address("10.244.0.2")


def test_kind_configuration_gives_name_and_nodes():
    config = ClusterConfig(name="other", nodes=1, kind_config=SEED / "config-3node.yml")
    with open_cluster(config) as cluster:
        assert cluster.name == "multus-cluster"
        assert len(cluster.nodes) == 3


def test_two_clusters_with_the_same_names_and_addresses_do_not_meet():
    with open_cluster(ClusterConfig()) as first, open_cluster(ClusterConfig()) as second:
        for cluster in (first, second):
            cluster.link("worker", "worker2")
            cluster.apply(network("lan"))
        (a,) = first.apply(pod("a", on("lan", "10.1.1.1/24")))
        (b,) = second.apply(pod("b", on("lan", "10.1.1.2/24"), node="worker2"))
        assert_no_ping(a, b, interface="net1", during=0.2)
        (c,) = first.apply(pod("c", on("lan", "10.1.1.2/24"), node="worker2"))
        assert_ping(a, c, interface="net1")


def test_every_node_reaches_every_other_and_every_pod(cluster):
    pods = cluster.apply([pod("a"), pod("b", node="worker2"), pod("c", node="control-plane")])
    for source in (*cluster.nodes, *pods):
        for target in (*cluster.nodes, *pods):
            assert source.ping(target, interface=None).received == 1, (source, target)


@pytest.mark.parametrize("form", ["path", "text", "mapping", "list"])
def test_apply_takes_every_form_of_a_manifest(cluster, tmp_path, form):
    manifest = pod("p")
    if form == "path":
        (tmp_path / "p.yaml").write_text(str(manifest).replace("'", '"'))
        cluster.search_path = lambda: [tmp_path]
        source = "p.yaml"
    elif form == "text":
        source = str(manifest).replace("'", '"') + "\n"
    else:
        source = manifest if form == "mapping" else [manifest]
    (made,) = cluster.apply(source)
    assert made.name == "p"
    assert cluster.pod("p") is made


def test_pods_are_selected_by_label_and_namespace(cluster):
    manifests = []
    for name, app in (("a", "x"), ("b", "y"), ("c", "x")):
        manifest = pod(name)
        manifest["metadata"]["labels"] = {"app": app}
        manifests.append(manifest)
    manifests[2]["metadata"]["namespace"] = "other"
    cluster.apply(manifests)
    assert [p.name for p in cluster.pods("app=x")] == ["a", "c"]
    assert [p.name for p in cluster.pods("app!=x")] == ["b"]
    assert [p.name for p in cluster.pods({"app": "x"}, namespace="default")] == ["a"]


def test_delete_takes_manifests_as_apply_does(cluster):
    manifests = [network("lan"), pod("a", on("lan", "10.1.1.1/24"))]
    cluster.apply(manifests)
    cluster.delete(manifests)
    assert cluster.pods() == ()
    with pytest.raises(UsageError, match="no pod default/a"):
        cluster.pod("a")


def test_pods_are_spread_over_the_workers(cluster):
    manifests = [pod(f"p{i}") for i in range(4)]
    for manifest in manifests:
        del manifest["spec"]["nodeName"]
    nodes = [p.node.name for p in cluster.apply(manifests)]
    assert nodes == ["multus-cluster-worker", "multus-cluster-worker2"] * 2


def test_link_goes_down_and_up(cluster):
    link = cluster.link("worker", "worker2")
    a, b = cluster.apply(
        [
            network("lan"),
            pod("a", on("lan", "10.1.1.1/24")),
            pod("b", on("lan", "10.1.1.2/24"), node="worker2"),
        ]
    )[1:]
    with link.cut():
        assert_no_ping(a, b, interface="net1", during=0.2)
    seen = assert_ping(a, b, interface="net1")
    assert seen.attempts == 1


def test_link_has_the_mtu_and_addresses_that_were_asked_for(cluster):
    link = cluster.link(
        "worker", "control-plane", name="eth2", mtu=9000, addresses=["10.7.0.1/24", "10.7.0.2/24"]
    )
    assert link.mtu == 9000
    for node, address in zip(link.ends, ("10.7.0.1", "10.7.0.2"), strict=True):
        assert node.interface("eth2").mtu == 9000
        assert str(node.address_on("eth2", 4)) == address
    assert_ping(link.ends[0], "10.7.0.2", interface="eth2", size=8972, dont_fragment=True)


def test_deleted_link_takes_its_macvlans_along_and_can_be_made_again(cluster):
    link = cluster.link("worker", "worker2")
    cluster.apply(network("lan"))
    (made,) = cluster.apply(pod("a", on("lan", "10.1.1.1/24")))
    link.delete()
    link.delete()
    assert [i.name for i in made.interfaces] == ["lo", "eth0"]
    with pytest.raises(LinkError, match="make the link and the pods again"):
        link.up()
    assert cluster.link("worker", "worker2").name == "eth1"


def test_macvlan_configuration_makes_a_network(cluster):
    made = cluster.network(
        MacvlanConfig(name="storage", mode="private", routes={"10.9.0.0/16": "10.1.1.9"})
    )
    (p,) = cluster.apply(pod("a", {"name": "storage", "ips": ["10.1.1.1/24"]}))
    assert made.attach("10.1.1.1/24").ips == ("10.1.1.1/24",)
    assert p.interface("net1").mode == "private"
    assert "10.9.0.0/16 via 10.1.1.9 dev net1" in map(str, p.routes)


def test_handles_delete_at_the_end_of_a_with_block(cluster):
    with cluster.apply(pod("a"))[0]:
        assert [p.name for p in cluster.pods()] == ["a"]
    assert cluster.pods() == ()


def test_what_only_kubernetes_has_is_said_so(cluster):
    with pytest.raises(NeedsKubernetes, match="embedded"):
        _ = cluster.api
    with pytest.raises(NeedsKubernetes):
        _ = cluster.kubeconfig


def test_description_names_nodes_pods_links_and_networks(cluster):
    cluster.apply([network("lan"), pod("a", on("lan", "10.1.1.1/24"))])
    told = cluster.describe()
    assert [n["name"] for n in told["nodes"]] == [n.name for n in cluster.nodes]
    (a,) = told["pods"]
    assert a["interfaces"] == {"eth0": ["10.244.1.2"], "net1": ["10.1.1.1"]}
    assert told["links"] == [
        {"name": "eth1", "ends": ["multus-cluster-worker", "multus-cluster-worker2"], "mtu": 1500}
    ]
    assert told["networks"] == ["default/lan"]


def test_closed_cluster_says_that_it_is_closed():
    cluster = open_cluster(ClusterConfig())
    cluster.close()
    with pytest.raises((ClusterError, UsageError)):
        cluster.apply(pod("a"))


def test_multus_is_ready_on_every_node(cluster):
    multus = cluster.install_multus()
    assert (multus.mode, multus.version) == ("embedded", "4.1.0")
    assert [c.node for c in multus.status() if c.ok] == [n.name for n in cluster.nodes]


def test_link_local_addresses_answer(cluster):
    cluster.apply(network("lan"))
    a, b = cluster.apply(
        [pod("a", on("lan", "10.1.1.1/24")), pod("b", on("lan", "10.1.1.2/24"), node="worker2")]
    )
    target = next(i.ip for i in b.interface("net1").ipv6 if i.ip.is_link_local)
    assert_ping(a, str(target), interface="net1")


def test_links_and_pods_with_an_mtu_too_small_for_ipv6(cluster):
    link = cluster.link("worker", "worker2", name="small0", mtu=576)
    cluster.apply(network("small", master="small0"))
    left, right = cluster.apply(
        [
            pod("left", on("small", "10.9.7.1/24")),
            pod("right", on("small", "10.9.7.2/24"), node="worker2"),
        ]
    )
    assert (link.mtu, left.interface("net1").mtu) == (576, 576)
    assert_ping(left, right, interface="net1")
