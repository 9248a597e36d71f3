"""ptp: a veth pair between pod and node with host routes (reference plugin: main/ptp)."""

from __future__ import annotations

import errno
from dataclasses import replace
from functools import partial

from pytest_multinet.cni.addresses import Cidr, IPAddress
from pytest_multinet.cni.native import interface_check, interface_setup, links
from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.forwarding import enable_forwarding
from pytest_multinet.cni.native.interface_delete import delete_interface
from pytest_multinet.cni.native.interface_setup import Step, carry_out
from pytest_multinet.cni.native.links import Link
from pytest_multinet.cni.native.plugin import Call, Plugin
from pytest_multinet.cni.native.sysctl import try_sysctls
from pytest_multinet.cni.native.veth import Pair, create_pair, node_end_up
from pytest_multinet.cni.result import IPConfig, Result, ResultInterface
from pytest_multinet.errors import CniError
from pytest_multinet.model.nad import NetworkConf
from pytest_multinet.net import requests
from pytest_multinet.net.requests import Message


class Ptp(Plugin):
    """A point-to-point link: the pod reaches everything, its own subnet too, by the gateway."""

    def __init__(self, conf: NetworkConf) -> None:
        super().__init__(conf)
        read = Conf(conf.raw)
        self.ip_masq = read.truth("ipMasq")
        self.mtu = read.whole("mtu")
        self.dns = read.dns()

    def add(self, call: Call) -> Result:
        """Get addresses, create the pair, configure the pod's end, then the node's."""
        found = call.delegation.add(self.ipam_type, call)
        if not found.ips:
            raise CniError(
                "IPAM plugin returned missing IP config",
                hint=f"the ipam {self.ipam_type} of network {call.network} gave no address",
            )
        ips = interface_setup.on_interface(found.ips, 1)
        try:
            return self._set_up(call, ips, found)
        except CniError:
            interface_setup.release(call, self.ipam_type)
            raise

    def _set_up(self, call: Call, ips: tuple[IPConfig, ...], found: Result) -> Result:
        node, inside = call.host.namespace, call.sandbox.namespace
        enable_forwarding(node, {ip.address.version for ip in ips})
        pair = create_pair(call, self.mtu)
        try_sysctls([(node, f"ipv6/conf/{pair.host_name}/accept_ra", "0")])
        index = pair.inside.index
        end = ResultInterface(call.ifname, pair.inside.mac, call.sandbox.path)
        interfaces = (ResultInterface(pair.host_name), end)
        result = Result(interfaces=interfaces, ips=ips, routes=found.routes)
        try:
            then = _by_the_gateway(index, ips)
            interface_setup.configure(inside, call.ifname, index, result, then=then)
        except CniError:
            carry_out(node.rtnl, [node_end_up(pair)])
            raise
        host = self._set_up_node(call, pair, ips)
        return replace(
            result,
            interfaces=(ResultInterface(pair.host_name, host.mac), end),
            dns=self.dns or found.dns,
        )

    def _set_up_node(self, call: Call, pair: Pair, ips: tuple[IPConfig, ...]) -> Link:
        """The node's end, up, with the gateway's address and a route to the pod."""
        steps, undo = [node_end_up(pair)], list[Message]()
        problem = None
        for ip in ips:
            whole = ip.address.ip.max_prefixlen
            if ip.gateway is None:
                problem = CniError(
                    f"{_tell_host_address(None, whole)}: numerical result out of range",
                    hint=f"ptp needs a gateway for {ip.address}",
                )
                break
            address = requests.address(pair.host_index, ip.gateway, whole)
            route = requests.route((ip.address.ip, whole), index=pair.host_index, scope="host")
            tell = partial(_tell_host_address, ip.gateway, whole)
            steps.append(Step(address, tell))
            steps.append(Step(route, lambda: "failed to add route on host", errno.EEXIST))
            undo.append(Message(requests.RTM_DELROUTE, 0, route.body, "undo"))
            undo.append(Message(requests.RTM_DELADDR, 0, address.body, "undo"))
        ask = links.question(pair.host_index)
        answer = carry_out(call.host.namespace.rtnl, steps, ask=ask, undo=undo)
        if problem is not None:
            raise problem
        return links.decode(answer[0])

    def check(self, call: Call) -> None:
        """Compare the pod's end, its addresses and routes."""
        call.delegation.check(self.ipam_type, call)
        result = interface_check.previous(call, "ptp: Required prevResult missing")
        interface = interface_check.container_interface(call, result, "Sandbox in prevResult")
        info = interface_check.link_info(call.sandbox.namespace.rtnl, interface.name)
        if info is None:
            raise CniError(
                f"ptp: Container Interface name in prevResult: {interface.name} not found"
            )
        if info.type != "veth":
            raise CniError(f"Error: Container interface {info.name} not of type veth/p2p")
        if interface.mac and interface.mac != info.mac:
            raise CniError(
                f"ptp: Interface {interface.name} Mac {interface.mac} doesn't match "
                f"container Mac: {info.mac}"
            )
        interface_check.addresses_and_routes(call, result)

    def delete(self, call: Call) -> None:
        """Release the addresses, delete the pair."""
        call.delegation.delete(self.ipam_type, call)
        delete_interface(call)

    def beyond(self, call: Call) -> str | None:
        """Masquerading needs iptables, which only the real plugin drives."""
        return "ipMasq" if self.ip_masq else None


