"""macvlan: an interface on top of one of the node's (reference plugin: main/macvlan)."""

from __future__ import annotations

import errno
from functools import partial

from pytest_multinet.cni.native import interface_check, interface_setup, links, upper_link
from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.default_route import default_route_interface
from pytest_multinet.cni.native.interface_delete import delete_interface
from pytest_multinet.cni.native.links import Link
from pytest_multinet.cni.native.plugin import Call, Plugin, parse_mac, quoted
from pytest_multinet.cni.native.requested_mac import requested_mac, runtime_mac
from pytest_multinet.cni.result import Result, ResultInterface
from pytest_multinet.errors import CniError, NetlinkError
from pytest_multinet.model.nad import NetworkConf
from pytest_multinet.net import requests
from pytest_multinet.net.holder import HeldNamespace
from pytest_multinet.net.requests import MACVLAN_MODES, Message


class Macvlan(Plugin):
    """A macvlan in one of four modes; the addresses come from the IPAM plugin, if any."""

    def __init__(self, conf: NetworkConf) -> None:
        super().__init__(conf)
        read = Conf(conf.raw)
        self.master = read.text("master")
        self.mode = read.text("mode")
        self.mtu = read.whole("mtu")
        self.mac = read.text("mac")
        self.master_in_container = read.truth("linkInContainer")
        self.dns = read.dns()

    def add(self, call: Call) -> Result:
        """Create the macvlan, then configure it."""
        runtime_mac(call)  # decoded before all else
        name, master = self._master(call)
        mac = requested_mac(call, self.mac)
        link = self._create(call, name, master, mac)
        interface = ResultInterface(call.ifname, link.mac, call.sandbox.path)
        namespace = call.sandbox.namespace
        if not self.ipam_type:
            up = interface_setup.up_step(link.index, f"failed to set {quoted(call.ifname)} UP")
            interface_setup.carry_out(namespace.rtnl, [up], ask=links.question(link.index))
            return Result(interfaces=(interface,), dns=self.dns)
        found = call.delegation.add(self.ipam_type, call)
        if not found.ips:
            raise CniError(
                "IPAM plugin returned missing IP config",
                hint=f"the ipam {self.ipam_type} of network {call.network} gave no address: "
                "write one into its configuration or ask for one in the pod's annotation (ips)",
            )
        result = Result(
            interfaces=(interface,),
            ips=interface_setup.on_interface(found.ips, 0),
            routes=found.routes,
            dns=self.dns,
        )
        notify = f"ipv6/conf/{call.ifname}/ndisc_notify"
        try:
            interface_setup.configure(
                namespace,
                call.ifname,
                link.index,
                result,
                arp_notify=True,
                settings=((namespace, notify, "1"),),
            )
        except CniError as error:
            interface_setup.release(call, self.ipam_type)
            self._explain(error, call, name, link)
            raise
        return result

    def delete(self, call: Call) -> None:
        """Release the addresses, delete the macvlan; what ADD could not decode is refused too."""
        runtime_mac(call, self.told_by("DEL", "failed to load netconf: "))
        if self.ipam_type:
            call.delegation.delete(self.ipam_type, call)
        delete_interface(call)

    @classmethod
    def told_by(cls, command: str, message: str) -> str:
        """DEL spells it in its own way."""
        if command != "DEL":
            return message
        return message.replace("failed to load netconf", "failed to load netConf")

    def check(self, call: Call) -> None:
        """Compare mode, MAC, addresses and routes."""
        runtime_mac(call)
        name, _ = self._master(call)
        requested_mac(call, self.mac)
        if self.ipam_type:
            call.delegation.check(self.ipam_type, call)
        result = interface_check.previous(call, "required prevResult missing")
        interface = interface_check.container_interface(call, result, "sandbox in prevResult")
        info = interface_check.link_info(call.sandbox.namespace.rtnl, interface.name)
        if info is None:
            raise CniError(f"container Interface name in prevResult: {interface.name} not found")
        if info.type != "macvlan":
            raise CniError(f"error: Container interface {info.name} not of type macvlan")
        mode = self._known_mode()
        if info.mode != mode:
            raise CniError(
                f"container macvlan mode {info.mode} does not match expected value: {mode}",
                hint=f"master {name}",
            )
        if interface.mac and interface.mac != info.mac:
            raise CniError(
                f"interface {interface.name} Mac {interface.mac} doesn't match "
                f"container Mac: {info.mac}"
            )
        interface_check.addresses_and_routes(call, result)

    def _master(self, call: Call) -> tuple[str, Link]:
        """The master, checked against the MTU that is asked for."""
        namespace = self._below(call)
        name = self.master or default_route_interface(namespace)
        where = "the pod" if self.master_in_container else f"node {call.host.name}"
        missing = f"master {quoted(name)} of network {call.network} is not on {where}"
        master = links.need(namespace.rtnl, name, missing)
        if not 0 <= self.mtu <= master.mtu:
            raise CniError(
                f"invalid MTU {self.mtu}, must be [0, master MTU({master.mtu})]",
                hint=f"the master of network {call.network} is {name} on {where}",
            )
        return name, master

    def _below(self, call: Call) -> HeldNamespace:
        return call.sandbox.namespace if self.master_in_container else call.host.namespace

    def _known_mode(self) -> str:
        mode = self.mode or "bridge"
        if mode not in MACVLAN_MODES:
            raise CniError(
                f"unknown macvlan mode: {quoted(mode)}",
                hint=f"modes: {', '.join(MACVLAN_MODES)}",
            )
        return mode

    def _create(self, call: Call, name: str, master: Link, mac: str) -> Link:
        mode = self._known_mode()
        address = None
        if mac:
            try:
                address = parse_mac(mac)
            except ValueError as error:
                raise CniError(f"invalid args {mac} for MAC addr: {error}") from None
        below, inside = self._below(call), call.sandbox.namespace

        def make(as_name: str) -> Message:
            return requests.macvlan(
                as_name,
                master.index,
                mode=mode,
                ns_fd=None if below is inside else inside.fd,
                mtu=self.mtu or None,
                mac=address,
                queue_length=0,
            )

        explain = partial(self._why_not_created, call=call, name=name, mode=mode)
        return upper_link.create(call, "macvlan", below, make, explain)

    def _why_not_created(self, error: NetlinkError, call: Call, name: str, mode: str) -> str:
        where = f"master {name} on node {call.host.name}"
        if error.errno == errno.EINVAL:
            what = "takes no second macvlan" if mode == "passthru" else "may be in passthru mode"
            return f"{where} {what}: passthru gives the master to one pod alone"
        if error.errno == errno.EADDRNOTAVAIL:
            return f"the MAC address is none that an interface may have (multicast?); {where}"
        if error.errno == errno.EBUSY:
            return f"{where} is enslaved to a bridge or carries an ipvlan"
        return where

    def _explain(self, error: CniError, call: Call, name: str, link: Link) -> None:
        cause = error.__cause__
        if isinstance(cause, NetlinkError) and cause.errno == errno.EADDRINUSE:
            error.hint = (
                f"another interface on master {name} of node {call.host.name} "
                f"has the MAC address {link.mac}"
            )
