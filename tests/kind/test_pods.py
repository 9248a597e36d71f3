"""Pods and objects on the real API."""

from __future__ import annotations

import json
import time

import pytest

from pytest_multinet.cluster.kind_cluster import KindCluster
from pytest_multinet.errors import (
    ExecFailed,
    ProgramNotFound,
    UsageError,
    WaitTimeout,
)

from .conftest import network, pod

MACVLAN = {
    "type": "macvlan",
    "master": "eth1",
    "capabilities": {"ips": True, "mac": True},
    "ipam": {"type": "static"},
}


def test_mac_name_and_both_address_families_are_as_asked(clean: KindCluster) -> None:
    clean.apply(network("mv", MACVLAN))
    selection = {
        "name": "mv",
        "interface": "data0",
        "mac": "02:00:00:00:00:07",
        "ips": ["10.7.0.1/24", "fd00:7::1/64"],
    }
    (made,) = clean.apply(pod("asked", json.dumps([selection])))
    data0 = made.interface("data0")
    assert data0.mac == "02:00:00:00:00:07"
    assert {str(a) for a in data0.addresses} >= {"10.7.0.1/24", "fd00:7::1/64"}


def test_an_explicit_interface_name_consumes_its_index(clean: KindCluster) -> None:
    clean.apply(network("mv", MACVLAN))
    selections = [
        {"name": "mv", "interface": "x0", "ips": ["10.7.1.1/24"]},
        {"name": "mv", "ips": ["10.7.2.1/24"]},
    ]
    (made,) = clean.apply(pod("indexed", json.dumps(selections)))
    assert [s.interface for s in made.network_status] == ["eth0", "x0", "net2"]


def test_default_route_replaces_that_of_eth0(clean: KindCluster) -> None:
    clean.apply(network("mv", MACVLAN))
    selection = {"name": "mv", "ips": ["10.7.3.1/24"], "default-route": ["10.7.3.254"]}
    (made,) = clean.apply(pod("routed", json.dumps([selection])))
    defaults = [r for r in made.routes if r.default and r.destination.version == 4]
    assert [(str(r.gateway), r.interface) for r in defaults] == [("10.7.3.254", "net1")]


def test_the_same_pod_again_is_the_living_one_and_another_is_an_error(clean: KindCluster) -> None:
    (first,) = clean.apply(pod("once"))
    (again,) = clean.apply(pod("once"))
    assert again is first
    with pytest.raises(UsageError, match=r"exists with other arguments, made at .*test_pods\.py"):
        clean.apply(pod("once", command=["sleep", "3600"]))


def test_a_batch_starts_together(clean: KindCluster) -> None:
    began = time.monotonic()
    made = clean.apply([pod(f"batch-{n}") for n in range(6)])
    assert [p.name for p in made] == [f"batch-{n}" for n in range(6)]
    assert time.monotonic() - began < 15
    clean.delete_pods(made)
    assert clean.pods() == ()


def test_deleting_waits_until_the_addresses_are_free(clean: KindCluster) -> None:
    clean.apply(network("mv", MACVLAN))
    selection = [{"name": "mv", "ips": ["10.7.4.1/24"], "mac": "02:00:00:00:04:01"}]
    worker = clean.node("worker").name
    for _ in range(3):
        with clean.apply(pod("again", json.dumps(selection), worker))[0] as made:
            assert made.interface("net1").mac == "02:00:00:00:04:01"


def test_any_kind_is_applied_and_deleted(clean: KindCluster) -> None:
    space, settings = clean.apply(
        """
apiVersion: v1
kind: Namespace
metadata: {name: kinds}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: kinds}
data: {colour: blue}
"""
    )
    assert settings.manifest["data"] == {"colour": "blue"}
    (made,) = clean.apply({**pod("inside"), "metadata": {"name": "inside", "namespace": "kinds"}})
    assert made.namespace == "kinds"
    made.delete()
    space.delete()
    assert clean.kube.get_or_none("/api/v1/namespaces/kinds") is None


def test_a_deployment_of_a_local_image_needs_no_pull(clean: KindCluster) -> None:
    template = {**pod("x"), "metadata": {"labels": {"app": "web"}}}
    spec = {**template["spec"]}
    (deployment,) = clean.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": template["metadata"], "spec": spec},
            },
        }
    )
    path = "/apis/apps/v1/namespaces/default/deployments"
    clean.await_object(path, {}, lambda d: d["status"].get("readyReplicas") == 2, what="web")
    deployment.delete()


