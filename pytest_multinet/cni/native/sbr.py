"""sbr: routes by source address, each interface in tables of its own (reference: meta/sbr)."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from pytest_multinet.cni.addresses import Cidr
from pytest_multinet.cni.native import link_routes, links
from pytest_multinet.cni.native.link_routes import LinkRoute
from pytest_multinet.cni.native.plugin import Call, Plugin, words
from pytest_multinet.cni.result import IPConfig, Result
from pytest_multinet.errors import CniError, NetlinkError
from pytest_multinet.net import decode, requests
from pytest_multinet.net.requests import Message, attr
from pytest_multinet.net.rtnl import Rtnl, attributes

_FIRST_TABLE = 100
_RTM_NEWRULE, _RTM_DELRULE, _RTM_GETRULE = 32, 33, 34
_CREATE_EXCL = 0x600
_RULE = struct.Struct("=BBBBBBBBI")  # fib_rule_hdr has the layout of rtmsg
_FRA_SRC, _FRA_TABLE, _FRA_PRIORITY, _TO_TABLE = 2, 15, 6, 1


@dataclass(slots=True)
class _Rule:
    family: int
    table: int
    source: bytes | None
    body: bytes


class Sbr(Plugin):
    """Moves an interface's routes out of the main table, and rules that find them by source."""

    def add(self, call: Call) -> Result:
        """Set the rules, fill the tables, empty the main table of the interface's routes."""
        previous = call.prev_result
        if previous is None:
            raise CniError("This plugin must be called as chained plugin")
        if not previous.ips:
            raise CniError(f"No IP addresses supplied on interface: {call.ifname}")
        ips = [ip for ip in previous.ips if _is_on(ip, call.ifname, previous)]
        rtnl = call.sandbox.namespace.rtnl
        rules = _rules(rtnl)
        link = links.find(rtnl, call.ifname)
        if link is None:
            raise CniError(f"Cannot find network interface {call.ifname}: Link not found")
        routes = link_routes.of_link(rtnl, link.index)
        taken = {rule.table for rule in rules}
        table = _next(taken, _FIRST_TABLE)
        for ip in ips:
            self._fill(rtnl, link.index, ip, table, routes)
            table = _next(taken, table + 1)
        for route in routes:
            _execute(rtnl, route.delete(), "Failed to delete route")
        return previous

    def check(self, call: Call) -> None:
        """The reference plugin looks at nothing."""

    def delete(self, call: Call) -> None:
        """Take away the rules for the interface's addresses; the tables go with the link."""
        if call.sandbox.namespace.fd < 0:
            return
        rtnl = call.sandbox.namespace.rtnl
        rules = _rules(rtnl)
        link = links.find(rtnl, call.ifname)
        if link is None:
            return
        held = decode.addresses(rtnl, link.index).get(link.index, [])
        sources = {address.ip.packed for address in held}
        problem: CniError | None = None
        for rule in rules:
            if rule.source in sources:
                gone = Message(_RTM_DELRULE, 0, rule.body, "delete rule")
                try:
                    rtnl.execute(gone)
                except NetlinkError as error:
                    problem = CniError(f"Failed to delete rule {words(error)}")
        if problem is not None:
            raise problem

    def _fill(
        self, rtnl: Rtnl, index: int, ip: IPConfig, table: int, routes: list[LinkRoute]
    ) -> None:
        address = ip.address.ip
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        whole = address.max_prefixlen
        body = _RULE.pack(family, 0, whole, 0, table, 0, 0, _TO_TABLE, 0)
        body += attr(_FRA_SRC, address.packed)
        rule = Message(_RTM_NEWRULE, _CREATE_EXCL, body, f"add rule for {address}")
        _execute(rtnl, rule, "Failed to add rule")
        if ip.gateway is not None:
            anywhere = (type(address)(0), 0)
            default = requests.route(anywhere, index=index, gateway=ip.gateway, table=table)
            _execute(rtnl, default, f"Failed to add default route to {ip.gateway}")
        for route in routes:
            if _belongs_to(route, ip.address):
                if route.dst.prefixlen == 0 and route.source is None and route.gateway is None:
                    raise CniError(
                        "Failed to readd route: one of Dst.IP, Src, or Gw must not be nil",
                        hint="the reference plugin cannot copy a default route without gateway",
                    )
                _execute(rtnl, route.copy(table), "Failed to readd route")


def _is_on(ip: IPConfig, ifname: str, result: Result) -> bool:
    """Whether an address may be the interface's: it says so, or says nothing."""
    number = ip.interface
    if number is None or not 0 <= number < len(result.interfaces):
        return True
    return result.interfaces[number].name == ifname


def _belongs_to(route: LinkRoute, address: Cidr) -> bool:
    """Whether its source or its gateway lies in the address's subnet; or it has neither."""
    ends = [end for end in (route.source, route.gateway) if end is not None]
    return not ends or any(address.contains(end) for end in ends)


def _next(taken: set[int], table: int) -> int:
    while table in taken:
        table += 1
    return table


def _execute(rtnl: Rtnl, message: Message, failed: str) -> None:
    try:
        rtnl.execute(message)
    except NetlinkError as error:
        raise CniError(f"{failed}: {words(error)}") from error


def _rules(rtnl: Rtnl) -> list[_Rule]:
    """The rules of both families."""
    out: list[_Rule] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for body in rtnl.dump(_RTM_GETRULE, _RULE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
            header = _RULE.unpack_from(body)
            found = {kind: bytes(data) for kind, data in attributes(body, _RULE.size)}
            wide = found.get(_FRA_TABLE)
            table = header[4] if wide is None else struct.unpack("=I", wide)[0]
            same = body[: _RULE.size]
            for kind in (_FRA_SRC, _FRA_TABLE, _FRA_PRIORITY):
                if kind in found:
                    same += attr(kind, found[kind])
            out.append(_Rule(family, table, found.get(_FRA_SRC), same))
    return out
