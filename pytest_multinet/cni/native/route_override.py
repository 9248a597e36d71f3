"""route-override: changes the routes that the plugins before it set up.

The plugin is a third party's (k8snetworkplumbingwg/route-override-cni); what it does where its
README is silent, or says otherwise, is what the program does: see docs/parity.md.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

from pytest_multinet.cni.addresses import Cidr, IPAddress, parse_cidr
from pytest_multinet.cni.native import interface_check, link_routes, links
from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.link_routes import LINK_SCOPE, LinkRoute
from pytest_multinet.cni.native.plugin import Call, Plugin, words
from pytest_multinet.cni.result import Result, ResultRoute
from pytest_multinet.errors import CniError, NetlinkError
from pytest_multinet.model.nad import NetworkConf
from pytest_multinet.net import decode, requests
from pytest_multinet.net.requests import attr
from pytest_multinet.net.rtnl import RTM_GETROUTE, Rtnl, attributes

_DEFAULTS = tuple(ResultRoute(parse_cidr(text)) for text in ("0.0.0.0/0", "::/0"))
_ROUTE = struct.Struct("=BBBBBBBBI")
_RTA_DST, _RTA_GATEWAY = 1, 5


class RouteOverride(Plugin):
    """Flushes, deletes and adds routes; what the kernel refuses goes unseen, as there."""

    def __init__(self, conf: NetworkConf) -> None:
        super().__init__(conf)
        read = Conf(conf.raw, "RouteOverrideConfig")
        asked = read.child("args").child("cni", "IPAMArgs", "main.IPAMArgs")
        self.flush_routes = _either(asked, read, "flushroutes")
        self.flush_gateway = _either(asked, read, "flushgateway")
        self.skip_check = _either(asked, read, "skipcheck")
        written = {key: read.routes(key) for key in ("delroutes", "addroutes")}
        wanted = {key: asked.routes(key) if key in asked else written[key] for key in written}
        self.deleted, self.added = wanted["delroutes"], wanted["addroutes"]

    def add(self, call: Call) -> Result:
        """Change routes and result."""
        if call.prev_result is None:
            raise CniError("overrideConf.PrevResult is nil")
        result, rtnl = call.prev_result, call.sandbox.namespace.rtnl
        deleted = self.deleted
        if self.flush_gateway:
            deleted += _DEFAULTS
            ips = tuple(replace(ip, gateway=_unspecified(ip.address)) for ip in result.ips)
            result = replace(result, ips=ips)
        inside = [i.name for i in result.interfaces if i.sandbox]
        kept: list[ResultRoute] = []
        if self.flush_routes:
            _delete(rtnl, [r for r in _by(rtnl, inside) if _leads_on(r)])
        else:
            gone = {route.dst for route in deleted}
            kept = [route for route in result.routes if route.dst not in gone]
            told = {route.dst for route in result.routes} & gone
            known = _by(rtnl, inside if result.interfaces else ["eth0"])
            _delete(rtnl, [r for r in known if r.dst in told and r.dst.prefixlen])
        if self.flush_gateway:
            known = _by(rtnl, inside if result.interfaces else ["eth0"])
            _delete(rtnl, [r for r in known if r.dst.prefixlen == 0])
        self._add_routes(rtnl, inside)
        return replace(result, routes=(*kept, *self.added))

    def check(self, call: Call) -> None:
        """Nothing leads to the deleted routes' networks; the result's routes are there."""
        if self.skip_check:
            return
        result = interface_check.previous(call)
        rtnl = call.sandbox.namespace.rtnl
        for route in self.deleted:
            with contextlib.suppress(NetlinkError):
                _gateway_to(rtnl, route.dst.ip)
                raise CniError(f"route-override: route is not removed: {_go(route)}")
        for route in result.routes:
            gateway = _found(rtnl, route)
            if route.gw is None and gateway not in [ip.gateway for ip in result.ips]:
                raise CniError(
                    "route-override: cannot find gateway <nil> in result: "
                    f"{'<nil>' if gateway is None else gateway}"
                )
            if route.gw is not None and route.gw != gateway:
                raise CniError(
                    f"route-override: failed to match route: {_go(route)} "
                    f"{'<nil>' if gateway is None else gateway}"
                )

    def delete(self, call: Call) -> None:
        """The routes go with the interface."""

    def _add_routes(self, rtnl: Rtnl, inside: Sequence[str]) -> None:
        link = links.find(rtnl, inside[0]) if inside else None
        if link is None:
            return
        for route in self.added:
            dst = (route.dst.ip, route.dst.prefixlen)
            with contextlib.suppress(NetlinkError):
                rtnl.execute(requests.route(dst, index=link.index, gateway=route.gw))


def _either(asked: Conf, read: Conf, key: str) -> bool:
    """What ``args.cni`` says, else the configuration."""
    written = read.truth(key)
    return asked.truth(key) if key in asked else written


def _unspecified(address: Cidr) -> IPAddress:
    return ip_address("0.0.0.0" if address.version == 4 else "::")  # noqa: S104 - no listener


def _by(rtnl: Rtnl, names: Sequence[str]) -> list[LinkRoute]:
    """The routes by links of these names."""
    found = [links.find(rtnl, name) for name in names]
    return [r for link in found if link is not None for r in link_routes.of_link(rtnl, link.index)]


def _leads_on(route: LinkRoute) -> bool:
    """What flushing takes: not the interface's own networks, and nothing link-local."""
    if route.scope == LINK_SCOPE:
        return False
    if route.dst.prefixlen == 0:
        return True
    return route.gateway is not None and not route.dst.ip.is_link_local


def _delete(rtnl: Rtnl, routes: Sequence[LinkRoute]) -> None:
    for route in routes:
        with contextlib.suppress(NetlinkError):
            rtnl.execute(route.delete())


def _found(rtnl: Rtnl, route: ResultRoute) -> IPAddress | None:
    """The gateway of the one route there is to where ``route`` leads."""
    if int(route.dst.ip):
        try:
            return _gateway_to(rtnl, route.dst.ip)
        except NetlinkError as error:
            raise CniError(words(error)) from error
    names = {link.index: link.name for link in decode.links(rtnl)}
    defaults = [
        r
        for r in decode.routes(rtnl, names)
        if r.default and r.destination.version == route.dst.version
    ]
    if len(defaults) != 1:
        told = " ".join(map(str, defaults))
        raise CniError(f"route-override: got multiple routes: [{told}]")
    gateway = defaults[0].gateway
    return None if gateway is None else ip_address(str(gateway))


def _gateway_to(rtnl: Rtnl, ip: IPAddress) -> IPAddress | None:
    """The gateway by which the kernel would send to an address.

    Raises:
        NetlinkError: it would send nowhere.
    """
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    body = _ROUTE.pack(family, ip.max_prefixlen, 0, 0, 0, 0, 0, 0, 0) + attr(_RTA_DST, ip.packed)
    answer = rtnl.get(RTM_GETROUTE, body, f"look up the route to {ip}")
    found = {kind: bytes(data) for kind, data in attributes(answer, _ROUTE.size)}
    return ip_address(found[_RTA_GATEWAY]) if _RTA_GATEWAY in found else None


def _go(route: ResultRoute) -> str:
    gateway = "<nil>" if route.gw is None else route.gw
    return f"&{{Dst:{{IP:{route.dst.ip} Mask:{route.dst.mask}}} GW:{gateway}}}"
