"""From a pod's annotations to delegates, their interfaces and the network status, as Multus does.

Follows NPWG multi-net-spec v1.3 and Multus 4.1.0: the default network comes first, then the
annotation's networks in order, one after the other; when one fails, it and those before it are
taken down in reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

from pytest_multinet.cni.result import Result
from pytest_multinet.cni.runtime import Runtime, Sandbox
from pytest_multinet.errors import CniError, MultinetError, NetlinkError, PodError
from pytest_multinet.model.attachment import NetworkSelection, interface_names
from pytest_multinet.model.nad import NetworkAttachmentDefinition, NetworkConf, NetworkConfList
from pytest_multinet.model.network_status import NetworkStatus
from pytest_multinet.model.pod import PodManifest
from pytest_multinet.net import decode, requests

Lookup = Callable[[str, str], NetworkAttachmentDefinition | None]
DEFAULT_INTERFACE = "eth0"


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
    """

    network: NetworkConfList
    interface: str
    name: str
    selection: NetworkSelection | None = None
    default: bool = False


def delegates_of(
    manifest: PodManifest,
    default: NetworkConfList,
    lookup: Lookup,
    on_node: Mapping[str, NetworkConfList],
) -> list[Delegate]:
    """The delegates of a pod in the order of their ADD.

    Args:
        manifest: the pod.
        default: the cluster's default network.
        lookup: finds a NetworkAttachmentDefinition by namespace and name.
        on_node: configuration files of the node by network name, for definitions without
            ``spec.config``.

    Raises:
        PodError: a network does not exist, or has no configuration.
    """
    chosen = manifest.default_network
    if chosen is None:
        first = Delegate(default, DEFAULT_INTERFACE, default.name, default=True)
    else:
        network = _load(manifest, chosen, lookup, on_node)
        interface = chosen.interface or DEFAULT_INTERFACE
        name = f"{chosen.namespace}/{chosen.name}"
        first = Delegate(network, interface, name, chosen, default=True)
    out = [first]
    names = interface_names(manifest.networks)
    for selection, interface in zip(manifest.networks, names, strict=True):
        network = _load(manifest, selection, lookup, on_node)
        name = f"{selection.namespace}/{selection.name}"
        out.append(Delegate(network, interface, name, selection))
    return out


def _load(
    manifest: PodManifest,
    selection: NetworkSelection,
    lookup: Lookup,
    on_node: Mapping[str, NetworkConfList],
) -> NetworkConfList:
    definition = lookup(selection.namespace, selection.name)
    pod = f"{manifest.namespace}/{manifest.name}"
    if definition is None:
        raise PodError(
            f"cannot find a network-attachment-definition ({selection.name}) "
            f"in namespace ({selection.namespace})",
            pod=pod,
            reason="FailedCreatePodSandBox",
            hint="apply it first; a network is looked up in the pod's namespace unless "
            "the selection names another",
        )
    network = definition.config or on_node.get(definition.name)
    if network is None:
        files = ", ".join(on_node) or "none"
        raise PodError(
            f"getCNIConfigFromFile: no network named {definition.name!r} on the node",
            pod=pod,
            reason="FailedCreatePodSandBox",
            hint=f"the NetworkAttachmentDefinition has no spec.config, so a CNI configuration "
            f"file of that name must be on the node; there: {files}",
        )
    return _with_cni_args(network, selection.cni_args) if selection.cni_args else network


def _with_cni_args(network: NetworkConfList, cni_args: Mapping[str, Any]) -> NetworkConfList:
    """Merge a pod's ``cni-args`` into ``args.cni`` of every plugin; the pod's values win."""

    def merged(plugin: NetworkConf) -> NetworkConf:
        args = dict(plugin.raw.get("args") or {})
        args["cni"] = {**(args.get("cni") or {}), **cni_args}
        return replace(plugin, raw={**plugin.raw, "args": args})

    return replace(network, plugins=tuple(merged(p) for p in network.plugins))


