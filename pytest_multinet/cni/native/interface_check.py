"""What CHECK of every plugin with addresses compares (plugins: pkg/ip)."""

from __future__ import annotations

from pytest_multinet.cni.addresses import IPAddress
from pytest_multinet.cni.native.plugin import Call
from pytest_multinet.cni.result import IPConfig, Result, ResultInterface, ResultRoute
from pytest_multinet.errors import CniError
from pytest_multinet.model.interface import Route
from pytest_multinet.net import decode
from pytest_multinet.net.decode import LinkInfo
from pytest_multinet.net.rtnl import Rtnl


def previous(call: Call, missing: str = "Required prevResult missing") -> Result:
    """The final result of ADD.

    Raises:
        CniError: there is none.
    """
    if call.prev_result is None:
        raise CniError(missing)
    return call.prev_result


def container_interface(call: Call, result: Result, mismatch: str) -> ResultInterface:
    """The container's interface in a result.

    Args:
        call: the call.
        result: the final result of ADD.
        mismatch: the message's beginning where the interface is not of this sandbox.

    Raises:
        CniError: the result has none in this sandbox.
    """
    found = ResultInterface("")
    for interface in result.interfaces:
        if interface.name == call.ifname and interface.sandbox == call.sandbox.path:
            found = interface
    if found.sandbox != call.sandbox.path:
        raise CniError(
            f"{mismatch} {found.sandbox} doesn't match configured netns: {call.sandbox.path}"
        )
    return found


def link_info(rtnl: Rtnl, name: str) -> LinkInfo | None:
    """Everything of the link of that name."""
    index = rtnl.index(name)
    return None if index is None else decode.decode_link(rtnl.link(index))


def addresses_and_routes(call: Call, result: Result) -> None:
    """The addresses and routes of a result are there.

    Raises:
        CniError: the first that is not.
    """
    rtnl = call.sandbox.namespace.rtnl
    index = rtnl.index(call.ifname)
    if index is None:
        raise CniError(f"Cannot find container link {call.ifname}")
    names = {index: call.ifname}
    held = {(str(a.ip), a.network.prefixlen) for a in decode.addresses(rtnl, index).get(index, [])}
    seen = decode.routes(rtnl, names)
    for ip in result.ips:
        _check_address(ip, call.ifname, held, seen)
    for route in result.routes:
        _check_route(route, seen)


def _check_address(
    ip: IPConfig, ifname: str, held: set[tuple[str, int]], seen: tuple[Route, ...]
) -> None:
    if (str(ip.address.ip), ip.address.prefixlen) not in held:
        raise CniError(f"Failed to match addr {ip.address} on interface {ifname}")
    network = str(ip.address.network)
    if not any(str(route.destination) == network for route in seen):
        gateway: IPAddress | str = "<nil>" if ip.gateway is None else ip.gateway
        raise CniError(f"Failed to find Gateway {gateway} for interface {ifname}")


def _check_route(wanted: ResultRoute, seen: tuple[Route, ...]) -> None:
    for route in seen:
        if str(route.destination) != str(wanted.dst):
            continue
        if wanted.gw is None or wanted.dst.prefixlen == 0 or route.gateway == wanted.gw:
            return
    gateway = "<nil>" if wanted.gw is None else wanted.gw
    shown = f"{{Dst:{{IP:{wanted.dst.ip} Mask:{wanted.dst.mask}}} GW:{gateway}}}"
    raise CniError(f"Expected Route {shown} not found in routing table")


def container_link(
    call: Call, interface: ResultInterface, kind: str, prefix: str = ""
) -> LinkInfo:
    """The pod's link of an interface of the result.

    Args:
        call: the call.
        interface: in the result.
        kind: what kind of link it must be; ``""``: any.
        prefix: begins the message of a missing link.

    Raises:
        CniError: there is none, or it is of another kind.
    """
    if not interface.name:
        raise CniError("Container interface name missing in prevResult: ")
    info = link_info(call.sandbox.namespace.rtnl, interface.name)
    if info is None:
        raise CniError(
            f"{prefix}Container Interface name in prevResult: {interface.name} not found"
        )
    if kind and info.type != kind:
        raise CniError(f"Error: Container interface {info.name} not of type {kind}")
    return info


def same_mac(interface: ResultInterface, mac: str, prefix: str = "") -> None:
    """The result's MAC address is the link's.

    Raises:
        CniError: it is another.
    """
    if interface.mac and interface.mac != mac:
        raise CniError(
            f"{prefix}Interface {interface.name} Mac {interface.mac} doesn't match "
            f"container Mac: {mac}"
        )
