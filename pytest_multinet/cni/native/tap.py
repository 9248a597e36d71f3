"""tap: a tap device for a virtual machine's network card (reference plugin: main/tap).

Unless the configuration names both owner and group, the real plugin leaves the work to ip(8), and
passes on what that says of a refusal.
"""

from __future__ import annotations

import errno
import os
import re

from pytest_multinet.cni.native import interface_check, interface_setup, links
from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.interface_delete import delete_interface
from pytest_multinet.cni.native.links import Link
from pytest_multinet.cni.native.plugin import Call, Plugin, parse_mac, words
from pytest_multinet.cni.native.requested_mac import requested_mac
from pytest_multinet.cni.native.sysctl import try_sysctls
from pytest_multinet.cni.result import Result, ResultInterface
from pytest_multinet.errors import CniError, NeedsCapability, NetlinkError
from pytest_multinet.model.nad import NetworkConf
from pytest_multinet.net import requests
from pytest_multinet.net.holder import HeldNamespace

_TAP, _MULTI_QUEUE, _NO_PI, _VNET_HDR = 0x2, 0x100, 0x1000, 0x4000  # linux/if_tun.h
_NO_DEVICE = (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EACCES, errno.EPERM)
_BYTE = re.compile(r"[ \t]*(0[xX])?([0-9a-fA-F]+)").match


