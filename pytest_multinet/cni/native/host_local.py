"""host-local: addresses out of ranges, remembered on the node (reference: ipam/host-local)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_multinet.cni.addresses import Cidr, IPAddress, parse_cidr, parse_ip
from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.plugin import Call, Plugin, load_args, quoted
from pytest_multinet.cni.result import DNS, IPConfig, Result
from pytest_multinet.errors import CniError
from pytest_multinet.model.nad import NetworkConf

_STATE = "host-local"
_DATA_DIR = "/var/lib/cni/networks"


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses of one subnet that may be given out, ``start`` to ``end`` inclusive."""

    subnet: Cidr
    start: IPAddress
    end: IPAddress
    gateway: IPAddress

    def contains(self, ip: IPAddress) -> bool:
        """Whether ``ip`` may be given out of this range."""
        return ip.version == self.start.version and int(self.start) <= int(ip) <= int(self.end)

    def overlaps(self, other: Range) -> bool:
        """Whether both hold some address."""
        return any(self.contains(ip) for ip in (other.start, other.end)) or any(
            other.contains(ip) for ip in (self.start, self.end)
        )

    def __str__(self) -> str:
        return f"{self.start}-{self.end}"


@dataclass(frozen=True, slots=True)
class RangeSet:
    """Ranges that together give one address."""

    ranges: tuple[Range, ...]

    def range_of(self, ip: IPAddress) -> Range | None:
        """The range that holds ``ip``."""
        return next((r for r in self.ranges if r.contains(ip)), None)

    def candidates(self, last: IPAddress | None) -> Iterator[tuple[Range, IPAddress]]:
        """Every address once, beginning behind the one given out last."""
        begun = self.range_of(last) if last is not None else None
        at = self.ranges.index(begun) if begun else 0
        current = last if begun else None
        start: IPAddress | None = None if begun else self.ranges[0].start
        while True:
            taken = self.ranges[at]
            if current is None:
                current = taken.start
            else:
                if current == taken.end:
                    at = (at + 1) % len(self.ranges)
                    taken = self.ranges[at]
                    current = taken.start
                else:
                    current = current + 1
                if start is None:
                    start = current
                elif current == start:
                    return
            if current != taken.gateway:
                yield taken, current

    def __str__(self) -> str:
        return ",".join(map(str, self.ranges))


class Store:
    """Which address belongs to whom, for one network on one node."""

    def __init__(self) -> None:
        self.owners: dict[IPAddress, tuple[str, str]] = {}
        self.last: dict[int, IPAddress] = {}
        self._held: dict[tuple[str, str], list[IPAddress]] = {}

    def reserve(self, owner: tuple[str, str], ip: IPAddress, range_id: int) -> bool:
        """Give ``ip`` out, unless it is."""
        if ip in self.owners:
            return False
        self.owners[ip] = owner
        self._held.setdefault(owner, []).append(ip)
        self.last[range_id] = ip
        return True

    def held_by(self, owner: tuple[str, str]) -> list[IPAddress]:
        """The addresses of a container's interface."""
        return self._held.get(owner, [])

    def release(self, owner: tuple[str, str]) -> None:
        """Take back all of a container's interface."""
        for ip in self._held.pop(owner, ()):
            del self.owners[ip]


