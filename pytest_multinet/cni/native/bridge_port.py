"""Ports of a bridge and their VLANs: requests of the bridge family (bridge(8), if_bridge.h)."""

from __future__ import annotations

import struct

from pytest_multinet.net.requests import RTM_DELLINK, Message, attr, u32
from pytest_multinet.net.rtnl import RTM_GETLINK, Rtnl, attributes

_AF_BRIDGE = 7
_RTM_SETLINK = 19
_NESTED = 0x8000
_LINK = struct.Struct("=BxHiII")
_VLAN = struct.Struct("=HH")
_AF_SPEC, _EXT_MASK, _PROTINFO = 26, 29, 12
_PVID, _UNTAGGED = 2, 4


def hairpin(index: int, on: bool) -> Message:
    """Let a port send a frame back where it came from, or not."""
    mode = attr(4, bytes([on]))  # IFLA_BRPORT_MODE
    body = _LINK.pack(_AF_BRIDGE, 0, index, 0, 0) + attr(_PROTINFO | _NESTED, mode)
    return Message(_RTM_SETLINK, 0, body, f"set hairpin of link {index}")


def vlan(index: int, number: int, *, access: bool = False, delete: bool = False) -> Message:
    """Add a VLAN to a port, or take it off; ``access``: the port's own, without a tag."""
    flags = _PVID | _UNTAGGED if access else 0
    # IFLA_BRIDGE_FLAGS: BRIDGE_FLAGS_MASTER; IFLA_BRIDGE_VLAN_INFO
    spec = attr(0, struct.pack("=H", 1)) + attr(2, _VLAN.pack(flags, number))
    body = _LINK.pack(_AF_BRIDGE, 0, index, 0, 0) + attr(_AF_SPEC, spec)
    kind = RTM_DELLINK if delete else _RTM_SETLINK
    return Message(kind, 0, body, f"VLAN {number} of link {index}")


def vlans(rtnl: Rtnl, index: int) -> list[int]:
    """The VLANs of a port."""
    request = _LINK.pack(_AF_BRIDGE, 0, 0, 0, 0) + u32(_EXT_MASK, 2)  # RTEXT_FILTER_BRVLAN
    out: list[int] = []
    for body in rtnl.dump(RTM_GETLINK, request):
        if _LINK.unpack_from(body)[2] != index:
            continue
        for kind, data in attributes(body, _LINK.size):
            if kind == _AF_SPEC:
                out += [_VLAN.unpack_from(v)[1] for k, v in attributes(data, 0) if k == 2]
    return out
