"""What an environment is to be: cluster, link and network configuration, as plain data.

The classes are what users override in a ``conftest.py``; every one validates itself when it
is made, so bad input never reaches a backend.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import Any, Literal, cast

from pytest_multinet.errors import UsageError

MACVLAN_MODES = ("bridge", "private", "vepa", "passthru")
LINK_KINDS = ("veth",)
_CLUSTER_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,47}[a-z0-9])?")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_INTERFACE = re.compile(r"[^\s/:\x00-\x1f]{1,15}")


def _check(condition: bool, field_name: str, value: object, expected: str) -> None:
    if not condition:
        raise UsageError(f"{field_name} is {value!r}; expected {expected}")


def check_cluster_name(name: str) -> str:
    """Return ``name`` if a cluster may bear it, else raise :class:`UsageError`."""
    ok = bool(_CLUSTER_NAME.fullmatch(name))
    _check(ok, "cluster name", name, "1 to 49 of a-z, 0-9 and '-', not at either end")
    return name


def check_interface_name(name: str, field_name: str = "interface name") -> str:
    """Return ``name`` if Linux takes it as an interface name (IFNAMSIZ), else raise."""
    ok = bool(_INTERFACE.fullmatch(name)) and len(name.encode()) <= 15 and name not in {".", ".."}
    _check(ok, field_name, name, "1 to 15 characters without '/', ':' or white space")
    return name


@dataclass(frozen=True)
class Spec:
    """A configuration that can be compared, hashed and shown field by field."""

    def to_dict(self) -> dict[str, Any]:
        """Every field by name, as JSON types."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    def differences(self, other: Spec) -> dict[str, tuple[Any, Any]]:
        """Fields whose values differ, each with this value and the other's."""
        mine, theirs = self.to_dict(), other.to_dict()
        return {k: (mine[k], theirs.get(k)) for k in mine if mine[k] != theirs.get(k)}

    @property
    def digest(self) -> str:
        """SHA-256 over the fields, 16 hexadecimal digits: equal specifications are equal."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in cast("tuple[Any, ...]", value)]
    return value


@dataclass(frozen=True)
class ClusterConfig(Spec):
    """A cluster: one control plane and ``nodes - 1`` workers.

    Attributes:
        name: cluster name; nodes are ``<name>-control-plane``, ``<name>-worker``,
            ``<name>-worker2``, ...
        nodes: number of nodes in all, the control plane included (1: it also runs pods).
        node_image: kind node image.
        pod_image: image of pods that name none.
        kind_config: a kind configuration file, verbatim; its name and nodes win over the
            fields here (kind only; embedded takes name and node count from it).
        disable_default_cni: kind's ``networking.disableDefaultCNI``; ``default_cni`` is then
            the conflist that is put on the nodes.
        default_cni: CNI conflist (mapping) of the default network; ``None`` is kindnet's.
        cni_conf: files of ``/etc/cni/net.d`` on every node besides the default network's, name to
            content (a mapping, or JSON text): what a NetworkAttachmentDefinition without
            ``spec.config`` names; the lexically first is the default network;
            ``<network>/<name>.conf`` adds a plugin to that network's chain (embedded only).
        namespace_isolation: Multus' ``namespaceIsolation``: pods may use networks of their own
            namespace and of ``global_namespaces`` only.
        global_namespaces: Multus' ``globalNamespaces``.
        kube_proxy_mode: ``iptables``, ``ipvs``, ``nftables`` or ``none`` (kind only).
        feature_gates: Kubernetes feature gates (kind only).
        extra_mounts: host path to node path, on every node (kind only).
        port_mappings: host port to node port on the control plane (kind only).
        bridge_nf_call_iptables: the nodes' ``net.bridge.bridge-nf-call-iptables``; with it
            on, Docker hosts lose packets between two bridge pods of one node.
        multus_mode: ``thick`` or ``thin`` (kind only).
        multus_manifest: the user's own Multus manifest instead of ours (kind only).
        cni: which plugins embedded runs: ``native``, or ``real`` binaries of the CNI path.
        cni_plugins: folder or ``.tgz`` with CNI plugins; ``None``: usual places, the cache,
            a release with pinned checksum.
        bundle: archive of ``multinet bundle create`` that images and plugins come from; its image
            names win over the fields here (kind only).
        image_roots: image name to a root directory that stands for it (embedded only).
        timeout: seconds that waiting may take by default.
        neighbours: neighbour entries that probes of this process may keep alive; the kernel
            has one table for the whole machine (embedded only).
    """

    name: str = "multus-cluster"
    nodes: int = 3
    node_image: str = "kindest/node:v1.31.0"
    pod_image: str = "nicolaka/netshoot:latest"
    kind_config: Path | None = None
    disable_default_cni: bool = False
    default_cni: Mapping[str, Any] | None = None
    cni_conf: Mapping[str, Any] = field(default_factory=dict[str, Any])
    namespace_isolation: bool = False
    global_namespaces: tuple[str, ...] = ("default",)
    kube_proxy_mode: str | None = None
    feature_gates: Mapping[str, bool] = field(default_factory=dict[str, bool])
    extra_mounts: Mapping[str, str] = field(default_factory=dict[str, str])
    port_mappings: Mapping[int, int] = field(default_factory=dict[int, int])
    bridge_nf_call_iptables: bool = False
    multus_mode: Literal["thick", "thin"] = "thick"
    multus_manifest: Path | None = None
    cni: Literal["native", "real"] = "native"
    cni_plugins: Path | None = None
    bundle: Path | None = None
    image_roots: Mapping[str, str] = field(default_factory=dict[str, str])
    timeout: float = 30.0
    neighbours: int = 256

    def __post_init__(self) -> None:
        check_cluster_name(self.name)
        _check(1 <= self.nodes <= 100, "nodes", self.nodes, "1 to 100 nodes")
        _check(self.timeout > 0, "timeout", self.timeout, "seconds above 0")
        _check(self.cni in ("native", "real"), "cni", self.cni, "native or real")
        if self.cni_conf:
            from pytest_multinet.model.conf_dir import check_conf_files

            check_conf_files(self.cni_conf)
        for namespace in self.global_namespaces:
            ok = bool(_DNS_LABEL.fullmatch(namespace))
            _check(ok, "global_namespaces", namespace, "names of namespaces")
        modes = ("thick", "thin")
        _check(self.multus_mode in modes, "multus_mode", self.multus_mode, "thick or thin")
        for name in ("kind_config", "multus_manifest", "cni_plugins", "bundle"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, Path):
                object.__setattr__(self, name, Path(value))

    @property
    def node_names(self) -> tuple[str, ...]:
        """Names of all nodes in order: control plane, then workers."""
        workers = range(1, self.nodes)
        return (
            f"{self.name}-control-plane",
            *(f"{self.name}-worker{'' if n == 1 else n}" for n in workers),
        )

    def with_(self, **changes: Any) -> ClusterConfig:
        """A copy with some fields changed; validated again."""
        return replace(self, **changes)


@dataclass(frozen=True)
class LinkConfig(Spec):
    """A link between two nodes.

    Attributes:
        a, b: the nodes, by full name, suffix or alias (``worker``, ``worker2``).
        name: interface name at both ends.
        mtu: bytes, 68 to 65535 (the kernel's bounds for veth).
        kind: ``veth``.
        addresses: one address with prefix length an end, or ``()``: none.
    """

    a: str = "worker"
    b: str = "worker2"
    name: str = "eth1"
    mtu: int = 1500
    kind: str = "veth"
    addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_interface_name(self.name, "link name")
        _check(
            self.name not in ("lo", "eth0"), "link name", self.name, "a name other than lo, eth0"
        )
        _check(68 <= self.mtu <= 65535, "link mtu", self.mtu, "68 to 65535 bytes")
        _check(self.kind in LINK_KINDS, "link kind", self.kind, " or ".join(LINK_KINDS))
        _check(self.a != self.b, "link ends", (self.a, self.b), "two different nodes")
        _check(
            len(self.addresses) in (0, 2), "link addresses", self.addresses, "none, or one an end"
        )
        for address in self.addresses:
            _check_address(address, "link address")


@dataclass(frozen=True)
class MacvlanConfig(Spec):
    """A NetworkAttachmentDefinition of the macvlan plugin with static addresses.

    Attributes:
        name, namespace: of the NetworkAttachmentDefinition.
        master: parent interface on the nodes.
        mode: ``bridge``, ``private``, ``vepa`` or ``passthru``.
        mtu: bytes, at most the master's; ``None``: the master's.
        ipam: the CNI ``ipam`` object.
        routes: prefix to gateway, added to the ``ipam`` object.
        cni_version: of the configuration.
    """

    name: str = "macvlan-conf"
    namespace: str = "default"
    master: str = "eth1"
    mode: str = "bridge"
    mtu: int | None = None
    ipam: Mapping[str, Any] = field(default_factory=lambda: {"type": "static"})
    routes: Mapping[str, str] = field(default_factory=dict[str, str])
    cni_version: str = "0.3.1"

    def __post_init__(self) -> None:
        _check(
            bool(_DNS_LABEL.fullmatch(self.name)), "network name", self.name, "an RFC 1123 label"
        )
        check_interface_name(self.master, "macvlan master")
        modes = ", ".join(MACVLAN_MODES)
        _check(self.mode in MACVLAN_MODES, "macvlan mode", self.mode, f"one of {modes}")
        if self.mtu is not None:
            _check(0 <= self.mtu <= 65535, "macvlan mtu", self.mtu, "0 to 65535 bytes")
        for destination in self.routes:
            try:
                ip_network(destination)
            except ValueError as error:
                raise UsageError(f"macvlan route {destination!r}: {error}") from None

    def cni_config(self) -> dict[str, Any]:
        """The CNI network configuration list."""
        macvlan: dict[str, Any] = {
            "type": "macvlan",
            "capabilities": {"ips": True},
            "master": self.master,
            "mode": self.mode,
            "ipam": dict(self.ipam),
        }
        if self.mtu is not None:
            macvlan["mtu"] = self.mtu
        if self.routes:
            macvlan["ipam"]["routes"] = [
                {"dst": dst, "gw": gw} if gw else {"dst": dst} for dst, gw in self.routes.items()
            ]
        return {
            "cniVersion": self.cni_version,
            "name": self.name,
            "plugins": [macvlan, {"type": "tuning", "capabilities": {"mac": True}}],
        }


def _check_address(address: str, field_name: str) -> None:
    try:
        interface = ip_interface(address)
    except ValueError:
        interface = None
    ok = interface is not None and "/" in address
    _check(ok, field_name, address, "an address with prefix length, such as 10.1.1.101/24")
