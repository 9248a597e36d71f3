"""Air gap: one archive brings images and plugins, and nothing else is asked for."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_multinet.cluster import bundle
from pytest_multinet.cluster.kind import open_cluster
from pytest_multinet.errors import UsageError
from pytest_multinet.model.topology import ClusterConfig

from .conftest import network, pod

POD_IMAGE = "multinet-test/tools:1"


def docker(*argv: str) -> str:
    return subprocess.run(["docker", *argv], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nodes without a way out, and a machine whose downloads and pulls go nowhere."""
    name = "multinet-airgap"
    docker(
        "network",
        "create",
        "--label",
        "io.pytest-multinet=test",
        "-o",
        "com.docker.network.bridge.enable_ip_masquerade=false",
        name,
    )
    monkeypatch.setenv("KIND_EXPERIMENTAL_DOCKER_NETWORK", name)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    docker("network", "rm", name)


def test_a_run_with_the_network_cut_off_uses_only_the_bundle(
    cut_off: None, state: Path, plugins: Path | None, tmp_path: Path
) -> None:
    docker("tag", "nicolaka/netshoot:latest", POD_IMAGE)
    file = tmp_path / "multinet.bundle"
    config = ClusterConfig(
        name="multinet-airgap", nodes=1, pod_image=POD_IMAGE, cni_plugins=plugins
    )
    contents = bundle.create_bundle(file, config)
    assert set(contents.images) == {
        "kindest/node:v1.31.0",
        "ghcr.io/k8snetworkplumbingwg/multus-cni:v4.1.0-thick",
        POD_IMAGE,
    }
    docker("rmi", POD_IMAGE)  # the name goes; the bundle has to bring it back

    said: list[str] = []
    wanted = ClusterConfig(name="multinet-airgap", nodes=1, bundle=file)
    with open_cluster(wanted, state_dir=state, progress=said.append) as cluster:
        assert any(line.startswith("loading") and POD_IMAGE in line for line in said)
        assert cluster.config.pod_image == POD_IMAGE
        cluster.install_multus()
        cluster.apply(
            network(
                "br",
                {
                    "type": "bridge",
                    "bridge": "br8",
                    "ipam": {"type": "host-local", "subnet": "10.0.7.0/24"},
                },
            )
        )
        a, b = cluster.apply([pod(n, "br", image=POD_IMAGE) for n in ("a", "b")])
        assert a.ping(b, interface="net1", count=3)
        assert not cluster.nodes[0].ping("198.51.100.1", timeout=0.3)
    docker("rmi", POD_IMAGE)


def test_a_damaged_bundle_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.bundle"
    contents = {
        "format": 1,
        "architecture": "amd64",
        "node_image": "kindest/node:v1.31.0",
        "pod_image": "nicolaka/netshoot:latest",
        "multus_mode": "thick",
        "images": {"kindest/node:v1.31.0": "x"},
        "checksums": {"cni-plugins.tar": "0" * 64},
    }
    with tarfile.open(file, "w") as tar:
        for name, data in (
            ("bundle.json", json.dumps(contents).encode()),
            ("cni-plugins.tar", b"x"),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    with pytest.raises(UsageError, match=r"damaged: cni-plugins\.tar has SHA-256"):
        bundle.use_bundle(file, ClusterConfig())
    with pytest.raises(UsageError, match="has Multus thick, and thin is wanted"):
        bundle.use_bundle(file, ClusterConfig(multus_mode="thin"))


def test_a_file_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "no.bundle"
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(UsageError, match="is no bundle of multinet"):
        bundle.read_bundle(file)
