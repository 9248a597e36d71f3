"""tuning: sysctls and attributes of an interface (reference plugin: meta/tuning)."""

from __future__ import annotations

import errno
import posixpath
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from pytest_multinet.cni.native import links
from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.links import ALLMULTI, Link
from pytest_multinet.cni.native.plugin import Call, Plugin, parse_mac, quoted, words
from pytest_multinet.cni.native.requested_mac import requested_mac
from pytest_multinet.cni.native.sysctl import sysctls
from pytest_multinet.cni.result import Result
from pytest_multinet.errors import CniError, NetlinkError
from pytest_multinet.model.nad import NetworkConf
from pytest_multinet.net import requests
from pytest_multinet.net.requests import Message, u32
from pytest_multinet.net.rtnl import Rtnl

T = TypeVar("T")
_STATE = "tuning"
_DATA_DIR = "/run/cni/tuning"
_ROOT = "/proc/sys"
_MAX = 0xFFFFFFFF
_LINK = struct.Struct("=BxHiII").pack


@dataclass(frozen=True, slots=True)
class Attributes:
    """Attributes to set on an interface, or to give back; ``None`` leaves one alone."""

    mac: str | None = None
    promisc: bool | None = None
    mtu: int | None = None
    allmulti: bool | None = None
    queue_length: int | None = None

    def __bool__(self) -> bool:
        return self != _NOTHING


_NOTHING = Attributes()


class Tuning(Plugin):
    """Sets; DEL gives the attributes back (the sysctls stay, as with the real plugin)."""

    def __init__(self, conf: NetworkConf) -> None:
        super().__init__(conf)
        read = Conf(conf.raw, "TuningConf")
        own_sysctl = read.text_map("sysctl")  # first, as ADD decodes it first
        self._data_dir = read.text("dataDir") or _DATA_DIR
        args = read.child("args").child("cni", "IPAMArgs")
        self.sysctl = {**own_sysctl, **args.text_map("sysctl")}
        self._mac = read.text("mac")
        self._args_mac = args.text("mac") if "mac" in args else None
        self._attributes = Attributes(
            promisc=_either(args, read, "promisc", Conf.truth) or None,
            mtu=_either(args, read, "mtu", Conf.whole) or None,
            allmulti=_either(args, read, "allmulti", Conf.truth),
            queue_length=_either(args, read, "txQLen", Conf.whole),
        )

    def add(self, call: Call) -> Result:
        """Set sysctls, then attributes; the result gets a new MAC address."""
        wanted = self._wanted(call)
        if call.prev_result is None:
            raise CniError("Required prevResult missing")
        self._set_sysctls(call)
        if not wanted:
            return call.prev_result
        rtnl = call.sandbox.namespace.rtnl
        link = links.find(rtnl, call.ifname)
        if link is None:
            raise CniError(f"failed to get {quoted(call.ifname)}: Link not found")
        self._backups(call)[self._key(call)] = _before(link, wanted)
        _change(rtnl, call.ifname, wanted)
        if wanted.mac is None:
            return call.prev_result
        interfaces = tuple(
            replace(i, mac=wanted.mac) if i.name == call.ifname else i
            for i in call.prev_result.interfaces
        )
        return replace(call.prev_result, interfaces=interfaces)

    def check(self, call: Call) -> None:
        """Compare sysctls and attributes."""
        wanted = self._wanted(call)
        if call.prev_result is None:
            raise CniError("Required prevResult missing")
        namespace = call.sandbox.namespace
        for key, value in self.sysctl.items():
            path = _sysctl_path(key, call.ifname)
            current = _sysctl(call, path, None)
            if current != value:
                raise CniError(
                    f"Error: Tuning configured value of {_ROOT}/net/{path} is {value}, "
                    f"current value is {current}"
                )
        link = links.find(namespace.rtnl, call.ifname)
        if link is None:
            raise CniError(f"Cannot find container link {call.ifname}")
        _compare(call.ifname, wanted, link)

    def delete(self, call: Call) -> None:
        """Give the attributes back; whatever goes wrong, the real plugin does not say so."""
        self._wanted(call)  # it does say what it cannot decode
        before = self._backups(call).get(self._key(call))
        if before is None or call.sandbox.namespace.fd < 0:
            return
        rtnl = call.sandbox.namespace.rtnl
        if links.find(rtnl, call.ifname) is None:
            return
        given_back = [_try_change(rtnl, call.ifname, step) for step in _one_by_one(before)]
        if all(given_back):
            del self._backups(call)[self._key(call)]

    @classmethod
    def told_by(cls, command: str, message: str) -> str:
        """ADD decodes ``sysctl`` apart, before all else, to refuse a key given twice."""
        before, found, kind = message.partition("TuningConf.sysctl of type ")
        if command != "ADD" or not found:
            return message
        kind = kind.replace("map[string]", "map[main.sysctlKey]")
        before = before.removeprefix("failed to load netconf: ")
        return f"{before}sysctlCheck.sysctl of type {kind}"

    def _backups(self, call: Call) -> dict[str, Attributes]:
        return call.host.state.setdefault(_STATE, {})

    def _key(self, call: Call) -> str:
        return posixpath.join(self._data_dir, f"{call.container_id}_{call.ifname}.json")

    def _wanted(self, call: Call) -> Attributes:
        mac = requested_mac(call, self._mac)
        if self._args_mac is not None:
            mac = self._args_mac
        return replace(self._attributes, mac=mac) if mac else self._attributes

    def _set_sysctls(self, call: Call) -> None:
        if not self.sysctl:
            return
        namespace = call.sandbox.namespace
        wanted = [(_sysctl_path(key, call.ifname), value) for key, value in self.sysctl.items()]
        if len(wanted) > 1:
            try:
                sysctls([(namespace, path, value) for path, value in wanted])
            except NetlinkError:
                pass  # find out which, below
            else:
                return
        for path, value in wanted:
            _sysctl(call, path, value)


