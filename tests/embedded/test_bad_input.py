"""Bad input ends in one clear error; what was half built is undone, the session lives on."""

from __future__ import annotations

import pytest

from pytest_multinet import assert_ping
from pytest_multinet.errors import (
    ExecFailed,
    LinkError,
    ManifestError,
    MultinetError,
    NeedsKubernetes,
    PodError,
    ProgramNotFound,
    UsageError,
    WaitTimeout,
)

from .manifests import network, on, pod, raw_network


@pytest.fixture(autouse=True)
def nothing_is_left(cluster):
    """After each test the nodes look as before, and the next pods work."""
    before = {node.name: [i.name for i in node.interfaces] for node in cluster.nodes}
    yield
    cluster.clear()
    cluster.link("worker", "worker2")
    after = {node.name: [i.name for i in node.interfaces] for node in cluster.nodes}
    assert after == before
    cluster.apply(network("sound"))
    left, right = cluster.apply(
        [
            pod("left", on("sound", "10.9.9.1/24")),
            pod("right", on("sound", "10.9.9.2/24"), node="worker2"),
        ]
    )
    assert_ping(left, right, interface="net1")


def refused(cluster, *manifests) -> str:
    with pytest.raises(MultinetError) as caught:
        cluster.apply(list(manifests))
    return str(caught.value)


def test_network_whose_config_is_not_json(cluster):
    with pytest.raises(ManifestError, match="invalid character 'n' looking for beginning"):
        cluster.apply(raw_network("lan", "{not json}"))


def test_unknown_plugin_type(cluster):
    text = refused(cluster, network("lan", {"type": "notaplugin"}), pod("pod1", on("lan")))
    assert 'failed to find plugin "notaplugin" in path [' in text
    assert "default/lan" in text


def test_unknown_macvlan_mode(cluster):
    text = refused(cluster, network("lan", mode="sideways"), pod("pod1", on("lan", "10.1.1.1/24")))
    assert 'unknown macvlan mode: "sideways"' in text


def test_missing_master_is_named(cluster):
    text = refused(cluster, network("lan", master="eth7"), pod("pod1", on("lan", "10.1.1.1/24")))
    assert 'plugin type="macvlan" failed (add): Link not found' in text
    assert "eth7" in text
    assert "multus-cluster-worker" in text


def test_mtu_above_the_masters(cluster):
    text = refused(cluster, network("lan", mtu=9000), pod("pod1", on("lan", "10.1.1.1/24")))
    assert "invalid MTU 9000, must be [0, master MTU(1500)]" in text


def test_ips_given_as_a_string(cluster):
    selection = {"name": "lan", "ips": "10.1.1.1/24"}
    with pytest.raises(ManifestError, match=r"NetworkSelectionElement\.ips of type \[\]string"):
        cluster.apply([network("lan"), pod("pod1", selection)])


def test_address_without_prefix_length(cluster):
    text = refused(cluster, network("lan"), pod("pod1", on("lan", "10.1.1.1")))
    assert "the 'ip' field is expected to be in CIDR notation, got: '10.1.1.1'" in text


def test_static_without_addresses(cluster):
    text = refused(cluster, network("lan"), pod("pod1", {"name": "lan"}))
    assert "IPAM plugin returned missing IP config" in text


def test_duplicate_mac_on_one_master(cluster):
    mac = "02:00:00:00:00:77"
    cluster.apply([network("lan"), pod("pod1", on("lan", "10.1.1.1/24", mac=mac))])
    text = refused(cluster, pod("pod2", on("lan", "10.1.1.2/24", mac=mac)))
    assert "address already in use" in text


def test_duplicate_address_is_accepted_as_a_real_cluster_accepts_it(cluster):
    """Two pods, one address, one master: both run, nobody complains (ground truth)."""
    cluster.apply(network("lan"))
    pods = cluster.apply([pod(f"pod{i}", on("lan", "10.1.1.1/24")) for i in (1, 2)])
    assert [str(p.ip("net1")) for p in pods] == ["10.1.1.1", "10.1.1.1"]


def test_interface_name_of_16_characters(cluster):
    selection = on("lan", "10.1.1.1/24", interface="abcdefghijklmnop")
    text = refused(cluster, network("lan"), pod("pod1", selection))
    assert "abcdefghijklmnop" in text
    assert "15" in text


def test_pod_on_an_unknown_node(cluster):
    text = refused(cluster, pod("pod1", node="worker9"))
    assert "no node is called 'multus-cluster-worker9'" in text
    assert "multus-cluster-worker2" in text


def test_two_different_pods_of_one_name(cluster):
    cluster.apply(pod("pod1"))
    with pytest.raises(UsageError, match=r"exists with other arguments, made at .*\.py:\d+"):
        cluster.apply(pod("pod1", node="worker2"))