class HostLocal(Plugin):
    """IPAM that gives each interface one address of each range set, round robin."""

    def __init__(self, conf: NetworkConf) -> None:
        super().__init__(conf)
        whole = Conf(conf.raw, "Net", prefix="")
        self._present = "ipam" in whole
        ipam = whole.child("ipam", "IPAMConfig")
        single = [[_Written.of(ipam)]] if "subnet" in ipam else []
        self._written = single + _written(ipam, "ranges")
        self._routes = ipam.routes()
        self._data_dir = ipam.text("dataDir") or _DATA_DIR
        self._resolv_conf = ipam.text("resolvConf")
        args = whole.child("args").child("cni", "IPAMArgs").texts("ips", "*ip.IP")
        self._args = [_asked_ip(text) for text in args]
        self._prepared: tuple[RangeSet, ...] | None = None

    def add(self, call: Call) -> Result:
        """Give out one address of each range set, the requested ones first of all."""
        range_sets, asked = self._load(call)
        dns = _resolv_conf(self._resolv_conf) if self._resolv_conf else DNS()
        store = self._store(call)
        owner = (call.container_id, call.ifname)
        ips: list[IPConfig] = []
        for number, range_set in enumerate(range_sets):
            wanted = next((ip for ip in asked if range_set.range_of(ip) is not None), None)
            if wanted is not None:
                asked.remove(wanted)
            try:
                ips.append(_get(store, owner, range_set, number, wanted))
            except CniError as error:
                if ips:
                    store.release(owner)
                raise CniError(
                    f"failed to allocate for range {number}: {error.msg}", hint=error.hint
                ) from error
        if asked:
            store.release(owner)
            rest = " ".join(map(str, asked))
            raise CniError(f"failed to allocate all requested IPs: {rest}")
        return Result(ips=tuple(ips), routes=self._routes, dns=dns)

    def check(self, call: Call) -> None:
        """The interface still has an address here."""
        self._load(call)
        if not self._store(call).held_by((call.container_id, call.ifname)):
            raise CniError(
                f"host-local: Failed to find address added by container {call.container_id}"
            )

    def delete(self, call: Call) -> None:
        """Take the interface's addresses back."""
        self._load(call)
        self._store(call).release((call.container_id, call.ifname))

    def _store(self, call: Call) -> Store:
        stores: dict[str, Store] = call.host.state.setdefault(_STATE, {})
        folder = posixpath.normpath(posixpath.join(self._data_dir, call.network))
        return stores.setdefault(folder, Store())

    def _load(self, call: Call) -> tuple[tuple[RangeSet, ...], list[IPAddress]]:
        """The range sets and the requested addresses."""
        if not self._present:
            raise CniError("IPAM config missing 'ipam' key")
        asked: dict[IPAddress, None] = {}
        text = load_args(call.args, ("IP",)).get("IP") if call.args else None
        if text:
            try:
                asked[_asked_ip(text)] = None
            except CniError as error:
                pair = quoted(f"IP={text}")
                message = f"ARGS: error parsing value of pair {pair}: {error.msg}"
                raise CniError(message) from error
        asked.update(dict.fromkeys(self._args))
        runtime = Conf(call.runtime_config, "", path="runtimeConfig", prefix="")
        asked.update(dict.fromkeys(_asked_ip(text) for text in runtime.texts("ips", "*ip.IP")))
        given = _written(runtime, "ipRanges")
        if given:
            return _prepare(given + self._written, call.cni_version), list(asked)
        if self._prepared is None:
            self._prepared = _prepare(self._written, call.cni_version)
        return self._prepared, list(asked)


def _get(
    store: Store,
    owner: tuple[str, str],
    range_set: RangeSet,
    number: int,
    wanted: IPAddress | None,
) -> IPConfig:
    if wanted is not None:
        found = range_set.range_of(wanted)
        assert found is not None  # noqa: S101 - the caller chose it so
        if wanted == found.gateway:
            raise CniError(f"requested ip {wanted} is subnet's gateway")
        if not store.reserve(owner, wanted, number):
            holder, ifname = store.owners[wanted]
            raise CniError(
                f"requested IP address {wanted} is not available in range set {range_set}",
                hint=f"container {holder} has it on {ifname}",
            )
        return IPConfig(Cidr(wanted, found.subnet.prefixlen), found.gateway)
    for ip in store.held_by(owner):
        if range_set.range_of(ip) is not None:
            raise CniError(
                f"{ip} has been allocated to {owner[0]}, duplicate allocation is not allowed"
            )
    for found, ip in range_set.candidates(store.last.get(number)):
        if store.reserve(owner, ip, number):
            return IPConfig(Cidr(ip, found.subnet.prefixlen), found.gateway)
    raise CniError(
        f"no IP addresses available in range set: {range_set}",
        hint="addresses come back by DEL; host-local keeps its ranges on each node",
    )


