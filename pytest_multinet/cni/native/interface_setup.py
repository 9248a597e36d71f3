"""What every plugin with addresses does to the container's interface (plugins: pkg/ipam).

IPv6 is switched on where it is needed, then come the addresses, then the link goes up, then come
the routes, each put in front of its equals.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import tenacity

from pytest_multinet.cni.addresses import Cidr, IPAddress
from pytest_multinet.cni.native import ipv6_ready, links
from pytest_multinet.cni.native.plugin import Call, quoted, words
from pytest_multinet.cni.native.sysctl import Wanted, sysctls, try_sysctls
from pytest_multinet.cni.result import IPConfig, Result
from pytest_multinet.errors import CniError, NetlinkError
from pytest_multinet.net import requests
from pytest_multinet.net.holder import HeldNamespace
from pytest_multinet.net.requests import Message
from pytest_multinet.net.rtnl import Rtnl

# A MAC address stays taken for some 46 ms after the last holder of its namespace has gone.
_MAC_LINGERS = 0.15


@dataclass(slots=True)
class Step:
    """One request to the kernel.

    Attributes:
        message: the request.
        tell: makes the reference plugin's message for a refusal.
        tolerated: error number that is none here.
    """

    message: Message
    tell: Callable[[], str]
    tolerated: int = 0


def carry_out(
    rtnl: Rtnl, steps: Sequence[Step], *, ask: Message | None = None, undo: Sequence[Message] = ()
) -> list[bytes]:
    """Carry out steps in order, all in one turn.

    The kernel goes on past a refused request, the reference plugins do not: where one is refused,
    all is undone and the steps are taken one by one.

    Args:
        rtnl: a socket in the namespace.
        steps: what to do.
        ask: a question to put behind them.
        undo: what takes the steps back; where it is not needed it may fail.

    Returns:
        The answer to ``ask``.

    Raises:
        CniError: of the first step that the kernel refused; nothing behind it has been done.
    """
    messages = [step.message for step in steps]
    questions = () if ask is None else (ask,)
    if not messages and not questions:
        return []
    with contextlib.suppress(NetlinkError):
        return rtnl.execute(*messages, *questions)
    for message in undo:
        with contextlib.suppress(NetlinkError):
            rtnl.execute(message)
    for step in steps:
        _take(rtnl, step)
    return rtnl.execute(*questions) if questions else []


def _take(rtnl: Rtnl, step: Step) -> None:
    try:
        rtnl.execute(step.message)
    except NetlinkError as error:
        if error.errno == errno.EADDRINUSE and _take_again(rtnl, step):
            return
        _refuse(step, error)


def _take_again(rtnl: Rtnl, step: Step) -> bool:
    """Whether a MAC address that was in use gets free when a namespace is on its way out."""
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_delay(_MAC_LINGERS),
        wait=tenacity.wait_fixed(0.005),
        retry=tenacity.retry_if_exception_type(NetlinkError),
    )
    try:
        retrying(rtnl.execute, step.message)
    except tenacity.RetryError:
        return False
    return True


def _refuse(step: Step, error: NetlinkError) -> None:
    """Raise, unless the refusal is tolerated."""
    if error.errno != step.tolerated:
        said = f"{step.tell()}: {words(error)}"
        raise CniError(said, hint=_explanation(error)) from error


def configure(
    namespace: HeldNamespace,
    ifname: str,
    index: int,
    result: Result,
    *,
    arp_notify: bool = False,
    settings: Wanted = (),
    then: Sequence[Step] = (),
) -> None:
    """Configure the container's interface from a result; afterwards it carries packets.

    Args:
        namespace: the container's.
        ifname: the interface.
        index: its index.
        result: what to set up.
        arp_notify: announce the addresses by gratuitous ARP when the link goes up.
        settings: sysctls to set first, whether or not they can be set.
        then: what follows the routes.

    Raises:
        CniError: with the reference plugins' message.
    """
    ips = [ip for ip in result.ips if ip.interface is not None]
    for ip in ips:
        number = ip.interface or 0
        if number >= len(result.interfaces) or result.interfaces[number].name != ifname:
            raise CniError(f"{_tell_address(ifname, ip)}: invalid interface index")
    try_sysctls(settings)
    if any(ip.address.version == 6 for ip in ips):
        _enable_ipv6(namespace, ifname)
    steps: list[Step] = []
    if arp_notify:
        message = requests.set_link(index, arp_notify=True)
        steps.append(Step(message, lambda: "arp_notify", errno.EOPNOTSUPP))
    undo: list[Message] = []
    for ip in ips:
        address, length = ip.address.ip, ip.address.prefixlen
        message = requests.address(index, address, length)
        steps.append(Step(message, partial(_tell_address, ifname, ip)))
        undo.append(Message(requests.RTM_DELADDR, 0, message.body, "undo"))
    up = up_step(index, f"failed to set {quoted(ifname)} UP")
    routes, problem = _route_steps(ifname, index, ips, result)
    ask = links.question(index)
    with ipv6_ready.reachable(namespace, [ip.address.ip for ip in ips]):
        if then and problem is None:
            undo.append(requests.set_link(index, up=False))
            carry_out(namespace.rtnl, [*steps, up, *routes, *then], ask=ask, undo=undo)
            return
        # A link that goes up announces its addresses: once, and only when it has them all.
        carry_out(namespace.rtnl, steps, undo=undo)
        gone = [Message(requests.RTM_DELROUTE, 0, r.message.body, "undo") for r in routes]
        carry_out(namespace.rtnl, [up, *routes], ask=ask, undo=gone)
        if problem is not None:
            raise problem


def up_step(index: int, failed: str) -> Step:
    """Set a link up; ``failed`` is the plugin's message for a refusal."""
    return Step(requests.set_link(index, up=True), lambda: failed)


def on_interface(ips: tuple[IPConfig, ...], index: int) -> tuple[IPConfig, ...]:
    """The addresses of an IPAM result, bound to an interface of the plugin's own result."""
    return tuple(IPConfig(ip.address, ip.gateway, index) for ip in ips)


def release(call: Call, ipam_type: str) -> None:
    """Give the addresses back after a failed ADD; a failure of that goes unseen."""
    with contextlib.suppress(CniError):
        call.delegation.delete(ipam_type, call)


def _route_steps(
    ifname: str, index: int, ips: Sequence[IPConfig], result: Result
) -> tuple[list[Step], CniError | None]:
    """A step for each route, up to one whose gateway is of another family: that is refused."""
    gateways = {ip.gateway.version: ip.gateway for ip in reversed(ips) if ip.gateway is not None}
    steps: list[Step] = []
    for route in result.routes:
        gateway = route.gw or gateways.get(route.dst.version)
        tell = partial(_tell_route, ifname, route.dst, gateway)
        if gateway is not None and gateway.version != route.dst.version:
            why = "gateway, source, and destination ip are not the same IP family"
            return steps, CniError(f"{tell()}: {why}")
        dst = (route.dst.ip, route.dst.prefixlen)
        steps.append(Step(requests.route(dst, index=index, gateway=gateway, prepend=True), tell))
    return steps, None


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