def test_the_same_pod_again_is_the_living_one(cluster):
    (first,) = cluster.apply(pod("pod1"))
    (second,) = cluster.apply(pod("pod1"))
    assert first is second


def test_unknown_network(cluster):
    text = refused(cluster, pod("pod1", on("not-there")))
    expected = "cannot find a network-attachment-definition (not-there) in namespace (default)"
    assert expected in text


def test_second_of_two_networks_fails_and_the_first_is_taken_down(cluster):
    cluster.apply([network("good"), network("bad", master="eth7")])
    selections = on("good", "10.1.1.1/24"), on("bad", "10.1.2.1/24")
    assert "bad" in refused(cluster, pod("pod1", *selections))
    assert cluster.pods() == ()


def test_one_bad_pod_of_a_batch_undoes_the_others(cluster):
    cluster.apply(network("lan"))
    refused(cluster, pod("pod1", on("lan", "10.1.1.1/24")), pod("pod2", on("nowhere")))
    assert cluster.pods() == ()


def test_program_that_does_not_exist(cluster):
    (made,) = cluster.apply(pod("pod1"))
    with pytest.raises(ProgramNotFound, match=r"program 'nonesuch' .*nicolaka/netshoot"):
        made.exec(["nonesuch"])


def test_shell_line_instead_of_a_list(cluster):
    (made,) = cluster.apply(pod("pod1"))
    with pytest.raises(UsageError, match="expected a list"):
        made.exec("ip addr")


def test_program_that_runs_too_long_is_killed(cluster):
    (made,) = cluster.apply(pod("pod1"))
    with pytest.raises(WaitTimeout, match="still ran after"):
        made.exec(["sleep", "100"], timeout=0.1)


def test_program_that_never_becomes_ready_tells_its_output(cluster):
    (made,) = cluster.apply(pod("pod1"))
    with pytest.raises(ExecFailed, match=r"was to show .*'never'.*\s+started"):
        made.spawn(["sh", "-c", "echo started; sleep 100"], ready="never", timeout=0.2)


def test_container_command_that_exits_at_once(cluster):
    text = refused(cluster, pod("pod1", command=["sh", "-c", "echo no config; exit 3"]))
    assert "exited at once with 3" in text
    assert "no config" in text


def test_container_command_that_does_not_exist(cluster):
    text = refused(cluster, pod("pod1", command=["nonesuch"]))
    assert "nonesuch" in text
    assert "nicolaka/netshoot" in text


def test_link_over_an_interface_that_exists(cluster):
    cluster.node("worker").exec(["ip", "link", "add", "eth5", "type", "bridge"], check=True)
    try:
        with pytest.raises(LinkError, match="already has an interface 'eth5'"):
            cluster.link("worker", "worker2", name="eth5")
    finally:
        cluster.node("worker").exec(["ip", "link", "del", "eth5"], check=True)


def test_link_with_another_mtu_than_before(cluster):
    with pytest.raises(UsageError, match="exists with other arguments"):
        cluster.link("worker", "worker2", name="eth1", mtu=9000)


def test_kind_that_only_kubernetes_has(cluster):
    with pytest.raises(NeedsKubernetes, match="ConfigMap"):
        cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}})


def test_bad_document_behind_a_good_one_builds_nothing(cluster):
    with pytest.raises(ManifestError):
        cluster.apply(
            [network("lan"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}]
        )
    text = refused(cluster, pod("pod1", on("lan", "10.1.1.1/24")))
    assert "cannot find a network-attachment-definition (lan)" in text


def test_relative_path_that_does_not_exist_lists_where_it_was_looked_for(cluster):
    with pytest.raises(UsageError, match=r"no manifest 'nope.yaml'; looked for\s+/"):
        cluster.apply("nope.yaml")


def test_unknown_interface_of_a_probe_names_those_that_exist(cluster):
    (made,) = cluster.apply(pod("pod1"))
    with pytest.raises(UsageError, match="no interface 'net1'; it has lo, eth0"):
        made.ping("10.1.1.1", interface="net1")


def test_target_that_is_no_address(cluster):
    (made,) = cluster.apply(pod("pod1"))
    with pytest.raises(UsageError, match="expected an IP address without prefix length"):
        made.ping("10.1.1.1/24")


def test_container_that_may_end_is_no_failure(cluster):
    manifest = pod("pod1", command=["sh", "-c", "echo done"])
    manifest["spec"]["restartPolicy"] = "Never"
    (made,) = cluster.apply(manifest)
    assert made.logs() == "done\n"


def test_pod_error_carries_its_reason(cluster):
    with pytest.raises(PodError) as caught:
        cluster.apply(pod("pod1", on("not-there")))
    assert caught.value.reason == "FailedCreatePodSandBox"
    assert caught.value.pod == "default/pod1"
