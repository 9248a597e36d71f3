"""A cluster's life: made, kept, reused, refused, removed; and what is left behind: nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_multinet.cluster import kind
from pytest_multinet.cluster.engine import Engine
from pytest_multinet.cluster.kind_cluster import KindCluster
from pytest_multinet.errors import ClusterError
from pytest_multinet.model.topology import ClusterConfig

from .conftest import OpenCluster, network, pod

LABEL = "io.x-k8s.kind.cluster"


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


def docker(*argv: str) -> list[str]:
    run = subprocess.run(["docker", *argv], capture_output=True, text=True, check=True)
    return sorted(run.stdout.split())


def inventory() -> dict[str, list[str]]:
    """Everything in Docker that a run could leave behind."""
    return {
        "containers": docker("ps", "-aq", "--no-trunc"),
        "volumes": docker("volume", "ls", "-q"),
        "networks": docker("network", "ls", "-q", "--filter", "name=multinet"),
        "images": docker("images", "-q", "--no-trunc"),
    }


def test_a_cluster_leaves_nothing_and_touches_nothing(
    open_cluster: OpenCluster, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "mine"))
    (tmp_path / "mine").write_text("untouched")
    before = inventory()

    made = open_cluster("multinet-brief", nodes=1)
    assert stat.S_IMODE(made.kubeconfig.stat().st_mode) == 0o600
    made.install_multus()
    made.apply(
        network(
            "br",
            {
                "type": "bridge",
                "bridge": "br7",
                "ipam": {"type": "host-local", "subnet": "10.2.0.0/24"},
            },
        )
    )
    a, b = made.apply([pod("a", "br"), pod("b", "br")])
    assert a.node is b.node is made.nodes[0]
    assert a.ping(b, interface="net1", count=3).ttl == 64
    kubeconfig = made.kubeconfig
    made.close()

    assert inventory() == before
    assert not kubeconfig.exists()
    assert (tmp_path / "mine").read_text() == "untouched"
    assert not (tmp_path / ".kube").exists()
    assert not (state / "kind" / "multinet-brief").exists()
    with pytest.raises(ClusterError, match="does not answer"):
        made.kube.get("/api/v1/nodes")
    assert made.timeline.done[0].name == "check kind"
    assert {name for name, _ in made.stages} >= {
        "kind create cluster",
        "Multus ready",
        "delete cluster",
    }


def test_kept_then_reused_by_specification(
    open_cluster: OpenCluster, plugins: Path | None, state: Path
) -> None:
    fields = {"nodes": 2, "multus_mode": "thin"}
    first = open_cluster("multinet-keep", **fields)
    multus = first.install_multus()
    assert (multus.version, multus.mode) == ("4.1.0", "thin")
    assert all(check.ok for check in multus.status())
    first.link("control-plane", "worker", name="eth1")
    first.apply(
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
    selection = json.dumps([{"name": "mv", "ips": ["10.2.1.1/24"]}])
    (left,) = first.apply(pod("left", selection, "multinet-keep-worker"))
    assert left.interface("net1").type == "macvlan"
    ids = {n.container.id for n in first._nodes}
    resources = first.keep("an-id")
    assert any("KUBECONFIG" in line for line in first.how_to_reach())

    began = time.monotonic()
    second = open_cluster("multinet-keep", **fields)
    second.install_multus()
    link = second.link("control-plane", "worker", name="eth1")
    assert second.node("worker").ping(second.node("control-plane"))
    took = time.monotonic() - began
    assert second.attached
    assert {n.container.id for n in second._nodes} == ids
    assert took < 3, f"attaching took {took:.1f} s"
    assert link.ends[0].interface("eth1").up

    # What the former run made is gone before anything new is made.
    (again,) = second.apply(pod("left", node="multinet-keep-worker"))
    assert [i.name for i in again.interfaces] == ["lo", "eth0"]
    nads = "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions"
    assert second.kube.get(nads)["items"] == []
    second.keep()

    with pytest.raises(ClusterError, match="nodes: 2 was kept, 3 is wanted"):
        open_cluster("multinet-keep", nodes=3, multus_mode="thin")

    # A kept cluster that is no longer whole is replaced.
    subprocess.run(
        ["docker", "rm", "-f", "-v", "multinet-keep-worker"], check=True, capture_output=True
    )
    said: list[str] = []
    third = open_cluster("multinet-keep", open={"progress": said.append}, **fields)
    assert not third.attached
    assert any("not whole (multinet-keep-worker" in line for line in said)
    third.keep()

    kept = kind.attach(resources)
    assert kept.exec("multinet-keep-worker", ["true"]) == 0
    assert kept.exec("worker", ["sh", "-c", "exit 5"]) == 5
    kept.down()
    kept.down()
    assert docker("ps", "-aq", "--filter", f"label={LABEL}=multinet-keep") == []


def test_a_default_network_of_ones_own(open_cluster: OpenCluster) -> None:
    """disableDefaultCNI with an own conflist: the seed's scenario without kindnet."""
    own = {
        "cniVersion": "0.3.1",
        "name": "own",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": True,
                "mtu": 1500,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni-ipam-state",
                    "ranges": [[{"subnet": "{{PodCIDR}}"}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
    made = open_cluster("multinet-own", nodes=3, disable_default_cni=True, default_cni=own)
    multus = made.install_multus()
    assert all(check.ok for check in multus.status())
    daemons = made.kube.get("/apis/apps/v1/daemonsets")["items"]
    assert "kindnet" not in {d["metadata"]["name"] for d in daemons}
    made.link("worker", "worker2")
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
    a, b = made.apply(
        [
            pod(
                f"own-{n}",
                json.dumps([{"name": "mv", "ips": [f"10.1.1.10{n}/24"]}]),
                made.node(w).name,
            )
            for n, w in ((1, "worker"), (2, "worker2"))
        ]
    )
    assert a.network_status[0].name == "own"
    assert a.ping(b, interface="net1").ttl == 64
    assert a.ping(b, interface="eth0", count=3, interval=0.2).ttl == 62


# --- refusals of creation -------------------------------------------------------------------


def test_an_unknown_node_image_names_the_cause(open_cluster: OpenCluster) -> None:
    with pytest.raises(
        ClusterError, match=r"node image kindest/node:v0\.0\.0 is neither on this machine"
    ):
        open_cluster("multinet-image", node_image="kindest/node:v0.0.0")
    assert docker("ps", "-aq", "--filter", f"label={LABEL}=multinet-image") == []


def test_a_taken_port_names_the_cause_and_leaves_nothing(
    open_cluster: OpenCluster, tmp_path: Path, state: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ClusterError, match="a host port of port_mappings is taken"):
            open_cluster(
                "multinet-port", nodes=1, port_mappings={port: 80}, open={"artifacts": tmp_path}
            )
    assert docker("ps", "-aq", "--filter", f"label={LABEL}=multinet-port") == []
    assert not (state / "kind" / "multinet-port").exists()


def test_a_failed_boot_leaves_its_logs_without_secrets(
    open_cluster: OpenCluster, tmp_path: Path, engine: Engine
) -> None:
    """An image that is no node image: kind waits for a log line that never comes."""
    with pytest.raises(ClusterError) as caught:
        open_cluster(
            "multinet-noboot",
            nodes=1,
            node_image="nicolaka/netshoot:latest",
            open={"artifacts": tmp_path},
        )
    assert "could not create cluster multinet-noboot" in str(caught.value)
    assert "cause:" in str(caught.value)
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert b"PRIVATE KEY" not in file.read_bytes()
            assert "kubeconfig" not in file.name
    assert docker("ps", "-aq", "--filter", f"label={LABEL}=multinet-noboot") == []


def test_a_name_that_is_someone_elses_is_left_alone(open_cluster: OpenCluster) -> None:
    argv = ["docker", "run", "-d", "--label", f"{LABEL}=multinet-theirs"]
    argv += ["--label", "io.x-k8s.kind.role=worker", "--name", "multinet-theirs-worker"]
    argv += ["--entrypoint", "sleep", "nicolaka/netshoot:latest", "600"]
    identifier = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        with pytest.raises(
            ClusterError, match=r"did not make; it is left alone.*--multinet-cluster-name"
        ):
            open_cluster("multinet-theirs")
        assert docker("ps", "-q", "--no-trunc", "--filter", f"id={identifier}") == [identifier]
    finally:
        subprocess.run(["docker", "rm", "-f", "-v", identifier], check=True, capture_output=True)


def test_two_runs_at_once_cannot_want_the_same_name(cluster: KindCluster, state: Path) -> None:
    code = f"""
        from pathlib import Path
        from pytest_multinet.cluster.kind import open_cluster
        from pytest_multinet.errors import ClusterError
        from pytest_multinet.model.topology import ClusterConfig
        try:
            open_cluster(ClusterConfig(name={cluster.name!r}), state_dir=Path({str(state)!r}))
        except ClusterError as error:
            print(error)
    """
    said = _python(code).communicate(timeout=30)[0]
    assert f"another run (process {os.getpid()}) is using the cluster name" in said
    assert cluster.kube.get("/api/v1/nodes")["items"]


# --- interrupted runs -----------------------------------------------------------------------

CREATE = """
    import sys
    from pathlib import Path
    from pytest_multinet.cluster.kind import open_cluster
    from pytest_multinet.model.topology import ClusterConfig
    plugins = {plugins!r}
    config = ClusterConfig(name={name!r}, nodes=1, cni_plugins=Path(plugins) if plugins else None)
    open_cluster(config, state_dir=Path({state!r}))
    print("made", flush=True)
    sys.stdin.read()
"""


def test_ctrl_c_during_creation_removes_what_was_made(state: Path, plugins: Path | None) -> None:
    run = _create("multinet-ctrlc", state, plugins)
    _await_container("multinet-ctrlc", run)
    time.sleep(1.5)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    assert docker("ps", "-aq", "--filter", f"label={LABEL}=multinet-ctrlc") == []
    assert not (state / "kind" / "multinet-ctrlc").exists()


def test_a_killed_run_is_reaped_by_the_next(state: Path, plugins: Path | None) -> None:
    run = _create("multinet-killed", state, plugins)
    _await_container("multinet-killed", run)
    time.sleep(1.5)
    run.kill()
    run.communicate(timeout=60)
    assert docker("ps", "-aq", "--filter", f"label={LABEL}=multinet-killed") != []
    assert "multinet-killed" in kind.reap(state)
    assert docker("ps", "-aq", "--filter", f"label={LABEL}=multinet-killed") == []
    assert kind.reap(state) == []
    assert not (state / "kind" / "multinet-killed").exists()


def _create(name: str, state: Path, plugins: Path | None) -> subprocess.Popen[str]:
    given = str(plugins) if plugins else None
    return _python(CREATE.format(name=name, state=str(state), plugins=given))


def _python(code: str) -> subprocess.Popen[str]:
    root = str(Path(kind.__file__).parent.parent.parent)
    environment = {**os.environ, "PYTHONPATH": root}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _await_container(name: str, run: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not docker("ps", "-q", "--filter", f"label={LABEL}={name}"):
        assert run.poll() is None, run.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_cluster_config_is_checked_before_anything_is_made(state: Path, tmp_path: Path) -> None:
    from pytest_multinet.errors import ManifestError

    file = tmp_path / "kind.yaml"
    file.write_text("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha9\n")
    with pytest.raises(ManifestError, match="not a kind configuration"):
        kind.open_cluster(ClusterConfig(kind_config=file), state_dir=state)
