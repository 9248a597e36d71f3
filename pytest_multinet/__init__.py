"""pytest fixtures and assertions for Kubernetes pods with several network interfaces.

Everything public stands here; the modules behind it are loaded when a name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_multinet.assertions.interfaces import (
        assert_interface,
        assert_no_interface,
        assert_no_route,
        assert_route,
    )
    from pytest_multinet.assertions.mesh import assert_mesh
    from pytest_multinet.assertions.reachability import (
        assert_arp,
        assert_connect,
        assert_no_arp,
        assert_no_connect,
        assert_no_ping,
        assert_ping,
    )
    from pytest_multinet.assertions.traffic import (
        assert_announced,
        assert_flow,
        assert_mtu,
        assert_no_duplicate_address,
        path_mtu,
        throughput,
    )
    from pytest_multinet.cluster.base import Cluster
    from pytest_multinet.cluster.factory import LinkFactory, NetworkFactory, PodFactory, Pods
    from pytest_multinet.cluster.multus import Multus
    from pytest_multinet.cluster.network import Network, NodeLink
    from pytest_multinet.cluster.process import Process
    from pytest_multinet.cluster.stack import Node, Pod
    from pytest_multinet.errors import (
        BackendUnavailable,
        ClusterError,
        CniError,
        EnvironmentFailure,
        ExecFailed,
        HolderDied,
        ImageError,
        LinkError,
        ManifestError,
        MultinetError,
        MultusError,
        NeedsCapability,
        NeedsKubernetes,
        NetlinkError,
        PodError,
        ProgramNotFound,
        UsageError,
        WaitTimeout,
    )
    from pytest_multinet.model.attachment import Bandwidth, NetworkSelection, PortMapping
    from pytest_multinet.model.flow import Announcement, Flow, Packet, Tuple5
    from pytest_multinet.model.interface import (
        ArpResult,
        ConnectResult,
        ExecResult,
        Interface,
        Neighbour,
        PingReply,
        PingResult,
        Route,
    )
    from pytest_multinet.model.mesh import MeshResult
    from pytest_multinet.model.network_status import NetworkStatus
    from pytest_multinet.model.throughput import Throughput
    from pytest_multinet.model.topology import ClusterConfig, LinkConfig, MacvlanConfig
    from pytest_multinet.probe.capture import Capture
    from pytest_multinet.session.backend import open_cluster

_NAMES_BY_MODULE = {
    "assertions.interfaces": (
        "assert_interface",
        "assert_no_interface",
        "assert_no_route",
        "assert_route",
    ),
    "assertions.mesh": ("assert_mesh",),
    "assertions.reachability": (
        "assert_arp",
        "assert_connect",
        "assert_no_arp",
        "assert_no_connect",
        "assert_no_ping",
        "assert_ping",
    ),
    "assertions.traffic": (
        "assert_announced",
        "assert_flow",
        "assert_mtu",
        "assert_no_duplicate_address",
        "path_mtu",
        "throughput",
    ),
    "cluster.base": ("Cluster",),
    "cluster.multus": ("Multus",),
    "cluster.network": ("Network", "NodeLink"),
    "cluster.stack": ("Node", "Pod"),
    "cluster.factory": ("LinkFactory", "NetworkFactory", "PodFactory", "Pods"),
    "cluster.process": ("Process",),
    "errors": (
        "BackendUnavailable",
        "ClusterError",
        "CniError",
        "EnvironmentFailure",
        "ExecFailed",
        "HolderDied",
        "ImageError",
        "LinkError",
        "ManifestError",
        "MultinetError",
        "MultusError",
        "NeedsCapability",
        "NeedsKubernetes",
        "NetlinkError",
        "PodError",
        "ProgramNotFound",
        "UsageError",
        "WaitTimeout",
    ),
    "model.attachment": ("Bandwidth", "NetworkSelection", "PortMapping"),
    "model.flow": ("Announcement", "Flow", "Packet", "Tuple5"),
    "model.interface": (
        "ArpResult",
        "ConnectResult",
        "ExecResult",
        "Interface",
        "Neighbour",
        "PingReply",
        "PingResult",
        "Route",
    ),
    "model.mesh": ("MeshResult",),
    "model.network_status": ("NetworkStatus",),
    "model.throughput": ("Throughput",),
    "model.topology": ("ClusterConfig", "LinkConfig", "MacvlanConfig"),
    "probe.capture": ("Capture",),
    "session.backend": ("open_cluster",),
}
_MODULE_OF = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names}

__all__ = [
    "Announcement",
    "ArpResult",
    "BackendUnavailable",
    "Bandwidth",
    "Capture",
    "Cluster",
    "ClusterConfig",
    "ClusterError",
    "CniError",
    "ConnectResult",
    "EnvironmentFailure",
    "ExecFailed",
    "ExecResult",
    "Flow",
    "HolderDied",
    "ImageError",
    "Interface",
    "LinkConfig",
    "LinkError",
    "LinkFactory",
    "MacvlanConfig",
    "ManifestError",
    "MeshResult",
    "MultinetError",
    "Multus",
    "MultusError",
    "NeedsCapability",
    "NeedsKubernetes",
    "Neighbour",
    "NetlinkError",
    "Network",
    "NetworkFactory",
    "NetworkSelection",
    "NetworkStatus",
    "Node",
    "NodeLink",
    "Packet",
    "PingReply",
    "PingResult",
    "Pod",
    "PodError",
    "PodFactory",
    "Pods",
    "PortMapping",
    "Process",
    "ProgramNotFound",
    "Route",
    "Throughput",
    "Tuple5",
    "UsageError",
    "WaitTimeout",
    "assert_announced",
    "assert_arp",
    "assert_connect",
    "assert_flow",
    "assert_interface",
    "assert_mesh",
    "assert_mtu",
    "assert_no_arp",
    "assert_no_connect",
    "assert_no_duplicate_address",
    "assert_no_interface",
    "assert_no_ping",
    "assert_no_route",
    "assert_ping",
    "assert_route",
    "open_cluster",
    "path_mtu",
    "throughput",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
