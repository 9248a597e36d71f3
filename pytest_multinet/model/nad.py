"""NetworkAttachmentDefinitions and the CNI configurations in them.

Follows the CNI specification 1.1 (section 1), libcni's ``ConfListFromBytes`` and Multus'
``LoadDelegateNetConf``: keys are found without regard to case, a single plugin's
configuration counts as a list of one, a missing name is filled in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pytest_multinet.model.fields import (
    FieldError,
    FieldPath,
    below,
    check_keys,
    field_error,
    json_type,
    read_mapping,
    read_str,
    read_string_map,
)
from pytest_multinet.model.go_json import go_get, read_json, within
from pytest_multinet.model.names import check_metadata_map, nearest, validate_name

if TYPE_CHECKING:
    from pytest_multinet.model.manifest import Document

__all__ = [
    "API_VERSION",
    "CNI_VERSIONS",
    "NetworkAttachmentDefinition",
    "NetworkConf",
    "NetworkConfList",
    "go_get",
    "parse_network_config",
]

API_VERSION = "k8s.cni.cncf.io/v1"
KIND = "NetworkAttachmentDefinition"

CNI_VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")

_IS_NETWORK_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]*").fullmatch  # libcni
_IS_PLUGIN_TYPE = re.compile(r"[^/\x00-\x20\x7f]+").fullmatch
_IS_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){2}").fullmatch


@dataclass(frozen=True, slots=True)
class NetworkConf:
    """The configuration of one plugin.

    Attributes:
        type: name of the plugin's executable, such as ``macvlan``.
        capabilities: runtime configuration that it declares to take, by name.
        raw: the JSON object as written.
    """

    type: str
    capabilities: Mapping[str, bool] = field(default_factory=dict[str, bool], hash=False)
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False, repr=False)

    @property
    def ipam_type(self) -> str | None:
        """Type of the IPAM plugin, such as ``static``; ``None`` without one."""
        ipam = go_get(self.raw, "ipam")
        kind = go_get(cast("Mapping[str, Any]", ipam), "type") if ipam else None
        return kind or None


@dataclass(frozen=True, slots=True)
class NetworkConfList:
    """A network configuration list: plugins that are called one after the other.

    Attributes:
        cni_version: version of the specification; ``0.1.0`` where none is written.
        name: of the network.
        plugins: in the order of ADD; at least one.
        disable_check: whether CHECK is switched off.
        raw: the JSON object as written, with the name filled in.
        is_list: whether a list was written (false: one plugin's configuration).
    """

    cni_version: str
    name: str
    plugins: tuple[NetworkConf, ...]
    disable_check: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False, repr=False)
    is_list: bool = True

    def capable(self, capability: str) -> bool:
        """Whether one of the plugins declares ``capability``."""
        return any(plugin.capabilities.get(capability) for plugin in self.plugins)


@dataclass(frozen=True, slots=True)
class NetworkAttachmentDefinition:
    """A NetworkAttachmentDefinition (NPWG multi-net-spec, section 3).

    Attributes:
        name, namespace: of the object.
        config: the CNI configuration; ``None``: a file on the node whose ``name`` is ours.
        config_text: ``spec.config`` as written, ``""`` where it is absent.
        labels, annotations: of the object.
    """

    name: str
    namespace: str = "default"
    config: NetworkConfList | None = None
    config_text: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    annotations: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)

    @classmethod
    def from_document(
        cls, document: Document, default_namespace: str = "default"
    ) -> NetworkAttachmentDefinition:
        """Read one document of a manifest.

        Raises:
            ManifestError: it is of another kind, or a field breaks a rule.
        """
        error = document.error
        if document.kind != KIND:
            message = f"{document.kind} {document.name} is not a {KIND}"
            raise error(message, ("kind",), document.kind, KIND)
        if document.api_version != API_VERSION:
            message = (
                f"apiVersion of a {KIND} is not set"
                if not document.api_version
                else (f"apiVersion {document.api_version!r} has no {KIND}")
            )
            raise error(message, ("apiVersion",), document.api_version or None, API_VERSION)
        name_path = ("metadata", "name")
        name = validate_name(document.name, what="network name", path=name_path, error=error)
        namespace = document.namespace or default_namespace
        validate_name(
            namespace, what="namespace", label=True, path=("metadata", "namespace"), error=error
        )
        labels, annotations = read_metadata_maps(document)
        text = _config_text(document)
        config = None
        if text:
            inside = below(error, "spec", "config")
            config = parse_network_config(text, name=name, error=inside)
        return cls(name, namespace, config, text, labels, annotations)

    def manifest(self) -> dict[str, Any]:
        """The object as a dict, ready to be applied."""
        metadata: dict[str, Any] = {"name": self.name, "namespace": self.namespace}
        if self.labels:
            metadata["labels"] = dict(self.labels)
        if self.annotations:
            metadata["annotations"] = dict(self.annotations)
        spec = {"config": self.config_text} if self.config_text else {}
        return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


def read_metadata_maps(document: Document) -> tuple[dict[str, str], dict[str, str]]:
    """The labels and the annotations of an object, checked."""
    metadata: Mapping[str, Any] = document.data.get("metadata") or {}
    found: list[dict[str, str]] = []
    for key in ("labels", "annotations"):
        values = read_string_map(metadata, key, ("metadata",), document.error)
        if values:
            path = ("metadata", key)
            check_metadata_map(
                values.items(), labels=key == "labels", path=path, error=document.error
            )
        found.append(values)
    return found[0], found[1]


def _config_text(document: Document) -> str:
    error = document.error
    spec = read_mapping(document.data, "spec", (), error)
    for key in spec:
        if key != "config":
            near = nearest(str(key), ("config",))
            expected = "config, the only field" if near is None else "config"
            raise error(f'unknown field "spec.{key}"', ("spec", str(key)), None, expected)
    config = spec.get("config")
    if isinstance(config, (Mapping, list)):
        expected = "a string that holds JSON: config: '{ ... }'"
        message = f"spec.config is of type {json_type(config)}"
        raise error(message, ("spec", "config"), None, expected)
    return read_str(spec, "config", ("spec",), error) or ""


def parse_network_config(
    source: str | Mapping[str, Any],
    *,
    name: str | None = None,
    error: FieldError | None = None,
) -> NetworkConfList:
    """Read a network configuration list, or one plugin's configuration.

    Args:
        source: JSON text, or the object.
        name: fills in a ``name`` that is absent or empty.
        error: makes errors; paths are within the configuration.

    Raises:
        ManifestError: with the text of Multus or libcni, and what it means.
    """
    make = error or field_error("config")
    if isinstance(source, str):
        make = within(make, source)
    raw = _json_object(source, make)
    written = _text_at(raw, "name", (), make)
    if not written:
        if not name:
            message = "error parsing configuration list: no name"
            raise make(message, ("name",), None, "the name of the network")
        raw = {**{k: v for k, v in raw.items() if k.casefold() != "name"}, "name": name}
        written = name
    elif not _IS_NETWORK_NAME(written):
        message = "invalid characters found in network name"
        raise make(
            message, ("name",), written, "letters, digits and _ . -, a letter or digit first"
        )
    single = _text_at(raw, "type", (), make)
    version = _version(raw, make)
    if single:
        return NetworkConfList(
            version, written, (_plugin(raw, (), make),), _disable_check(raw, make), raw, False
        )
    plugins = tuple(
        _plugin(plugin, ("plugins", index), make) for index, plugin in enumerate(_list(raw, make))
    )
    return NetworkConfList(version, written, plugins, _disable_check(raw, make), raw, True)


def _json_object(source: str | Mapping[str, Any], make: FieldError) -> Mapping[str, Any]:
    value: Any = source
    if isinstance(source, str):
        what = "failed to unmarshal Spec.Config"
        value = read_json(source, what, make, "a CNI configuration in JSON")
    if not isinstance(value, Mapping):
        message = (
            f"failed to unmarshal Spec.Config: json: cannot unmarshal {json_type(value)} "
            "into Go value of type map[string]interface {}: the configuration is not an object"
        )
        raise make(message, (), value, 'a JSON object: { "cniVersion": ..., "plugins": [ ... ] }')
    return check_keys(cast("Mapping[Any, Any]", value), (), make)


def _list(raw: Mapping[str, Any], make: FieldError) -> list[Any]:
    value = go_get(raw, "plugins")
    if value is None:
        message = "delegate must have the 'type' or 'plugin' field"
        near = nearest("plugins", [k for k in raw if k.casefold() != "name"])
        if near:
            message += f"; did you mean plugins by {near!r}?"
        raise make(message, ("plugins",), None, "plugins (a list), or the type of one plugin")
    if not isinstance(value, (list, tuple)):
        message = f"error parsing configuration list: invalid 'plugins' type: {json_type(value)}"
        raise make(message, ("plugins",), value, "a list of plugin configurations")
    if not value:
        message = "error parsing configuration list: no plugins in list"
        raise make(message, ("plugins",), None, "at least one plugin")
    return list(cast("list[Any]", value))


def _plugin(raw: Any, path: FieldPath, make: FieldError) -> NetworkConf:
    if not isinstance(raw, Mapping):
        message = f"a plugin is of type {json_type(raw)}"
        raise make(message, path, raw, 'an object such as { "type": "macvlan" }')
    raw = check_keys(cast("Mapping[Any, Any]", raw), path, make)
    kind = _text_at(raw, "type", path, make)
    if not kind:
        message = (
            "error parsing configuration: missing 'type': "
            "a plugin delegate must have the 'type' field"
        )
        raise make(message, (*path, "type"), None, "the plugin's name, such as macvlan")
    _check_type(kind, (*path, "type"), make)
    ipam = go_get(raw, "ipam")
    if ipam is not None:
        if not isinstance(ipam, Mapping):
            message = f"ipam is of type {json_type(ipam)}"
            raise make(message, (*path, "ipam"), ipam, 'an object such as { "type": "static" }')
        ipam = check_keys(cast("Mapping[Any, Any]", ipam), (*path, "ipam"), make)
        ipam_type = _text_at(ipam, "type", (*path, "ipam"), make)
        if ipam_type:
            _check_type(ipam_type, (*path, "ipam", "type"), make)
    return NetworkConf(kind, _capabilities(raw, path, make), raw)


def _check_type(kind: str, path: FieldPath, make: FieldError) -> None:
    # The type is the name of a file in the CNI path.
    if not _IS_PLUGIN_TYPE(kind) or kind in (".", ".."):
        raise make(
            f"invalid plugin name: {kind}", path, kind, "the name of an executable, no path"
        )


def _capabilities(raw: Mapping[str, Any], path: FieldPath, make: FieldError) -> dict[str, bool]:
    value = go_get(raw, "capabilities")
    if value is None:
        return {}
    path = (*path, "capabilities")
    if not isinstance(value, Mapping):
        message = f"capabilities is of type {json_type(value)}"
        raise make(message, path, value, 'an object such as { "ips": true }')
    declared = check_keys(cast("Mapping[Any, Any]", value), path, make)
    for key, on in declared.items():
        if on is not None and not isinstance(on, bool):
            message = (
                f"json: cannot unmarshal {json_type(on)} into Go struct field "
                f"NetConf.capabilities of type bool: {key} is not a truth value"
            )
            raise make(message, (*path, key), on, "true or false, without quotes")
    return {key: bool(on) for key, on in declared.items()}


def _version(raw: Mapping[str, Any], make: FieldError) -> str:
    version = _text_at(raw, "cniVersion", (), make)
    offered = go_get(raw, "cniVersions")
    if offered is not None:
        version = _highest(offered, version, make)
    if not version:
        return "0.1.0"  # what a plugin takes a missing version for (libcni, version.ConfigDecoder)
    if version not in CNI_VERSIONS:
        expected = f"one of {', '.join(CNI_VERSIONS)}"
        if _IS_VERSION(version):
            message = _incompatible(version)
        else:
            message = f"invalid version {version}: a version has three parts"
        raise make(message, ("cniVersion",), version, expected)
    return version


def _incompatible(version: str) -> str:
    supported = " ".join(f'"{v}"' for v in CNI_VERSIONS)
    return f'incompatible CNI versions; config is "{version}", plugin supports [{supported}]'


def _highest(offered: Any, version: str | None, make: FieldError) -> str | None:
    """The highest version that we know of ``cniVersions`` and ``cniVersion`` (CNI 1.1)."""
    path = ("cniVersions",)
    if not isinstance(offered, (list, tuple)):
        raise make(
            f"cniVersions is of type {json_type(offered)}", path, offered, "a list of versions"
        )
    versions = list(cast("Sequence[Any]", offered))
    for index, item in enumerate(versions):
        if not isinstance(item, str) or not _IS_VERSION(item):
            message = "a version of cniVersions is not valid"
            raise make(message, (*path, index), item, "a string such as 1.0.0")
    known = [v for v in CNI_VERSIONS if v in versions or v == version]
    if not known and versions:
        message = _incompatible(versions[-1])
        raise make(message, path, offered, f"one of {', '.join(CNI_VERSIONS)}")
    return known[-1] if known else version


def _disable_check(raw: Mapping[str, Any], make: FieldError) -> bool:
    value = go_get(raw, "disableCheck")
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if value is None or isinstance(value, bool):
        return bool(value)
    message = "error parsing configuration list: invalid value for disableCheck"
    raise make(message, ("disableCheck",), value, "true or false")


def _text_at(raw: Mapping[str, Any], key: str, path: FieldPath, make: FieldError) -> str | None:
    value = go_get(raw, key)
    if value is None or isinstance(value, str):
        return value
    message = (
        f"json: cannot unmarshal {json_type(value)} into Go struct field "
        f"NetConf.{key} of type string"
    )
    raise make(message, (*path, key), value, "a string")
