"""whereabouts: addresses out of ranges that the whole cluster shares (whereabouts 0.9, as IPAM).

What the real plugin keeps in the Kubernetes API lies in the cluster's memory here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from pytest_multinet.cni.addresses import Cidr, IPAddress, parse_cidr, parse_ip
from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.plugin import Call, Plugin, load_args
from pytest_multinet.cni.result import IPConfig, Result
from pytest_multinet.errors import CniError, NeedsKubernetes
from pytest_multinet.model.nad import NetworkConf

_STATE = "whereabouts"
_ONE_A_FAMILY = ("0.1.0", "0.2.0")
_ARGS = ("IP", "GATEWAY", "K8S_POD_NAME", "K8S_POD_NAMESPACE", "K8S_POD_INFRA_CONTAINER_ID")


class Reservation(NamedTuple):
    """Whose an address is."""

    container_id: str
    pod: str
    ifname: str


@dataclass(frozen=True, slots=True)
class Range:
    """A range as it was written, its bounds not yet checked against the subnet."""

    subnet: Cidr
    start: IPAddress | None
    end: IPAddress | None
    exclude: tuple[str, ...]

    def bounds(self) -> tuple[IPAddress, IPAddress]:
        """First and last address; a bound outside the subnet's usable addresses counts not."""
        size = self.subnet.ip.max_prefixlen - self.subnet.prefixlen
        if size < 2:
            raise CniError(
                f"net mask is too short, subnet {self.subnet} has no usable IP addresses, "
                "it is too small"
            )
        first = self.subnet.ip + 1
        last = self.subnet.ip + ((1 << size) - 2)
        if self.start is not None and int(first) <= int(self.start) <= int(last):
            first = self.start
        if self.end is not None and int(first) <= int(self.end) <= int(last):
            last = self.end
        return first, last

    def candidates(self) -> Iterator[IPAddress]:
        """Every address that may be given out, in order."""
        first, last = self.bounds()
        excluded = [_excluded(text) for text in self.exclude]
        ip = first
        while int(ip) <= int(last):
            skipped = next((e for e in excluded if e.contains(ip)), None)
            if skipped is None:
                yield ip
                ip = ip + 1
            else:
                size = skipped.ip.max_prefixlen - skipped.prefixlen
                ip = skipped.network.ip + (1 << size)


@dataclass(slots=True)
class Pools:
    """What the cluster has given out.

    Attributes:
        ranges: reservations by network name and subnet.
        anywhere: the pod that has an address, whatever the range, by network name and address.
    """

    ranges: dict[tuple[str, str], dict[IPAddress, Reservation]] = field(
        default_factory=dict[tuple[str, str], dict[IPAddress, Reservation]]
    )
    anywhere: dict[tuple[str, IPAddress], str] = field(
        default_factory=dict[tuple[str, IPAddress], str]
    )


