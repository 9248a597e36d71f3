"""bandwidth: limits what goes into and comes out of a pod (reference plugin: meta/bandwidth)."""

from __future__ import annotations

import errno
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_multinet.cni.addresses import Cidr, parse_cidr
from pytest_multinet.cni.native import links, traffic_control
from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.links import UP, Link
from pytest_multinet.cni.native.plugin import Call, Plugin, quoted, words
from pytest_multinet.cni.native.traffic_control import handle
from pytest_multinet.cni.result import Result, ResultInterface
from pytest_multinet.errors import CniError, NeedsCapability, NetlinkError
from pytest_multinet.model.nad import NetworkConf
from pytest_multinet.net import decode, requests
from pytest_multinet.net.requests import Message, attr, u32
from pytest_multinet.net.rtnl import Rtnl

_PREFIX = "failed to parse network configuration: "
_FIELDS = (
    "unshapedSubnets",
    "shapedSubnets",
    "ingressRate",
    "ingressBurst",
    "egressRate",
    "egressBurst",
)
_SHAPED, _UNSHAPED, _UNCAPPED = 48, 1, 100_000_000_000
_MOST_BURST, _LEAST_QUEUE = 0xFFFFFFFF, 1000
_IFB_PREFIX, _IFB_LENGTH = "bwp", 15
_LINK = struct.Struct("=BxHiII")
_MISSING = (errno.EOPNOTSUPP, errno.ENOENT)


@dataclass(frozen=True, slots=True)
class Limits:
    """What may go in and come out: rates in bits a second, bursts in bits; 0: no limit.

    Attributes:
        unshaped: subnets to which there is no limit.
        shaped: the only ones to which there is one; empty: all.
    """

    unshaped: tuple[str, ...]
    shaped: tuple[str, ...]
    ingress: tuple[int, int]
    egress: tuple[int, int]

    def __bool__(self) -> bool:
        return any((*self.ingress, *self.egress))


class Bandwidth(Plugin):
    """Token buckets on the node's end of the pod's veth pair."""

    since = "0.3.0"

    def __init__(self, conf: NetworkConf) -> None:
        super().__init__(conf)
        read = Conf(conf.raw, "PluginConf", path="BandwidthEntry", prefix=_PREFIX)
        self._own = _limits(read) if any(name in read for name in _FIELDS) else None

    def add(self, call: Call) -> Result:
        """Limit what there is a limit for; the result gets the device that packets out cross."""
        limits, result = self._limits(call), call.prev_result
        if not limits:
            return _chained(result, "must be called as chained plugin")
        subnets = _subnets(limits)
        result = _chained(result, "must be called as chained plugin")
        name, link = _host_end(call, result)
        rtnl = call.host.namespace.rtnl
        if all(limits.ingress):
            _shape(rtnl, link.index, limits.ingress, subnets, excluded=bool(limits.unshaped))
        if not all(limits.egress):
            return result
        device = self._device(call, name)
        made = ResultInterface(_device_name(call), device.mac)
        _execute(rtnl, traffic_control.ingress(link.index), "create ingress qdisc", "sch_ingress")
        _execute(
            rtnl, traffic_control.redirect(link.index, device.index), "add filter", "act_mirred"
        )
        try:
            _shape(rtnl, device.index, limits.egress, subnets, excluded=not limits.shaped)
        except CniError as error:
            error.msg = f"create htb container egress qos rules: {error.msg}"
            raise
        return replace(result, interfaces=(*result.interfaces, made))

    def check(self, call: Call) -> None:
        """Each limit has its bucket; the reference plugin compares no rate but the highest."""
        limits = self._limits(call)
        result = _chained(call.prev_result, "must be called as a chained plugin")
        _, link = _host_end(call, result)
        if limits is None:
            return
        try:
            _subnets(limits)
        except CniError as error:
            raise CniError(f"failed to check subnets, details {error.msg}") from error
        rtnl = call.host.namespace.rtnl
        default = _UNSHAPED if limits.shaped else _SHAPED
        if all(limits.ingress):
            _check_bucket(rtnl, link.index, default)
        if all(limits.egress):
            device = links.find(rtnl, _device_name(call))
            if device is None:
                raise CniError("get ifb device: Link not found")
            _check_bucket(rtnl, device.index, default)

    def delete(self, call: Call) -> None:
        """Delete the device; all else goes with the pod's interface."""
        self._limits(call)
        rtnl, name = call.host.namespace.rtnl, _device_name(call)
        device = links.find(rtnl, name)
        if device is None:
            return
        try:
            rtnl.execute(requests.delete_link(device.index))
        except NetlinkError as error:
            raise CniError(f"failed to delete {quoted(name)}: {words(error)}") from error

    def _limits(self, call: Call) -> Limits | None:
        """The configuration's, else the runtime's."""
        asked = Conf(call.runtime_config, "", path="runtimeConfig", prefix=_PREFIX)
        runtime = asked.child("bandwidth", "BandwidthEntry", "main.BandwidthEntry")
        of_runtime = _limits(runtime) if "bandwidth" in asked else None
        limits = of_runtime if self._own is None else self._own
        for rate, burst in (limits.ingress, limits.egress) if limits else ():
            if rate and not burst:
                raise CniError("if rate is set, burst must also be set")
            if burst and not rate:
                raise CniError("if burst is set, rate must also be set")
            if burst // 8 >= _MOST_BURST:
                raise CniError("burst cannot be more than 4GB")
        return limits

    def _device(self, call: Call, host_end: str) -> Link:
        """An intermediate device: what is redirected to it can be delayed."""
        rtnl, name = call.host.namespace.rtnl, _device_name(call)
        end = links.need(rtnl, host_end)
        _execute(rtnl, new_device(name, end.mtu, end.queue_length), "adding link", "ifb")
        return links.need(rtnl, name)


