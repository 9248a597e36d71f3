"""vrf: puts the pod's interface into a routing domain of its own (reference: meta/vrf)."""

from __future__ import annotations

from itertools import count

from pytest_multinet.cni.addresses import IPAddress
from pytest_multinet.cni.native import link_routes, links, upper_link
from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.links import Link
from pytest_multinet.cni.native.plugin import Call, Plugin, words
from pytest_multinet.cni.result import Result
from pytest_multinet.errors import CniError, NetlinkError
from pytest_multinet.model.nad import NetworkConf
from pytest_multinet.net import decode, requests
from pytest_multinet.net.requests import Message, u32
from pytest_multinet.net.rtnl import Rtnl, attributes

_IFLA_LINKINFO, _INFO_KIND, _INFO_DATA, _VRF_TABLE = 18, 1, 2, 1


class Vrf(Plugin):
    """Makes the VRF where it is missing; the last interface that leaves takes it along."""

    since = "0.3.1"

    def __init__(self, conf: NetworkConf) -> None:
        super().__init__(conf)
        read = Conf(conf.raw, "VRFNetConf")
        self.name = read.text("vrfname")
        self.table = read.unsigned("table", 32)
        if not self.name:
            raise CniError("configuration is expected to have a valid vrf name")

    def add(self, call: Call) -> Result:
        """Put the interface into the VRF, its addresses and routes along with it."""
        if call.prev_result is None:
            raise CniError("missing prevResult from earlier plugin")
        try:
            self._add(call.sandbox.namespace.rtnl, call.ifname)
        except CniError as error:
            raise CniError(f"cmdAdd failed: {error.msg}", hint=error.hint) from error
        return call.prev_result

    def check(self, call: Call) -> None:
        """The interface belongs to the VRF."""
        if call.prev_result is None:
            raise CniError("missing prevResult from earlier plugin")
        rtnl = call.sandbox.namespace.rtnl
        index, _ = _need_vrf(rtnl, self.name)
        if not any(i.name == call.ifname and i.master == index for i in decode.links(rtnl)):
            raise CniError(f"failed to find {call.ifname} associated to vrf {self.name}")

    def delete(self, call: Call) -> None:
        """Take the interface out of the VRF, and the VRF away after its last one."""
        if call.sandbox.namespace.fd < 0:
            return
        rtnl = call.sandbox.namespace.rtnl
        if _find(rtnl, self.name) is None:
            return
        index, _ = _need_vrf(rtnl, self.name)
        link = links.find(rtnl, call.ifname)
        if link is None:
            raise CniError(f"resetMaster: could not get link by name {call.ifname}")
        try:
            rtnl.execute(requests.set_link(link.index, master=0))
        except NetlinkError as error:
            raise CniError(f"resetMaster: could reset master to {call.ifname}") from error
        if any(other.master == index for other in decode.links(rtnl)):
            return
        try:
            rtnl.execute(requests.delete_link(index))
        except NetlinkError as error:
            raise CniError(words(error)) from error

    def _add(self, rtnl: Rtnl, ifname: str) -> None:
        if _find(rtnl, self.name) is None:
            index, table = self._create(rtnl)
        else:
            index, table = _need_vrf(rtnl, self.name)
            if self.table and self.table != table:
                raise CniError(
                    f"VRF {self.name} already exist with different routing table {table}"
                )
        self._enslave(rtnl, ifname, index, table)

    def _create(self, rtnl: Rtnl) -> tuple[int, int]:
        table = self.table or _free_table(rtnl)
        try:
            rtnl.execute(new_vrf(self.name, table))
        except NetlinkError as error:
            upper_link.need_kind(error, "vrf")
            raise CniError(f"could not add VRF {self.name}: {words(error)}") from error
        index = links.need(rtnl, self.name).index
        try:
            rtnl.execute(requests.set_link(index, up=True))
        except NetlinkError as error:
            raise CniError(f"could not set link up for VRF {self.name}: {words(error)}") from error
        return index, table

    def _enslave(self, rtnl: Rtnl, ifname: str, index: int, table: int) -> None:
        """Make the VRF the interface's master, and give back what that takes from it."""
        link = links.find(rtnl, ifname)
        if link is None:
            raise CniError(f"could not get link by name {ifname}")
        if link.master:
            names = {other.index: other.name for other in decode.links(rtnl)}
            raise CniError(
                f"interface {ifname} has already a master set: {names.get(link.master, '')}"
            )
        before = _ipv6_addresses(rtnl, link)
        routes = [r for r in link_routes.of_link(rtnl, link.index) if r.scope == 0]
        try:
            rtnl.execute(requests.set_link(link.index, master=index))
        except NetlinkError as error:
            raise CniError(
                f"could not set vrf {self.name} as master of {ifname}: {words(error)}"
            ) from error
        kept = _ipv6_addresses(rtnl, link)
        for address in before:
            if address not in kept:
                self._restore(rtnl, ifname, link.index, address)
        for route in routes:
            try:
                rtnl.execute(route.copy(table))
            except NetlinkError as error:
                raise CniError(f"could not add route '{route.dst}': {words(error)}") from error

    def _restore(
        self, rtnl: Rtnl, ifname: str, index: int, address: tuple[IPAddress, int]
    ) -> None:
        try:
            rtnl.execute(requests.address(index, *address))
        except NetlinkError as error:
            raise CniError(
                f"could not restore address {address[0]}/{address[1]} to {ifname} @ {self.name}: "
                f"{words(error)}"
            ) from error


def new_vrf(name: str, table: int) -> Message:
    """A VRF whose routes are in ``table``."""
    data = u32(_VRF_TABLE, table)
    return upper_link.new_link("vrf", name, parent=None, ns_fd=None, mtu=0, data=data)


def vrf_table(body: bytes) -> int | None:
    """The table of a VRF, ``None`` for any other link; ``body`` is an ``ifinfomsg``."""
    for kind, data in attributes(body, 16):
        if kind == _IFLA_LINKINFO:
            info = {k: bytes(value) for k, value in attributes(data, 0)}
            if info.get(_INFO_KIND, b"").rstrip(b"\0") != b"vrf":
                return None
            options = {k: bytes(v) for k, v in attributes(info.get(_INFO_DATA, b""), 0)}
            return int.from_bytes(options.get(_VRF_TABLE, bytes(4)), "little")
    return None


def _find(rtnl: Rtnl, name: str) -> Link | None:
    """The link of that name; a name that no link can have is refused."""
    try:
        return links.need(rtnl, name)
    except CniError as error:
        if error.msg == links.NOT_FOUND:
            return None
        raise


def _need_vrf(rtnl: Rtnl, name: str) -> tuple[int, int]:
    """Index and table of the VRF of that name."""
    index = links.need(rtnl, name).index
    table = vrf_table(rtnl.link(index))
    if table is None:
        raise CniError(f"Netlink {name} is not a VRF")
    return index, table


def _free_table(rtnl: Rtnl) -> int:
    taken = {vrf_table(rtnl.link(link.index)) for link in decode.links(rtnl)}
    return next(table for table in count(1) if table not in taken)


def _ipv6_addresses(rtnl: Rtnl, link: Link) -> list[tuple[IPAddress, int]]:
    held = decode.addresses(rtnl, link.index).get(link.index, [])
    return [(a.ip, a.network.prefixlen) for a in held if a.version == 6]
