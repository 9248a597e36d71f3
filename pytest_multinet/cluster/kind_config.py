"""The configuration file of ``kind create cluster``, and what it says of a cluster."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_multinet.errors import ManifestError, NeedsCapability, UsageError
from pytest_multinet.model.manifest import load_documents
from pytest_multinet.model.nested import items, mapping
from pytest_multinet.model.topology import ClusterConfig, check_cluster_name

API_VERSION = "kind.x-k8s.io/v1alpha4"
_IN_SPEC = (
    "name",
    "nodes",
    "node_image",
    "disable_default_cni",
    "default_cni",
    "namespace_isolation",
    "global_namespaces",
    "kube_proxy_mode",
    "feature_gates",
    "extra_mounts",
    "port_mappings",
    "bridge_nf_call_iptables",
    "multus_mode",
)


def resolve(config: ClusterConfig) -> ClusterConfig:
    """The configuration with what its ``kind_config`` file says: name, nodes, default CNI.

    Raises:
        UsageError: there is no such file.
        ManifestError: it is not a kind configuration.
    """
    if config.kind_config is None:
        return config
    data = read_kind_config(config.kind_config)
    networking = mapping(data, "networking")
    return config.with_(
        name=data.get("name") or config.name,
        nodes=len(_nodes(data)),
        disable_default_cni=bool(networking.get("disableDefaultCNI", config.disable_default_cni)),
        kube_proxy_mode=networking.get("kubeProxyMode") or config.kube_proxy_mode,
    )


def read_kind_config(path: Path) -> dict[str, Any]:
    """A kind configuration file, checked as far as we rely on it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read the kind configuration {path}: {error.strerror}") from None
    found = load_documents(text, name=str(path))
    if len(found) != 1 or found[0].kind != "Cluster" or found[0].api_version != API_VERSION:
        raise ManifestError(
            "not a kind configuration",
            source=str(path),
            expected=f"one document with kind: Cluster, apiVersion: {API_VERSION}",
        )
    data = found[0].data
    if data.get("name"):
        check_cluster_name(data["name"])
    for node in _nodes(data):
        role = node.get("role", "control-plane")
        if role not in ("control-plane", "worker"):
            raise found[0].error("unknown node role", ("nodes",), role, "control-plane or worker")
    return data


def node_names(config: ClusterConfig) -> tuple[str, ...]:
    """The names that kind will give: control planes first, then workers."""
    if config.kind_config is None:
        return config.node_names
    roles = [n.get("role", "control-plane") for n in _nodes(read_kind_config(config.kind_config))]
    names: list[str] = []
    for role in ("control-plane", "worker"):
        count = roles.count(role)
        names += [f"{config.name}-{role}{n if n > 1 else ''}" for n in range(1, count + 1)]
    return tuple(names)


def node_labels(config: ClusterConfig) -> list[dict[str, str]]:
    """The labels that a kind configuration gives each node: control planes first, then workers."""
    if config.kind_config is None:
        return [{} for _ in range(config.nodes)]
    nodes = _nodes(read_kind_config(config.kind_config))
    nodes.sort(key=lambda node: node.get("role", "control-plane") != "control-plane")
    return [mapping(node, "labels") for node in nodes]


def generated(config: ClusterConfig) -> dict[str, Any]:
    """The kind configuration that fulfils ``config``."""
    mounts = [
        {"hostPath": str(Path(host).expanduser().absolute()), "containerPath": node}
        for host, node in config.extra_mounts.items()
    ]
    nodes: list[dict[str, Any]] = []
    for number in range(config.nodes):
        node: dict[str, Any] = {"role": "worker" if number else "control-plane"}
        node["image"] = config.node_image
        if mounts:
            node["extraMounts"] = mounts
        if not number and config.port_mappings:
            node["extraPortMappings"] = [
                {"hostPort": h, "containerPort": c} for h, c in config.port_mappings.items()
            ]
        nodes.append(node)
    data: dict[str, Any] = {"kind": "Cluster", "apiVersion": API_VERSION, "name": config.name}
    networking: dict[str, Any] = {}
    if config.disable_default_cni:
        networking["disableDefaultCNI"] = True
    if config.kube_proxy_mode:
        networking["kubeProxyMode"] = config.kube_proxy_mode
    if networking:
        data["networking"] = networking
    if config.feature_gates:
        data["featureGates"] = dict(config.feature_gates)
    data["nodes"] = nodes
    return data


def create_arguments(config: ClusterConfig) -> list[str]:
    """Arguments of ``kind create cluster`` for a user's own file: it goes to kind unchanged."""
    if config.kind_config is None:
        return []
    argv = ["--config", str(config.kind_config)]
    if not any(n.get("image") for n in _nodes(read_kind_config(config.kind_config))):
        argv += ["--image", config.node_image]
    return argv


def node_images(config: ClusterConfig) -> tuple[str, ...]:
    """The node images that creation needs."""
    if config.kind_config is None:
        return (config.node_image,)
    nodes = _nodes(read_kind_config(config.kind_config))
    if not any(n.get("image") for n in nodes):
        return (config.node_image,)
    return tuple(dict.fromkeys(n["image"] for n in nodes if n.get("image")))


def specification(config: ClusterConfig) -> dict[str, Any]:
    """What makes two clusters the same; files count by their content.

    Raises:
        NeedsCapability: the configuration has what only embedded can give.
    """
    if config.cni_conf:
        raise NeedsCapability(
            "embedded",
            f"ClusterConfig.cni_conf ({', '.join(config.cni_conf)}) puts files on nodes of the "
            "embedded backend only",
        )
    fields = config.to_dict()
    spec = {name: fields[name] for name in _IN_SPEC}
    for name in ("kind_config", "multus_manifest"):
        path: Path | None = getattr(config, name)
        spec[name] = None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return spec


def _nodes(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    return items(data, "nodes") or [{"role": "control-plane"}]


def digest(spec: Mapping[str, Any]) -> str:
    """What tells one specification from another, 16 hexadecimal digits."""
    text = json.dumps(spec, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
