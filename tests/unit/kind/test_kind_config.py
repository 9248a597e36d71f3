"""kind configurations: the user's as it is, ours from the cluster configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_multinet.cluster import kind_config, kind_failure
from pytest_multinet.cluster.images import full_name, images_of, set_pull_policy
from pytest_multinet.errors import ManifestError, UsageError
from pytest_multinet.model.topology import ClusterConfig

SEED = Path(__file__).parent.parent.parent / "data" / "seed" / "config-3node.yml"


def test_name_and_nodes_of_a_users_file_win() -> None:
    config = kind_config.resolve(ClusterConfig(name="other", nodes=1, kind_config=SEED))
    assert (config.name, config.nodes, config.disable_default_cni) == ("multus-cluster", 3, False)
    assert kind_config.node_names(config) == (
        "multus-cluster-control-plane",
        "multus-cluster-worker",
        "multus-cluster-worker2",
    )
    assert kind_config.create_arguments(config)[:2] == ["--config", str(SEED)]


def test_a_users_file_that_names_images_keeps_them(tmp_path: Path) -> None:
    file = tmp_path / "k.yaml"
    file.write_text(
        "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n"
        "networking: {disableDefaultCNI: true, kubeProxyMode: none}\n"
        "nodes:\n- {role: control-plane, image: 'kindest/node:v1.30.0'}\n"
        "- {role: control-plane}\n- {role: worker}\n"
    )
    config = kind_config.resolve(ClusterConfig(kind_config=file))
    assert "--image" not in kind_config.create_arguments(config)
    assert kind_config.node_images(config) == ("kindest/node:v1.30.0",)
    assert (config.disable_default_cni, config.kube_proxy_mode) == (True, "none")
    assert kind_config.node_names(config)[:2] == (
        "multus-cluster-control-plane",
        "multus-cluster-control-plane2",
    )


def test_every_field_reaches_kind() -> None:
    config = ClusterConfig(
        nodes=2,
        node_image="kindest/node:v1.31.0",
        disable_default_cni=True,
        kube_proxy_mode="nftables",
        feature_gates={"NFTablesProxyMode": True},
        extra_mounts={"/tmp": "/data"},
        port_mappings={8080: 80},
    )
    data = kind_config.generated(config)
    assert data["networking"] == {"disableDefaultCNI": True, "kubeProxyMode": "nftables"}
    assert data["featureGates"] == {"NFTablesProxyMode": True}
    control, worker = data["nodes"]
    assert control["extraPortMappings"] == [{"hostPort": 8080, "containerPort": 80}]
    assert "extraPortMappings" not in worker
    for node in (control, worker):
        assert node["extraMounts"] == [{"hostPath": "/tmp", "containerPath": "/data"}]
        assert node["image"] == "kindest/node:v1.31.0"


def test_files_count_by_their_content(tmp_path: Path) -> None:
    file = tmp_path / "k.yaml"
    file.write_text(SEED.read_text())
    here = kind_config.specification(ClusterConfig(kind_config=SEED))
    assert kind_config.specification(ClusterConfig(kind_config=file)) == here
    file.write_text(SEED.read_text() + "# changed\n")
    assert kind_config.specification(ClusterConfig(kind_config=file)) != here
    assert kind_config.specification(ClusterConfig(kind_config=SEED, timeout=5)) == here


@pytest.mark.parametrize(
    "text",
    [
        "kind: Pod\napiVersion: v1\nmetadata: {name: x}\n",
        "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha3\n",
        SEED.read_text() + "---\n" + SEED.read_text(),
        "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{role: helper}]\n",
    ],
)
def test_what_is_no_kind_configuration_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "k.yaml"
    file.write_text(text)
    with pytest.raises(ManifestError):
        kind_config.resolve(ClusterConfig(kind_config=file))


def test_a_kind_configuration_that_is_absent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the kind configuration"):
        kind_config.resolve(ClusterConfig(kind_config=tmp_path / "none"))


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("ERROR: failed to create cluster: ... too many open files", "inotify"),
        ("no space left on device", "disk is full"),
        ("Bind for 0.0.0.0:80 failed: port is already allocated", "host port"),
        ("node(s) already exist for a cluster with the name", "already|exists|another name"),
        ('failed to pull image "kindest/node:v9"', "node image"),
        ("could not find a log line that matches ... Multi-User", "cgroup v1"),
        ("Cannot connect to the Docker daemon at unix:///x", "Docker is not running"),
        ("permission denied while trying to connect to /var/run/docker.sock", "group 'docker'"),
        ("unknown field nodez", "does not understand the configuration"),
    ],
)
def test_the_usual_failures_have_a_cause(output: str, said: str) -> None:
    import re

    assert re.search(said, kind_failure.cause(output) or "")


def test_an_unusual_failure_has_none() -> None:
    assert kind_failure.cause("ERROR: something nobody has seen") is None
    assert kind_failure.failed_line("a\nERROR: b\nStack:\nc") == "ERROR: b"


# --- images ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("nicolaka/netshoot", "docker.io/nicolaka/netshoot:latest"),
        ("nicolaka/netshoot:v1", "docker.io/nicolaka/netshoot:v1"),
        ("ghcr.io/a/b:v1", "ghcr.io/a/b:v1"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("localhost/a:1", "localhost/a:1"),
        ("a/b@sha256:1234", "docker.io/a/b@sha256:1234"),
    ],
)
def test_image_names_as_containerd_keeps_them(name: str, full: str) -> None:
    assert full_name(name) == full


def test_the_pull_policy_is_set_where_there_is_none_and_the_image_is_there() -> None:
    spec = {
        "initContainers": [{"name": "i", "image": "busybox"}],
        "containers": [
            {"name": "a", "image": "nicolaka/netshoot"},
            {"name": "b", "image": "nicolaka/netshoot", "imagePullPolicy": "Always"},
            {"name": "c", "image": "elsewhere/x"},
        ],
    }
    manifest = {"kind": "Pod", "spec": spec}
    changed, images = set_pull_policy(manifest, ["nicolaka/netshoot:latest"])
    policies = [c.get("imagePullPolicy") for c in changed["spec"]["containers"]]
    assert policies == ["IfNotPresent", "Always", None]
    assert changed["spec"]["initContainers"][0].get("imagePullPolicy") is None
    assert images == ("nicolaka/netshoot",)
    assert "imagePullPolicy" not in spec["containers"][0]


def test_images_of_pods_and_of_what_makes_pods() -> None:
    spec = {"containers": [{"image": "a"}, {"image": "b"}], "initContainers": [{"image": "c"}]}
    assert images_of({"spec": spec}) == ("c", "a", "b")
    assert images_of({"spec": {"template": {"spec": spec}}}) == ("c", "a", "b")
    assert images_of({"data": {}}) == ()
