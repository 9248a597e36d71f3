"""NetworkAttachmentDefinitions and the CNI configurations in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_multinet.errors import ManifestError
from pytest_multinet.model.manifest import load_documents
from pytest_multinet.model.nad import (
    CNI_VERSIONS,
    NetworkAttachmentDefinition,
    NetworkConf,
    go_get,
    parse_network_config,
)

SEED = Path(__file__).parents[2] / "data" / "seed" / "nad.yaml"
LIST: dict[str, Any] = {
    "cniVersion": "0.3.1",
    "name": "net",
    "plugins": [
        {"type": "macvlan", "capabilities": {"ips": True}, "ipam": {"type": "static"}},
        {"type": "tuning", "capabilities": {"mac": True, "ips": False}},
    ],
}


def nad(config: str | None = None, **metadata: Any) -> NetworkAttachmentDefinition:
    data: dict[str, Any] = {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "net", **metadata},
    }
    if config is not None:
        data["spec"] = {"config": config}
    return NetworkAttachmentDefinition.from_document(load_documents(data)[0])


def refused(config: Any, **arguments: Any) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        parse_network_config(config, **arguments)
    return caught.value


class TestSeed:
    @pytest.fixture
    def definition(self) -> NetworkAttachmentDefinition:
        (document,) = load_documents(SEED.read_text(), name="nad.yaml")
        return NetworkAttachmentDefinition.from_document(document)

    def test_it_is_a_macvlan_and_a_tuning_plugin(
        self, definition: NetworkAttachmentDefinition
    ) -> None:
        assert definition.config is not None
        assert [p.type for p in definition.config.plugins] == ["macvlan", "tuning"]
        assert definition.config.cni_version == "0.3.1"
        assert definition.config.is_list

    def test_the_missing_name_is_filled_in(self, definition: NetworkAttachmentDefinition) -> None:
        assert definition.config is not None
        assert definition.config.name == "macvlan-conf"
        assert definition.config.raw["name"] == "macvlan-conf"

    def test_each_plugin_keeps_its_own_capabilities_and_object(
        self, definition: NetworkAttachmentDefinition
    ) -> None:
        assert definition.config is not None
        macvlan, tuning = definition.config.plugins
        assert macvlan.capabilities == {"ips": True}
        assert tuning.capabilities == {"mac": True}
        assert macvlan.raw["master"] == "eth1"
        assert macvlan.raw["ipam"]["routes"] == [{"dst": "0.0.0.0/0", "gw": "10.1.1.1"}]
        assert (macvlan.ipam_type, tuning.ipam_type) == ("static", None)

    def test_the_namespace_is_the_callers_default(self) -> None:
        (document,) = load_documents(SEED.read_text())
        assert NetworkAttachmentDefinition.from_document(document).namespace == "default"
        there = NetworkAttachmentDefinition.from_document(document, "lab")
        assert there.namespace == "lab"

    def test_its_manifest_reads_back_the_same(
        self, definition: NetworkAttachmentDefinition
    ) -> None:
        (document,) = load_documents(definition.manifest())
        assert NetworkAttachmentDefinition.from_document(document) == definition


class TestLists:
    def test_a_mapping_is_taken_as_well_as_text(self) -> None:
        assert parse_network_config(LIST) == parse_network_config(json.dumps(LIST))

    def test_capabilities_count_only_when_true(self) -> None:
        config = parse_network_config(LIST)
        assert config.capable("ips")
        assert config.capable("mac")
        assert not config.capable("bandwidth")
        assert config.plugins[1].capabilities == {"mac": True, "ips": False}

    def test_the_given_mapping_is_left_alone(self) -> None:
        source = {"type": "bridge"}
        parse_network_config(source, name="net")
        assert source == {"type": "bridge"}

    def test_one_plugin_is_a_list_of_one_that_knows_it(self) -> None:
        config = parse_network_config('{"type": "bridge", "name": "b", "cniVersion": "1.0.0"}')
        assert not config.is_list
        assert config.plugins == (NetworkConf("bridge", {}, config.raw),)

    def test_a_type_beside_plugins_wins_as_in_multus(self) -> None:
        config = parse_network_config({**LIST, "type": "bridge"})
        assert [p.type for p in config.plugins] == ["bridge"]

    def test_an_empty_name_counts_as_absent(self) -> None:
        assert parse_network_config({**LIST, "name": ""}, name="given").name == "given"

    def test_a_name_of_its_own_is_kept(self) -> None:
        assert parse_network_config(LIST, name="given").name == "net"

    def test_keys_count_without_regard_to_case(self) -> None:
        text = (
            '{"CNIVERSION": "1.0.0", "Name": "n", "DisableCheck": true,'
            ' "Plugins": [{"Type": "bridge", "Capabilities": {"mac": true},'
            ' "IPAM": {"TYPE": "host-local"}}]}'
        )
        config = parse_network_config(text)
        assert (config.cni_version, config.name, config.disable_check) == ("1.0.0", "n", True)
        assert config.plugins[0].type == "bridge"
        assert config.plugins[0].capabilities == {"mac": True}
        assert config.plugins[0].ipam_type == "host-local"

    def test_go_get_is_at_hand_for_plugins(self) -> None:
        assert go_get({"Master": "eth1"}, "master") == "eth1"

    @pytest.mark.parametrize(
        ("value", "disabled"),
        [(True, True), (False, False), ("true", True), ("False", False), (None, False)],
    )
    def test_disable_check_may_be_a_text(self, value: Any, disabled: bool) -> None:
        assert parse_network_config({**LIST, "disableCheck": value}).disable_check is disabled

    @pytest.mark.parametrize("version", CNI_VERSIONS)
    def test_every_version_of_the_specification_is_taken(self, version: str) -> None:
        assert parse_network_config({**LIST, "cniVersion": version}).cni_version == version

    @pytest.mark.parametrize("version", [None, ""])
    def test_a_missing_version_means_the_first(self, version: str | None) -> None:
        assert parse_network_config({**LIST, "cniVersion": version}).cni_version == "0.1.0"

    def test_the_highest_known_of_several_versions_is_taken(self) -> None:
        config = {**LIST, "cniVersions": ["0.4.0", "1.1.0", "9.0.0"]}
        assert parse_network_config(config).cni_version == "1.1.0"
        assert parse_network_config({**config, "cniVersions": []}).cni_version == "0.3.1"

    def test_models_are_frozen_and_hashable(self) -> None:
        config = parse_network_config(LIST)
        assert hash(config) == hash(parse_network_config(LIST))
        with pytest.raises(AttributeError):
            config.name = "x"  # type: ignore[misc]


class TestEmptyConfig:
    @pytest.mark.parametrize("spec", [None, {}, {"config": ""}, {"config": None}])
    def test_means_a_file_on_the_node(self, spec: Any) -> None:
        data = {
            "apiVersion": "k8s.cni.cncf.io/v1",
            "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": "on-node"},
            "spec": spec,
        }
        definition = NetworkAttachmentDefinition.from_document(load_documents(data)[0])
        assert definition.config is None
        assert definition.config_text == ""
        assert definition.manifest()["spec"] == {}

    def test_no_spec_at_all_means_the_same(self) -> None:
        assert nad().config is None


class TestObjects:
    def test_labels_and_annotations_are_kept(self) -> None:
        definition = nad(labels={"a": "b"}, annotations={"k8s.v1.cni.cncf.io/resourceName": "x/y"})
        assert definition.labels == {"a": "b"}
        manifest = definition.manifest()
        assert manifest["metadata"]["annotations"] == {"k8s.v1.cni.cncf.io/resourceName": "x/y"}
        assert manifest["metadata"]["labels"] == {"a": "b"}

    def test_the_config_text_is_kept_verbatim(self) -> None:
        text = '{ "type" : "bridge" }'
        assert nad(text).config_text == text
        assert nad(text).manifest()["spec"] == {"config": text}

    def test_an_error_in_the_config_has_the_line_within_the_text(self) -> None:
        text = SEED.read_text().replace('"type": "static"', '"type": 7')
        with pytest.raises(ManifestError) as caught:
            NetworkAttachmentDefinition.from_document(load_documents(text, name="nad.yaml")[0])
        error = caught.value
        assert (error.source, error.line) == ("nad.yaml", 15)
        assert error.field == "spec.config.plugins[0].ipam.type"
        assert error.value == 7

    def test_a_config_that_is_not_json_has_the_text_of_multus(self) -> None:
        text = SEED.read_text().replace('"mode"', "mode")
        with pytest.raises(ManifestError) as caught:
            NetworkAttachmentDefinition.from_document(load_documents(text, name="nad.yaml")[0])
        error = caught.value
        assert error.line == 13
        assert error.field == "spec.config"
        assert (
            "failed to unmarshal Spec.Config: invalid character 'm' "
            "looking for beginning of object key string"
        ) in error.message

    def test_without_a_document_the_field_starts_at_config(self) -> None:
        assert refused({**LIST, "plugins": [{}]}).field == "config.plugins[0].type"
        assert refused({**LIST, "plugins": [{}]}).source is None


@pytest.mark.parametrize(
    "text", ["{notjson", "{'a': 1}", "", "[1,", "config", '{"type": "bridge",}']
)
def test_text_that_is_not_json_is_said_as_multus_says_it(text: str) -> None:
    error = refused(text, name="n")
    assert error.message.startswith("failed to unmarshal Spec.Config: ")
