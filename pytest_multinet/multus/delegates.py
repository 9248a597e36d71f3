"""From a pod's annotations to delegates, their interfaces and the network status, as Multus does.

Follows NPWG multi-net-spec v1.3 and Multus 4.1.0: the default network comes first, then the
annotation's networks in order, one after the other; when one fails, it and those before it are
taken down in reverse.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

from pytest_multinet.cni.result import Result
from pytest_multinet.cni.runtime import Runtime, Sandbox
from pytest_multinet.errors import CniError, ManifestError, MultinetError, NetlinkError, PodError
from pytest_multinet.model.attachment import (
    NETWORKS_ANNOTATION,
    NetworkSelection,
    interface_names,
)
from pytest_multinet.model.conf_dir import ConfDir
from pytest_multinet.model.nad import NetworkAttachmentDefinition, NetworkConf, NetworkConfList
from pytest_multinet.model.network_status import Dns, NetworkStatus
from pytest_multinet.model.pod import PodManifest
from pytest_multinet.multus import device_info
from pytest_multinet.net import decode, requests

Lookup = Callable[[str, str], NetworkAttachmentDefinition | None]
DEFAULT_INTERFACE = "eth0"


@dataclass(frozen=True, slots=True)
class MultusConf:
    """How Multus is configured on a node.

    Attributes:
        files: the node's CNI configuration files: the cluster's default network, and what
            definitions without ``spec.config`` name.
        lookup: finds a NetworkAttachmentDefinition by namespace and name.
        global_namespaces: whose networks every pod may use besides those of its own namespace;
            ``None``: no namespace isolation.
    """

    files: ConfDir
    lookup: Lookup
    global_namespaces: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Attached:
    """The pod and the place that delegates are attached to.

    Attributes:
        manifest: the pod; ``uid``: its identity.
        sandbox: its namespace.
        runtime: the CNI runtime of its node.
        files: the node's file system, where plugins leave device information.
        given: ``runtimeConfig`` that every network gets, since kubelet gives it to Multus.
    """

    manifest: PodManifest
    uid: str
    sandbox: Sandbox
    runtime: Runtime
    files: device_info.NodeFiles
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def name(self) -> str:
        """``namespace/name`` of the pod."""
        return f"{self.manifest.namespace}/{self.manifest.name}"


@dataclass(frozen=True, slots=True)
class Delegate:
    """One CNI call that Multus makes for a pod.

    Attributes:
        network: the configuration, with the pod's ``cni-args`` merged in.
        interface: name in the pod.
        name: as ``network-status`` shows it: ``namespace/name``; the configuration's name for
            the cluster's default network.
        selection: what asked for it; ``None`` for the cluster's default network.
        default: whether it is the pod's default network.
        gateways: what replaces the interface's default routes; ``None``: they stay.
    """

    network: NetworkConfList
    interface: str
    name: str
    selection: NetworkSelection | None = None
    default: bool = False
    gateways: tuple[str, ...] | None = None


def delegates_of(manifest: PodManifest, conf: MultusConf) -> list[Delegate]:
    """The delegates of a pod in the order of their ADD.

    Raises:
        PodError: a network does not exist, has no configuration, or is out of bounds.
    """
    network = _default_network(manifest, conf)
    chosen = manifest.default_network
    if chosen is None:
        first = Delegate(network, DEFAULT_INTERFACE, network.name, default=True)
    else:
        network = _load(manifest, chosen, conf)
        interface = chosen.interface or DEFAULT_INTERFACE
        first = Delegate(network, interface, _shown(chosen), chosen, default=True)
    found = [first]
    names = interface_names(manifest.networks)
    for selection, interface in zip(manifest.networks, names, strict=True):
        _check_namespace(manifest, selection, conf.global_namespaces)
        found.append(delegate_of(manifest, selection, interface, conf))
    # One `default-route` takes the default routes of every interface away.  Multus looks for it
    # when the pod has the annotation `networks`; without, a gateway still counts where it stands.
    routed = bool(manifest.annotations.get(NETWORKS_ANNOTATION)) and any(
        d.selection is not None and d.selection.default_route is not None for d in found
    )
    return [replace(d, gateways=_gateways(d.selection, routed)) for d in found]


def given_by_kubelet(manifest: PodManifest, conf: MultusConf) -> dict[str, Any]:
    """The containers' ``hostPort``, where the cluster's default network declares them."""
    ports = [port.to_dict() for c in manifest.containers for port in c.host_ports]
    capable = bool(ports) and _default_network(manifest, conf).capable("portMappings")
    return {"portMappings": ports} if capable else {}


def delegate_of(
    manifest: PodManifest, selection: NetworkSelection, interface: str, conf: MultusConf
) -> Delegate:
    """The delegate of one selection of the annotation ``networks``.

    Raises:
        PodError: the network does not exist, or has no configuration.
    """
    return Delegate(_load(manifest, selection, conf), interface, _shown(selection), selection)


def _check_namespace(
    manifest: PodManifest, selection: NetworkSelection, shared: Sequence[str] | None
) -> None:
    """Namespace isolation: what is not shared is for the pods of its own namespace."""
    own = manifest.namespace
    if shared is None or selection.namespace in (own, *shared):
        return
    others = ", ".join(shared) or "no other"
    raise _refused(
        manifest,
        "GetNetworkDelegates: namespace isolation enabled, annotation violates permission, "
        f"pod is in namespace {own} but refers to target namespace {selection.namespace}",
        f"pods may use networks of their own namespace and of {others}: put the network "
        "there, or name its namespace in global_namespaces",
    )


def _gateways(selection: NetworkSelection | None, routed: bool) -> tuple[str, ...] | None:
    wanted = selection.default_route if selection is not None else None
    return (wanted or ()) if routed else (wanted or None)


def _shown(selection: NetworkSelection) -> str:
    return f"{selection.namespace}/{selection.name}"


def _default_network(manifest: PodManifest, conf: MultusConf) -> NetworkConfList:
    try:
        return conf.files.primary()
    except ManifestError as error:
        message = f"failed to get clusterNetwork: {error}"
        raise _refused(manifest, message, "look at cni_conf and default_cni") from error


def _load(manifest: PodManifest, selection: NetworkSelection, conf: MultusConf) -> NetworkConfList:
    definition = conf.lookup(selection.namespace, selection.name)
    if definition is None:
        raise _refused(
            manifest,
            f"cannot find a network-attachment-definition ({selection.name}) "
            f"in namespace ({selection.namespace})",
            "apply it first; a network is looked up in the pod's namespace unless "
            "the selection names another",
        )
    network = definition.config
    if network is None:
        try:
            network = conf.files.named(definition.name)
        except ManifestError as error:
            there = ", ".join(f"{file} ({name})" for file, name in conf.files.networks.items())
            raise _refused(
                manifest,
                f"GetCNIConfig: err in GetCNIConfigFromFile: {error}",
                "the NetworkAttachmentDefinition has no spec.config, so a CNI configuration "
                f"file of that name must be on the node; there: {there or 'none'}",
            ) from error
    return _with_cni_args(network, selection.cni_args) if selection.cni_args else network


def _refused(manifest: PodManifest, message: str, hint: str) -> PodError:
    pod = f"{manifest.namespace}/{manifest.name}"
    return PodError(message, pod=pod, reason="FailedCreatePodSandBox", hint=hint)


def _with_cni_args(network: NetworkConfList, cni_args: Mapping[str, Any]) -> NetworkConfList:
    """Merge a pod's ``cni-args`` into ``args.cni`` of every plugin; the pod's values win."""

    def merged(plugin: NetworkConf) -> NetworkConf:
        args = dict(plugin.raw.get("args") or {})
        args["cni"] = {**(args.get("cni") or {}), **cni_args}
        return replace(plugin, raw={**plugin.raw, "args": args})

    return replace(network, plugins=tuple(merged(p) for p in network.plugins))


# --- ADD and DEL ----------------------------------------------------------------------------


def attach(pod: Attached, delegates: Sequence[Delegate]) -> tuple[NetworkStatus, ...]:
    """ADD every delegate in order and tell the network status.

    Raises:
        PodError: one delegate failed; it and those before it have been taken down again.  Not so
            where a default route cannot be set: Multus leaves that to the DEL of the pod.
    """
    statuses: list[NetworkStatus] = []
    for position, delegate in enumerate(delegates):
        try:
            statuses += _add(pod, delegate)
        except (CniError, NetlinkError) as error:
            _delete(pod, delegates[: position + 1])
            raise _failed(pod, delegate, error) from error
        except PodError:
            raise
        except BaseException:
            _delete(pod, delegates[: position + 1])
            raise
    return tuple(statuses)


def detach(pod: Attached, delegates: Sequence[Delegate]) -> list[MultinetError]:
    """DEL every delegate in reverse; goes on past errors and returns them.

    What Multus 4.1.0 keeps of a pod for this has neither port mappings nor bandwidth.
    """
    return _delete(pod, delegates, lost=("portMappings", "bandwidth"))


def _delete(
    pod: Attached, delegates: Sequence[Delegate], lost: Sequence[str] = ()
) -> list[MultinetError]:
    errors: list[MultinetError] = []
    for delegate in reversed(delegates):
        known = {k: v for k, v in _runtime_config(pod, delegate).items() if k not in lost}
        config = {**pod.given, **known}
        try:
            pod.runtime.delete(
                delegate.network,
                pod.sandbox,
                delegate.interface,
                args=_identity(pod),
                runtime_config=config,
            )
        except MultinetError as error:
            errors.append(error)
        if device_info.CAPABILITY in config:
            pod.files.remove_file(config[device_info.CAPABILITY])
    return errors


def _add(pod: Attached, delegate: Delegate) -> list[NetworkStatus]:
    if pod.sandbox.namespace.rtnl.index(delegate.interface) is not None:
        kind = "" if delegate.network.is_list else delegate.network.plugins[0].type
        raise CniError(
            f'DelegateAdd: cannot set "{kind}" interface name to "{delegate.interface}": '
            f"validateIfName: interface name {delegate.interface} already exists"
        )
    config = _runtime_config(pod, delegate)
    result = pod.runtime.add(
        delegate.network,
        pod.sandbox,
        delegate.interface,
        args={**_identity(pod), **_requests(delegate.selection)},
        runtime_config=config,
    )
    if delegate.gateways is not None and (result.interfaces or result.ips):
        _set_default_route(pod, delegate, delegate.gateways)
    file = config.get(device_info.CAPABILITY)
    device = device_info.read(pod.files, file) if file else None
    return _statuses(delegate, result, device)


def _identity(pod: Attached) -> dict[str, str]:
    """CNI_ARGS of every call: whose it is."""
    return {
        "IgnoreUnknown": "true",
        "K8S_POD_NAMESPACE": pod.manifest.namespace,
        "K8S_POD_NAME": pod.manifest.name,
        "K8S_POD_INFRA_CONTAINER_ID": pod.sandbox.container_id,
        "K8S_POD_UID": pod.uid,
    }


def _requests(selection: NetworkSelection | None) -> dict[str, str]:
    """CNI_ARGS of ADD: addresses and MAC, with their capability or without."""
    args: dict[str, str] = {}
    if selection is not None:
        if selection.mac is not None:
            args["MAC"] = selection.mac
        if selection.ips:
            args["IP"] = ",".join(selection.ips)
    return args


def _runtime_config(pod: Attached, delegate: Delegate) -> dict[str, Any]:
    """What plugins that declare the capability get as ``runtimeConfig``.

    The pod's default network gets nothing of a selection, even where an annotation has chosen it.
    """
    selection = delegate.selection
    config = dict(pod.given)
    if selection is None or delegate.default:
        return config
    if selection.ips:
        config["ips"] = list(selection.ips)
    if selection.mac is not None:
        config["mac"] = selection.mac
    if selection.port_mappings:
        config["portMappings"] = [p.to_dict() for p in selection.port_mappings]
    if selection.bandwidth is not None:
        config["bandwidth"] = selection.bandwidth.to_dict()
    if selection.infiniband_guid is not None:
        config["infinibandGUID"] = selection.infiniband_guid
    if selection.device_id is not None:
        config["deviceID"] = selection.device_id
        config[device_info.CAPABILITY] = device_info.path_of(
            delegate.name, pod.sandbox.container_id, delegate.interface
        )
    return config


def _set_default_route(pod: Attached, delegate: Delegate, gateways: Sequence[str]) -> None:
    """Remove the interface's default routes, then set those that the pod asked for.

    Raises:
        PodError: the kernel refuses the last gateway; that of an earlier one Multus only logs.
    """
    rtnl = pod.sandbox.namespace.rtnl
    index = rtnl.index(delegate.interface)
    if index is None:
        if gateways:
            missing = "SetDefaultGW: Error getting link Link not found"
            raise _no_gateway(pod, delegate, missing, "no plugin has made that interface")
        return
    messages = [
        requests.route(
            (route.destination.network_address, 0),
            index=index,
            gateway=route.gateway,
            metric=route.metric or None,
            delete=True,
        )
        for route in decode.routes(rtnl, {index: delegate.interface})
        if route.default and route.interface == delegate.interface
    ]
    if messages:
        rtnl.execute(*messages)
    failed: NetlinkError | None = None
    for gateway in gateways:
        address = ip_address(gateway)
        anywhere = ip_address("0.0.0.0" if address.version == 4 else "::")  # noqa: S104
        failed = None
        try:
            rtnl.execute(requests.route((anywhere, 0), index=index, gateway=address))
        except NetlinkError as error:
            failed = error
    if failed is not None:
        told = f"default-route {', '.join(gateways)} is out of reach of the interface's addresses"
        raise _no_gateway(pod, delegate, os.strerror(failed.errno).lower(), told) from failed


def _no_gateway(pod: Attached, delegate: Delegate, why: str, told: str) -> PodError:
    return PodError(
        f"[{pod.name}/{pod.uid}]: error setting default gateway: {why}",
        pod=pod.name,
        reason="FailedCreatePodSandBox",
        hint=f"network {delegate.name} as {delegate.interface}: {told}",
    )


def _failed(pod: Attached, delegate: Delegate, error: CniError | NetlinkError) -> PodError:
    hint = error.hint if isinstance(error, CniError) else None
    if isinstance(error, CniError) and hint:
        error = CniError(
            error.msg,
            code=error.code,
            details=error.details,
            plugin=error.plugin,
            command=error.command,
        )
    return PodError(
        f"[{pod.name}/{pod.uid}:{delegate.network.name}]: error adding container to network "
        f'"{delegate.network.name}": {error}',
        pod=pod.name,
        reason="FailedCreatePodSandBox",
        hint=f"network {delegate.name}: {hint}" if hint else f"network {delegate.name}",
    )


def _statuses(
    delegate: Delegate, result: Result, device: Mapping[str, Any] | None
) -> list[NetworkStatus]:
    """An entry of ``network-status`` for every interface that the plugins told in the sandbox."""
    gateways = tuple(str(r.gw or "<nil>") for r in result.routes if int(r.dst.ip) == 0)
    told = result.dns
    dns = Dns(told.nameservers, told.domain or None, told.search, told.options)
    return [
        NetworkStatus(
            name=delegate.name,
            interface=interface.name,
            ips=tuple(ip.address.ip for ip in result.ips if ip.interface == index),
            mac=interface.mac,
            mtu=interface.mtu or None,
            default=delegate.default,
            dns=dns,
            device_info=device,
            gateway=gateways,
        )
        for index, interface in enumerate(result.interfaces)
        if interface.sandbox
    ]
