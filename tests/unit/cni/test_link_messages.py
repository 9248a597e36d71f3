"""Requests for links that this kernel may lack, read back by pyroute2's decoder."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from pytest_multinet.cni.native import bridge_port, links, upper_link
from pytest_multinet.net.requests import Message, attr


def decoded(message: Message) -> Any:
    header = struct.pack("=IHHII", 16 + len(message.body), message.type, message.flags, 1, 0)
    out = ifinfmsg(header + message.body)
    out.decode()
    return out


@given(
    kind=st.sampled_from(["ipvlan", "vlan"]),
    parent=st.integers(1, 2**31 - 1),
    fd=st.integers(3, 1023),
    mtu=st.integers(68, 65535),
)
def test_a_link_on_another_names_its_parent_and_its_namespace(kind, parent, fd, mtu):
    out = decoded(upper_link.new_link(kind, "net1", parent=parent, ns_fd=fd, mtu=mtu))
    assert out.get_attr("IFLA_IFNAME") == "net1"
    assert out.get_attr("IFLA_LINK") == parent
    assert out.get_attr("IFLA_NET_NS_FD") == fd
    assert out.get_attr("IFLA_MTU") == mtu
    assert out.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_KIND") == kind


@given(vlan=st.integers(0, 4094))
def test_a_vlan_names_its_number(vlan):
    data = attr(1, struct.pack("=H", vlan))
    out = decoded(upper_link.new_link("vlan", "net1", parent=2, ns_fd=None, mtu=0, data=data))
    info = out.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA")
    assert info.get_attr("IFLA_VLAN_ID") == vlan
    assert out.get_attr("IFLA_MTU") is None


def test_a_dummy_has_no_parent():
    out = decoded(upper_link.new_link("dummy", "net1", parent=None, ns_fd=None, mtu=0))
    assert out.get_attr("IFLA_LINK") is None
    assert out.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_KIND") == "dummy"


@pytest.mark.parametrize("on", [True, False])
def test_hairpin_mode_is_a_port_attribute(on):
    out = decoded(bridge_port.hairpin(7, on))
    assert (out["family"], out["index"]) == (7, 7)
    assert bytes([on]) in bridge_port.hairpin(7, on).body


@given(number=st.integers(1, 4094), access=st.booleans())
def test_a_ports_vlan_is_tagged_unless_it_is_its_own(number, access):
    out = decoded(bridge_port.vlan(7, number, access=access))
    info = out.get_attr("IFLA_AF_SPEC").get_attr("IFLA_BRIDGE_VLAN_INFO")
    assert info["vid"] == number
    assert info["flags"] == (6 if access else 0)


def test_what_plugins_look_at_is_read_from_a_link():
    body = struct.pack("=BxHiII", 0, 1, 7, 0x1003, 0)
    body += attr(3, b"net1\0") + attr(13, struct.pack("=I", 500)) + attr(16, b"\6")
    body += attr(4, struct.pack("=I", 1400)) + attr(30, struct.pack("=I", 1))
    body += attr(1, bytes.fromhex("020000000001")) + attr(5, struct.pack("=I", 3))
    link = links.decode(body)
    assert (link.index, link.flags, link.mac) == (7, 0x1003, "02:00:00:00:00:01")
    assert (link.mtu, link.parent, link.master) == (1400, 3, 0)
    assert (link.promiscuity, link.queue_length, link.operational) == (1, 500, 6)
