"""Where pods run: nodes, selectors, affinity, tolerations, as kube-scheduler decides it."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_multinet.cluster.embedded import open_cluster
from pytest_multinet.errors import ManifestError, PodError
from pytest_multinet.model.topology import ClusterConfig

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
HOSTNAME = "kubernetes.io/hostname"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
TOLERATES = {"tolerations": [{"key": CONTROL_PLANE, "operator": "Exists"}]}
KIND_CONFIG = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: worker
  labels: {disk: ssd, zone: a}
- role: control-plane
- role: worker
  labels: {disk: hdd, zone: b}
- role: worker
  labels: {disk: hdd, zone: b}
"""


@pytest.fixture
def cluster(tmp_path):
    """A control plane and three workers: disk ssd in zone a, twice disk hdd in zone b."""
    file = tmp_path / "kind.yaml"
    file.write_text(KIND_CONFIG)
    ipam = {"type": "host-local", "subnet": "{{PodCIDR}}"}
    own = {"cniVersion": "0.3.1", "name": "own", "plugins": [{"type": "ptp", "ipam": ipam}]}
    config = ClusterConfig(name="c", kind_config=file, default_cni=own)  # writes no port's rules
    with open_cluster(config) as cluster:
        yield cluster


def pod(name: str, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"containers": [{"name": "main", "image": "netshoot"}], **spec},
    }


def nodes(cluster, *manifests: dict[str, Any]) -> list[str]:
    return [p.node.name.removeprefix("c-") for p in cluster.apply(list(manifests))]


def on_nodes(*expressions: dict[str, Any], wish: bool = False) -> dict[str, Any]:
    term = {"matchExpressions": list(expressions)}
    if wish:
        return {"nodeAffinity": {PREFERRED: [{"weight": 5, "preference": term}]}}
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [term]}}}


def near(app: str, *, topology: str = HOSTNAME, apart: bool = False) -> dict[str, Any]:
    term = {"topologyKey": topology, "labelSelector": {"matchLabels": {"app": app}}}
    return {"podAntiAffinity" if apart else "podAffinity": {REQUIRED: [term]}}


def refusal(cluster, *manifests: dict[str, Any]) -> PodError:
    with pytest.raises(PodError) as raised:
        cluster.apply(list(manifests))
    assert cluster.pods() == ()
    return raised.value


def test_without_a_wish_pods_spread_over_the_workers(cluster):
    assert nodes(cluster, *(pod(f"p{i}") for i in range(4))) == [
        *("worker", "worker2", "worker3", "worker"),
    ]


def test_nodes_have_the_labels_of_kubernetes_and_of_the_kind_configuration(cluster):
    worker, control_plane = cluster.node("worker"), cluster.node("control-plane")
    assert worker.labels[HOSTNAME] == "c-worker"
    assert worker.labels["disk"] == "ssd"
    assert CONTROL_PLANE not in worker.labels
    assert control_plane.labels[CONTROL_PLANE] == ""
    assert "disk" not in control_plane.labels


@pytest.mark.parametrize(
    ("spec", "node"),
    [
        ({"nodeName": "c-worker2"}, "worker2"),
        ({"nodeName": "c-control-plane"}, "control-plane"),
        ({"nodeSelector": {"disk": "hdd"}}, "worker2"),
        ({"nodeSelector": {HOSTNAME: "c-worker3"}}, "worker3"),
        ({"nodeSelector": {CONTROL_PLANE: ""}, **TOLERATES}, "control-plane"),
        ({"affinity": on_nodes({"key": "zone", "operator": "NotIn", "values": ["a"]})}, "worker2"),
        ({"affinity": on_nodes({"key": "disk", "operator": "DoesNotExist"}), **TOLERATES},
         "control-plane"),
        ({"affinity": on_nodes({"key": "zone", "operator": "In", "values": ["b"]}, wish=True)},
         "worker2"),
        ({"affinity": on_nodes({"key": "zone", "operator": "In", "values": ["c"]}, wish=True)},
         "worker"),
    ],
)  # fmt: skip
def test_one_pod_goes_where_it_says(cluster, spec, node):
    assert nodes(cluster, pod("p", **spec)) == [node]


def test_a_wish_outweighs_the_load_and_a_requirement_the_wish(cluster):
    wish = on_nodes({"key": "disk", "operator": "In", "values": ["ssd"]}, wish=True)
    must = on_nodes({"key": "disk", "operator": "In", "values": ["hdd"]})
    both = {"nodeAffinity": {**wish["nodeAffinity"], **must["nodeAffinity"]}}
    manifests = [pod("a", affinity=wish), pod("b", affinity=wish), pod("c", affinity=both)]
    assert nodes(cluster, *manifests) == ["worker", "worker", "worker2"]


