"""Lists of plugins, told by what the plugins are given; no plugin of these is native."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_multinet.cni.binary import NETNS, NETNS_OF_CHECK, find_plugin
from pytest_multinet.cni.result import Result
from pytest_multinet.cni.runtime import Runtime, Sandbox
from pytest_multinet.errors import CniError, NeedsCapability
from pytest_multinet.model.nad import NetworkConfList, parse_network_config
from pytest_multinet.net.holder import HeldNamespace

NOWHERE = cast("HeldNamespace", SimpleNamespace(fd=3))
SANDBOX = Sandbox("c0ffee", NOWHERE, "/var/run/netns/cni-1")


class FakeHost:
    """A host whose plugins are functions of the configuration they get."""

    name = "worker"
    namespace = NOWHERE
    cni_path = "/opt/cni/bin:/usr/lib/cni"

    def __init__(self, **plugins: Callable[[dict[str, Any]], Any]) -> None:
        self.state: dict[str, Any] = {}
        self.cluster_state: dict[str, Any] = {}
        self.plugins = plugins
        self.calls: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    def exec_plugin(
        self, plugin_type: str, env: Mapping[str, str], stdin: bytes, sandbox: HeldNamespace
    ) -> tuple[int, bytes, bytes] | None:
        if plugin_type not in self.plugins:
            return None
        conf = json.loads(stdin)
        self.calls.append((plugin_type, dict(env), conf))
        answer = self.plugins[plugin_type](conf)
        if isinstance(answer, tuple):
            return cast("tuple[int, bytes, bytes]", answer)
        return 0, json.dumps(answer).encode(), b""


def adds_an_interface(conf: dict[str, Any]) -> dict[str, Any]:
    seen = conf.get("prevResult", {}).get("interfaces", [])
    more = {"name": conf["type"], "sandbox": "/proc/7/fd/5"}
    return {"cniVersion": conf["cniVersion"], "interfaces": [*seen, more]}


def passes_on(conf: dict[str, Any]) -> dict[str, Any]:
    return conf["prevResult"]


def fails(conf: dict[str, Any]) -> tuple[int, bytes, bytes]:
    said = {"cniVersion": "1.0.0", "code": 11, "msg": "later", "details": "the store is locked"}
    return 1, json.dumps(said).encode(), b"a word on stderr"


def network(*plugins: dict[str, Any], version: str = "1.0.0") -> NetworkConfList:
    return parse_network_config({"cniVersion": version, "name": "net", "plugins": list(plugins)})


def test_add_gives_each_plugin_the_result_of_the_one_before():
    host = FakeHost(one=adds_an_interface, two=adds_an_interface, three=passes_on)
    chain = network({"type": "one"}, {"type": "two"}, {"type": "three"})
    result = Runtime(host).add(chain, SANDBOX, "net1")
    assert [i.name for i in result.interfaces] == ["one", "two"]
    previous = [conf.get("prevResult") for _, _, conf in host.calls]
    assert previous[0] is None
    assert [i["name"] for i in previous[2]["interfaces"]] == ["one", "two"]


def test_plugins_get_the_environment_of_the_specification():
    host = FakeHost(one=adds_an_interface)
    args = {"IgnoreUnknown": "1", "K8S_POD_NAME": "pod"}
    Runtime(host).add(network({"type": "one"}), SANDBOX, "net1", args=args)
    _, env, conf = host.calls[0]
    assert env["CNI_COMMAND"] == "ADD"
    assert env["CNI_CONTAINERID"] == "c0ffee"
    assert env["CNI_NETNS"] == NETNS
    assert env["CNI_IFNAME"] == "net1"
    assert env["CNI_ARGS"] == "IgnoreUnknown=1;K8S_POD_NAME=pod"
    assert env["CNI_PATH"] == "/opt/cni/bin:/usr/lib/cni"
    assert (conf["name"], conf["cniVersion"]) == ("net", "1.0.0")


def test_a_plugin_gets_the_capabilities_that_it_declares():
    host = FakeHost(one=adds_an_interface, two=passes_on)
    chain = network({"type": "one", "capabilities": {"ips": True, "mac": False}}, {"type": "two"})
    asked = {"ips": ["10.1.1.5/24"], "mac": "02:00:00:00:00:01", "portMappings": []}
    Runtime(host).add(chain, SANDBOX, "net1", runtime_config=asked)
    assert host.calls[0][2]["runtimeConfig"] == {"ips": ["10.1.1.5/24"]}
    assert "runtimeConfig" not in host.calls[1][2]


def test_what_the_runtime_says_replaces_what_was_written_in_any_case():
    host = FakeHost(one=adds_an_interface)
    written = {"type": "one", "NAME": "x", "PrevResult": {"x": 1}, "runtimeconfig": {"a": 1}}
    Runtime(host).add(network(written), SANDBOX, "net1")
    assert host.calls[0][2] == {"type": "one", "name": "net", "cniVersion": "1.0.0"}


def test_the_sandbox_shows_its_path_in_results():
    host = FakeHost(one=adds_an_interface)
    result = Runtime(host).add(network({"type": "one"}), SANDBOX, "net1")
    assert result.interfaces[0].sandbox == SANDBOX.path


def test_check_and_delete_get_the_final_result_and_delete_goes_backwards():
    host = FakeHost(one=adds_an_interface, two=adds_an_interface)
    chain = network({"type": "one"}, {"type": "two"})
    runtime = Runtime(host)
    runtime.add(chain, SANDBOX, "net1")
    runtime.check(chain, SANDBOX, "net1")
    runtime.delete(chain, SANDBOX, "net1")
    told = [(kind, env["CNI_COMMAND"]) for kind, env, _ in host.calls]
    assert told == [
        ("one", "ADD"),
        ("two", "ADD"),
        ("one", "CHECK"),
        ("two", "CHECK"),
        ("two", "DEL"),
        ("one", "DEL"),
    ]
    for _, env, conf in host.calls[2:]:
        assert [i["name"] for i in conf["prevResult"]["interfaces"]] == ["one", "two"]
        assert {i["sandbox"] for i in conf["prevResult"]["interfaces"]} == {env["CNI_NETNS"]}
    assert host.calls[2][1]["CNI_NETNS"] == NETNS_OF_CHECK
    assert runtime.cached_result("net", "c0ffee", "net1") is None


def test_delete_works_without_a_result():
    host = FakeHost(one=adds_an_interface)
    Runtime(host).delete(network({"type": "one"}), SANDBOX, "net1")
    assert "prevResult" not in host.calls[0][2]


def test_delete_tells_no_namespace_where_it_has_gone():
    host = FakeHost(one=adds_an_interface)
    gone = Sandbox("c0ffee", cast("HeldNamespace", SimpleNamespace(fd=-1)), "/x")
    Runtime(host).delete(network({"type": "one"}), gone, "net1")
    assert host.calls[0][1]["CNI_NETNS"] == ""


def test_versions_before_0_4_delete_without_a_result_and_know_no_check():
    host = FakeHost(one=adds_an_interface)
    chain = network({"type": "one"}, version="0.3.1")
    runtime = Runtime(host)
    runtime.add(chain, SANDBOX, "net1")
    with pytest.raises(CniError, match="does not support the CHECK command"):
        runtime.check(chain, SANDBOX, "net1")
    runtime.delete(chain, SANDBOX, "net1")
    assert "prevResult" not in host.calls[-1][2]


def test_a_failed_add_stops_and_leaves_delete_to_the_caller():
    host = FakeHost(one=adds_an_interface, two=fails, three=passes_on)
    chain = network({"type": "one"}, {"type": "two"}, {"type": "three"})
    runtime = Runtime(host)
    with pytest.raises(CniError) as raised:
        runtime.add(chain, SANDBOX, "net1")
    error = raised.value
    assert (error.plugin, error.command, error.code) == ("two", "ADD", 11)
    assert str(error).startswith('plugin type="two" failed (add): later; the store is locked')
    assert [kind for kind, _, _ in host.calls] == ["one", "two"]
    assert runtime.cached_result("net", "c0ffee", "net1") is None


def test_a_failed_delete_stops_and_keeps_the_result():
    host = FakeHost(one=adds_an_interface, two=passes_on)
    chain = network({"type": "one"}, {"type": "two"})
    runtime = Runtime(host)
    runtime.add(chain, SANDBOX, "net1")
    host.plugins["two"] = fails
    with pytest.raises(CniError, match="the store is locked"):
        runtime.delete(chain, SANDBOX, "net1")
    assert host.calls[-1][0] == "two"
    assert runtime.cached_result("net", "c0ffee", "net1") is not None


def test_a_missing_plugin_is_told_as_libcni_does():
    with pytest.raises(CniError) as raised:
        Runtime(FakeHost()).add(network({"type": "notaplugin"}), SANDBOX, "net1")
    assert raised.value.msg == (
        'failed to find plugin "notaplugin" in path [/opt/cni/bin /usr/lib/cni]'
    )
    assert raised.value.code == 7
    assert "worker" in str(raised.value.hint)


def test_what_only_the_real_plugin_can_do_is_a_skip_where_it_is_missing():
    host = FakeHost(one=adds_an_interface)
    mapping = {"portMappings": [{"hostPort": 80, "containerPort": 80, "protocol": "tcp"}]}
    chain = network({"type": "one"}, {"type": "portmap", "capabilities": {"portMappings": True}})
    runtime = Runtime(host)
    with pytest.raises(NeedsCapability, match="portmap with portMappings"):
        runtime.add(chain, SANDBOX, "net1", runtime_config=mapping)
    runtime.add(chain, SANDBOX, "net1")
    host.plugins["portmap"] = passes_on
    runtime.add(chain, SANDBOX, "net1", runtime_config=mapping)
    assert host.calls[-1][0] == "portmap"


@pytest.mark.parametrize(
    ("ifname", "message"),
    [
        ("", "interface name is empty"),
        ("abcdefghijklmnop", "interface name is too long"),
        ("..", "interface name is . or .."),
        ("a/b", "interface name contains / or : or whitespace characters"),
        ("a b", "interface name contains / or : or whitespace characters"),
    ],
)
def test_an_impossible_interface_name_reaches_no_plugin(ifname, message):
    host = FakeHost(one=adds_an_interface)
    with pytest.raises(CniError, match=message):
        Runtime(host).add(network({"type": "one"}), SANDBOX, ifname)
    assert not host.calls


def test_native_plugins_speak_the_versions_of_the_reference_plugins():
    chain = network({"type": "static", "ipam": {"type": "static"}}, version="1.1.0")
    with pytest.raises(CniError) as raised:
        Runtime(FakeHost()).add(chain, SANDBOX, "net1")
    assert raised.value.code == 1
    assert raised.value.msg == "incompatible CNI versions"
    assert raised.value.details.startswith('config is "1.1.0", plugin supports ["0.1.0"')


@given(st.binary(max_size=60) | st.text(max_size=30).map(str.encode), st.integers(1, 255))
def test_whatever_a_failing_plugin_writes_becomes_a_cni_error(stdout, code):
    host = FakeHost(one=lambda conf: (code, stdout, b""))
    with pytest.raises(CniError) as raised:
        Runtime(host).add(network({"type": "one"}), SANDBOX, "net1")
    assert raised.value.plugin == "one"


@given(st.binary(max_size=60) | st.sampled_from([b"[]", b"1", b"null", b'{"ips": {}}']))
def test_whatever_a_plugin_writes_is_a_result_or_a_cni_error(stdout):
    host = FakeHost(one=lambda conf: (0, stdout, b""))
    try:
        result = Runtime(host).add(network({"type": "one"}), SANDBOX, "net1")
    except CniError:
        return
    assert isinstance(result, Result)


def test_plugins_are_found_in_the_order_of_the_path(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine").write_text("")
    (tmp_path / "a" / "folder").mkdir()
    path = f"{tmp_path}/nowhere:{tmp_path}/a:{tmp_path}/b"
    assert find_plugin(path, "mine") == f"{tmp_path}/a/mine"
    assert find_plugin(path, "folder") is None
    assert find_plugin("", "mine") is None