def new_device(name: str, mtu: int, queue_length: int) -> Message:
    """An intermediate functional block device, up."""
    body = _LINK.pack(0, 0, 0, UP, UP) + attr(3, name.encode() + b"\0") + u32(4, mtu)
    body += u32(13, max(queue_length, _LEAST_QUEUE)) + attr(18, attr(1, b"ifb"))
    return Message(requests.RTM_NEWLINK, 0x600, body, f"create ifb {name}")


def _limits(read: Conf) -> Limits:
    rates = {name: read.unsigned(name, 64) for name in _FIELDS[2:]}
    return Limits(
        tuple(read.texts("unshapedSubnets")),
        tuple(read.texts("shapedSubnets")),
        (rates["ingressRate"], rates["ingressBurst"]),
        (rates["egressRate"], rates["egressBurst"]),
    )


def _chained(result: Result | None, missing: str) -> Result:
    if result is None:
        raise CniError(missing)
    return result


def _subnets(limits: Limits) -> list[Cidr]:
    if limits.unshaped and limits.shaped:
        raise CniError(
            "unshapedSubnets and shapedSubnets cannot be both specified, "
            "one of them should be discarded"
        )
    out: list[Cidr] = []
    for text in limits.unshaped or limits.shaped:
        try:
            out.append(parse_cidr(text))
        except ValueError as error:
            raise CniError(f"bad subnet {quoted(text)} provided, details {error}") from None
    return out


def _device_name(call: Call) -> str:
    digest = hashlib.sha512((call.network + call.container_id).encode()).hexdigest()
    return (_IFB_PREFIX + digest)[:_IFB_LENGTH]


def _host_end(call: Call, result: Result) -> tuple[str, Link]:
    """Name and link of the node's end of the pod's veth pair, which the result must name."""
    if not result.interfaces:
        raise CniError("no interfaces provided")
    inside, ifname = call.sandbox.namespace.rtnl, call.ifname
    index = inside.index(ifname)
    info = None if index is None else decode.decode_link(inside.link(index))
    if info is None or info.type != "veth" or info.parent is None:
        why = f"interface {quoted(ifname)} was not a veth interface"
        if info is None:
            why = f"could not look up {quoted(ifname)}: Link not found"
        raise CniError(
            f"container interface {ifname} has no veth peer: {why}",
            hint="bandwidth can limit bridge and ptp networks only",
        )
    rtnl = call.host.namespace.rtnl
    try:
        body = rtnl.link(info.parent)
    except NetlinkError as error:
        raise CniError(f"veth peer with index {info.parent} is not in host ns") from error
    name = decode.decode_link(body).name
    if not any(not i.sandbox and i.name == name for i in result.interfaces):
        raise CniError("no veth peer of container interface found in host ns")
    return name, links.decode(body)


def _shape(
    rtnl: Rtnl, index: int, limit: tuple[int, int], subnets: Sequence[Cidr], *, excluded: bool
) -> None:
    """Limit what leaves by a link; ``excluded``: to all but the subnets, else to them alone."""
    rate, burst = limit[0] // 8, limit[1] // 8
    buffer = traffic_control.transmission(rate, burst)
    default = _SHAPED if excluded or not subnets else _UNSHAPED
    _execute(rtnl, traffic_control.htb(index, default), "error while creating qdisc", "sch_htb")
    for minor, speed, ceil, size, name in (
        (_SHAPED, rate, 2 * rate, buffer, "default"),
        (_UNSHAPED, _UNCAPPED, _UNCAPPED, 0, "uncapped"),
    ):
        message = traffic_control.htb_class(index, minor, speed, ceil, size)
        _execute(rtnl, message, f"error while creating htb {name} class", "sch_htb")
    for subnet in subnets:
        message = traffic_control.to_subnet(index, subnet, _UNSHAPED if excluded else _SHAPED)
        _execute(rtnl, message, "error, unable to create htb filter, details", "cls_u32", " ")


def _execute(rtnl: Rtnl, message: Message, failed: str, module: str, colon: str = ": ") -> None:
    """Carry out a request; ``module`` of the kernel knows how.

    Raises:
        NeedsCapability: the kernel knows nothing of the kind.
    """
    try:
        rtnl.execute(message)
    except NetlinkError as error:
        if error.errno in _MISSING:
            raise NeedsCapability(
                "bandwidth",
                f"this machine's kernel lacks what bandwidth takes ({module}): modprobe {module}?",
            ) from error
        raise CniError(f"{failed}{colon}{words(error)}") from error


def _check_bucket(rtnl: Rtnl, index: int, default: int) -> None:
    name = decode.decode_link(rtnl.link(index)).name
    found = traffic_control.buckets(rtnl, index)
    for number, bucket in enumerate(found):
        if number:
            raise CniError(f"Several htb qdisc found for device {name}")
        if bucket.default != default:
            raise CniError("Default class does not match")
        if len(bucket.rates) != 2:
            raise CniError(
                f"Number of htb classes does not match for device {name} "
                f"({len(bucket.rates)} != 2)"
            )
        uncapped = bucket.rates.get(handle(1, _UNSHAPED), _UNCAPPED)
        if uncapped != _UNCAPPED:
            raise CniError(
                f"Rate does not match for the uncapped class for device {name} "
                f"({uncapped} != {_UNCAPPED})"
            )
