"""host-device: a link of the node, moved into the pod (reference plugin: main/host-device)."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

from pytest_multinet.cni.native import interface_check, interface_setup, links
from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.links import Link
from pytest_multinet.cni.native.plugin import Call, Plugin, parse_mac, quoted, words
from pytest_multinet.cni.result import Result, ResultInterface
from pytest_multinet.errors import CniError, NetlinkError
from pytest_multinet.model.nad import NetworkConf
from pytest_multinet.net import decode, requests
from pytest_multinet.net.holder import HeldNamespace
from pytest_multinet.net.requests import Message, attr
from pytest_multinet.net.rtnl import attributes

_IFALIAS = 20


class HostDevice(Plugin):
    """Moves a link by name or MAC address; its name on the node is kept as its alias."""

    def __init__(self, conf: NetworkConf) -> None:
        super().__init__(conf)
        read = Conf(conf.raw)
        self.device = read.text("device")
        self.hwaddr = read.text("hwaddr")
        self.kernel_path = read.text("kernelpath")
        self.pci_address = read.text("pciBusID")
        self.dns = read.dns()

    def beyond(self, call: Call) -> str | None:
        """Devices that are found by bus address need the machine's /sys."""
        runtime = Conf(call.runtime_config, "", path="runtimeConfig")
        if runtime.text("deviceID"):
            return "deviceID"
        if not self.device and not self.hwaddr and self.pci_address and not self.kernel_path:
            return "pciBusID"
        return None

    def add(self, call: Call) -> Result:
        """Move the link in, then configure it."""
        self._specified()
        node, inside = call.host.namespace, call.sandbox.namespace
        try:
            name, link = self._find(node)
        except CniError as error:
            raise CniError(
                f"failed to find host device: {error.msg}",
                hint=f"network {call.network} on node {call.host.name}",
            ) from error
        moved = _move_in(node, inside, name, link, call.ifname)
        interface = ResultInterface(call.ifname, moved.mac, call.sandbox.path)
        if not self.ipam_type:
            inside.rtnl.link(moved.index)
            return Result(interfaces=(interface,))
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
            interface_setup.configure(inside, call.ifname, moved.index, result)
        except CniError:
            interface_setup.release(call, self.ipam_type)
            raise
        return result

    def check(self, call: Call) -> None:
        """Compare MAC, addresses and routes."""
        self._specified()
        if self.ipam_type:
            call.delegation.check(self.ipam_type, call)
        result = interface_check.previous(call)
        interface = interface_check.container_interface(call, result, "Sandbox in prevResult")
        info = interface_check.container_link(call, interface, "")
        interface_check.same_mac(interface, info.mac)
        interface_check.addresses_and_routes(call, result)

    def delete(self, call: Call) -> None:
        """Release the addresses, move the link back; a second DEL does not find it."""
        self._specified()
        if self.ipam_type:
            call.delegation.delete(self.ipam_type, call)
        if call.sandbox.namespace.fd >= 0:
            _move_out(call.sandbox.namespace, call.host.namespace, call.ifname)

    def _specified(self) -> None:
        if not (self.device or self.hwaddr or self.kernel_path or self.pci_address):
            raise CniError('specify either "device", "hwaddr", "kernelpath" or "pciBusID"')

    def _find(self, node: HeldNamespace) -> tuple[str, Link]:
        if self.device:
            return self.device, links.need(node.rtnl, self.device)
        if self.hwaddr:
            try:
                mac = parse_mac(self.hwaddr)
            except ValueError as error:
                message = f"failed to parse MAC address {quoted(self.hwaddr)}: {error}"
                raise CniError(message) from None
            for info in decode.links(node.rtnl):
                if info.mac == mac:
                    return info.name, links.need(node.rtnl, info.name)
            raise CniError("failed to find physical interface")
        if not self.kernel_path.startswith("/sys/devices/"):
            raise CniError(
                f"kernel device path {quoted(self.kernel_path)} must be absolute and begin "
                "with /sys/devices/"
            )
        return self._at(node, Path(self.kernel_path) / "net")

    def _at(self, node: HeldNamespace, folder: Path) -> tuple[str, Link]:
        try:
            names = sorted(entry.name for entry in folder.iterdir())
        except OSError as error:
            reason = f"open {folder}: {(error.strerror or '').lower()}"
            message = f"failed to read directory {folder}: {quoted(reason)}"
            raise CniError(message) from error
        if not names:
            raise CniError(f"failed to find network device in path {folder}")
        return names[0], links.need(node.rtnl, names[0])


