"""vlan: an interface in an 802.1Q VLAN of its master (reference plugin: main/vlan)."""

from __future__ import annotations

import struct

from pytest_multinet.cni.native import interface_check, interface_setup, links, upper_link
from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.interface_delete import delete_interface
from pytest_multinet.cni.native.links import Link
from pytest_multinet.cni.native.plugin import Call, Plugin, quoted
from pytest_multinet.cni.result import Result, ResultInterface
from pytest_multinet.errors import CniError
from pytest_multinet.model.nad import NetworkConf
from pytest_multinet.net.holder import HeldNamespace
from pytest_multinet.net.requests import Message, attr


class Vlan(Plugin):
    """A VLAN interface with the addresses of the IPAM plugin."""

    def __init__(self, conf: NetworkConf) -> None:
        super().__init__(conf)
        read = Conf(conf.raw)
        self.master = read.text("master")
        self.vlan = read.whole("vlanId")
        self.mtu = read.whole("mtu")
        self.master_in_container = read.truth("linkInContainer")
        self.dns = read.dns()

    def add(self, call: Call) -> Result:
        """Create the VLAN interface, then configure it."""
        master = self._master(call)
        below, inside = self._below(call), call.sandbox.namespace

        def make(as_name: str) -> Message:
            fd = None if below is inside else inside.fd
            return new_vlan(as_name, master.index, self.vlan, ns_fd=fd, mtu=self.mtu)

        where = f"master {self.master} on node {call.host.name}"
        link = upper_link.create(call, "vlan", below, make, lambda _: where)
        try:
            found = call.delegation.add(self.ipam_type, call)
        except CniError as error:
            message = f"failed to execute IPAM delegate: {error.msg}"
            raise CniError(message, hint=error.hint) from error
        if not found.ips:
            raise CniError("IPAM plugin returned missing IP config")
        result = Result(
            interfaces=(ResultInterface(call.ifname, link.mac, call.sandbox.path),),
            ips=interface_setup.on_interface(found.ips, 0),
            routes=found.routes,
            dns=self.dns,
        )
        try:
            interface_setup.configure(inside, call.ifname, link.index, result)
        except CniError:
            interface_setup.release(call, self.ipam_type)
            raise
        return result

    def check(self, call: Call) -> None:
        """Compare MAC, VLAN, MTU, addresses and routes."""
        call.delegation.check(self.ipam_type, call)
        result = interface_check.previous(call, "vlan: Required prevResult missing")
        interface = interface_check.container_interface(call, result, "Sandbox in prevResult")
        if links.find(self._below(call).rtnl, self.master) is None:
            raise CniError(f"failed to lookup master {quoted(self.master)}: Link not found")
        info = interface_check.container_link(call, interface, "vlan", "vlan: ")
        interface_check.same_mac(interface, info.mac, "vlan: ")
        if self.mtu and self.mtu != info.mtu:
            raise CniError(
                f"Error: Tuning configured MTU of {info.name} is {self.mtu}, "
                f"current value is {info.mtu}"
            )
        interface_check.addresses_and_routes(call, result)

    def delete(self, call: Call) -> None:
        """Release the addresses, delete the interface; the master must still be there."""
        self._master(call)
        call.delegation.delete(self.ipam_type, call)
        delete_interface(call)

    def _below(self, call: Call) -> HeldNamespace:
        return call.sandbox.namespace if self.master_in_container else call.host.namespace

    def _master(self, call: Call) -> Link:
        if not self.master:
            raise CniError(
                '"master" field is required. It specifies the host interface name to create '
                "the VLAN for"
            )
        if not 0 <= self.vlan <= 4094:
            raise CniError(f"invalid VLAN ID {self.vlan} (must be between 0 and 4095 inclusive)")
        where = "the pod" if self.master_in_container else f"node {call.host.name}"
        missing = f"master {quoted(self.master)} of network {call.network} is not on {where}"
        master = links.need(self._below(call).rtnl, self.master, missing)
        if not 0 <= self.mtu <= master.mtu:
            raise CniError(f"invalid MTU {self.mtu}, must be [0, master MTU({master.mtu})]")
        return master


def new_vlan(name: str, parent: int, vlan: int, *, ns_fd: int | None, mtu: int) -> Message:
    """An interface in a VLAN of the link with index ``parent``, made in ``ns_fd``."""
    data = attr(1, struct.pack("=H", vlan))  # IFLA_VLAN_ID
    return upper_link.new_link("vlan", name, parent=parent, ns_fd=ns_fd, mtu=mtu, data=data)
