"""Multus' semantics: what the scenarios of a real cluster showed (Multus 4.1.0)."""

from __future__ import annotations

import json
from ipaddress import ip_address

import pytest

from pytest_multinet import assert_interface, assert_no_ping, assert_ping
from pytest_multinet.cluster.embedded import open_cluster
from pytest_multinet.errors import ManifestError, PodError
from pytest_multinet.model.topology import ClusterConfig

from .manifests import network, on, pod, raw_network

HOST_LOCAL = {"type": "host-local", "subnet": "10.5.0.0/24"}


def default_routes(made, version: int = 4) -> list[str]:
    return [str(r) for r in made.routes if r.default and r.destination.version == version]


def bridge(name: str, **more) -> dict:
    return network(name, {"type": "bridge", "bridge": f"br-{name}", "ipam": HOST_LOCAL, **more})


def test_mac_and_interface_name_of_the_selection_are_honoured(cluster):
    cluster.apply(network("lan"))
    selection = on("lan", "10.1.1.1/24", mac="02:00:00:00:00:11", interface="storage")
    (made,) = cluster.apply(pod("pod1", selection))
    seen = assert_interface(made, "storage", mac="02:00:00:00:00:11", address="10.1.1.1/24")
    assert ip_address("fe80::ff:fe00:11") in [a.ip for a in seen.ipv6]


def test_a_named_interface_still_consumes_its_index(cluster):
    cluster.apply(network("lan"))
    (made,) = cluster.apply(
        pod("pod1", on("lan", "10.1.1.1/24", interface="x0"), on("lan", "10.1.2.1/24"))
    )
    assert [i.name for i in made.interfaces] == ["lo", "eth0", "x0", "net2"]


def test_short_form_attaches_in_order_and_each_gets_the_next_address(cluster):
    cluster.apply(bridge("br"))
    (made,) = cluster.apply(pod("pod1", "br,br,br@z9"))
    addresses = [(i.name, str(i.ipv4[0])) for i in made.interfaces[2:]]
    assert addresses == [("net1", "10.5.0.2/24"), ("net2", "10.5.0.3/24"), ("z9", "10.5.0.4/24")]
    subnets = [str(r) for r in made.routes if str(r.destination) == "10.5.0.0/24"]
    assert [text.split()[2] for text in subnets] == ["net1", "net2", "z9"]


def test_host_local_gives_the_same_address_on_two_nodes(cluster):
    cluster.apply(bridge("br"))
    pods = cluster.apply([pod("a", "br"), pod("b", "br", node="worker2")])
    assert [str(p.ip("net1")) for p in pods] == ["10.5.0.2", "10.5.0.2"]


def test_two_bridge_pods_of_one_node_reach_each_other(cluster):
    cluster.apply(bridge("br"))
    a, b = cluster.apply([pod("a", "br"), pod("b", "br")])
    assert_ping(a, b, interface="net1", ttl=64)


@pytest.mark.parametrize(
    ("mode", "same_node", "across"),
    [("bridge", True, True), ("private", False, True), ("vepa", False, True)],
)
def test_macvlan_modes_separate_pods_as_the_kernel_does(cluster, mode, same_node, across):
    cluster.apply(network("lan", mode=mode))
    a, b, c = cluster.apply(
        [
            pod("a", on("lan", "10.1.1.1/24")),
            pod("b", on("lan", "10.1.1.2/24")),
            pod("c", on("lan", "10.1.1.3/24"), node="worker2"),
        ]
    )
    (assert_ping if same_node else assert_no_ping)(a, b, interface="net1")
    (assert_ping if across else assert_no_ping)(a, c, interface="net1")


def test_second_pod_in_passthru_mode_is_refused(cluster):
    cluster.apply(network("lan", mode="passthru"))
    cluster.apply(pod("a", on("lan", "10.1.1.1/24")))
    with pytest.raises(PodError, match="failed to create macvlan: invalid argument"):
        cluster.apply(pod("b", on("lan", "10.1.1.2/24")))


def test_a_node_does_not_reach_the_macvlan_of_its_own_pod(cluster):
    cluster.apply(network("lan"))
    (made,) = cluster.apply(pod("a", on("lan", "10.1.1.1/24")))
    worker = cluster.node("worker")
    worker.exec(["ip", "address", "add", "10.1.1.254/24", "dev", "eth1"], check=True)
    assert_no_ping(worker, made.ip("net1"), interface="eth1")


