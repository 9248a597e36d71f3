"""What every plugin with addresses does to the container's interface (plugins: pkg/ipam).

IPv6 is switched on where it is needed, then come the addresses, then the link goes up, then come
the routes, each put in front of its equals.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from pytest_multinet.cni.addresses import Cidr, IPAddress
from pytest_multinet.cni.native.plugin import Call, quoted, words
from pytest_multinet.cni.native.sysctl import sysctls, try_sysctls
from pytest_multinet.cni.result import IPConfig, Result
from pytest_multinet.errors import CniError, NetlinkError
from pytest_multinet.net import requests
from pytest_multinet.net.holder import HeldNamespace
from pytest_multinet.net.requests import Message
from pytest_multinet.net.rtnl import Rtnl

Step: TypeAlias = "tuple[Message, Callable[[], str]]"

_UNDO = {
    requests.RTM_NEWADDR: requests.RTM_DELADDR,
    requests.RTM_NEWROUTE: requests.RTM_DELROUTE,
}


def execute(rtnl: Rtnl, steps: Sequence[Step]) -> None:
    """Carry out messages in order; a refusal is told in the words of its step.

    The kernel goes on past a refused message, the reference plugins do not: addresses and routes
    that were added behind it are taken back.

    Raises:
        CniError: the first that the kernel refused.
    """
    try:
        rtnl.execute(*[message for message, _ in steps])
    except NetlinkError as error:
        failed = next(i for i, (message, _) in enumerate(steps) if message.what is error.what)
        before = [message.body for message, _ in steps[: failed + 1]]
        for message, _ in steps[failed + 1 :]:
            undo = _UNDO.get(message.type)
            if undo is not None and message.body not in before:
                with contextlib.suppress(NetlinkError):
                    rtnl.execute(Message(undo, 0, message.body, f"undo {message.what}"))
        said = f"{steps[failed][1]()}: {words(error)}"
        raise CniError(said, hint=_explanation(error)) from error


def configure(
    namespace: HeldNamespace,
    ifname: str,
    index: int,
    result: Result,
    *,
    arp_notify: bool = False,
    settings: Sequence[tuple[HeldNamespace, str, str | None]] = (),
) -> None:
    """Configure the container's interface from a result.

    Args:
        namespace: the container's.
        ifname: the interface.
        index: its index.
        result: what to set up.
        arp_notify: announce the addresses by gratuitous ARP when the link goes up.
        settings: sysctls to try first, whether or not they can be set.

    Raises:
        CniError: with the reference plugins' message.
    """
    for ip in result.ips:
        if ip.interface is None:
            continue
        if not (
            0 <= ip.interface < len(result.interfaces)
            and result.interfaces[ip.interface].name == ifname
        ):
            raise CniError(
                f"failed to add IP addr {ip.go} to {quoted(ifname)}: invalid interface index"
            )
    ips = [ip for ip in result.ips if ip.interface is not None]
    if settings:
        try_sysctls(settings)
    if any(ip.address.version == 6 for ip in ips):
        _enable_ipv6(namespace, ifname)
    steps: list[Step] = []
    if arp_notify:
        steps.append((requests.set_link(index, arp_notify=True), lambda: "arp_notify"))
    for ip in ips:
        message = requests.address(index, ip.address.ip, ip.address.prefixlen)
        steps.append((message, partial(_tell_address, ifname, ip)))
    if steps:
        execute(namespace.rtnl, steps)
    up = requests.set_link(index, up=True)
    steps = [(up, lambda: f"failed to set {quoted(ifname)} UP")]
    gateways = {ip.gateway.version: ip.gateway for ip in reversed(ips) if ip.gateway is not None}
    for route in result.routes:
        gateway = route.gw or gateways.get(route.dst.version)
        tell = partial(_tell_route, ifname, route.dst, gateway)
        if gateway is not None and gateway.version != route.dst.version:
            execute(namespace.rtnl, steps)
            why = "gateway, source, and destination ip are not the same IP family"
            raise CniError(f"{tell()}: {why}")
        dst = (route.dst.ip, route.dst.prefixlen)
        steps.append((requests.route(dst, index=index, gateway=gateway, prepend=True), tell))
    execute(namespace.rtnl, steps)


def bring_up(namespace: HeldNamespace, ifname: str, index: int, up: str) -> None:
    """Set a link up that gets no addresses; ``up`` is how the plugin spells it in its message.

    Raises:
        CniError: the kernel refused.
    """
    message = requests.set_link(index, up=True)
    execute(namespace.rtnl, [(message, lambda: f"failed to set {quoted(ifname)} {up}")])


def on_interface(ips: tuple[IPConfig, ...], index: int) -> tuple[IPConfig, ...]:
    """The addresses of an IPAM result, bound to an interface of the plugin's own result."""
    return tuple(IPConfig(ip.address, ip.gateway, index) for ip in ips)


def release(call: Call, ipam_type: str) -> None:
    """Give the addresses back after a failed ADD; a failure of that goes unseen."""
    with contextlib.suppress(CniError):
        call.delegation.delete(ipam_type, call)


def settle(rtnl: Rtnl, index: int) -> bytes:
    """Read a link that has just gone up: from then on it carries packets."""
    return rtnl.link(index)


def _enable_ipv6(namespace: HeldNamespace, ifname: str) -> None:
    paths = [f"ipv6/conf/{name}/disable_ipv6" for name in ("lo", ifname)]
    try:
        values = sysctls([(namespace, path, None) for path in paths])
    except NetlinkError:  # this kernel has no IPv6: adding the address will say so
        return
    for name, path, value in zip(("lo", ifname), paths, values, strict=True):
        if value == "0":
            continue
        try:
            sysctls([(namespace, path, "0")])
        except NetlinkError as error:
            raise CniError(
                f"failed to enable IPv6 for interface {quoted(name)} "
                f"(net/{path}={value}): {words(error)}"
            ) from error


def _tell_address(ifname: str, ip: IPConfig) -> str:
    return f"failed to add IP addr {ip.go} to {quoted(ifname)}"


def _tell_route(ifname: str, dst: Cidr, gateway: IPAddress | None) -> str:
    via = "<nil>" if gateway is None else gateway
    return f"failed to add route '{{{dst.ip} {dst.mask}}} via {via} dev {ifname}'"


def _explanation(error: NetlinkError) -> str | None:
    """What the kernel said beyond its error number."""
    _, bracket, said = error.strerror.partition(" (")
    return f"the kernel says: {said.rstrip(')')}" if bracket else None
