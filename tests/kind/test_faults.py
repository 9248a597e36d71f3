"""Things that break while a cluster is in use."""

from __future__ import annotations

import gc
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_multinet.cluster import kind
from pytest_multinet.cluster.kind_cluster import KindCluster
from pytest_multinet.cluster.rest import KubeApi
from pytest_multinet.errors import BackendUnavailable, ClusterError, LinkError, MultinetError
from pytest_multinet.model.topology import ClusterConfig

from .conftest import OpenCluster, network, pod


class Proxy:
    """A Unix socket in front of Docker's that can be stopped, as Docker can."""

    def __init__(self, path: Path, target: str = "/var/run/docker.sock") -> None:
        self.path = path
        self._target = target
        self._pairs: list[socket.socket] = []
        self._server: socket.socket | None = None

    def start(self) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.path))
        self._server.listen(64)
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(self._target)
            self._pairs += [client, upstream]
            for a, b in ((client, upstream), (upstream, client)):
                threading.Thread(target=self._copy, args=(a, b), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def stop(self) -> None:
        if self._server is not None:
            with suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            self._server = None
        for each in self._pairs:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._pairs.clear()
        self.path.unlink(missing_ok=True)


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    made = Proxy(tmp_path / "docker.sock")
    made.start()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{made.path}")
    yield made
    made.stop()


# The Docker SDK leaves a socket open for every request that finds no Docker.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_restarted_node_is_noticed_and_docker_may_stop(
    proxy: Proxy, open_cluster: OpenCluster, state: Path
) -> None:
    made = open_cluster("multinet-faults", nodes=2)
    made.install_multus()
    link = made.link("control-plane", "worker", name="eth1")
    made.apply(
        network(
            "mv",
            {
                "type": "macvlan",
                "master": "eth1",
                "capabilities": {"ips": True},
                "ipam": {"type": "static"},
            },
        )
    )
    worker = made.node("worker").name
    made.apply(pod("before", json.dumps([{"name": "mv", "ips": ["10.0.9.1/24"]}]), worker))

    _a_restarted_node_is_noticed(made, link, worker)
    _docker_stops_between_tests(made, proxy)

    # Closing without Docker says what is left; the next one to come removes it.
    proxy.stop()
    with pytest.raises(ClusterError, match=r"could not be removed: .*multinet gc"):
        made.close()
    assert (state / "kind" / "multinet-faults" / "record.json").exists()
    proxy.start()
    assert kind.reap(state) == ["multinet-faults"]
    with pytest.raises(ClusterError, match="no kubeconfig"):
        KubeApi(made.kubeconfig)
    gc.collect()  # the SDK's sockets, while their warning is filtered


def _a_restarted_node_is_noticed(made: KindCluster, link, worker: str) -> None:
    subprocess.run(["docker", "restart", "-t", "2", worker], check=True, capture_output=True)
    with pytest.raises(LinkError, match=f"node {worker} restarted, and with it went the macvlans"):
        link.down()
    said: list[str] = []
    made.progress = said.append
    assert made.link("control-plane", "worker", name="eth1") is link
    assert any("link eth1 was remade" in line for line in said)
    assert link.ends[1].interface("eth1").up
    link.down()
    link.up()
    sysctl = "/proc/sys/net/bridge/bridge-nf-call-iptables"
    assert made.node("worker").exec(["cat", sysctl]).stdout.strip() in ("0", "")
    with pytest.raises(MultinetError, match=r"exists in the cluster|exists with other"):
        made.apply(pod("before", worker))
    # Pods can be made on it again as soon as its kubelet is back.
    made.pod("before").delete()
    selection = json.dumps([{"name": "mv", "ips": ["10.0.9.2/24"]}])
    (after,) = made.apply(pod("after", selection, worker))
    assert after.interface("net1").type == "macvlan"


def _docker_stops_between_tests(made: KindCluster, proxy: Proxy) -> None:
    proxy.stop()
    with pytest.raises(BackendUnavailable, match="Docker is not running"):
        made.load_image("nicolaka/netshoot:latest")
    with pytest.raises(MultinetError, match="Docker"):
        made.node("worker").exec(["true"])
    # What does not go through Docker goes on.
    assert made.kube.get("/api/v1/nodes")["items"]
    assert made.pods()[0].interface("net1").up
    proxy.start()
    assert made.node("worker").exec(["true"]).returncode == 0


def test_docker_that_is_not_there_names_the_cause(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    began = time.monotonic()
    with pytest.raises(BackendUnavailable, match="Docker is not running: nothing listens at"):
        kind.open_cluster(ClusterConfig(name="multinet-nodocker"), state_dir=state)
    assert "Docker is not running" in (kind.unusable_reason() or "")
    assert time.monotonic() - began < 3


def test_kind_that_is_not_there_names_the_cause(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ClusterConfig(name="multinet-nokind")
    with pytest.raises(BackendUnavailable, match="'no-such-kind' is not on PATH; install kind"):
        kind.open_cluster(config, state_dir=state, kind_program="no-such-kind")


def test_a_kind_that_is_too_old_is_refused(state: Path, tmp_path: Path) -> None:
    old = tmp_path / "kind"
    old.write_text("#!/bin/sh\necho 'kind v0.9.0 go1.15 linux/amd64'\n")
    old.chmod(0o755)
    config = ClusterConfig(name="multinet-oldkind")
    with pytest.raises(BackendUnavailable, match=r"is kind v0\.9\.0; at least 0\.20\.0"):
        kind.open_cluster(config, state_dir=state, kind_program=str(old))


def test_a_kubeconfig_of_a_deleted_cluster_says_so(tmp_path: Path, cluster: KindCluster) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = cluster.kubeconfig.read_text().replace(cluster.kube.server, f"https://127.0.0.1:{port}")
    (tmp_path / "kubeconfig").write_text(text)
    api = KubeApi(tmp_path / "kubeconfig")
    with pytest.raises(ClusterError, match=r"does not answer.*was the cluster deleted"):
        api.get("/api/v1/nodes")
