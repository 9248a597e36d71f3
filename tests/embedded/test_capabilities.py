"""What Multus hands to plugins and what it makes of their answers, seen from inside a plugin."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from pytest_multinet import assert_connect, assert_no_connect
from pytest_multinet.cluster.embedded import EmbeddedCluster, open_cluster
from pytest_multinet.cni.runtime import Runtime
from pytest_multinet.errors import ClusterError, PodError
from pytest_multinet.model.topology import ClusterConfig
from pytest_multinet.multus.delegates import detach
from tests.cni_site import CNI_PATH

from .manifests import network, pod
from .recorder import Recorder

EVERYTHING = {
    "ips": ["10.1.1.5/24", "fd00::5/64"],
    "mac": "02:00:00:00:00:05",
    "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "udp"}],
    "bandwidth": {"ingressRate": 8000, "ingressBurst": 800, "egressRate": 9000, "egressBurst": 90},
    "infiniband-guid": "c2:11:22:33:44:55:66:77",
    "deviceID": "0000:03:02.0",
}
DECLARED = (
    *("ips", "mac", "portMappings", "bandwidth", "infinibandGUID", "deviceID"),
    *("CNIDeviceInfoFile", "ipRanges", "aliases", "dns"),
)


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


@pytest.fixture
def cluster(recorder: Recorder) -> Iterator[EmbeddedCluster]:
    with open_cluster(ClusterConfig(timeout=5, cni_plugins=recorder.folder)) as cluster:
        cluster.link("worker", "worker2")
        yield cluster


@pytest.fixture
def plugins() -> Path:
    """The folder of a real portmap that can write its rules."""
    folder = next((f for f in CNI_PATH.split(":") if (Path(f) / "portmap").is_file()), None)
    if folder is None or shutil.which("iptables") is None:
        pytest.skip(f"needs iptables, and the plugin portmap in {CNI_PATH}")
    return Path(folder)


def recorded(name: str, *capabilities: str, **more: Any) -> dict[str, Any]:
    """A network of the recorder that declares these capabilities."""
    declared = dict.fromkeys(capabilities, True)
    return network(name, {"type": "recorder", "capabilities": declared, **more})


def test_what_is_declared_arrives_as_runtime_config(cluster, recorder):
    cluster.apply(recorded("all", *DECLARED))
    (made,) = cluster.apply(pod("pod1", {"name": "all", **EVERYTHING}))
    (call,) = recorder.calls
    seen = call["conf"]["runtimeConfig"]
    file = seen.pop("CNIDeviceInfoFile")
    assert seen == {
        "ips": EVERYTHING["ips"],
        "mac": EVERYTHING["mac"],
        "portMappings": EVERYTHING["portMappings"],
        "bandwidth": EVERYTHING["bandwidth"],
        "infinibandGUID": EVERYTHING["infiniband-guid"],
        "deviceID": EVERYTHING["deviceID"],
    }
    folder, _, name = file.rpartition("/")
    assert folder == "/var/run/k8s.cni.cncf.io/devinfo/cni"
    assert name == f"default-all-{made.sandbox.container_id}_net1"


@pytest.mark.parametrize("capability", ["ips", "mac", "portMappings", "bandwidth", "deviceID"])
def test_each_capability_arrives_alone(cluster, recorder, capability):
    cluster.apply(recorded("one", capability))
    cluster.apply(pod("pod1", {"name": "one", **EVERYTHING}))
    assert list(recorder.calls[0]["conf"]["runtimeConfig"]) == [capability]


def test_a_capability_that_is_declared_false_does_not_arrive(cluster, recorder):
    manifest = network("off", {"type": "recorder", "capabilities": {"mac": False, "ips": True}})
    cluster.apply(manifest)
    cluster.apply(pod("pod1", {"name": "off", **EVERYTHING}))
    assert list(recorder.calls[0]["conf"]["runtimeConfig"]) == ["ips"]


def test_each_plugin_of_a_chain_gets_its_own(cluster, recorder):
    first, second = (
        {"type": "recorder", "capabilities": {capability: True}} for capability in ("ips", "mac")
    )
    cluster.apply(network("chain", first, second))
    cluster.apply(pod("pod1", {"name": "chain", **EVERYTHING}))
    assert [list(c["conf"]["runtimeConfig"]) for c in recorder.calls] == [["ips"], ["mac"]]


def test_args_name_the_pod_and_on_add_alone_address_and_mac(cluster, recorder):
    cluster.apply(recorded("plain"))
    (made,) = cluster.apply(pod("pod1", {"name": "plain", **EVERYTHING}))
    made.delete()
    add, delete = recorder.calls
    identity = {
        "IgnoreUnknown": "true",
        "K8S_POD_NAMESPACE": "default",
        "K8S_POD_NAME": "pod1",
        "K8S_POD_INFRA_CONTAINER_ID": made.sandbox.container_id,
        "K8S_POD_UID": made.uid,
    }
    requested = {"MAC": EVERYTHING["mac"], "IP": ",".join(EVERYTHING["ips"])}
    assert "runtimeConfig" not in add["conf"]
    assert recorder.args(add) == {**identity, **requested}
    assert recorder.args(delete) == identity


def test_a_chosen_default_network_gets_args_but_no_runtime_config(cluster, recorder):
    manifest = recorded("own", *DECLARED)
    manifest["metadata"]["namespace"] = "kube-system"
    cluster.apply(manifest)
    chosen = json.dumps([{"name": "own", "interface": "wan0", **EVERYTHING}])
    cluster.apply(pod("pod1", annotations={"v1.multus-cni.io/default-network": chosen}))
    (call,) = recorder.calls
    assert "runtimeConfig" not in call["conf"]
    assert recorder.args(call)["MAC"] == EVERYTHING["mac"]
    assert call["env"]["CNI_IFNAME"] == "wan0"


def test_cni_args_reach_every_plugin_and_keep_what_the_pod_does_not_say(cluster, recorder):
    first = {"type": "recorder", "args": {"cni": {"a": 1, "b": {"deep": True}}}}
    cluster.apply(network("args", first, {"type": "recorder"}))
    cluster.apply(pod("pod1", {"name": "args", "cni-args": {"a": 2, "c": ["x"]}}))
    assert [call["conf"]["args"]["cni"] for call in recorder.calls] == [
        {"a": 2, "b": {"deep": True}, "c": ["x"]},
        {"a": 2, "c": ["x"]},
    ]


def test_a_host_port_reaches_every_network_that_takes_port_mappings(cluster, recorder):
    """kubelet gives it to Multus, since the default network declares the capability."""
    cluster.apply([recorded("some", *DECLARED), recorded("none")])
    ports = [
        {"containerPort": 80, "hostPort": 8080},
        {"containerPort": 53, "protocol": "UDP", "hostPort": 5353, "hostIP": "172.18.0.3"},
        {"containerPort": 90},
    ]
    manifest = pod("pod1", "some,none", ports=ports)
    manifest["metadata"]["annotations"]["v1.multus-cni.io/default-network"] = "default/some"
    (made,) = cluster.apply(manifest)
    mappings = [
        {"containerPort": 80, "hostPort": 8080, "protocol": "tcp"},
        {"containerPort": 53, "hostPort": 5353, "protocol": "udp", "hostIP": "172.18.0.3"},
    ]
    assert [c["conf"].get("runtimeConfig") for c in recorder.calls] == [
        *({"portMappings": mappings}, {"portMappings": mappings}, None)
    ]
    made.attach("some")
    assert "runtimeConfig" not in recorder.calls[-1]["conf"]


def test_a_host_port_leads_to_the_pod(plugins):
    with open_cluster(ClusterConfig(timeout=5, cni_plugins=plugins)) as cluster:
        ports = [{"containerPort": 8000, "hostPort": 8080}]
        (made,) = cluster.apply(pod("pod1", ports=ports))
        worker, other = cluster.node("worker"), cluster.node("worker2")
        with made.listen(8000):
            assert_connect(other, worker, 8080, interface="eth0")
        made.delete()
        assert_no_connect(other, worker, 8080, interface="eth0", during=0.2)


# --- network-status -------------------------------------------------------------------------


def test_device_information_is_shown_and_its_file_goes_with_the_pod(cluster, recorder):
    info = {"type": "pci", "version": "1.1.0", "pci": {"pci-address": "0000:03:02.0"}}
    result = {"interfaces": [{"name": "IFNAME", "sandbox": "SANDBOX"}]}
    cluster.apply(recorded("dev", "CNIDeviceInfoFile", deviceInfo=info, result=result))
    (made,) = cluster.apply(pod("pod1", {"name": "dev", "deviceID": "0000:03:02.0"}))
    assert made.network_status[1].device_info == info
    told = json.loads(made.annotations["k8s.v1.cni.cncf.io/network-status"])
    assert told[1]["device-info"] == info
    file = recorder.calls[0]["conf"]["runtimeConfig"]["CNIDeviceInfoFile"]
    assert made.node.exec(["ls", file]).returncode == 0
    made.delete()
    assert made.node.exec(["ls", file]).returncode != 0


def test_a_device_without_information_shows_none(cluster):
    cluster.apply(
        recorded("dev", result={"interfaces": [{"name": "IFNAME", "sandbox": "SANDBOX"}]})
    )
    (made,) = cluster.apply(pod("pod1", {"name": "dev", "deviceID": "0000:03:02.0"}))
    assert made.network_status[1].device_info is None


def test_status_has_an_entry_for_each_interface_in_the_pod_with_its_own_addresses(cluster):
    result = {
        "interfaces": [
            {"name": "veth0"},
            {"name": "IFNAME", "mac": "02:00:00:00:00:01", "mtu": 1400, "sandbox": "SANDBOX"},
            {"name": "extra0", "mac": "02:00:00:00:00:02", "sandbox": "SANDBOX"},
        ],
        "ips": [
            {"address": "10.1.1.5/24", "interface": 1},
            {"address": "fd00::5/64", "interface": 1},
            {"address": "10.1.2.5/24", "interface": 2},
            {"address": "10.1.3.5/24"},
        ],
        "routes": [
            {"dst": "0.0.0.0/0", "gw": "10.1.1.1"},
            {"dst": "::/0", "gw": "fd00::1"},
            {"dst": "10.9.0.0/16", "gw": "10.1.1.2"},
            {"dst": "0.0.0.0/0"},
        ],
        "dns": {"nameservers": ["10.1.1.53"], "domain": "lan", "search": ["a.lan"]},
    }
    manifest = network("multi")
    plugin = {"type": "recorder", "result": result}
    conf = {"cniVersion": "1.1.0", "name": "multi", "plugins": [plugin]}
    manifest["spec"]["config"] = json.dumps(conf)
    cluster.apply(manifest)
    (made,) = cluster.apply(pod("pod1", "multi"))
    gateways = ("10.1.1.1", "fd00::1", "<nil>")
    first, second = made.network_status[1:]
    assert (first.interface, first.mtu, first.gateway) == ("net1", 1400, gateways)
    assert first.ips == (ip_address("10.1.1.5"), ip_address("fd00::5"))
    assert (second.interface, second.mac) == ("extra0", "02:00:00:00:00:02")
    assert (second.ips, second.mtu) == ((ip_address("10.1.2.5"),), None)
    told = json.loads(made.annotations["k8s.v1.cni.cncf.io/network-status"])[1]
    assert told["dns"] == {"nameservers": ["10.1.1.53"], "domain": "lan", "search": ["a.lan"]}
    assert told["ips"] == ["10.1.1.5", "fd00::5"]


def test_a_plugin_without_an_interface_has_no_entry(cluster):
    cluster.apply(recorded("none"))
    (made,) = cluster.apply(pod("pod1", "none"))
    assert [status.interface for status in made.network_status] == ["eth0"]


# --- failure and deletion -------------------------------------------------------------------


def test_a_failure_in_the_middle_takes_it_and_those_before_down_in_reverse(cluster, recorder):
    only = {"subnet": "10.5.0.0/24", "rangeStart": "10.5.0.9", "rangeEnd": "10.5.0.9"}
    ipam = {"type": "host-local", "ranges": [[only]]}
    cluster.apply(
        [
            recorded("one"),
            network("br", {"type": "bridge", "bridge": "br5", "ipam": ipam}),
            recorded("two", fails=["ADD"]),
            recorded("three"),
        ]
    )
    with pytest.raises(PodError) as raised:
        cluster.apply(pod("pod1", "one,br,two,three"))
    text = str(raised.value)
    assert 'error adding container to network "two": plugin type="recorder"' in text
    assert "two fails on ADD" in text
    assert recorder.commands[:4] == ["ADD one", "ADD two", "DEL two", "DEL one"]
    assert "ADD three" not in recorder.commands
    # Nothing of it is left: its ports are gone, the one address is free again.
    assert [i.name for i in cluster.node("worker").interfaces] == ["lo", "eth0", "eth1", "br5"]
    (made,) = cluster.apply(pod("pod2", "br"))
    assert made.ip("net1") == ip_address("10.5.0.9")


def test_undoing_knows_all_that_was_asked_for_and_deletion_only_part_of_it(cluster, recorder):
    """Multus keeps neither bandwidth nor port mappings; the controller nothing at all."""
    cluster.apply([recorded("all", *DECLARED), recorded("fails", fails=["ADD"])])
    wanted = {"name": "all", **EVERYTHING}
    with pytest.raises(PodError):
        cluster.apply(pod("pod1", wanted, {"name": "fails"}))
    add, undone, deleted = (c for c in recorder.calls if c["conf"]["name"] == "all")
    assert undone["conf"]["runtimeConfig"] == add["conf"]["runtimeConfig"]
    lost = set(add["conf"]["runtimeConfig"]) - set(deleted["conf"]["runtimeConfig"])
    assert lost == {"bandwidth", "portMappings"}
    (made,) = cluster.apply(pod("pod2", {**wanted, "cni-args": {"a": 1}}))
    assert "args" in recorder.calls[-1]["conf"]
    made.detach("net1")
    assert not {"args", "runtimeConfig"} & set(recorder.calls[-1]["conf"])


def test_a_failing_delete_does_not_keep_the_others(cluster, recorder):
    cluster.apply([recorded("a"), recorded("b", fails=["DEL"]), recorded("c")])
    (made,) = cluster.apply(pod("pod1", "a,b,c"))
    with pytest.raises(ClusterError, match="b fails on DEL"):
        made.delete()
    assert recorder.commands[3:] == ["DEL c", "DEL b", "DEL a"]
    assert cluster.pods() == ()


def test_delete_goes_by_what_was_attached_though_the_network_has_gone(cluster, recorder):
    manifest = recorded("gone")
    cluster.apply(manifest)
    (made,) = cluster.apply(pod("pod1", "gone"))
    cluster.delete(manifest)
    made.delete()
    assert recorder.commands == ["ADD gone", "DEL gone"]


def test_delete_works_where_the_runtimes_cache_was_lost(cluster, recorder):
    host_local = {"type": "host-local", "subnet": "10.5.0.0/24"}
    manifest = recorded("seen")
    conf = json.loads(manifest["spec"]["config"]) | {"cniVersion": "0.4.0"}
    manifest["spec"]["config"] = json.dumps(conf)
    cluster.apply(
        [manifest, network("br", {"type": "bridge", "bridge": "br5", "ipam": host_local})]
    )
    (made,) = cluster.apply(pod("pod1", "seen,br"))
    node = made.node
    before = [i.name for i in node.interfaces]
    # A runtime that knows of no ADD, as after a reboot that lost /var/lib/cni.
    fresh = Runtime(node)
    errors = detach(replace(made.attached, runtime=fresh), made.delegates)
    assert errors == []
    assert "prevResult" not in recorder.calls[-1]["conf"]
    assert len(before) - len(node.interfaces) == 2  # the host's ends of eth0 and net2
    made.delete()
