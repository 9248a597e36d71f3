"""``multinet up``: an environment without pytest."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_multinet.errors import ManifestError
from pytest_multinet.session.topology_file import read_topology

Run = Callable[..., pytest.RunResult]
Multinet = Callable[..., "subprocess.CompletedProcess[str]"]

TOPOLOGY = """
cluster: {name: lab, nodes: 4, timeout: 20}
links:
  - {name: ring1, mtu: 9000}
  - {name: ring2, a: worker2, b: worker3, addresses: [10.9.0.1/24, 10.9.0.2/24]}
manifests: [manifests/network.yaml, manifests/pods.yaml]
"""
NETWORK = """
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: macvlan-conf}
spec:
  config: '{"cniVersion": "0.3.1", "type": "macvlan", "master": "ring1",
            "ipam": {"type": "static", "addresses": [{"address": "10.1.1.101/24"}]}}'
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: pod1, annotations: {k8s.v1.cni.cncf.io/networks: macvlan-conf}}
spec:
  nodeName: lab-worker
  containers: [{name: main, image: netshoot}]
"""


def test_up_leaves_two_workers_joined_by_a_link(multinet: Multinet) -> None:
    made = multinet("up")
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines() == [
        "kept:         multus-cluster on embedded, 3 nodes, 0 pods",
        "look inside:  multinet exec -e multus-cluster worker -- ip addr",
        "delete:       multinet down multus-cluster",
    ]
    for node in ("worker", "worker2"):
        shown = multinet("exec", "-e", "multus-cluster", node, "--", "ip", "link", "show", "eth1")
        assert (shown.returncode, "LOWER_UP" in shown.stdout) == (0, True)
    assert multinet("gc").stdout == "nothing to remove\n"
    assert multinet("down").stdout == "multus-cluster ended\n"
    assert json.loads(multinet("ls", "--json").stdout) == []


def test_up_builds_what_a_file_says(pytester: pytest.Pytester, multinet: Multinet) -> None:
    folder = pytester.mkdir("lab")
    (folder / "manifests").mkdir()
    (folder / "lab.yaml").write_text(TOPOLOGY)
    (folder / "manifests/network.yaml").write_text(NETWORK)
    (folder / "manifests/pods.yaml").write_text(POD)
    made = multinet("up", "--backend", "embedded", "lab/lab.yaml")
    assert made.stdout.startswith("kept:         lab on embedded, 4 nodes, 1 pod\n"), made.stderr
    (record,) = json.loads(multinet("ls", "--json").stdout)
    assert (record["id"], record["specification"]["timeout"]) == ("lab", 20)
    assert "10.1.1.101/24" in multinet("exec", "pod1", "--", "ip", "addr").stdout
    assert "mtu 9000" in multinet("exec", "worker2", "--", "ip", "link", "show", "ring1").stdout
    assert "10.9.0.2/24" in multinet("exec", "worker3", "--", "ip", "addr").stdout


def test_up_takes_nodes_and_name_of_a_kind_configuration(
    pytester: pytest.Pytester, multinet: Multinet
) -> None:
    pytester.path.joinpath("kind.yaml").write_text(
        "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: mine\n"
        "nodes: [{role: control-plane}, {role: worker}, {role: worker}]\n"
    )
    made = multinet("up", "--backend=embedded", "kind.yaml")
    assert made.stdout.startswith("kept:         mine on embedded, 3 nodes"), made.stderr
    assert multinet("exec", "worker2", "--", "ip", "link", "show", "eth1").returncode == 0


def test_up_heeds_the_variables_that_tests_heed(
    pytester: pytest.Pytester, multinet: Multinet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MULTINET_NODES", "2")
    monkeypatch.setenv("MULTINET_TIMEOUT", "7")
    monkeypatch.setenv("MULTINET_BACKEND", "embedded")
    pytester.path.joinpath("lab.yaml").write_text("cluster: {name: lab, timeout: 9}\n")
    made = multinet("up", "lab.yaml")
    assert made.stdout.startswith("kept:         lab on embedded, 2 nodes"), made.stderr
    (record,) = json.loads(multinet("ls", "--json").stdout)
    assert record["specification"]["timeout"] == 9
    assert multinet("up").stdout.startswith("kept:         multus-cluster on embedded, 2 nodes")
    monkeypatch.setenv("MULTINET_NODSE", "2")
    refused = multinet("up")
    assert (refused.returncode, "did you mean MULTINET_NODES?" in refused.stderr) == (2, True)


def test_up_does_not_replace_what_is_kept_for_the_folder(
    pytester: pytest.Pytester, run: Run, multinet: Multinet
) -> None:
    assert multinet("up").returncode == 0
    (first,) = json.loads(multinet("ls", "--json").stdout)
    refused = multinet("up")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "multinet down multus-cluster" in refused.stderr
    assert json.loads(multinet("ls", "--json").stdout) == [first]


def test_a_later_run_takes_the_place_of_what_up_made(
    pytester: pytest.Pytester, run: Run, multinet: Multinet
) -> None:
    assert multinet("up").returncode == 0
    pytester.makepyfile("def test_it(multinet_pod): multinet_pod('pod1')")
    run().assert_outcomes(passed=1)
    (kept,) = json.loads(multinet("ls", "--json").stdout)
    assert [pod["name"] for pod in kept["description"]["pods"]] == ["pod1"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("clutser: {}", ["clutser", "did you mean cluster?"]),
        ("cluster: {node: 3}", ["cluster.node", "did you mean nodes?"]),
        ("cluster: {nodes: three}", ["cluster.nodes", "a whole number"]),
        ("cluster: {nodes: yes}", ["cluster.nodes", "a whole number"]),
        ("cluster: {nodes: 0}", ["nodes is 0; expected 1 to 100 nodes"]),
        ("cluster: [3]", ["cluster", "a mapping"]),
        ("links: {name: eth1}", ["links", "a list"]),
        ("links: [{name: eth1, mtu: 5}]", ["links[0]", "68 to 65535"]),
        ("links: [{addresses: 10.0.0.1/24}]", ["links[0].addresses", "a list of texts"]),
        ("manifests: [pods.yaml]", ["manifests[0]", "there is none"]),
        ("manifests: [3]", ["manifests[0]", "a text"]),
        ("[1]", ["a mapping with cluster, links, manifests"]),
        ("a: [", ["topology.yaml:1", "not YAML"]),
        ("{kind: Cluster, apiVersion: v1, metadata: {name: a}}", ["not a kind configuration"]),
    ],
)
def test_file_that_cannot_be_is_refused_before_anything_is_built(
    tmp_path: Path, text: str, told: list[str]
) -> None:
    file = tmp_path / "topology.yaml"
    file.write_text(text)
    with pytest.raises(ManifestError) as error:
        read_topology(file)
    assert all(part in str(error.value) for part in told), str(error.value)


def test_failing_up_leaves_nothing(pytester: pytest.Pytester, multinet: Multinet) -> None:
    pytester.path.joinpath("lab.yaml").write_text(
        "cluster: {nodes: 2}\nlinks: [{name: eth1, b: worker2}]\n"
    )
    refused = multinet("up", "lab.yaml")
    assert (refused.returncode, "no node 'worker2'" in refused.stderr) == (2, True), refused
    assert multinet("up", "missing.yaml").returncode == 2
    assert json.loads(multinet("ls", "--json").stdout) == []
