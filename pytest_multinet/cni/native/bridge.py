"""bridge: a veth pair into a bridge of the node (reference plugin: main/bridge)."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import tenacity

from pytest_multinet.cni.addresses import Cidr
from pytest_multinet.cni.native import bridge_port, interface_check, interface_setup, links, veth
from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.forwarding import enable_forwarding
from pytest_multinet.cni.native.interface_delete import delete_interface
from pytest_multinet.cni.native.interface_setup import Step, carry_out
from pytest_multinet.cni.native.links import Link
from pytest_multinet.cni.native.plugin import Call, Plugin, quoted, words
from pytest_multinet.cni.native.requested_mac import args_mac, runtime_mac
from pytest_multinet.cni.native.sysctl import sysctls, try_sysctls
from pytest_multinet.cni.native.veth import Pair
from pytest_multinet.cni.result import IPConfig, Result, ResultInterface, ResultRoute
from pytest_multinet.errors import CniError, NeedsCapability, NetlinkError
from pytest_multinet.model.nad import NetworkConf
from pytest_multinet.net import decode, requests
from pytest_multinet.net.decode import LinkInfo
from pytest_multinet.net.holder import HeldNamespace

_STATES = ("unknown", "not-present", "down", "lower-layer-down", "testing", "dormant", "up")
_ANYWHERE = {4: Cidr(ip_address("0.0.0.0"), 0), 6: Cidr(ip_address("::"), 0)}  # noqa: S104
_CONTAINER = 2  # index of the container's interface in the result


class Bridge(Plugin):
    """A bridge that is made where it is missing, and a pair from it into the pod."""

    def __init__(self, conf: NetworkConf) -> None:
        super().__init__(conf)
        read = Conf(conf.raw)
        self.bridge = read.text("bridge", "cni0")
        self.is_default_gateway = read.truth("isDefaultGateway")
        self.is_gateway = read.truth("isGateway") or self.is_default_gateway
        self.force_address = read.truth("forceAddress")
        self.ip_masq = read.truth("ipMasq")
        self.mtu = read.whole("mtu")
        self.hairpin = read.truth("hairpinMode")
        self.promisc = read.truth("promiscMode")
        self.vlan = read.whole("vlan")
        self.preserve_default_vlan = read.truth("preserveDefaultVlan", True)
        self.mac_spoof_check = read.truth("macspoofchk")
        self.enable_dad = read.truth("enabledad")
        self.interface_stays_down = read.truth("disableContainerInterface")
        self.dns = read.dns()
        self._mac = read.child("args").child("cni", "BridgeArgs").text("mac")
        if not 0 <= self.vlan <= 4094:
            raise CniError(f"invalid VLAN ID {self.vlan} (must be between 0 and 4094)")
        self.filters_vlans = self.vlan != 0 or "vlanTrunk" in read
        self.trunk = _trunk(read.children("vlanTrunk", "VlanTrunk", "main.VlanTrunk"))
        if self.vlan and self.trunk:
            raise CniError("cannot set vlan and vlanTrunk at the same time")

    def beyond(self, call: Call) -> str | None:
        """Masquerading and the check of source MACs need packet filters."""
        if self.ip_masq and self.ipam_type:
            return "ipMasq"
        return "macspoofchk" if self.mac_spoof_check else None

    def add(self, call: Call) -> Result:
        """Make the bridge and the pair, then configure both ends."""
        mac = self._asked_mac(call)
        if self.ipam_type and self.interface_stays_down:
            raise CniError("cannot use IPAM when DisableContainerInterface flag is set")
        if self.hairpin and self.promisc:
            raise CniError("cannot set hairpin mode and promiscuous mode at the same time")
        node, inside = call.host.namespace, call.sandbox.namespace
        bridge = self._ensure_bridge(node)
        pair = veth.create_pair(call, self.mtu, mac)
        carry_out(node.rtnl, [veth.node_end_up(pair)])
        self._connect(node, bridge, pair)
        result = Result(
            interfaces=(
                ResultInterface(self.bridge, bridge.mac),
                ResultInterface(pair.host_name),
                ResultInterface(call.ifname, pair.inside.mac, call.sandbox.path),
            )
        )
        try_sysctls([(node, f"ipv6/conf/{pair.host_name}/accept_ra", "0")])
        if self.ipam_type:
            result = self._with_addresses(call, result, bridge, pair)
        else:
            if not self.interface_stays_down:
                up = interface_setup.up_step(
                    pair.inside.index, f"failed to set {quoted(call.ifname)} up"
                )
                carry_out(inside.rtnl, [up], ask=links.question(pair.inside.index))
        return self._final(call, result, pair)

    def check(self, call: Call) -> None:
        """Compare the bridge, both ends of the pair, addresses and routes."""
        self._asked_mac(call)
        call.delegation.check(self.ipam_type, call)
        result = interface_check.previous(call)
        node, inside = call.host.namespace, call.sandbox.namespace
        named = [i for i in result.interfaces if i.name == self.bridge]
        bridge = self._check_bridge(node, named[-1] if named else ResultInterface(""))
        interface = interface_check.container_interface(call, result, "Sandbox in prevResult")
        end = _check_link(inside, interface, in_sandbox=True)
        if end.type != "veth":
            raise CniError(f"Error: Container interface {end.name} not of type veth")
        if interface.mac and interface.mac != end.mac:
            raise CniError(
                f"Interface {interface.name} Mac {interface.mac} doesn't match "
                f"container Mac: {end.mac}"
            )
        if not any(
            _is_peer(node, candidate, bridge, end)
            for candidate in result.interfaces
            if candidate.name not in (self.bridge, interface.name)
        ):
            raise CniError(f"CNI veth created for bridge {self.bridge} was not found")
        interface_check.addresses_and_routes(call, result)

    def delete(self, call: Call) -> None:
        """Delete the pair, then release the addresses; the bridge stays."""
        self._asked_mac(call)
        delete_interface(call)
        if self.ipam_type:
            call.delegation.delete(self.ipam_type, call)

    # --- the bridge -------------------------------------------------------------------------

    def _ensure_bridge(self, node: HeldNamespace) -> Link:
        """The bridge, up, as it was before the pod's port joined it."""
        name = self.bridge
        failed = f"failed to create bridge {quoted(name)}"
        index = node.rtnl.index(name) if 0 < len(name.encode()) <= 15 else None
        if index is None:
            if not name:
                raise CniError(f'{failed}: could not add "": LinkAttrs.Name cannot be empty')
            message = requests.bridge(
                name,
                mtu=self.mtu if self.mtu > 0 else None,
                vlan_filtering=self.filters_vlans,
            )
            adding = f"{failed}: could not add {quoted(name)}"
            try:
                carry_out(node.rtnl, [Step(message, lambda: adding)])
            except CniError as error:
                if self.filters_vlans and "not supported" in error.msg:
                    reason = "the bridges of this machine's kernel know no VLANs"
                    raise NeedsCapability(
                        "bridge-vlan", f"{reason} (BRIDGE_VLAN_FILTERING)"
                    ) from error
                raise
        link = links.need(node.rtnl, name)
        if self.promisc and not link.promiscuity:
            message = requests.set_link(link.index, promisc=True)
            setting = f"{failed}: could not set promiscuous mode on {quoted(name)}"
            carry_out(node.rtnl, [Step(message, lambda: setting)])
        if index is not None and decode.decode_link(node.rtnl.link(index)).type != "bridge":
            raise CniError(
                f"{failed}: {quoted(name)} already exists but is not a bridge",
                hint=f"on node {node.name}; choose another name, or another type of network",
            )
        try_sysctls([(node, f"ipv6/conf/{name}/accept_ra", "0")])
        if not link.flags & links.UP:
            try:
                node.rtnl.execute(requests.set_link(link.index, up=True))
            except NetlinkError as error:
                raise CniError(f"{failed}: {words(error)}") from error
        return link

    def _connect(self, node: HeldNamespace, bridge: Link, pair: Pair) -> None:
        """Make the node's end a port of the bridge, with its mode and its VLANs."""
        index, name = pair.host_index, pair.host_name
        steps: list[Step] = [
            Step(
                requests.set_link(index, master=bridge.index),
                lambda: f"failed to connect {quoted(name)} to bridge {self.bridge}",
            )
        ]
        if self.hairpin:
            mode = bridge_port.hairpin(index, True)
            steps.append(Step(mode, lambda: f"failed to setup hairpin mode for {name}"))
        carry_out(node.rtnl, steps)
        self._set_vlans(node, index, name)

    def _set_vlans(self, node: HeldNamespace, index: int, name: str) -> None:
        if not self.vlan and not self.trunk:
            return
        if not self.preserve_default_vlan:
            removing = f"failed to remove default vlan on interface {quoted(name)}"
            for number in bridge_port.vlans(node.rtnl, index):
                message = bridge_port.vlan(index, number, delete=True)
                carry_out(node.rtnl, [Step(message, lambda: removing)])
        adding = f"failed to setup vlan tag on interface {quoted(name)}"
        messages = [bridge_port.vlan(index, number) for number in self.trunk]
        if self.vlan:
            messages = [bridge_port.vlan(index, self.vlan, access=True)]
        carry_out(node.rtnl, [Step(message, lambda: adding) for message in messages])

    # --- addresses --------------------------------------------------------------------------

    def _with_addresses(self, call: Call, result: Result, bridge: Link, pair: Pair) -> Result:
        found = call.delegation.add(self.ipam_type, call)
        try:
            if not found.ips:
                raise CniError(
                    "IPAM plugin returned missing IP config",
                    hint=f"the ipam {self.ipam_type} of network {call.network} gave no address",
                )
            ips, routes = self._gateways(found)
            result = replace(result, ips=ips, routes=routes, dns=found.dns)
            inside = call.sandbox.namespace
            dad = f"ipv6/conf/{call.ifname}/"
            settings: list[tuple[HeldNamespace, str, str | None]] = []
            if self.enable_dad:
                settings.append((inside, f"{dad}enhanced_dad", "1"))
            settings.append((inside, f"{dad}accept_dad", "1" if self.enable_dad else "0"))
            with contextlib.suppress(NetlinkError):  # before the link goes up, hence waited for
                sysctls(settings)
            interface_setup.configure(
                inside, call.ifname, pair.inside.index, result, arp_notify=True
            )
            if self.is_gateway:
                result = self._become_gateway(call, result, bridge)
        except CniError:
            interface_setup.release(call, self.ipam_type)
            raise
        return result

    def _gateways(self, found: Result) -> tuple[tuple[IPConfig, ...], tuple[ResultRoute, ...]]:
        """Addresses with the gateways that were left to us, and the routes with the default."""
        ips: list[IPConfig] = []
        routes = list(found.routes)
        done: set[int] = set()
        for ip in found.ips:
            family, gateway = ip.address.version, ip.gateway
            if gateway is None and self.is_gateway:
                gateway = ip.address.network.ip + 1
            if self.is_default_gateway and family not in done:
                done.add(family)
                anywhere = _ANYWHERE[family]
                if not any(r.gw is not None and r.dst == anywhere for r in routes):
                    routes.append(ResultRoute(anywhere, gateway))
            ips.append(IPConfig(ip.address, gateway, _CONTAINER))
        return tuple(ips), tuple(routes)

    def _become_gateway(self, call: Call, result: Result, bridge: Link) -> Result:
        """Put the gateways' addresses on the bridge, or on its interface in the VLAN."""
        node = call.host.namespace
        on, on_name, failed = bridge, self.bridge, "failed to set bridge addr"
        for family in (4, 6):
            gateways = [
                Cidr(ip.gateway, ip.address.prefixlen)
                for ip in result.ips
                if ip.gateway is not None and ip.address.version == family
            ]
            for gateway in gateways:
                if self.vlan and on is bridge:
                    on_name, failed = f"{self.bridge}.{self.vlan}", _VLAN_ADDRESS
                    on = self._vlan_interface(call, bridge, on_name)
                    shown = ResultInterface(on_name, on.mac)
                    result = replace(result, interfaces=(*result.interfaces, shown))
                try:
                    self._ensure_address(node, on, on_name, gateway)
                except CniError as error:
                    raise CniError(f"{failed}: {error.msg}", hint=error.hint) from error
            if gateways:
                enable_forwarding(node, (family,), failing="failed to enable forwarding")
        return result

    def _ensure_address(self, node: HeldNamespace, link: Link, name: str, wanted: Cidr) -> None:
        rtnl, index = node.rtnl, link.index
        for held in decode.addresses(rtnl, index).get(index, []):
            if held.version != wanted.version:
                continue
            seen = Cidr(ip_address(held.ip.packed), held.network.prefixlen)
            if seen == wanted:
                return
            if held.version == 6 and not (seen.contains(wanted.ip) or wanted.contains(seen.ip)):
                continue
            if not self.force_address:
                raise CniError(
                    f"{quoted(name)} already has an IP address different from {wanted}",
                    hint=f"{name} on node {node.name} has {seen}",
                )
            gone = requests.address(index, seen.ip, seen.prefixlen, delete=True)
            carry_out(
                rtnl, [Step(gone, lambda: f"could not remove IP address from {quoted(name)}")]
            )
        try:
            rtnl.execute(requests.address(index, wanted.ip, wanted.prefixlen))
        except NetlinkError as error:
            if error.errno != errno.EEXIST:
                message = f"could not add IP address to {quoted(name)}: {words(error)}"
                raise CniError(message) from error
        # Without a MAC address of its own, a bridge takes its lowest port's, which may go.
        own = requests.set_link(index, mac=link.mac)
        carry_out(rtnl, [Step(own, lambda: "could not set bridge's mac")])

    def _vlan_interface(self, call: Call, bridge: Link, name: str) -> Link:
        """The bridge's own interface in the VLAN: a pair with both ends on the node."""
        node = call.host.namespace
        link = links.find(node.rtnl, name)
        if link is not None:
            return link
        try:
            pair = veth.create_pair_on_node(call, name, bridge.mtu)
            self._connect(node, bridge, pair)
        except CniError as error:
            why = f"faild to create vlan gateway {quoted(name)}: {error.msg}"
            raise CniError(f"failed to create vlan interface: {why}") from error
        up = interface_setup.up_step(pair.inside.index, f"failed to up {quoted(name)}")
        carry_out(node.rtnl, [up], ask=links.question(pair.inside.index))
        return links.need(node.rtnl, name)

    # --- the result -------------------------------------------------------------------------

    def _final(self, call: Call, result: Result, pair: Pair) -> Result:
        """The result with the MAC addresses as they are now."""
        node = call.host.namespace
        host = links.decode(node.rtnl.link(pair.host_index))
        if not self.interface_stays_down and host.operational != links.OPERATIONAL_UP:
            host = _wait_until_up(node, pair.host_index)
        bridge = links.need(node.rtnl, self.bridge)
        interfaces = (
            replace(result.interfaces[0], mac=bridge.mac),
            replace(result.interfaces[1], mac=host.mac),
            *result.interfaces[2:],
        )
        return replace(result, interfaces=interfaces, dns=self.dns or result.dns)

    def _asked_mac(self, call: Call) -> str:
        runtime, asked = runtime_mac(call), args_mac(call)
        return runtime or self._mac or asked

    def _check_bridge(self, node: HeldNamespace, interface: ResultInterface) -> LinkInfo:
        info = _check_link(node, interface, in_sandbox=False)
        if info.type != "bridge":
            raise CniError(f"Interface {info.name} does not have link type of bridge")
        if interface.mac and interface.mac != info.mac:
            raise CniError(
                f"Bridge interface {info.name} Mac doesn't match: {interface.mac}",
                hint=f"it is {info.mac}",
            )
        promisc = links.need(node.rtnl, info.name).promiscuity != 0
        if promisc != self.promisc:
            raise CniError(
                f"Bridge interface {info.name} configured Promisc Mode "
                f"{str(self.promisc).lower()} doesn't match current state: "
                f"{str(promisc).lower()} "
            )
        return info


