"""dummy: an interface that leads nowhere (reference plugin: main/dummy)."""

from __future__ import annotations

from pytest_multinet.cni.native import interface_check, interface_setup, links, upper_link
from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.interface_delete import delete_interface
from pytest_multinet.cni.native.plugin import Call, Plugin, words
from pytest_multinet.cni.result import Result, ResultInterface
from pytest_multinet.errors import CniError, NetlinkError
from pytest_multinet.model.nad import NetworkConf


class Dummy(Plugin):
    """A dummy interface with the addresses of the IPAM plugin."""

    def __init__(self, conf: NetworkConf) -> None:
        super().__init__(conf)
        Conf(conf.raw, prefix="failed to parse network config: ").dns()

    def add(self, call: Call) -> Result:
        """Create the interface, then configure it."""
        self._need_ipam()
        rtnl, fd = call.sandbox.namespace.rtnl, call.sandbox.namespace.fd
        message = upper_link.new_link("dummy", call.ifname, parent=None, ns_fd=fd, mtu=0)
        try:
            rtnl.execute(message)
        except NetlinkError as error:
            upper_link.need_kind(error, "dummy")
            raise CniError(f"failed to create dummy: {words(error)}") from error
        link = links.need(rtnl, call.ifname)
        found = call.delegation.add(self.ipam_type, call)
        if not found.ips:
            raise CniError("IPAM plugin returned missing IP config")
        result = Result(
            interfaces=(ResultInterface(call.ifname, link.mac, call.sandbox.path),),
            ips=interface_setup.on_interface(found.ips, 0),
            routes=found.routes,
            dns=found.dns,
        )
        try:
            interface_setup.configure(call.sandbox.namespace, call.ifname, link.index, result)
        except CniError:
            interface_setup.release(call, self.ipam_type)
            raise
        return result

    def check(self, call: Call) -> None:
        """Compare MAC, state and addresses."""
        self._need_ipam()
        call.delegation.check(self.ipam_type, call)
        result = interface_check.previous(call, "dummy: Required prevResult missing")
        interface = interface_check.container_interface(call, result, "Sandbox in prevResult")
        info = interface_check.container_link(call, interface, "dummy")
        interface_check.same_mac(interface, info.mac)
        if not info.up:
            raise CniError(f"Interface {info.name} is down")
        interface_check.addresses_and_routes(call, Result(ips=result.ips))

    def delete(self, call: Call) -> None:
        """Release the addresses, delete the interface."""
        call.delegation.delete(self.ipam_type, call)
        delete_interface(call)

    def _need_ipam(self) -> None:
        if not self.ipam_type:
            raise CniError("dummy interface requires an IPAM configuration")
