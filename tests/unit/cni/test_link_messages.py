"""Requests for links that this kernel may lack: read back by pyroute2's decoder, and held
against those of the real plugins 1.5.1, recorded with strace.
"""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from pytest_multinet.cni.native import bridge_port, links, upper_link
from pytest_multinet.cni.native.bandwidth import new_device
from pytest_multinet.cni.native.ipvlan import new_ipvlan
from pytest_multinet.cni.native.vlan import new_vlan
from pytest_multinet.cni.native.vrf import new_vrf, vrf_table
from pytest_multinet.net import requests
from pytest_multinet.net.requests import Message, attr
from pytest_multinet.net.rtnl import attributes

# What follows the netlink header (RTM_NEWLINK, flags 0x605); the master has index 3, the pod's
# namespace is descriptor 3, and the name is the plugin's temporary one.
REAL = {
    "vlan": "00000000000000000000000000000000 0800050003000000"
    "1100030076657468373765393262323700000000 0800040078050000 08000d0000000000 08001c0003000000"
    "1800120008000100766c616e0c0002000600010005000000",
    "ipvlan": "00000000000000000000000000000000 0800050003000000"
    "1100030076657468373333366230333400000000 0800040078050000 08000d0000000000 08001c0003000000"
    "240012000a0001006970766c616e00001400020006000100020000000600020000000000",
    "dummy": "00000000000000000000000000000000 090003006e65743100000000 08000d0000000000"
    "08001c0003000000 100012000900010064756d6d79000000",
    "vrf": "00000000000000000000000000000000 0800030072656400 08000d0000000000"
    "1800120007000100767266000c00020008000100ef030000",
    "macvlan": "00000000000000000000000000000000 0800050003000000"
    "1100030076657468626362633135363500000000 0800040078050000 08000d0000000000"
    "0a000100020000000007 0000 08001c0003000000"
    "1c0012000b0001006d6163766c616e000c0002000800010004000000",
}


def told(body: bytes) -> Any:
    """A request's fixed part and attributes, in no order; a kind of link with or without NUL."""
    found = {kind: bytes(data) for kind, data in attributes(body, 16)}
    info = {kind: bytes(data) for kind, data in attributes(found.pop(18), 0)}
    options = {kind: bytes(data) for kind, data in attributes(info.get(2, b""), 0)}
    return body[:16], found, info[1].rstrip(b"\0"), options


def decoded(message: Message) -> Any:
    header = struct.pack("=IHHII", 16 + len(message.body), message.type, message.flags, 1, 0)
    out = ifinfmsg(header + message.body)
    out.decode()
    return out


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        ("vlan", new_vlan("veth77e92b27", 3, 5, ns_fd=3, mtu=1400)),
        ("ipvlan", new_ipvlan("veth7336b034", 3, "l3s", ns_fd=3, mtu=1400)),
        ("dummy", upper_link.new_link("dummy", "net1", parent=None, ns_fd=3, mtu=0)),
        ("vrf", new_vrf("red", 1007)),
        (
            "macvlan",
            requests.macvlan(
                "vethbcbc1565", 3, ns_fd=3, mtu=1400, mac="02:00:00:00:00:07", queue_length=0
            ),
        ),
    ],
)
def test_the_request_is_the_real_plugins(kind, ours):
    assert (ours.type, ours.flags | 0x5) == (16, 0x605)  # and NLM_F_REQUEST, NLM_F_ACK
    assert told(ours.body) == told(bytes.fromhex(REAL[kind]))


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
    out = decoded(new_vlan("net1", 2, vlan, ns_fd=None, mtu=0))
    info = out.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA")
    assert info.get_attr("IFLA_VLAN_ID") == vlan
    assert out.get_attr("IFLA_MTU") is None


@given(mode=st.sampled_from(["l2", "l3", "l3s"]))
def test_an_ipvlan_names_its_mode(mode):
    out = decoded(new_ipvlan("net1", 2, mode, ns_fd=None, mtu=0))
    info = out.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA")
    assert info.get_attr("IFLA_IPVLAN_MODE") == ["l2", "l3", "l3s"].index(mode)


@given(table=st.integers(1, 2**32 - 1))
def test_a_vrf_names_its_table(table):
    message = new_vrf("red", table)
    info = decoded(message).get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "vrf"
    assert info.get_attr("IFLA_INFO_DATA").get_attr("IFLA_VRF_TABLE") == table
    assert vrf_table(message.body) == table
    other = upper_link.new_link("dummy", "net1", parent=None, ns_fd=None, mtu=0)
    assert vrf_table(other.body) is None


@given(mtu=st.integers(68, 65535), queue_length=st.integers(0, 10_000))
def test_a_device_of_bandwidth_is_up_and_queues_at_least_a_thousand(mtu, queue_length):
    out = decoded(new_device("bwp123", mtu, queue_length))
    assert (out["flags"], out["change"]) == (1, 1)
    assert out.get_attr("IFLA_MTU") == mtu
    assert out.get_attr("IFLA_TXQLEN") == max(queue_length, 1000)
    assert out.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_KIND") == "ifb"


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
