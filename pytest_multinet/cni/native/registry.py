"""Which plugin types are native.  A new one is a file beside this and a line here."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from pytest_multinet.cni.native.plugin import Plugin

NATIVE = {
    "bandwidth": "bandwidth:Bandwidth",
    "bridge": "bridge:Bridge",
    "dummy": "dummy:Dummy",
    "host-device": "host_device:HostDevice",
    "host-local": "host_local:HostLocal",
    "ipvlan": "ipvlan:Ipvlan",
    "loopback": "loopback:Loopback",
    "macvlan": "macvlan:Macvlan",
    "portmap": "portmap:Portmap",
    "ptp": "ptp:Ptp",
    "route-override": "route_override:RouteOverride",
    "sbr": "sbr:Sbr",
    "static": "static:Static",
    "tap": "tap:Tap",
    "tuning": "tuning:Tuning",
    "vlan": "vlan:Vlan",
    "vrf": "vrf:Vrf",
    "whereabouts": "whereabouts:Whereabouts",
}
# The reference plugins that only their programs can be, and what those have that we have not.
PROGRAMS = {"dhcp": "its daemon", "firewall": "its packet filter rules"}


def native(plugin_type: str) -> type[Plugin] | None:
    """The class of a plugin type, ``None`` where only a binary can do it."""
    place = NATIVE.get(plugin_type)
    if place is None:
        return None
    module, _, name = place.partition(":")
    found = getattr(import_module(f"pytest_multinet.cni.native.{module}"), name)
    return cast("type[Plugin]", found)