def test_default_route_takes_eth0s_away(cluster):
    cluster.apply(network("lan"))
    selection = on("lan", "10.1.1.1/24", **{"default-route": ["10.1.1.254"]})
    (made,) = cluster.apply(pod("pod1", selection))
    assert default_routes(made) == ["default via 10.1.1.254 dev net1"]


def test_default_route_replaces_the_networks_own(cluster):
    ipam = {"type": "static", "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.1.1"}]}
    cluster.apply(network("lan", ipam=ipam))
    selection = on("lan", "10.1.1.2/24", **{"default-route": ["10.1.1.254"]})
    (made,) = cluster.apply(pod("pod1", selection))
    assert default_routes(made) == ["default via 10.1.1.254 dev net1"]


def test_empty_default_route_leaves_none_at_all(cluster):
    ipam = {"type": "static", "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.1.1"}]}
    cluster.apply(network("lan", ipam=ipam))
    (made,) = cluster.apply(pod("pod1", on("lan", "10.1.1.2/24", **{"default-route": []})))
    assert default_routes(made) == []


def both_families(cluster) -> None:
    """Networks ``lan`` and ``san``, each with default routes of its own in both families."""
    for name, number in (("lan", 1), ("san", 2)):
        routes = [
            {"dst": "0.0.0.0/0", "gw": f"10.1.{number}.1"},
            {"dst": "::/0", "gw": f"fd00:{number}::1"},
        ]
        cluster.apply(network(name, ipam={"type": "static", "routes": routes}))


LAN, SAN = ("10.1.1.5/24", "fd00:1::5/64"), ("10.1.2.5/24", "fd00:2::5/64")


def test_one_network_gives_the_default_routes_of_both_families(cluster):
    both_families(cluster)
    wanted = {"default-route": ["10.1.2.254", "fd00:2::fe"]}
    (made,) = cluster.apply(pod("pod1", on("lan", *LAN), on("san", *SAN, **wanted)))
    assert default_routes(made) == ["default via 10.1.2.254 dev net2"]
    (route,) = (r for r in made.routes if r.default and r.destination.version == 6)
    assert (str(route.gateway), route.interface) == ("fd00:2::fe", "net2")


def test_each_family_may_have_its_default_route_from_another_network(cluster):
    both_families(cluster)
    four, six = {"default-route": ["10.1.1.254"]}, {"default-route": ["fd00:2::fe"]}
    (made,) = cluster.apply(pod("pod1", on("lan", *LAN, **four), on("san", *SAN, **six)))
    assert default_routes(made) == ["default via 10.1.1.254 dev net1"]
    (route,) = (r for r in made.routes if r.default and r.destination.version == 6)
    assert (str(route.gateway), route.interface) == ("fd00:2::fe", "net2")


def test_a_default_route_of_one_family_takes_the_others_away_too(cluster):
    both_families(cluster)
    wanted = {"default-route": ["10.1.1.254"]}
    (made,) = cluster.apply(pod("pod1", on("lan", *LAN, **wanted)))
    assert default_routes(made, 6) == []


@pytest.mark.parametrize("version", [4, 6])
def test_two_default_routes_of_one_family_are_refused(cluster, version):
    both_families(cluster)
    first, second = (
        {"default-route": [gateway]}
        for gateway in (
            ("10.1.1.254", "10.1.2.254") if version == 4 else ("fd00:1::fe", "fd00::2")
        )
    )
    with pytest.raises(ManifestError, match="multus does not support ECMP for default-route"):
        cluster.apply(pod("pod1", on("lan", *LAN, **first), on("san", *SAN, **second)))


def test_a_gateway_that_is_out_of_reach_fails_the_pod(cluster):
    both_families(cluster)
    wanted = {"default-route": ["192.168.99.1"]}
    message = r"error setting default gateway: network is unreachable\n.*net1"
    with pytest.raises(PodError, match=message):
        cluster.apply(pod("pod1", on("lan", *LAN, **wanted)))
    assert cluster.pods() == ()


def test_of_two_gateways_only_the_lasts_refusal_counts(cluster):
    """Multus 4.1.0 logs the first one's and goes on."""
    both_families(cluster)
    wanted = {"default-route": ["192.168.99.1", "fd00:1::fe"]}
    (made,) = cluster.apply(pod("pod1", on("lan", *LAN, **wanted)))
    assert default_routes(made) == []
    assert len(default_routes(made, 6)) == 1


