"""What a failed test leaves behind, and what is shown of it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

Run = Callable[..., pytest.RunResult]

SUITE = """
    import pytest
    from pytest_multinet import assert_ping

    @pytest.fixture(scope="module")
    def pods(macvlan_network, multinet_pod):
        return [
            multinet_pod(f"pod{n}", node=node, networks=[macvlan_network.attach(f"10.1.1.{n}/24")])
            for n, node in ((1, "worker"), (2, "worker2"))
        ]

    def test_sound(pods):
        assert_ping(*pods, interface="net1")

    def test_broken(pods, node_link):
        with node_link.cut():
            assert_ping(*pods, interface="net1", within=0.1)
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(test_it=SUITE)
    return pytester


def evidence(suite: pytest.Pytester) -> Path:
    (folder,) = (suite.path / "multinet-artifacts").iterdir()
    return folder


def test_a_failed_test_leaves_a_folder_and_a_passed_one_none(
    suite: pytest.Pytester, run: Run
) -> None:
    result = run()

    result.assert_outcomes(passed=1, failed=1)
    folder = evidence(suite)
    assert folder.name == "test_it.py--test_broken"
    result.stdout.fnmatch_lines(
        [
            "*multinet artifacts*",
            "multinet-artifacts/test_it.py--test_broken/README.md",
            "artifacts:    multinet-artifacts/test_it.py--test_broken/README.md",
        ]
    )
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert {
        "README.md",
        "failure.txt",
        "networks.json",
        "topology.svg",
        "topology.mmd",
        "pods/pod1.json",
        "pods/pod1-cni.json",
        "stacks/pod1.json",
        "stacks/pod1.txt",
        "stacks/pod2.json",
        "stacks/multus-cluster-worker.json",
    } <= names
    readme = (folder / "README.md").read_text()
    assert readme.startswith("# test_it.py::test_broken\n")
    assert "1. **node link** broke" in readme
    assert "eth1 is administratively down" in readme
    for link in re.findall(r"\]\(([^)]+)\)", readme):
        assert (folder / link).is_file(), link
    asked = json.loads((folder / "pods/pod1-cni.json").read_text())
    assert [a["interface"] for a in asked] == ["eth0", "net1"]
    assert asked[1]["network"]["plugins"][0]["master"] == "eth1"
    assert asked[1]["result"]["ips"][0]["address"] == "10.1.1.1/24"
    seen = json.loads((folder / "stacks/pod1.json").read_text())
    assert [i["name"] for i in seen["interfaces"]] == ["lo", "eth0", "net1"]
    assert seen["interfaces"][2]["counters"]["tx_packets"] > 0
    assert "eth1: worker -- worker2, mtu 1500  <-- broken" in (folder / "topology.txt").read_text()