def _move_in(
    node: HeldNamespace, inside: HeldNamespace, name: str, link: Link, ifname: str
) -> Link:
    """Move a link into the pod under its new name, up; undone where a step is refused."""
    temporary = f"temp_{link.index}"
    index = link.index

    def on_node(message: Message, failed: str) -> None:
        try:
            node.rtnl.execute(message)
        except NetlinkError as error:
            with contextlib.suppress(NetlinkError):
                node.rtnl.execute(requests.set_link(index, name=name))
            if link.flags & links.UP:
                with contextlib.suppress(NetlinkError):
                    node.rtnl.execute(requests.set_link(index, up=True))
            raise CniError(f"failed to move link {failed}: {words(error)}") from error

    on_node(requests.set_link(index, up=False), f"failed to set {quoted(name)} down")
    on_node(
        requests.set_link(index, name=temporary),
        f"failed to rename device {quoted(name)} to temporary name: "
        f"failed to rename device {quoted(name)} to {quoted(temporary)}",
    )
    on_node(
        requests.set_link(index, ns_fd=inside.fd),
        f"failed to move {quoted(temporary)} to container ns",
    )
    there = links.need(inside.rtnl, temporary).index
    alias = requests.set_link(there)
    alias.body += attr(_IFALIAS, name.encode() + b"\0")
    for message, failed in (
        (alias, f"failed to set alias to {quoted(temporary)}"),
        (
            requests.set_link(there, name=ifname),
            f"failed to rename device {quoted(temporary)} to {quoted(ifname)}",
        ),
        (requests.set_link(there, up=True), f"failed to set {quoted(ifname)} up"),
    ):
        try:
            inside.rtnl.execute(message)
        except NetlinkError as error:
            _back(inside, node, there, temporary, name, up=bool(link.flags & links.UP))
            raise CniError(f"failed to move link {failed}: {words(error)}") from error
    return links.need(inside.rtnl, ifname)


def _back(
    inside: HeldNamespace, node: HeldNamespace, index: int, temporary: str, name: str, *, up: bool
) -> None:
    with contextlib.suppress(NetlinkError, CniError):
        inside.rtnl.execute(requests.set_link(index, up=False))
        inside.rtnl.execute(requests.set_link(index, name=temporary))
        inside.rtnl.execute(requests.set_link(index, ns_fd=node.fd))
        home = links.need(node.rtnl, temporary).index
        node.rtnl.execute(requests.set_link(home, name=name))
        if up:
            node.rtnl.execute(requests.set_link(home, up=True))


def _move_out(inside: HeldNamespace, node: HeldNamespace, ifname: str) -> None:
    """Move the link back to the node, down, under the name that its alias keeps."""
    link = links.find(inside.rtnl, ifname)
    if link is None:
        raise CniError(f"failed to find {quoted(ifname)}: Link not found")
    index, temporary = link.index, f"temp_{link.index}"
    alias = _alias(inside.rtnl.link(index))

    def step(message: Message, failed: str) -> None:
        try:
            inside.rtnl.execute(message)
        except NetlinkError as error:
            raise CniError(f"{failed}: {words(error)}") from error

    step(requests.set_link(index, up=False), f"failed to set {quoted(ifname)} down")
    step(
        requests.set_link(index, name=temporary),
        f"failed to rename device {quoted(ifname)} to temporary name: "
        f"failed to rename device {quoted(ifname)} to {quoted(temporary)}",
    )
    step(
        requests.set_link(index, ns_fd=node.fd),
        f"failed to move {quoted(temporary)} to host netns",
    )
    home = links.need(node.rtnl, temporary).index
    try:
        if not alias:  # not a link that we moved in
            raise NetlinkError(errno.ERANGE, "rename a link to nothing")
        node.rtnl.execute(requests.set_link(home, name=alias))
    except NetlinkError as error:
        node.rtnl.execute(requests.set_link(home, ns_fd=inside.fd))
        back = links.need(inside.rtnl, temporary).index
        inside.rtnl.execute(requests.set_link(back, name=ifname))
        if link.flags & links.UP:
            inside.rtnl.execute(requests.set_link(back, up=True))
        raise CniError(
            f"failed to restore {quoted(temporary)} to original name {quoted(alias)}: "
            f"{words(error)}"
        ) from error


def _alias(body: bytes) -> str:
    for kind, data in attributes(body, 16):
        if kind == _IFALIAS:
            return bytes(data).rstrip(b"\0").decode(errors="replace")
    return ""
