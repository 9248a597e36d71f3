"""ipvlan: an interface that shares its master's MAC address (reference plugin: main/ipvlan)."""

from __future__ import annotations

import struct
from dataclasses import replace

from pytest_multinet.cni.native import interface_check, interface_setup, links, upper_link
from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.default_route import default_route_interface
from pytest_multinet.cni.native.interface_delete import delete_interface
from pytest_multinet.cni.native.plugin import Call, Plugin, quoted
from pytest_multinet.cni.result import Result, ResultInterface
from pytest_multinet.errors import CniError
from pytest_multinet.model.nad import NetworkConf
from pytest_multinet.net.holder import HeldNamespace
from pytest_multinet.net.requests import Message, attr

MODES = {"l2": 0, "l3": 1, "l3s": 2}


class Ipvlan(Plugin):
    """An ipvlan; in a chain without ipam it takes over the previous result's addresses."""

    def __init__(self, conf: NetworkConf) -> None:
        super().__init__(conf)
        read = Conf(conf.raw)
        self.master = read.text("master")
        self.mode = read.text("mode")
        self.mtu = read.whole("mtu")
        self.master_in_container = read.truth("linkInContainer")
        self.dns = read.dns()

    def add(self, call: Call) -> Result:
        """Create the ipvlan, then configure it."""
        name = self._master(call)
        mode = self._known_mode()
        below, inside = self._below(call), call.sandbox.namespace
        master = self._find_master(call, name)

        def make(as_name: str) -> Message:
            fd = None if below is inside else inside.fd
            return new_ipvlan(as_name, master, mode, ns_fd=fd, mtu=max(self.mtu, 0))

        where = f"master {name} on node {call.host.name}"
        link = upper_link.create(call, "ipvlan", below, make, lambda _: where)
        previous = call.prev_result
        takes_over = not self.ipam_type and previous is not None and bool(previous.ips)
        found = previous if takes_over and previous else self._addresses(call)
        interface = ResultInterface(call.ifname, link.mac, call.sandbox.path)
        result = replace(
            found,
            interfaces=(interface,),
            ips=interface_setup.on_interface(found.ips, 0),
            dns=self.dns,
        )
        notify = f"ipv6/conf/{call.ifname}/ndisc_notify"
        try:
            interface_setup.configure(
                inside,
                call.ifname,
                link.index,
                result,
                arp_notify=True,
                settings=((inside, notify, "1"),),
            )
        except CniError:
            if not takes_over:
                interface_setup.release(call, self.ipam_type)
            raise
        return result

    def _addresses(self, call: Call) -> Result:
        found = call.delegation.add(self.ipam_type, call)
        if not found.ips:
            raise CniError("IPAM plugin returned missing IP config")
        return found

    def check(self, call: Call) -> None:
        """Compare mode, MAC, addresses and routes."""
        if self.ipam_type:
            call.delegation.check(self.ipam_type, call)
        result = interface_check.previous(call)
        interface = interface_check.container_interface(call, result, "Sandbox in prevResult")
        self._find_master(call, self.master)
        info = interface_check.container_link(call, interface, "ipvlan")
        mode = self._known_mode()
        if info.mode != mode:
            raise CniError(
                f"Container IPVlan mode {info.mode} does not match expected value: {mode}"
            )
        interface_check.same_mac(interface, info.mac)
        interface_check.addresses_and_routes(call, result)

    def delete(self, call: Call) -> None:
        """Release the addresses, delete the ipvlan."""
        self._master(call)
        if self.ipam_type:
            call.delegation.delete(self.ipam_type, call)
        delete_interface(call)

    def _below(self, call: Call) -> HeldNamespace:
        return call.sandbox.namespace if self.master_in_container else call.host.namespace

    def _master(self, call: Call) -> str:
        if self.master:
            return self.master
        if call.prev_result is None:
            return default_route_interface(self._below(call))
        interfaces = call.prev_result.interfaces
        if len(interfaces) == 1 and interfaces[0].name:
            return interfaces[0].name
        raise CniError("chained master failure. PrevResult lacks a single named interface")

    def _find_master(self, call: Call, name: str) -> int:
        try:
            return links.need(self._below(call).rtnl, name).index
        except CniError as error:
            raise CniError(
                f"failed to lookup master {quoted(name)}: {error.msg}",
                hint=f"network {call.network} on node {call.host.name}",
            ) from error

    def _known_mode(self) -> str:
        mode = self.mode or "l2"
        if mode not in MODES:
            raise CniError(
                f"unknown ipvlan mode: {quoted(mode)}", hint=f"modes: {', '.join(MODES)}"
            )
        return mode


def new_ipvlan(name: str, parent: int, mode: str, *, ns_fd: int | None, mtu: int) -> Message:
    """An ipvlan on the link with index ``parent``, made in ``ns_fd``."""
    # IFLA_IPVLAN_MODE, _FLAGS (0: bridge)
    data = attr(1, struct.pack("=H", MODES[mode])) + attr(2, struct.pack("=H", 0))
    return upper_link.new_link("ipvlan", name, parent=parent, ns_fd=ns_fd, mtu=mtu, data=data)