# --- the configuration ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Written:
    """A range as it was written."""

    subnet: Cidr | None
    start: IPAddress | None
    end: IPAddress | None
    gateway: IPAddress | None

    @classmethod
    def of(cls, conf: Conf) -> _Written:
        subnet = conf.cidr("subnet")
        return cls(subnet, conf.ip("rangeStart"), conf.ip("rangeEnd"), conf.ip("gateway"))


def _written(conf: Conf, key: str) -> list[list[_Written]]:
    kinds = ("allocator.RangeSet", "allocator.Range")
    return [[_Written.of(c) for c in items] for items in conf.child_lists(key, "Range", kinds)]


def _asked_ip(text: str) -> IPAddress:
    """A requested address; its prefix length, where there is one, does not matter."""
    try:
        return parse_cidr(text).ip if "/" in text else parse_ip(text)
    except ValueError:
        raise CniError(f"invalid IP address {text}") from None


def _prepare(sets: list[list[_Written]], cni_version: str) -> tuple[RangeSet, ...]:
    if not sets:
        raise CniError("no IP ranges specified")
    out = [_numbered_range_set(number, items) for number, items in enumerate(sets)]
    for family in (4, 6):
        several = sum(s.ranges[0].start.version == family for s in out) > 1
        if several and cni_version < "0.3.0":
            raise CniError(
                f"CNI version {cni_version} does not support more than 1 address per family"
            )
    for i, first in enumerate(out):
        for j in range(i + 1, len(out)):
            if any(a.overlaps(b) for a in first.ranges for b in out[j].ranges):
                raise CniError(f"range set {i} overlaps with {j}")
    return tuple(out)


def _numbered_range_set(number: int, items: list[_Written]) -> RangeSet:
    try:
        return _range_set(items)
    except CniError as error:
        message = f"invalid range set {number}: {error.msg}"
        raise CniError(message, hint=error.hint) from error


def _range_set(items: list[_Written]) -> RangeSet:
    if not items:
        raise CniError("empty range set")
    ranges: list[Range] = []
    for item in items:
        found = _range(item)
        if ranges and ranges[0].start.version != found.start.version:
            raise CniError("mixed address families")
        ranges.append(found)
    for i, first in enumerate(ranges):
        for second in ranges[i + 1 :]:
            if first.overlaps(second):
                raise CniError(f"subnets {first} and {second} overlap")
    return RangeSet(tuple(ranges))


def _range(item: _Written) -> Range:
    subnet = item.subnet
    if subnet is None:
        raise CniError("IP <nil> not v4 nor v6", hint="a range has no subnet")
    size = subnet.ip.max_prefixlen
    if subnet.prefixlen > size - 2:
        raise CniError(f"Network {subnet} too small to allocate from")
    network = subnet.network
    if network.ip != subnet.ip:
        raise CniError(
            f"Network has host bits set. For a subnet mask of length {subnet.prefixlen} "
            f"the network address is {network.ip}"
        )
    first = subnet.ip + 1
    start, end = item.start or first, item.end
    behind = end is not None and end.version == start.version and int(start) > int(end)
    if item.start is not None and (behind or not subnet.contains(start)):
        raise CniError(f"RangeStart {start} not in network {subnet}")
    if end is None:
        end = subnet.ip + ((1 << (size - subnet.prefixlen)) - (2 if subnet.version == 4 else 1))
    elif not subnet.contains(end) or int(end) < int(start):
        raise CniError(f"RangeEnd {end} not in network {subnet}")
    return Range(subnet, start, end, item.gateway or first)


def _resolv_conf(path: str) -> DNS:
    """A ``resolv.conf`` of the node (resolv.conf(5))."""
    nameservers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    domain = ""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CniError(f"open {path}: {reason}") from error
    for line in lines:
        key, *values = line.split() or [""]
        if not values or key[0] in "#;":
            continue
        if key == "nameserver":
            nameservers.append(values[0])
        elif key == "domain":
            domain = values[0]
        elif key == "search":
            search += values
        elif key == "options":
            options += values
    return DNS(tuple(nameservers), domain, tuple(search), tuple(options))