def test_pods_apart_take_a_node_each_and_then_none_is_left(cluster):
    manifests = [
        pod(f"p{i}", {"app": "db"}, affinity=near("db", apart=True), **TOLERATES) for i in range(5)
    ]
    assert sorted(nodes(cluster, *manifests[:4])) == [
        *("control-plane", "worker", "worker2", "worker3"),
    ]
    with pytest.raises(PodError, match="0/4 nodes are available: 4 node"):
        cluster.apply(manifests[4])


def test_a_pod_that_wants_nobody_beside_it_keeps_its_node(cluster):
    """Anti-affinity works both ways: the newcomer has none of its own."""
    alone = pod("alone", nodeSelector={"disk": "ssd"}, affinity=near("web", apart=True))
    manifests = [alone, *(pod(f"p{i}", {"app": "web"}) for i in range(4))]
    assert "worker" not in nodes(cluster, *manifests)[1:]


def test_pods_beside_others_share_a_node_or_a_zone(cluster):
    cluster.apply(pod("db", {"app": "db"}, nodeSelector={"zone": "b"}))
    same_node = pod("web", affinity=near("db"))
    same_zone = pod("cache", affinity=near("db", topology="zone"))
    assert nodes(cluster, same_node, same_zone) == ["worker2", "worker3"]


def test_the_first_of_pods_that_want_each_other_may_go_anywhere(cluster):
    manifests = [pod(f"p{i}", {"app": "db"}, affinity=near("db")) for i in range(3)]
    assert nodes(cluster, *manifests) == ["worker"] * 3


def test_other_namespaces_do_not_count_unless_they_are_named(cluster):
    other = pod("db", {"app": "db"}, nodeName="c-worker3")
    other["metadata"]["namespace"] = "data"
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "data", "labels": {"team": "db"}},
    }
    cluster.apply([namespace, other])
    own, named, labelled = near("db"), near("db"), near("db")
    named["podAffinity"][REQUIRED][0]["namespaces"] = ["data"]
    labelled["podAffinity"][REQUIRED][0]["namespaceSelector"] = {"matchLabels": {"team": "db"}}
    with pytest.raises(PodError, match="didn't match pod affinity rules"):
        cluster.apply(pod("a", affinity=own))
    assert nodes(cluster, pod("b", affinity=named), pod("c", affinity=labelled)) == ["worker3"] * 2


@pytest.mark.parametrize(
    ("spec", "reasons"),
    [
        (
            {"nodeSelector": {"disk": "tape"}},
            "0/4 nodes are available: "
            "1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, "
            "3 node(s) didn't match Pod's node affinity/selector.",
        ),
        (
            {"affinity": near("nobody"), "nodeSelector": {"zone": "a"}},
            "0/4 nodes are available: "
            "1 node(s) didn't match pod affinity rules, "
            "1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, "
            "2 node(s) didn't match Pod's node affinity/selector.",
        ),
    ],
)
def test_a_pod_that_fits_nowhere_is_told_why_for_each_node(cluster, spec, reasons):
    error = refusal(cluster, pod("fine"), pod("p", **spec))
    assert (error.reason, error.message) == ("FailedScheduling", reasons)
    assert "c-worker2 (" in str(error.hint)
    assert "disk=hdd" in str(error.hint)


def test_pods_with_one_host_port_take_a_node_each(cluster):
    def with_port(name: str, **port: Any) -> dict[str, Any]:
        ports = [{"containerPort": 80, "hostPort": 8080, **port}]
        return pod(name, containers=[{"name": "main", "image": "netshoot", "ports": ports}])

    manifests = [with_port(f"p{i}") for i in range(3)]
    assert nodes(cluster, *manifests) == ["worker", "worker2", "worker3"]
    with pytest.raises(PodError, match=r"3 node.* didn't have free ports"):
        cluster.apply(with_port("p3", hostIP="172.18.0.3"))
    assert nodes(cluster, with_port("p4", protocol="UDP")) == ["worker"]


def test_a_name_that_contradicts_the_selector_is_kubelets_to_refuse(cluster):
    error = refusal(cluster, pod("p", nodeName="c-worker2", nodeSelector={"disk": "ssd"}))
    assert error.reason == "NodeAffinity"
    assert error.node == "c-worker2"


def test_one_node_has_no_taint():
    with open_cluster(ClusterConfig(name="c", nodes=1)) as cluster:
        assert nodes(cluster, pod("p")) == ["control-plane"]


def test_a_bad_affinity_builds_nothing(cluster):
    broken = pod("p", affinity={"podAffinity": {REQUIRED: [{}]}})
    with pytest.raises(ManifestError, match="topologyKey"):
        cluster.apply([pod("fine"), broken])
    assert cluster.pods() == ()