def test_an_unknown_kind_is_refused_before_anything_is_made(clean: KindCluster) -> None:
    with pytest.raises(UsageError, match="knows no kind 'Sprocket'"):
        clean.apply({"apiVersion": "v1", "kind": "Sprocket", "metadata": {"name": "s"}})


def test_another_managers_fields_are_never_taken(clean: KindCluster) -> None:
    from pytest_multinet.cluster.rest import ApiError

    before = clean.kube.get("/api/v1/namespaces/kube-system/configmaps/kube-proxy")
    changed = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kube-proxy", "namespace": "kube-system"},
        "data": {"config.conf": "mine"},
    }
    with pytest.raises(ApiError) as caught:
        clean.apply(changed)
    assert caught.value.status == 409
    after = clean.kube.get("/api/v1/namespaces/kube-system/configmaps/kube-proxy")
    assert after["data"] == before["data"]


def test_the_pull_policy_is_the_one_field_that_apply_sets(clean: KindCluster) -> None:
    (made,) = clean.apply(pod("policy"))
    sent = made.refresh()["metadata"]["managedFields"][0]
    assert sent["manager"] == "pytest-multinet"
    container = made.refresh()["spec"]["containers"][0]
    assert container["imagePullPolicy"] == "IfNotPresent"


# --- programs -------------------------------------------------------------------------------


def test_exec_gives_status_and_both_streams(clean: KindCluster) -> None:
    (made,) = clean.apply(pod("programs"))
    result = made.exec(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (result.returncode, result.stdout, result.stderr) == (7, "out\n", "err\n")
    assert made.exec(["cat"], input="through\n").stdout == "through\n"
    assert made.exec(["sh", "-c", "echo $COLOUR"], env={"COLOUR": "blue"}).stdout == "blue\n"
    with pytest.raises(ExecFailed, match="exit 7"):
        made.exec(["sh", "-c", "exit 7"], check=True)
    with pytest.raises(ProgramNotFound, match="'frobnicate' does not exist"):
        made.exec(["frobnicate"])
    with pytest.raises(WaitTimeout, match=r"after 0\.5 s"):
        made.exec(["sleep", "60"], timeout=0.5)
    assert "sleep 60" not in made.exec(["sh", "-c", "cat /proc/*/cmdline | tr '\\0' ' '"]).stdout
    assert len(made.exec(["head", "-c", "3000000", "/dev/zero"]).stdout) == 3_000_000


def test_spawn_waits_until_ready_and_ends(clean: KindCluster) -> None:
    (made,) = clean.apply(pod("spawner"))
    with made.spawn(["sh", "-c", "sleep 0.3; echo go; sleep 60"], ready="^go$") as process:
        assert process.returncode is None
        assert process.output == "go\n"
    assert process.returncode is not None
    with made.spawn(["nc", "-l", "-p", "8099"], ready=8099):
        assert made.connect("127.0.0.1", 8099)
    with pytest.raises(ProgramNotFound):
        made.spawn(["frobnicate"])
    with pytest.raises(ExecFailed, match="was not ready within"):
        made.spawn(["sh", "-c", "echo nearly"], ready="never", timeout=2)


def test_nodes_run_programs_too(cluster: KindCluster) -> None:
    node = cluster.node("worker")
    assert node.exec(["hostname"]).stdout.strip() == node.name
    assert node.exec(["cat"], input="x").stdout == "x"
    with pytest.raises(ProgramNotFound):
        node.exec(["frobnicate"])
    with pytest.raises(WaitTimeout):
        node.exec(["sleep", "60"], timeout=0.5)
    with node.spawn(["sh", "-c", "echo up; sleep 60"], ready="up") as process:
        assert process.returncode is None
    assert process.returncode is not None


def test_logs_are_what_the_container_wrote(clean: KindCluster) -> None:
    (made,) = clean.apply(pod("chatty", command=["sh", "-c", "echo hello; sleep infinity"]))
    assert made.logs() == "hello\n"


def test_the_kubernetes_client_is_there_for_those_who_want_it(cluster: KindCluster) -> None:
    from kubernetes import client

    names = [n.metadata.name for n in client.CoreV1Api(cluster.api).list_node().items]
    assert sorted(names) == sorted(n.name for n in cluster.nodes)