def test_the_folder_holds_no_credentials(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import time
        JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJl"

        def test_broken(multinet_pod):
            pod = multinet_pod(
                "p", command=["sh", "-c", f"echo token: {JWT}; echo password=hunter22; sleep 99"],
                annotations={"kubectl.kubernetes.io/last-applied-configuration": JWT, "note": "n"},
            )
            pod.exec(["true"])
            assert not pod.logs() and False, f"bearer: {JWT}"
        """
    )
    run().assert_outcomes(failed=1)
    folder = evidence(pytester)
    texts = {p: p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert any(p.name == "p.json" and '"note"' in text for p, text in texts.items())
    for path, text in texts.items():
        for secret in ("eyJhbGciOi", "hunter22", "BEGIN RSA", "client-key-data"):
            assert secret not in text, path


def test_junit_has_the_folder(suite: pytest.Pytester, run: Run) -> None:
    run("--junitxml=out.xml")

    tree = ElementTree.parse(suite.path / "out.xml")
    found = {
        case.get("name"): [
            p.get("value") for p in case.iter("property") if p.get("name") == "multinet_artifacts"
        ]
        for case in tree.iter("testcase")
    }
    assert found == {
        "test_sound": [],
        "test_broken": ["multinet-artifacts/test_it.py--test_broken"],
    }


def test_artifacts_can_be_put_elsewhere_or_switched_off(suite: pytest.Pytester, run: Run) -> None:
    run("--multinet-artifacts=elsewhere")
    assert (suite.path / "elsewhere" / "test_it.py--test_broken" / "README.md").is_file()
    run("--multinet-artifacts=off")
    assert not (suite.path / "multinet-artifacts").exists()


def test_packets_of_failed_tests_are_kept(suite: pytest.Pytester, run: Run) -> None:
    run("--multinet-capture=failed").assert_outcomes(passed=1, failed=1)

    folder = evidence(suite)
    path = folder / "pod1-net1.pcapng"
    read = subprocess.run(
        ["tcpdump", "-nr", str(path)], capture_output=True, text=True, check=True
    )
    assert "Request who-has 10.1.1.2" in read.stdout or "echo request" in read.stdout
    assert "[pod1-net1.pcapng]" in (folder / "README.md").read_text()


def test_packets_of_a_marked_test_are_kept_though_it_passed(
    pytester: pytest.Pytester, run: Run
) -> None:
    marked = SUITE.replace("def test_sound", "@pytest.mark.multinet_capture\n    def test_sound")
    pytester.makepyfile(test_it=marked)
    run("-k", "sound").assert_outcomes(passed=1, deselected=1)

    folder = evidence(pytester)
    assert folder.name == "test_it.py--test_sound"
    assert (folder / "pod1-net1.pcapng").is_file()


def test_topology_only_builds_and_calls_nothing(suite: pytest.Pytester, run: Run) -> None:
    result = run("--multinet-topology-only")

    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(
        [
            "multus-cluster on embedded",
            "    pod1",
            "      net1   10.1.1.1/24  default/macvlan-conf",
            "  eth1: worker -- worker2, mtu 1500",
        ]
    )
    assert (suite.path / "multinet-artifacts" / "topology-multus-cluster.svg").is_file()


def test_the_step_summary_has_the_topology_and_the_matrix(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    mesh = SUITE.replace("assert_ping(*pods,", "assert_mesh(pods,").replace(
        "import assert_ping", "import assert_mesh"
    )
    pytester.makepyfile(test_it=mesh)
    run().assert_outcomes(passed=1, failed=1)

    text = summary.read_text()
    assert "- 2 tests on embedded (not Kubernetes)" in text
    assert "```mermaid\nflowchart TB" in text
    assert "### test_it.py::test_broken" in text
    assert "pod1  - o" in text
    assert "- evidence of a failed test: `multinet-artifacts/test_it.py--test_broken`" in text


def test_with_xdist_every_worker_leaves_its_own(suite: pytest.Pytester, run: Run) -> None:
    result = run("-n", "2")

    result.assert_outcomes(passed=1, failed=1)
    assert (evidence(suite) / "README.md").is_file()
    result.stdout.fnmatch_lines(["artifacts: *test_it.py--test_broken/README.md"])


def test_an_address_beside_a_text_is_explained(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        from ipaddress import ip_address, ip_interface

        def test_one():
            assert ip_address("10.1.1.1") == "10.1.1.1"

        def test_two():
            assert "10.1.1.1/24" in (ip_interface("10.1.1.1/24"),)
        """
    )
    result = run()
    result.stdout.fnmatch_lines(
        [
            "*both read 10.1.1.1, and an IPv4Address never equals a str",
            "*compare with ip_address('10.1.1.1'), or str(...) of the IPv4Address",
            "*these are IPv4Interface objects: compare with ip_interface('10.1.1.1/24')",
        ]
    )


def test_plain_asserts_read_well(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        def test_ping(kind_cluster):
            assert kind_cluster.node("worker").ping("172.18.0.99", timeout=0.1)

        def test_mtu(kind_cluster):
            assert kind_cluster.node("worker").interface("eth0").mtu == 9000
        """
    )
    result = run()
    result.stdout.fnmatch_lines(
        [
            "*assert <PingResult multus-cluster-worker -> 172.18.0.99: 0/1 replies*",
            "*assert 1500 == 9000*",
            "*where 1500 = <Interface eth0 (veth) up mtu 1500 *.mtu",
        ]
    )