def _by_the_gateway(index: int, ips: tuple[IPConfig, ...]) -> list[Step]:
    """Routes that leave only the gateway on the link and put its subnet behind it."""
    steps: list[Step] = []
    for ip in ips:
        source, net = ip.address.ip, ip.address.network
        subnet = (net.ip, net.prefixlen)
        connected = requests.route(subnet, index=index, delete=True)
        gone = partial(_tell_route, "delete", index, net, None, None)
        steps.append(Step(connected, gone))
        if ip.gateway is None:
            first = requests.route(
                (_anywhere(source), 0), index=index, scope="link", source=source
            )
        else:
            whole = source.max_prefixlen
            alone = (ip.gateway, whole)
            first = requests.route(alone, index=index, scope="link", source=source)
        tell = partial(_tell_route, "add", index, ip.gateway, source, None)
        steps.append(Step(first, tell))
        behind = requests.route(subnet, index=index, gateway=ip.gateway, source=source)
        tell = partial(_tell_route, "add", index, net, source, ip.gateway)
        steps.append(Step(behind, tell))
    return steps


def _anywhere(ip: IPAddress) -> IPAddress:
    return type(ip)(0)


def _tell_route(
    verb: str, index: int, dst: Cidr | IPAddress | None, source: object, gateway: object
) -> str:
    if dst is not None and not isinstance(dst, Cidr):
        dst = Cidr(dst, dst.max_prefixlen)
    shown = ["<nil>" if value is None else str(value) for value in (dst, source, gateway)]
    return (
        f"failed to {verb} route {{Ifindex: {index} Dst: {shown[0]} Src: {shown[1]} "
        f"Gw: {shown[2]} Flags: [] Table: 0 Realm: 0}}"
    )


def _tell_host_address(ip: IPAddress | None, length: int) -> str:
    return f"failed to add IP addr ({_go_net(ip, length)}) to veth"


def _go_net(ip: IPAddress | None, length: int) -> str:
    """An address with a full mask as Go's ``%#v`` prints it."""
    packed = b"" if ip is None else ip.packed
    if len(packed) == 4:
        packed = bytes(10) + b"\xff\xff" + packed
    number = f"{{{', '.join(f'{b:#x}' for b in packed)}}}" if packed else "(nil)"
    mask = ", ".join(["0xff"] * (length // 8))
    return f"&net.IPNet{{IP:net.IP{number}, Mask:net.IPMask{{{mask}}}}}"