class Tap(Plugin):
    """A tap device, with the addresses of the IPAM plugin, if any."""

    def __init__(self, conf: NetworkConf) -> None:
        super().__init__(conf)
        read = Conf(conf.raw)
        self.multi_queue = read.truth("multiQueue")
        self.mtu = read.whole("mtu")
        self.mac = read.text("mac")
        self.owner = read.unsigned("owner", 32) if "owner" in read else None
        self.group = read.unsigned("group", 32) if "group" in read else None
        self.label = read.text("selinuxContext")
        self.bridge = read.text("bridge")
        read.child("args", kind="struct {}")
        self.dns = read.dns()

    def beyond(self, call: Call) -> str | None:
        """A label takes a machine with SELinux."""
        return "selinuxContext" if self.label else None

    def add(self, call: Call) -> Result:
        """Create the device, then configure it."""
        mac = requested_mac(call, self.mac)
        namespace, name = call.sandbox.namespace, call.ifname
        link = self._create(namespace, name, mac)
        interface = ResultInterface(name, link.mac, call.sandbox.path)
        if not self.ipam_type:
            return Result(interfaces=(interface,), dns=self.dns)
        found = call.delegation.add(self.ipam_type, call)
        if not found.ips:
            raise CniError("IPAM plugin returned missing IP config")
        result = Result(
            interfaces=(interface,),
            ips=interface_setup.on_interface(found.ips, 0),
            routes=found.routes,
            dns=self.dns,
        )
        try:
            try_sysctls([(namespace, f"ipv4/conf/{name}/arp_notify", "1")])
            interface_setup.configure(namespace, name, link.index, result)
        except CniError:
            interface_setup.release(call, self.ipam_type)
            raise
        return result

    def check(self, call: Call) -> None:
        """Compare addresses and routes."""
        requested_mac(call, self.mac)
        if self.ipam_type:
            call.delegation.check(self.ipam_type, call)
        result = interface_check.previous(call)
        interface_check.container_interface(call, result, "Sandbox in prevResult")
        interface_check.addresses_and_routes(call, result)

    def delete(self, call: Call) -> None:
        """Release the addresses, delete the device."""
        requested_mac(call, self.mac)
        if self.ipam_type:
            call.delegation.delete(self.ipam_type, call)
        delete_interface(call)

    def _create(self, namespace: HeldNamespace, name: str, mac: str) -> Link:
        """The device under its name; where that is taken, the real plugin takes that link."""
        rtnl = namespace.rtnl
        temporary = f"veth{os.urandom(4).hex()}"
        if self.owner is None or self.group is None:
            self._as_ip_does(namespace, temporary, mac)
        else:
            self._with_owner_and_group(namespace, temporary, mac)
        try:
            index = links.need(rtnl, temporary).index
            rtnl.execute(requests.set_link(index, name=name))
        except NetlinkError:
            pass  # the real plugin does not look either
        link = links.need(rtnl, name)
        if self.bridge:
            self._enslave(namespace, link, name)
        try:
            rtnl.execute(requests.set_link(link.index, up=True))
        except NetlinkError as error:
            raise CniError(f"failed to set tap interface up: {words(error)}") from error
        return link

    def _enslave(self, namespace: HeldNamespace, link: Link, name: str) -> None:
        bridge = links.find(namespace.rtnl, self.bridge)
        if bridge is None:
            raise CniError(
                f"failed to get bridge {self.bridge}: Link not found",
                hint="the bridge of a tap device is one in the pod",
            )
        try:
            namespace.rtnl.execute(requests.set_link(link.index, master=bridge.index))
        except NetlinkError as error:
            raise CniError(
                f"failed to set tap {name} as a port of bridge {self.bridge}: {words(error)}"
            ) from error

    def _with_owner_and_group(self, namespace: HeldNamespace, name: str, mac: str) -> None:
        """The real plugin looks at the MAC address, and uses neither it nor the MTU."""
        if mac:
            try:
                parse_mac(mac)
            except ValueError as error:
                raise CniError(f"invalid args {mac} for MAC addr: {error}") from None
        flags = _TAP | _VNET_HDR | (_MULTI_QUEUE | _NO_PI if self.multi_queue else 0)
        try:
            namespace.tap(name, flags, self.owner, self.group)
        except NetlinkError as error:
            _need_device(error)
            raise CniError(
                f"failed to create tap: Tuntap IOCTL TUNSETOWNER failed [0], errno {words(error)}",
                hint="owner and group must exist in the user namespace of the cluster",
            ) from error

    def _as_ip_does(self, namespace: HeldNamespace, name: str, mac: str) -> None:
        flags = _TAP | _NO_PI | (_MULTI_QUEUE if self.multi_queue else 0)
        try:
            namespace.tap(name, flags, self.owner, self.group)
        except NetlinkError as error:
            _need_device(error)
            which = "TUNSETOWNER" if self.owner is not None else "TUNSETGROUP"
            raise _ip_said(f"ioctl({which}): {os.strerror(error.errno)}", 1) from error
        if not mac and not self.mtu:
            return
        address = _as_ip_reads(mac) if mac else None
        index = links.need(namespace.rtnl, name).index
        mtu = self.mtu & 0xFFFFFFFF if self.mtu else None
        try:
            namespace.rtnl.execute(requests.set_link(index, mtu=mtu, mac=address))
        except NetlinkError as error:
            _, bracket, said = error.strerror.partition(" (")
            refusal = f"RTNETLINK answers: {os.strerror(error.errno)}"
            raise _ip_said(f"Error: {said[:-1]}." if bracket else refusal, 2) from error


def _need_device(error: NetlinkError) -> None:
    """Tell a machine without ``/dev/net/tun`` for us from a refusal of this device.

    Raises:
        NeedsCapability: it cannot be opened.
    """
    if error.errno in _NO_DEVICE and "/dev/net/tun" in error.what:
        raise NeedsCapability(
            "tun",
            f"/dev/net/tun: {error.strerror} (modprobe tun? a user needs write access to it)",
        ) from error


def _ip_said(text: str, code: int) -> CniError:
    return CniError(f"failed to run command {text}\n: exit status {code}")


def _as_ip_reads(mac: str) -> str:
    """A hardware address as ip(8) reads it: hexadecimal bytes between colons.

    Raises:
        CniError: it is none.
    """
    if "." in mac:
        raise _ip_said(f'"{mac}" is invalid lladdr.', 1)
    numbers: list[int] = []
    for part in mac.split(":"):
        found = _BYTE(part)
        if found is None or int(found[2], 16) > 255:
            raise _ip_said(f'"{part}" is invalid lladdr.', 1)
        numbers.append(int(found[2], 16))
    if len(numbers) != 6:
        raise _ip_said(f"Invalid address length {len(numbers)} - must be 6 bytes", 1)
    return bytes(numbers).hex(":")