class Whereabouts(Plugin):
    """IPAM that gives the lowest free address of each range, once in the cluster."""

    def __init__(self, conf: NetworkConf) -> None:
        super().__init__(conf)
        ipam = Conf(conf.raw, "Net", prefix="").child("ipam", "IPAMConfigAlias")
        self._network = ipam.text("network_name")
        self._slices = ipam.text("node_slice_size")
        self._overlapping_guard = ipam.truth("enable_overlapping_ranges", True)
        written = [ipam] if ipam.text("range") else []
        written += ipam.children("ipRanges", "RangeConfiguration", "types.RangeConfiguration")
        self._ranges = [_range(item) for item in written]
        gateway = ipam.text("gateway")
        self._gateway = None
        if gateway:
            try:
                self._gateway = parse_ip(gateway)
            except ValueError:
                raise CniError(f"couldn't parse gateway IP: {gateway}") from None
        self._addresses = [
            (_address(item.text("address"), "in addresses "), item.ip("gateway"))
            for item in ipam.children("addresses", "Address", "types.Address")
        ]
        self._routes = ipam.routes()
        self._dns = ipam.dns()

    def add(self, call: Call) -> Result:
        """Give out an address of each range; the written ones follow."""
        if self._slices:
            raise NeedsKubernetes(
                f"whereabouts with node_slice_size (network {call.network}): "
                "slices of nodes are objects of the Kubernetes API"
            )
        args = load_args(call.args, _ARGS)
        fixed = self._fixed(args)
        versions = [address.version for address, _ in fixed]
        if call.cni_version in _ONE_A_FAMILY and len(set(versions)) < len(versions):
            raise CniError(
                f"CNI version {call.cni_version} does not support more than 1 address per family"
            )
        pod = f"{args.get('K8S_POD_NAMESPACE', '')}/{args.get('K8S_POD_NAME', '')}"
        owner = Reservation(call.container_id, pod, call.ifname)
        pools = _pools(call)
        ips: list[IPConfig] = []
        for item in self._ranges:
            try:
                ip = self._allocate(pools, item, owner)
            except CniError as error:
                message = f"error at storage engine: {error.msg}"
                raise CniError(message, hint=error.hint) from error
            ips.append(IPConfig(Cidr(ip, item.subnet.prefixlen), self._gateway))
        ips += [IPConfig(address, gateway) for address, gateway in fixed]
        return Result(ips=tuple(ips), routes=self._routes, dns=self._dns)

    def check(self, call: Call) -> None:
        """The real plugin has none."""
        raise CniError("CNI CHECK method is not implemented")

    def delete(self, call: Call) -> None:
        """Take the addresses back; what is not there is no error."""
        pools = _pools(call)
        for item in self._ranges:
            pool = self._pool(pools, item)
            for ip, owner in pool.items():
                if (owner.container_id, owner.ifname) == (call.container_id, call.ifname):
                    del pool[ip]
                    pools.anywhere.pop((self._network, ip), None)
                    break
            else:
                return

    def _pool(self, pools: Pools, item: Range) -> dict[IPAddress, Reservation]:
        return pools.ranges.setdefault((self._network, str(item.subnet)), {})

    def _allocate(self, pools: Pools, item: Range, owner: Reservation) -> IPAddress:
        pool = self._pool(pools, item)
        for ip, held in pool.items():
            if (held.pod, held.ifname) == (owner.pod, owner.ifname):
                pool[ip] = owner
                return ip
        for ip in item.candidates():
            if ip in pool:
                continue
            if self._overlapping_guard:
                elsewhere = pools.anywhere.get((self._network, ip), owner.pod)
                if elsewhere != owner.pod:
                    continue
                pools.anywhere[(self._network, ip)] = owner.pod
            pool[ip] = owner
            return ip
        first, last = item.bounds()
        raise CniError(
            f"Could not allocate IP in range: ip: {first} / - {last} / range: {item.subnet} / "
            f"excludeRanges: [{' '.join(item.exclude)}]",
            hint="addresses come back by DEL; all nodes share a whereabouts range",
        )

    def _fixed(self, args: dict[str, str]) -> list[tuple[Cidr, IPAddress | None]]:
        asked = args["IP"].split(",") if args.get("IP") else []
        fixed = self._addresses + [(_address(item.strip(), ""), None) for item in asked]
        for item in args["GATEWAY"].split(",") if args.get("GATEWAY") else ():
            gateway = _gateway(item)
            fixed = [(a, gateway if a.contains(gateway) else g) for a, g in fixed]
        return fixed


def _pools(call: Call) -> Pools:
    return call.host.cluster_state.setdefault(_STATE, Pools())


def _range(item: Conf) -> Range:
    text = item.text("range")
    start, end = _bound(item, "range_start"), _bound(item, "range_end")
    low, dash, high = text.partition("-")
    exclude = tuple(item.texts("exclude"))
    if not dash:
        return Range(_address(text, "").network, start, end, exclude)
    try:
        start = parse_ip(low.strip())
    except ValueError:
        raise CniError(f"invalid range start IP: {low}") from None
    last = _address(high.strip(), "(do you have the 'range' parameter set for Whereabouts?) ")
    if not last.contains(start):
        raise CniError(f"invalid range start for CIDR {last.network}: {start}")
    return Range(last.network, start, last.ip, exclude)


def _bound(item: Conf, key: str) -> IPAddress | None:
    """``range_start`` or ``range_end``; what is no address counts as absent."""
    try:
        return parse_ip(item.text(key))
    except ValueError:
        return None


def _address(text: str, what: str) -> Cidr:
    try:
        return parse_cidr(text)
    except ValueError as error:
        raise CniError(f"invalid CIDR {what}{text}: {error}") from None


def _gateway(text: str) -> IPAddress:
    try:
        return parse_ip(text.strip())
    except ValueError:
        raise CniError(f"invalid gateway address: {text}") from None


def _excluded(text: str) -> Cidr:
    """A subnet, or one address."""
    try:
        if "/" in text:
            return parse_cidr(text)
        ip = parse_ip(text)
        return Cidr(ip, ip.max_prefixlen)
    except ValueError:
        why = f'"invalid CIDR address: {text}"'
        raise CniError(f"could not parse exclude range, err: {why}") from None