def test_a_default_route_of_the_chosen_default_network_counts(cluster):
    ipam = {"type": "static", "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.1.1"}]}
    manifest = network("own", ipam=ipam)
    manifest["metadata"]["namespace"] = "kube-system"
    cluster.apply([manifest, network("lan", ipam=ipam)])
    chosen = json.dumps([on("own", "10.1.1.5/24", **{"default-route": ["10.1.1.254"]})])
    annotations = {"v1.multus-cni.io/default-network": chosen}
    alone, beside = cluster.apply(
        [
            pod("pod1", annotations=annotations),
            pod("pod2", on("lan", "10.1.1.6/24"), annotations=annotations, node="worker2"),
        ]
    )
    for made in (alone, beside):
        assert default_routes(made) == ["default via 10.1.1.254 dev eth0"]


def test_an_empty_default_route_of_the_default_network_needs_a_further_network(cluster):
    """Multus looks for default-route when the pod has the annotation networks."""
    ipam = {"type": "static", "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.3.1"}]}
    manifest = network("own", ipam=ipam)
    manifest["metadata"]["namespace"] = "kube-system"
    cluster.apply([manifest, network("lan")])
    chosen = json.dumps([on("own", "10.1.3.5/24", **{"default-route": []})])
    annotations = {"v1.multus-cni.io/default-network": chosen}
    (alone,) = cluster.apply(pod("pod1", annotations=annotations))
    assert default_routes(alone) == ["default via 10.1.3.1 dev eth0"]
    alone.delete()
    (beside,) = cluster.apply(pod("pod2", on("lan", "10.1.1.5/24"), annotations=annotations))
    assert default_routes(beside) == []


@pytest.mark.parametrize(
    ("annotation", "attached"),
    [
        ("", []),
        ("[]", []),
        ("lan", ["default/lan net1"]),
        (" lan , infra/lan ", ["default/lan net1", "infra/lan net2"]),
        ("infra/lan@x0,lan", ["infra/lan x0", "default/lan net2"]),
        ('[{"name":"lan"},{"name":"lan","namespace":"infra"}]',
         ["default/lan net1", "infra/lan net2"]),
        ('[{"name":"lan","interface":"a"},{"name":"lan","interfaceRequest":"b"}]',
         ["default/lan a", "default/lan b"]),
        ('[{"NAME":"lan","InterFace":"c"}]', ["default/lan c"]),
    ],
)  # fmt: skip
def test_every_form_of_the_annotation(cluster, annotation, attached):
    for namespace in ("default", "infra"):
        manifest = bridge("br")
        manifest["metadata"] = {"name": "lan", "namespace": namespace}
        cluster.apply(manifest)
    (made,) = cluster.apply(pod("pod1", annotation))
    assert [f"{s.name} {s.interface}" for s in made.network_status[1:]] == attached
    assert [i.name for i in made.interfaces[2:]] == [a.split()[1] for a in attached]


def test_an_interface_that_a_plugin_made_before_is_not_taken_twice(cluster):
    (made,) = cluster.apply([network("lan"), pod("pod1", on("lan", "10.1.1.1/24"))])[1:]
    made.exec(["ip", "link", "set", "net1", "name", "net2"], check=True)
    with pytest.raises(PodError, match="validateIfName: interface name net2 already exists"):
        made.attach(cluster.network(network("lan")).attach("10.1.1.2/24"))


def test_ipv4_and_ipv6_addresses_work_at_once(cluster):
    cluster.apply(network("lan"))
    a, b = cluster.apply(
        [
            pod("a", on("lan", "10.1.1.1/24", "fd00:1::1/64")),
            pod("b", on("lan", "10.1.1.2/24", "fd00:1::2/64"), node="worker2"),
        ]
    )
    for version in (4, 6):
        seen = a.ping(b, interface="net1", version=version)
        assert (seen.received, seen.ttl) == (1, 64)


def test_addresses_arrive_without_the_capability(cluster):
    cluster.apply(network("lan", capabilities={}))
    (made,) = cluster.apply(pod("pod1", on("lan", "10.1.1.1/24")))
    assert_interface(made, "net1", address="10.1.1.1/24")


def test_cni_args_of_the_pod_win_over_the_networks(cluster):
    args = {"cni": {"ips": ["10.1.1.50/24"]}}
    cluster.apply(network("lan", args=args, capabilities={}))
    selection = {"name": "lan", "cni-args": {"ips": ["10.1.1.60/24"]}}
    (made,) = cluster.apply(pod("pod1", selection))
    assert_interface(made, "net1", address="10.1.1.60/24")


