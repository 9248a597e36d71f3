"""Pod manifests: where a pod runs, what it runs, what it is attached to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_multinet.errors import ManifestError
from pytest_multinet.model.attachment import (
    AnnotationWarning,
    NetworkSelection,
    PortMapping,
)
from pytest_multinet.model.manifest import load_documents
from pytest_multinet.model.pod import Container, PodManifest

SEED = Path(__file__).parents[2] / "data" / "seed" / "pod.yaml"
NETWORKS = "k8s.v1.cni.cncf.io/networks"
DEFAULT_NETWORK = "v1.multus-cni.io/default-network"


def pod(
    annotations: dict[str, Any] | None = None,
    container: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    **spec: Any,
) -> PodManifest:
    data = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "annotations": annotations or {}, **(metadata or {})},
        "spec": {"containers": [{"name": "c", "image": "alpine", **(container or {})}], **spec},
    }
    return PodManifest.from_document(load_documents(data)[0])


class TestSeed:
    @pytest.fixture
    def pods(self) -> list[PodManifest]:
        documents = load_documents(SEED.read_text(), name="pod.yaml")
        with pytest.warns(AnnotationWarning, match="default-route"):
            return [PodManifest.from_document(document) for document in documents]

    def test_two_pods_on_two_workers(self, pods: list[PodManifest]) -> None:
        assert [p.name for p in pods] == ["pod1", "pod2"]
        assert [p.node_selector for p in pods] == [
            {"kubernetes.io/hostname": "multus-cluster-worker"},
            {"kubernetes.io/hostname": "multus-cluster-worker2"},
        ]
        assert {p.namespace for p in pods} == {"default"}

    def test_each_has_an_address_on_the_macvlan(self, pods: list[PodManifest]) -> None:
        assert [p.networks for p in pods] == [
            (NetworkSelection("macvlan-conf", "default", ips=("10.1.1.101/24",)),),
            (NetworkSelection("macvlan-conf", "default", ips=("10.1.1.102/24",)),),
        ]

    def test_each_has_an_idle_privileged_container(self, pods: list[PodManifest]) -> None:
        assert pods[0].containers == (
            Container(
                "pod1", "nicolaka/netshoot", ("tail",), ("-f", "/dev/null"), privileged=True
            ),
        )
        assert pods[0].containers[0].idle

    def test_the_ignored_gateway_is_warned_of_at_its_line(self) -> None:
        documents = load_documents(SEED.read_text(), name="pod.yaml")
        with pytest.warns(AnnotationWarning) as caught:
            list(map(PodManifest.from_document, documents))
        assert [(w.filename, w.lineno) for w in caught] == [("pod.yaml", 9), ("pod.yaml", 31)]

    def test_an_error_in_the_annotation_has_file_line_field_value_and_rule(self) -> None:
        text = SEED.read_text().replace('"10.1.1.102/24"', '"10.1.1.102"')
        document = load_documents(text, name="pod.yaml")[1]
        with pytest.raises(ManifestError) as caught:
            PodManifest.from_document(document)
        error = caught.value
        assert (error.source, error.line) == ("pod.yaml", 30)
        assert error.field == f"metadata.annotations[{NETWORKS}][0].ips[0]"
        assert error.value == "10.1.1.102"
        assert "prefix length" in (error.expected or "")


class TestObjects:
    def test_an_annotation_may_be_absent(self) -> None:
        assert pod().networks == ()
        assert pod().default_network is None

    def test_networks_are_looked_up_in_the_pods_namespace(self) -> None:
        assert pod({NETWORKS: "mv"}, metadata={"namespace": "lab"}).networks[0].namespace == "lab"

    def test_the_default_namespace_is_the_callers(self) -> None:
        data = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "annotations": {NETWORKS: "mv"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        }
        found = PodManifest.from_document(load_documents(data)[0], "lab")
        assert found.namespace == "lab"
        assert found.networks[0].namespace == "lab"
        assert found.raw["metadata"] == data["metadata"]

    def test_labels_annotations_and_node_are_kept(self) -> None:
        found = pod({"a/b": "c"}, metadata={"labels": {"app": "x"}}, nodeName="worker")
        assert found.labels == {"app": "x"}
        assert found.annotations == {"a/b": "c"}
        assert found.node_name == "worker"

    def test_the_host_name_is_the_pods_name_unless_given(self) -> None:
        assert pod().hostname == "p"
        assert pod(hostname="h").hostname == "h"

    def test_a_long_name_is_cut_for_the_host_name(self) -> None:
        name = "a" * 62 + ".b"
        assert pod(metadata={"name": name}).hostname == "a" * 62

    def test_the_default_network_may_be_replaced(self) -> None:
        assert pod({DEFAULT_NETWORK: "calico"}).default_network == NetworkSelection(
            "calico", "kube-system"
        )

    def test_a_default_network_with_another_interface_frees_eth0(self) -> None:
        found = pod({DEFAULT_NETWORK: "calico@first", NETWORKS: "mv@eth0"})
        assert found.networks[0].interface == "eth0"
        with pytest.raises(ManifestError, match="interface name first already exists"):
            pod({DEFAULT_NETWORK: "calico@first", NETWORKS: "mv@first"})

    def test_gateways_of_the_default_network_count(self) -> None:
        route = '[{"name": "a", "default-route": ["10.0.0.1"]}]'
        with pytest.raises(ManifestError, match="ECMP") as caught:
            pod({DEFAULT_NETWORK: route, NETWORKS: route})
        assert caught.value.field == f"metadata.annotations[{NETWORKS}][0].default-route[0]"
        pod({DEFAULT_NETWORK: route, NETWORKS: "mv"})

    def test_bare_addresses_are_taken_on_request(self) -> None:
        data = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "p",
                "annotations": {NETWORKS: '[{"name": "a", "ips": ["10.0.0.1"]}]'},
            },
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        }
        (document,) = load_documents(data)
        found = PodManifest.from_document(document, bare_addresses=True)
        assert found.networks[0].ips == ("10.0.0.1",)


class TestContainers:
    def test_variables_with_a_value_are_kept_the_later_winning(self) -> None:
        env = [
            {"name": "A", "value": "1"},
            {"name": "B"},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "A", "value": "2"},
        ]
        assert pod(container={"env": env}).containers[0].env == {"A": "2", "B": ""}

    @pytest.mark.parametrize(
        "image",
        [
            "alpine",
            "alpine:3.20",
            "nicolaka/netshoot",
            "localhost:5000/a/b:tag",
            "registry.k8s.io/pause:3.10",
            "ghcr.io/a-b/c__d.e@sha256:" + "0" * 64,
            "[fd00::1]:5000/a",
        ],
    )
    def test_image_references_are_taken(self, image: str) -> None:
        assert pod(container={"image": image}).containers[0].image == image

    def test_the_pull_policy_is_kept(self) -> None:
        assert pod().containers[0].image_pull_policy is None
        never = pod(container={"imagePullPolicy": "Never"})
        assert never.containers[0].image_pull_policy == "Never"

    def test_host_ports_are_the_ports_that_have_one(self) -> None:
        ports = [
            {"containerPort": 80, "hostPort": 8080, "name": "web"},
            {"containerPort": 90},
            {"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "10.0.0.1"},
        ]
        assert pod(container={"ports": ports}).containers[0].host_ports == (
            PortMapping(8080, 80),
            PortMapping(53, 53, "udp", "10.0.0.1"),
        )

    @pytest.mark.parametrize("port", [{"hostPort": 8080}, {"containerPort": 1, "hostPort": 70000}])
    def test_a_host_port_that_is_none_is_refused(self, port: dict[str, Any]) -> None:
        with pytest.raises(ManifestError, match="is no port"):
            pod(container={"ports": [port]})

    @pytest.mark.parametrize(
        ("command", "args"),
        [
            ([], []),
            (["sleep", "infinity"], []),
            (["sleep"], ["inf"]),
            ([], ["sleep", "100000"]),
            (["/bin/sleep", "3650d"], []),
            (["sleep", "1h"], []),
            (["tail", "-f", "/dev/null"], []),
            (["tail"], ["-F", "/dev/null"]),
            (["/pause"], []),
            (["sh", "-c", "sleep infinity"], []),
            (["/bin/sh", "-c"], ["exec tail -f /dev/null"]),
            (["/bin/bash", "-c", "trap : TERM INT; sleep infinity & wait"], []),
            (["/bin/ash", "-c", "trap : TERM INT; sleep infinity & wait"], []),
            (["sh", "-c", "while true; do sleep 30; done;"], []),
        ],
    )
    def test_a_container_that_only_keeps_the_pod_alive_is_idle(
        self, command: list[str], args: list[str]
    ) -> None:
        assert Container("c", "i", tuple(command), tuple(args)).idle

    @pytest.mark.parametrize(
        "command",
        [
            ["sleep", "5"],
            ["sleep", "59m"],
            ["sleep", "infinite"],
            ["sleep"],
            ["tail", "-f", "/var/log/x"],
            ["nginx"],
            ["pause"],
            ["sh"],
            ["sh", "-c", "nc -l 80; sleep infinity"],
            ["sh", "-c", "sleep 5"],
            ["sh", "-c", "sleep infinity; nc -l 80"],
            ["sh", "-c", ""],
        ],
    )
    def test_a_container_that_does_something_is_not_idle(self, command: list[str]) -> None:
        assert not Container("c", "i", tuple(command)).idle

    def test_pods_are_frozen_and_hashable(self) -> None:
        assert hash(pod()) == hash(pod())
        with pytest.raises(AttributeError):
            pod().name = "x"  # type: ignore[misc]
