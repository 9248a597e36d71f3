"""The folder of CNI configuration files, as libcni and Multus read it."""

from __future__ import annotations

import pytest

from pytest_multinet import ClusterConfig
from pytest_multinet.errors import ManifestError, UsageError
from pytest_multinet.model.conf_dir import ConfDir

BRIDGE = {"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.5.0.0/24"}}


def conflist(name: str, **more: object) -> dict[str, object]:
    return {"cniVersion": "0.3.1", "name": name, "plugins": [BRIDGE], **more}


def conf(name: str) -> dict[str, object]:
    return {"cniVersion": "0.3.1", "name": name, **BRIDGE}


def test_the_first_file_by_name_is_the_default_network() -> None:
    files = {"20-b.conf": conf("b"), "10-a.conflist": conflist("a"), "05-c.json": conf("c")}
    assert ConfDir(files).primary().name == "a"


def test_a_network_is_found_by_what_its_file_says_not_by_the_files_name() -> None:
    files = {"10-a.conflist": conflist("first"), "20-b.json": conf("second")}
    found = ConfDir(files).named("second")
    assert [plugin.type for plugin in found.plugins] == ["bridge"]


def test_of_two_files_for_one_network_the_first_counts() -> None:
    files = {"10-a.conf": conf("lan"), "05-b.conflist": conflist("lan", disableCheck=True)}
    assert ConfDir(files).named("lan").disable_check


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no network available in the name lan in cni dir /etc/cni/net.d"),
        ({"10-a.conf": "{"}, "Error loading CNI config file /etc/cni/net.d/10-a.conf: "),
        ({"10-a.conflist": "{}"}, "Error loading CNI conflist file /etc/cni/net.d/10-a.conflist"),
        ({"10-a.conf": conflist("lan")}, "no 'type'; perhaps this is a .conflist?"),
        ({"10-a.conflist": conf("lan")}, "no 'plugins' key"),
        ({"lan/10.conf": "{", "10-a.conflist": conflist("lan")}, "lan/10.conf is not JSON"),
    ],
)
def test_what_cannot_be_read_is_told_in_libcnis_words(
    files: dict[str, object], message: str
) -> None:
    with pytest.raises(ManifestError) as raised:
        ConfDir(files).named("lan")  # pyright: ignore[reportArgumentType]
    assert message in str(raised.value)


def test_a_folder_of_the_networks_name_adds_plugins_to_its_chain_in_order() -> None:
    files = {
        "10-lan.conflist": conflist("lan"),
        "lan/20-sbr.conf": {"type": "sbr"},
        "lan/10-tuning.conf": '{"type": "tuning", "mtu": 1400}',
        "other/10-dummy.conf": {"type": "dummy"},
    }
    assert [p.type for p in ConfDir(files).named("lan").plugins] == ["bridge", "tuning", "sbr"]


def test_a_chain_may_refuse_further_plugins() -> None:
    chained = {"lan/10-tuning.conf": {"type": "tuning"}}
    alone = {"10-lan.conflist": conflist("lan", loadOnlyInlinedPlugins=True)}
    single = {"10-lan.conf": conf("lan")}
    for files in (alone, single):
        found = ConfDir({**files, **chained}).named("lan")  # pyright: ignore[reportArgumentType]
        assert [p.type for p in found.plugins] == ["bridge"]


@pytest.mark.parametrize(
    "name", ["lan", "lan.txt", "../lan.conf", "a/b/c.conf", "a/b.conflist", "00-multus.conf", ""]
)
def test_names_that_nothing_would_read_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cni_conf holds a file"):
        ClusterConfig(cni_conf={name: conf("lan")})


def test_content_that_is_no_configuration_is_refused() -> None:
    with pytest.raises(UsageError, match="expected a mapping or JSON text"):
        ClusterConfig(cni_conf={"10-a.conf": 5})