def test_default_network_is_replaced_by_the_annotation(cluster):
    manifest = network("other", {"type": "bridge", "bridge": "br-o", "ipam": HOST_LOCAL})
    manifest["metadata"]["namespace"] = "kube-system"
    cluster.apply(manifest)
    (made,) = cluster.apply(pod("pod1", annotations={"v1.multus-cni.io/default-network": "other"}))
    assert [i.name for i in made.interfaces] == ["lo", "eth0"]
    assert str(made.ip()) == "10.5.0.2"
    (status,) = made.network_status
    assert (status.name, status.default) == ("kube-system/other", True)


def test_network_without_config_names_a_file_on_the_node():
    plugin = {"type": "bridge", "bridge": "br-own", "ipam": HOST_LOCAL}
    own = {"cniVersion": "0.3.1", "name": "own", "plugins": [plugin]}
    with open_cluster(ClusterConfig(default_cni=own)) as cluster:
        cluster.apply(raw_network("own", ""))
        (made,) = cluster.apply(pod("pod1", {"name": "own"}))
        assert [str(made.ip(name)) for name in ("eth0", "net1")] == ["10.5.0.2", "10.5.0.3"]


def test_network_without_config_and_file_is_refused(cluster):
    cluster.apply(raw_network("nofile", ""))
    with pytest.raises(PodError, match="no network available in the name nofile in cni dir"):
        cluster.apply(pod("pod1", {"name": "nofile"}))


def test_network_of_another_namespace_is_named_so(cluster):
    manifest = network("lan")
    manifest["metadata"]["namespace"] = "infra"
    cluster.apply(manifest)
    with pytest.raises(PodError, match=r"\(lan\) in namespace \(default\)"):
        cluster.apply(pod("pod1", on("lan", "10.1.1.1/24")))
    (made,) = cluster.apply(pod("pod2", on("lan", "10.1.1.2/24", namespace="infra")))
    assert made.network_status[1].name == "infra/lan"


def test_tuning_sets_mac_mtu_and_sysctl(cluster):
    macvlan = {
        "type": "macvlan",
        "master": "eth1",
        "capabilities": {"ips": True},
        "ipam": {"type": "static"},
    }
    tuning = {
        "type": "tuning",
        "capabilities": {"mac": True},
        "mtu": 1400,
        "sysctl": {"net.ipv4.conf.IFNAME.arp_ignore": "1"},
    }
    cluster.apply(network("lan", macvlan, tuning))
    selection = on("lan", "10.1.1.1/24", mac="02:00:00:00:00:21")
    (made,) = cluster.apply(pod("pod1", selection))
    assert_interface(made, "net1", mac="02:00:00:00:00:21", mtu=1400)
    value = made.exec(["cat", "/proc/sys/net/ipv4/conf/net1/arp_ignore"]).stdout
    assert value == "1\n"


def test_deleted_pod_gives_address_and_mac_back_at_once(cluster):
    cluster.apply(network("lan"))
    (other,) = cluster.apply(pod("other", on("lan", "10.1.1.9/24"), node="worker2"))
    for _ in range(5):
        selection = on("lan", "10.1.1.1/24", mac="02:00:00:00:00:31")
        with cluster.apply(pod("pod1", selection))[0] as made:
            assert_ping(other, made, interface="net1")
        assert_no_ping(other, "10.1.1.1", interface="net1", during=0.2)


def test_host_local_hands_a_released_address_out_again_in_its_round(cluster):
    ipam = {
        "type": "host-local",
        "ranges": [
            [{"subnet": "10.6.0.0/24", "rangeStart": "10.6.0.10", "rangeEnd": "10.6.0.12"}]
        ],
    }
    cluster.apply(network("br", {"type": "bridge", "bridge": "br-r", "ipam": ipam}))
    seen = []
    for number in range(4):
        with cluster.apply(pod(f"p{number}", "br"))[0] as made:
            seen.append(str(made.ip("net1")))
    assert seen == ["10.6.0.10", "10.6.0.11", "10.6.0.12", "10.6.0.10"]


def test_network_status_annotation_is_json_of_every_attachment(cluster):
    cluster.apply(network("lan"))
    (made,) = cluster.apply(pod("pod1", on("lan", "10.1.1.1/24"), on("lan", "10.1.2.1/24")))
    status = json.loads(made.annotations["k8s.v1.cni.cncf.io/network-status"])
    assert [s["interface"] for s in status] == ["eth0", "net1", "net2"]
    assert [s.get("default", False) for s in status] == [True, False, False]