_VLAN_ADDRESS = "failed to set vlan interface for bridge with addr"


def _check_link(
    namespace: HeldNamespace, interface: ResultInterface, *, in_sandbox: bool
) -> LinkInfo:
    """The link of an interface of the result, which must be on the right side."""
    if not interface.name:
        raise CniError("Interface name missing ")
    info = interface_check.link_info(namespace.rtnl, interface.name)
    if info is None:
        raise CniError(f"Interface name {interface.name} not found")
    if in_sandbox and not interface.sandbox:
        raise CniError(f"Interface {interface.name} is expected to be in a sandbox")
    if not in_sandbox and interface.sandbox:
        raise CniError(f"Interface {interface.name} should not be in sandbox")
    return info


def _is_peer(
    node: HeldNamespace, interface: ResultInterface, bridge: LinkInfo, end: LinkInfo
) -> bool:
    """Whether an interface of the result is the node's end of the pod's pair."""
    info = _check_link(node, interface, in_sandbox=False)
    if info.type != "veth" or info.parent != end.index or end.parent != info.index:
        return False
    if info.master != bridge.index:
        return False
    if interface.mac and interface.mac != info.mac:
        raise CniError(f"Interface {interface.name} Mac doesn't match: {interface.mac} not found")
    return True


def _wait_until_up(node: HeldNamespace, index: int) -> Link:
    """Wait for a port that is slow to come up, as long as the reference plugin does."""
    link = links.decode(node.rtnl.link(index))
    with contextlib.suppress(tenacity.RetryError):
        for attempt in tenacity.Retrying(
            stop=tenacity.stop_after_delay(2.55),
            wait=tenacity.wait_exponential(0.01, max=0.2),
            retry=tenacity.retry_if_exception_type(LookupError),
        ):
            with attempt:
                link = links.decode(node.rtnl.link(index))
                if link.operational == links.OPERATIONAL_UP:
                    return link
                raise LookupError
    raise CniError(f"bridge port in error state: {_STATES[min(link.operational, 6)]}")


def _trunk(items: Sequence[Conf]) -> list[int]:
    """The VLANs of ``vlanTrunk``, ascending."""
    found: set[int] = set()
    for item in items:
        has_min, has_max = "minID" in item, "maxID" in item
        if has_min != has_max:
            missing = "maxID" if has_min else "minID"
            raise CniError(
                f"minID and maxID should be configured simultaneously, {missing} is missing"
            )
        if has_min:
            low, high = item.whole("minID"), item.whole("maxID")
            if not 0 < low <= 4094:
                raise CniError("incorrect trunk minID parameter")
            if not 0 < high <= 4094:
                raise CniError("incorrect trunk maxID parameter")
            if high < low:
                raise CniError("minID is greater than maxID in trunk parameter")
            found.update(range(low, high + 1))
        if "id" in item:
            number = item.whole("id")
            if not 0 < number <= 4094:
                raise CniError("incorrect trunk id parameter")
            found.add(number)
    return sorted(found)
