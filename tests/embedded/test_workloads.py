"""Deployments, StatefulSets and DaemonSets become pods; namespaces hold them."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_multinet import assert_mesh, assert_ping
from pytest_multinet.errors import ManifestError, PodError, UsageError

from .manifests import network, pod

TOLERATES_ALL = [{"operator": "Exists"}]
NETWORKS = "k8s.v1.cni.cncf.io/networks"


def workload(
    kind: str, name: str = "web", *, annotations: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    """A workload; what is not of its own specification goes into its pods'."""
    own = {key: spec.pop(key) for key in ("replicas", "ordinals") if key in spec}
    metadata = {"labels": {"app": name}, "annotations": annotations or {}}
    containers = [{"name": "main", "image": "netshoot"}]
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": metadata, "spec": {"containers": containers, **spec}},
            **own,
        },
    }


def placed(cluster) -> list[str]:
    short = f"{cluster.name}-"
    return [f"{p.name} {p.node.name.removeprefix(short)}" for p in cluster.pods()]


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "StatefulSet"])
def test_replicas_become_pods_that_reach_each_other(cluster, kind):
    ipam = {"type": "whereabouts", "range": "10.1.1.0/24"}
    cluster.apply(network("lan", ipam=ipam))
    (made,) = cluster.apply(workload(kind, replicas=3, annotations={NETWORKS: "lan"}))
    assert placed(cluster) == ["web-0 worker", "web-1 worker2", "web-2 worker"]
    assert list(made.pods) == list(cluster.pods("app=web"))
    assert_mesh(made.pods, interface="net1")


def test_without_a_number_there_is_one_replica_and_with_none_no_pod(cluster):
    one, none = cluster.apply([workload("Deployment"), workload("Deployment", "off", replicas=0)])
    assert [p.name for p in one.pods] == ["web-0"]
    assert none.pods == ()


def test_a_stateful_sets_pods_have_ordinals(cluster):
    (made,) = cluster.apply(workload("StatefulSet", replicas=2, ordinals={"start": 5}))
    assert [p.name for p in made.pods] == ["web-5", "web-6"]
    assert made.pods[1].labels["apps.kubernetes.io/pod-index"] == "6"
    (found,) = cluster.pods("statefulset.kubernetes.io/pod-name=web-5")
    assert found.exec(["hostname"]).stdout == "web-5\n"


@pytest.mark.parametrize(
    ("spec", "nodes"),
    [
        ({}, ["worker", "worker2"]),
        ({"tolerations": TOLERATES_ALL}, ["control-plane", "worker", "worker2"]),
        ({"nodeSelector": {"kubernetes.io/hostname": "multus-cluster-worker2"}}, ["worker2"]),
        ({"nodeSelector": {"gpu": "yes"}}, []),
    ],
)
def test_a_daemon_set_has_one_pod_on_each_node_that_will_do(cluster, spec, nodes):
    (made,) = cluster.apply(workload("DaemonSet", **spec))
    assert placed(cluster) == [f"web-{n} {node}" for n, node in enumerate(nodes)]
    assert len(made.pods) == len(nodes)


def test_placement_of_the_template_counts_for_every_replica(cluster):
    apart = {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": {"matchLabels": {"app": "web"}},
                }
            ]
        }
    }
    cluster.apply(workload("Deployment", replicas=2, affinity=apart))
    assert placed(cluster) == ["web-0 worker", "web-1 worker2"]
    more = workload("StatefulSet", "more", affinity=apart)
    with pytest.raises(PodError, match=r"2 node.* anti-affinity rules"):
        cluster.apply(more)


def test_deletion_takes_the_pods_along(cluster):
    manifest = workload("Deployment", replicas=2)
    (made,) = cluster.apply([manifest, pod("other")])[:1]
    assert cluster.apply(manifest) == [made]
    with pytest.raises(UsageError, match="exists with other arguments"):
        cluster.apply(workload("Deployment", replicas=3))
    cluster.delete(manifest)
    assert placed(cluster) == ["other worker"]
    cluster.apply(workload("Deployment", replicas=3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"apiVersion": "v1"}, "another apiVersion"),
        ({"selector": None}, "has no selector"),
        ({"selector": {"matchLabels": {"app": "db"}}}, "does not match template `labels`"),
        ({"replicas": -1}, "replicas is no number"),
        ({"replicas": "2"}, "replicas is no number"),
        ({"template": None}, "no pod template"),
        ({"template": {"metadata": {"labels": {"app": "web"}}, "spec": {}}}, "no containers"),
    ],
)
def test_what_the_api_server_would_refuse(cluster, change, message):
    manifest = workload("Deployment")
    where = manifest if "apiVersion" in change else manifest["spec"]
    with pytest.raises(ManifestError, match=message):
        cluster.apply([pod("first"), {**manifest, **where, **change} if where is manifest else
                       {**manifest, "spec": {**where, **change}}])  # fmt: skip
    assert cluster.pods() == ()


def test_namespaces_hold_equal_names_apart_and_go_with_all_that_is_in_them(cluster):
    spaces = ("red", "blue")
    for space in spaces:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}
        ipam = {"type": "host-local", "subnet": "10.5.0.0/24"}
        lan = network("lan", {"type": "bridge", "bridge": f"br-{space}", "ipam": ipam})
        deployment = workload("Deployment", replicas=2, annotations={NETWORKS: "lan"})
        for manifest in (lan, deployment):
            manifest["metadata"]["namespace"] = space
        deployment["spec"]["template"]["spec"]["nodeName"] = "multus-cluster-worker"
        cluster.apply([namespace, lan, deployment])
    for space in spaces:
        a, b = cluster.pods("app=web", namespace=space)
        assert [s.name for s in a.network_status] == ["kindnet", f"{space}/lan"]
        assert_ping(a, b, interface="net1")
    assert cluster.pod("web-0", "red") is not cluster.pod("web-0", "blue")
    assert len(cluster.pods({"app": "web"})) == 4
    cluster.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "red"}})
    assert {p.namespace for p in cluster.pods()} == {"blue"}
    assert [d.namespace for d in cluster.definitions] == ["blue"]


def test_pods_are_selected_by_every_form_of_a_selector(cluster):
    cluster.apply([workload("Deployment", "web", replicas=2), workload("DaemonSet", "agent")])
    for selector, names in {
        "app in (web, agent)": ["web-0", "web-1", "agent-0", "agent-1"],
        "app notin (web)": ["agent-0", "agent-1"],
        "app,app!=agent": ["web-0", "web-1"],
        "!app": [],
    }.items():
        assert [p.name for p in cluster.pods(selector)] == names