def attach(
    runtime: Runtime, sandbox: Sandbox, manifest: PodManifest, delegates: Sequence[Delegate]
) -> tuple[NetworkStatus, ...]:
    """ADD every delegate in order and tell the network status.

    Raises:
        PodError: one delegate failed; it and those before it have been taken down again.
    """
    statuses: list[NetworkStatus] = []
    # One `default-route` in the pod takes every other default route away (Multus 4.1).
    routed = any(d.selection and d.selection.default_route is not None for d in delegates)
    for position, delegate in enumerate(delegates):
        try:
            result = runtime.add(
                delegate.network,
                sandbox,
                delegate.interface,
                args=_args(manifest, sandbox, delegate.selection),
                runtime_config=_runtime_config(delegate.selection),
            )
            if routed:
                _set_default_route(sandbox, delegate)
        except (CniError, NetlinkError) as error:
            detach(runtime, sandbox, manifest, delegates[: position + 1])
            raise _failed(manifest, delegate, error) from error
        except BaseException:
            detach(runtime, sandbox, manifest, delegates[: position + 1])
            raise
        statuses.append(_status(delegate, result))
    return tuple(statuses)


def detach(
    runtime: Runtime, sandbox: Sandbox, manifest: PodManifest, delegates: Sequence[Delegate]
) -> list[MultinetError]:
    """DEL every delegate in reverse; goes on past errors and returns them."""
    errors: list[MultinetError] = []
    for delegate in reversed(delegates):
        try:
            runtime.delete(
                delegate.network,
                sandbox,
                delegate.interface,
                args=_args(manifest, sandbox, delegate.selection),
                runtime_config=_runtime_config(delegate.selection),
            )
        except MultinetError as error:
            errors.append(error)
    return errors


def _args(
    manifest: PodManifest, sandbox: Sandbox, selection: NetworkSelection | None
) -> dict[str, str]:
    """CNI_ARGS: the pod's identity, and addresses and MAC even without their capability."""
    args = {
        "IgnoreUnknown": "true",
        "K8S_POD_NAMESPACE": manifest.namespace,
        "K8S_POD_NAME": manifest.name,
        "K8S_POD_INFRA_CONTAINER_ID": sandbox.container_id,
    }
    if selection is not None:
        if selection.mac is not None:
            args["MAC"] = selection.mac
        if selection.ips:
            args["IP"] = ",".join(selection.ips)
    return args


def _runtime_config(selection: NetworkSelection | None) -> dict[str, Any]:
    """What plugins that declare the capability get as ``runtimeConfig``."""
    if selection is None:
        return {}
    config: dict[str, Any] = {}
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
    return config


def _set_default_route(sandbox: Sandbox, delegate: Delegate) -> None:
    """Remove the interface's default routes, then set those that the pod asked for."""
    rtnl = sandbox.namespace.rtnl
    index = rtnl.index(delegate.interface)
    if index is None:
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
    for gateway in (delegate.selection.default_route or ()) if delegate.selection else ():
        address = ip_address(gateway)
        anywhere = ip_address("0.0.0.0" if address.version == 4 else "::")  # noqa: S104
        messages.append(requests.route((anywhere, 0), index=index, gateway=address))
    if messages:
        rtnl.execute(*messages)


def _failed(manifest: PodManifest, delegate: Delegate, error: CniError | NetlinkError) -> PodError:
    pod = f"{manifest.namespace}/{manifest.name}"
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
        f"[{pod}:{delegate.network.name}]: error adding container to network "
        f'"{delegate.network.name}": {error}',
        pod=pod,
        reason="FailedCreatePodSandBox",
        hint=f"network {delegate.name}: {hint}" if hint else f"network {delegate.name}",
    )


def _status(delegate: Delegate, result: Result) -> NetworkStatus:
    """One entry of ``network-status``; the interface is the one inside the sandbox."""
    interface, mac = delegate.interface, ""
    for seen in result.interfaces:
        if seen.sandbox:
            interface, mac = seen.name, seen.mac
    gateways = tuple(
        "<nil>" if route.gw is None else str(route.gw)
        for route in result.routes
        if route.dst.prefixlen == 0
    )
    return NetworkStatus(
        name=delegate.name,
        interface=interface,
        ips=tuple(ip.address.ip for ip in result.ips),
        mac=mac,
        default=delegate.default,
        gateway=gateways,
    )
