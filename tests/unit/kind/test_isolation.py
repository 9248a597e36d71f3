"""The names of a worker that shares a cluster with others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_multinet.cluster.isolation import Isolation
from pytest_multinet.errors import UsageError
from pytest_multinet.model.topology import LinkConfig

NETWORKS = "k8s.v1.cni.cncf.io/networks"


def network(config: object, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "net", **metadata},
        "spec": {"config": config if isinstance(config, str) else json.dumps(config)},
    }


def sent(isolation: Isolation, config: object) -> Any:
    """The configuration as the API server gets it."""
    return json.loads(isolation.outward(network(config))["spec"]["config"])


def pod(networks: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod", "annotations": {NETWORKS: networks}, **metadata},
        "spec": {"containers": [{"name": "a", "image": "b"}]},
    }


@pytest.fixture
def third() -> Isolation:
    """Worker 3, which has made the link eth1."""
    isolation = Isolation(3)
    isolation.link(LinkConfig(name="eth1"))
    return isolation


def test_worker_0_changes_nothing() -> None:
    isolation = Isolation(0)
    assert isolation.link(LinkConfig(name="eth1")).name == "eth1"
    manifest = network({"type": "bridge"}, namespace="default")
    assert isolation.outward(manifest) == manifest
    assert isolation.path("/api/v1/namespaces/default/pods") == "/api/v1/namespaces/default/pods"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"type": "macvlan", "master": "eth1"}, {"master": "eth1-w3", "name": "net-w3"}),
        ({"type": "macvlan", "Master": "eth1"}, {"Master": "eth1-w3"}),
        ({"type": "macvlan", "master": "eth0"}, {"master": "eth0"}),
        ({"type": "macvlan"}, {"name": "net-w3"}),
        ({"type": "host-device", "device": "eth1"}, {"device": "eth1-w3"}),
        ({"type": "bridge", "name": "lan"}, {"bridge": "cni0-w3", "name": "lan-w3"}),
        ({"type": "bridge", "bridge": "br1"}, {"bridge": "br1-w3"}),
        ({"type": "bridge", "bridge": ""}, {"bridge": "cni0-w3"}),
        (
            {"name": "a", "plugins": [{"type": "bridge"}, {"type": "tuning"}]},
            {
                "name": "a-w3",
                "plugins": [{"type": "bridge", "bridge": "cni0-w3"}, {"type": "tuning"}],
            },
        ),
        ({"type": "macvlan", "name": 5}, {"name": 5}),
        ({"type": "macvlan", "plugins": 5}, {"plugins": 5}),
    ],
)
def test_names_on_the_nodes(third: Isolation, config: Any, expected: Any) -> None:
    found = sent(third, config)
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("text", ["{not json", "[]", ""])
def test_what_is_no_configuration_is_left_to_multus(third: Isolation, text: str) -> None:
    assert third.outward(network(text))["spec"]["config"] == text


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("net", "net"),
        ("default/net", "default-w3/net"),
        ("a, default/net@x1,other/net", "a, default-w3/net@x1,other/net"),
        ("default-x/net", "default-x/net"),
        ('[{"name": "net"}]', '[{"name": "net"}]'),
        ('[{"name": "default/net"', '[{"name": "default/net"'),
        ('{"name": "net"}', '{"name": "net"}'),
        (
            '[{"name": "net", "Namespace": "default"}]',
            '[{"name": "net", "Namespace": "default-w3"}]',
        ),
    ],
)
def test_selections(third: Isolation, given: str, expected: str) -> None:
    out = third.outward(pod(given))
    assert out["metadata"]["annotations"][NETWORKS] == expected
    assert third.inward(out)["metadata"]["annotations"] == {NETWORKS: given}
    template = pod(given)
    inside = {"metadata": template["metadata"], "spec": template["spec"]}
    workload = {"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": inside}}
    found = third.outward(workload)["spec"]["template"]
    assert found["metadata"]["annotations"][NETWORKS] == expected
    assert found["spec"] == template["spec"]


def test_what_comes_back_has_the_given_names(third: Isolation) -> None:
    given = network({"type": "bridge"}, namespace="default")
    assert third.inward(third.outward(given)) == {
        **given,
        "metadata": {**given["metadata"], "annotations": {}},
    }
    status = json.dumps([{"name": "kindnet"}, {"name": "default-w3/net", "interface": "net1"}])
    seen = pod("net", namespace="default-w3")
    seen["metadata"]["annotations"]["k8s.v1.cni.cncf.io/network-status"] = status
    found = third.inward(seen)["metadata"]
    assert found["namespace"] == "default"
    assert "default/net" in found["annotations"]["k8s.v1.cni.cncf.io/network-status"]
    event = {
        "metadata": {"namespace": "default-w3"},
        "involvedObject": {"namespace": "default-w3", "name": "pod"},
        "message": "cannot find a network-attachment-definition (x) in namespace (default-w3)",
    }
    event = third.inward(event)
    assert event["involvedObject"]["namespace"] == "default"
    assert event["message"].endswith("(x) in namespace (default)")


@pytest.mark.parametrize("worker", [0, 3])
def test_lists_hold_nothing_of_other_workers(worker: int) -> None:
    names = ["default", "default-w1", "default-w3", "default-x", "kube-system"]
    listed = {"items": [{"metadata": {"namespace": n, "name": n}} for n in names]}
    mine = "default-w3" if worker else "default"
    found = Isolation(worker).inward(listed)["items"]
    assert [f["metadata"]["name"] for f in found] == [mine, "default-x", "kube-system"]
    assert found[0]["metadata"]["namespace"] == "default"


def test_interfaces_of_nodes(third: Isolation) -> None:
    of_workers = {"eth1": 0, "eth1-w1": 1, "eth1-w3": 3, "br1-w2": 2, "eth7": 0}
    names = ["eth0", *of_workers, "veth-w9"]
    third.of_workers = lambda: of_workers
    found = [third.naming()(n) for n in names]
    assert found == ["eth0", None, None, "eth1", None, None, "veth-w9"]
    first = Isolation(0)
    first.of_workers = lambda: of_workers
    found = [first.naming()(n) for n in names]
    assert found == ["eth0", "eth1", None, None, None, "eth7", "veth-w9"]


def test_a_link_of_another_worker_is_nobodys_master(third: Isolation) -> None:
    third.of_workers = lambda: {"eth5": 0, "eth6-w1": 1}
    for link in ("eth5", "eth6"):
        assert sent(third, {"type": "macvlan", "master": link})["master"] == f"{link}-w3"
    assert sent(third, {"type": "macvlan", "master": "eth9"})["master"] == "eth9"


def test_the_master_in_a_pod_is_what_it_is(third: Isolation) -> None:
    config = {"type": "macvlan", "master": "eth1", "linkInContainer": True}
    assert sent(third, config)["master"] == "eth1"


def test_what_is_made_is_noted() -> None:
    noted: list[tuple[str, int]] = []
    isolation = Isolation(2)
    isolation.note = lambda name, worker: noted.append((name, worker))
    isolation.link(LinkConfig(name="eth1"))
    isolation.outward(network({"type": "bridge", "bridge": "br1"}))
    assert noted == [("eth1-w2", 2), ("br1-w2", 2)]
    noted.clear()
    first = Isolation(0)
    first.note = lambda name, worker: noted.append((name, worker))
    first.outward(network({"type": "bridge", "bridge": "a-name-that-is-too-long"}))
    assert noted == [("a-name-that-is-too-long", 0)]


def test_messages_and_commands(third: Isolation) -> None:
    third.outward(network({"type": "bridge", "bridge": "br1"}))
    said = '[default-w3/pod/uid:net-w3]: network "net-w3": br1-w3 and eth1-w3, not default-w31'
    told = '[default/pod/uid:net]: network "net": br1 and eth1, not default-w31'
    assert third.text(said) == told
    assert third.command("kubectl get pod x") == "kubectl -n default-w3 get pod x"
    assert third.command("kubectl -n default get pod x") == "kubectl -n default-w3 get pod x"
    assert third.command("kubectl -n kube-system get pods") == "kubectl -n kube-system get pods"
    assert third.command("kubectl get pods -A") == "kubectl get pods -A"
    assert third.command("ip link show eth1  (in n)") == "ip link show eth1-w3  (in n)"
    assert Isolation(0).command("kubectl get pod x") == "kubectl get pod x"


def test_templates_of_workloads_come_back_as_given(third: Isolation) -> None:
    template = pod("default/net")
    inside = {"metadata": template["metadata"], "spec": template["spec"]}
    job = {"template": inside}
    given = {
        "kind": "CronJob",
        "metadata": {"name": "c"},
        "spec": {"jobTemplate": {"metadata": {}, "spec": job}},
    }
    out = third.outward(given)
    found = out["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["annotations"]
    assert found[NETWORKS] == "default-w3/net"
    assert third.inward(out) == given


def test_a_name_that_would_be_too_long_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'thirteenchars-w12' in worker gw12: .* longer than 15"):
        Isolation(12).kernel_name("thirteenchars")


def test_what_workers_cannot_have_side_by_side_is_refused(third: Isolation) -> None:
    third.check("Pod", None, namespaced=True)
    third.check("ConfigMap", "default", namespaced=True)
    with pytest.raises(UsageError, match="Pod in namespace 'blue' would be in all of them"):
        third.check("Pod", "blue", namespaced=True)
    with pytest.raises(UsageError, match="a ClusterRole is the whole cluster's"):
        third.check("ClusterRole", None, namespaced=False)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/namespaces/default", "/api/v1/namespaces/default-w3"),
        ("/api/v1/namespaces/default/pods/default", "/api/v1/namespaces/default-w3/pods/default"),
        ("/api/v1/namespaces/default-x/pods", "/api/v1/namespaces/default-x/pods"),
        ("/api/v1/namespaces/kube-system/pods", "/api/v1/namespaces/kube-system/pods"),
    ],
)
def test_paths(third: Isolation, path: str, expected: str) -> None:
    assert third.path(path) == expected