def _either(args: Conf, conf: Conf, key: str, read: Callable[[Conf, str], T]) -> T | None:
    """The value of ``args.cni``, else that of the configuration; both must be decodable."""
    written, asked = read(conf, key), read(args, key)
    if key in args:
        return asked
    return written if key in conf else None


def _sysctl_path(key: str, ifname: str) -> str:
    """The path of a setting below ``/proc/sys/net``.

    Raises:
        CniError: it lies elsewhere.
    """
    key = key.replace(".", "/").replace("IFNAME", ifname, 1)
    path = posixpath.normpath(f"{_ROOT}/{key}")
    if not path.startswith(f"{_ROOT}/net/"):
        raise CniError(
            f"invalid net sysctl key: {quoted(key)}", hint="tuning sets net.* in the pod alone"
        )
    return path.removeprefix(f"{_ROOT}/net/")


def _sysctl(call: Call, path: str, value: str | None) -> str:
    try:
        return call.sandbox.namespace.sysctl(path, value)
    except NetlinkError as error:
        at_open = value is None or error.errno in (errno.ENOENT, errno.EACCES)
        verb = "open" if at_open else "write"
        raise CniError(f"{verb} {_ROOT}/net/{path}: {words(error)}") from error


def _before(link: Link, wanted: Attributes) -> Attributes:
    return Attributes(
        mac=link.mac if wanted.mac is not None else None,
        promisc=link.promiscuity != 0 if wanted.promisc is not None else None,
        mtu=link.mtu if wanted.mtu is not None else None,
        allmulti=bool(link.flags & ALLMULTI) if wanted.allmulti is not None else None,
        queue_length=link.queue_length if wanted.queue_length is not None else None,
    )


def _one_by_one(wanted: Attributes) -> list[Attributes]:
    """Each attribute alone, in the order in which they are given back."""
    each = (
        Attributes(mtu=wanted.mtu),
        Attributes(mac=wanted.mac),
        Attributes(promisc=wanted.promisc),
        Attributes(allmulti=wanted.allmulti),
        Attributes(queue_length=wanted.queue_length),
    )
    return [attributes for attributes in each if attributes]


def _change(rtnl: Rtnl, ifname: str, wanted: Attributes) -> None:
    """Set attributes in the reference's order, each by a request of its own."""
    index = links.need(rtnl, ifname).index
    messages: list[Message] = []
    if wanted.mac is not None:
        try:
            messages.append(requests.set_link(index, mac=parse_mac(wanted.mac)))
        except ValueError as error:
            raise CniError(f"invalid args {wanted.mac} for MAC addr: {error}") from None
    if wanted.promisc is not None:
        messages.append(requests.set_link(index, promisc=wanted.promisc))
    if wanted.mtu is not None:
        messages.append(requests.set_link(index, mtu=wanted.mtu & _MAX))
    if wanted.allmulti is not None:
        body = _LINK(0, 0, index, ALLMULTI if wanted.allmulti else 0, ALLMULTI)
        messages.append(Message(requests.RTM_NEWLINK, 0, body, f"set allmulti on {ifname}"))
    if wanted.queue_length is not None:
        body = _LINK(0, 0, index, 0, 0) + u32(13, wanted.queue_length & _MAX)  # IFLA_TXQLEN
        messages.append(Message(requests.RTM_NEWLINK, 0, body, f"set qlen on {ifname}"))
    try:
        for message in messages:
            rtnl.execute(message)
    except NetlinkError as error:
        raise CniError(words(error)) from error


def _try_change(rtnl: Rtnl, ifname: str, wanted: Attributes) -> bool:
    try:
        _change(rtnl, ifname, wanted)
    except CniError:
        return False
    return True


def _compare(ifname: str, wanted: Attributes, link: Link) -> None:
    def differ(what: str, value: object, current: object) -> CniError:
        return CniError(f"Error: Tuning {what} is {value}, current value is {current}")

    if wanted.mac is not None and wanted.mac != link.mac:
        raise differ(f"configured Ethernet of {ifname}", wanted.mac, link.mac)
    if bool(wanted.promisc) != (link.promiscuity != 0):
        value = str(bool(wanted.promisc)).lower()
        raise differ(f"link {ifname} configured promisc", value, link.promiscuity)
    if wanted.mtu is not None and wanted.mtu != link.mtu:
        raise differ(f"configured MTU of {ifname}", wanted.mtu, link.mtu)
    allmulti = bool(link.flags & ALLMULTI)
    if wanted.allmulti is not None and wanted.allmulti != allmulti:
        value = str(wanted.allmulti).lower()
        raise differ(f"configured all-multicast mode of {ifname}", value, str(allmulti).lower())
    if wanted.queue_length is not None and wanted.queue_length != link.queue_length:
        what = f"configured Transmit Queue Length of {ifname}"
        raise differ(what, wanted.queue_length, link.queue_length)
