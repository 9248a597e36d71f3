"""Our packed messages, read back by pyroute2's decoder."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.ndtmsg import ndtmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from pytest_multinet.net import requests

DECODERS = {16: ifinfmsg, 17: ifinfmsg, 20: ifaddrmsg, 21: ifaddrmsg, 24: rtmsg, 25: rtmsg}
DECODERS |= {28: ndmsg, 29: ndmsg, 67: ndtmsg}

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=15)
indices = st.integers(1, 2**31 - 1)
mtus = st.integers(68, 65535)
macs = st.binary(min_size=6, max_size=6).map(lambda b: b.hex(":"))


def decoded(message: requests.Message) -> Any:
    header = struct.pack("=IHHII", 16 + len(message.body), message.type, message.flags, 1, 0)
    out = DECODERS[message.type](header + message.body)
    out.decode()
    return out


@given(name=names, peer=names, fd=indices, peer_fd=indices, mtu=mtus, mac=macs)
def test_veth_makes_each_end_in_its_namespace(name, peer, fd, peer_fd, mtu, mac):
    out = decoded(requests.veth(name, peer, ns_fd=fd, peer_ns_fd=peer_fd, mtu=mtu, peer_mac=mac))
    assert out.get_attr("IFLA_IFNAME") == name
    assert out.get_attr("IFLA_NET_NS_FD") == fd
    assert out.get_attr("IFLA_MTU") == mtu
    info = out.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "veth"
    other = info.get_attr("IFLA_INFO_DATA").get_attr("VETH_INFO_PEER")
    assert other.get_attr("IFLA_IFNAME") == peer
    assert other.get_attr("IFLA_NET_NS_FD") == peer_fd
    assert other.get_attr("IFLA_ADDRESS") == mac


@pytest.mark.parametrize("mode", ["private", "vepa", "bridge", "passthru"])
def test_macvlan_names_its_mode_and_parent(mode):
    out = decoded(requests.macvlan("net1", 7, mode=mode, ns_fd=9, mtu=1400))
    info = out.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "macvlan"
    assert info.get_attr("IFLA_INFO_DATA").get_attr("IFLA_MACVLAN_MODE") == mode
    assert out.get_attr("IFLA_LINK") == 7
    assert out.get_attr("IFLA_NET_NS_FD") == 9


@pytest.mark.parametrize("stp", [False, True])
def test_bridge_sets_stp(stp):
    out = decoded(requests.bridge("cni0", mtu=1400, stp=stp))
    data = out.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA")
    assert data.get_attr("IFLA_BR_STP_STATE") == int(stp)


@given(index=indices, up=st.sampled_from([None, True, False]), master=st.integers(0, 2**31 - 1))
def test_set_link_changes_only_what_is_named(index, up, master):
    out = decoded(requests.set_link(index, up=up, master=master, name="x0"))
    assert out["index"] == index
    assert out["change"] == (0 if up is None else 1)
    assert out["flags"] == (1 if up else 0)
    assert out.get_attr("IFLA_MASTER") == master
    assert out.get_attr("IFLA_IFNAME") == "x0"
    assert out.get_attr("IFLA_MTU") is None


@given(index=indices, ip=st.ip_addresses(v=4), length=st.integers(0, 32))
def test_ipv4_address_has_its_broadcast(index, ip, length):
    out = decoded(requests.address(index, ip, length))
    assert (out["family"], out["prefixlen"], out["index"]) == (socket.AF_INET, length, index)
    assert out.get_attr("IFA_LOCAL") == out.get_attr("IFA_ADDRESS") == str(ip)
    if length >= 31:
        assert out.get_attr("IFA_BROADCAST") is None
    else:
        last = int(ip) | ((1 << (32 - length)) - 1)
        assert out.get_attr("IFA_BROADCAST") == str(ip_address(last))


@given(index=indices, ip=st.ip_addresses(v=6), length=st.integers(0, 128))
def test_ipv6_address_skips_duplicate_address_detection(index, ip, length):
    out = decoded(requests.address(index, ip, length))
    assert (out["family"], out["prefixlen"]) == (socket.AF_INET6, length)
    assert out["flags"] & 0x02
    assert ip_address(out.get_attr("IFA_LOCAL")) == ip


@given(
    to=st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)),
    index=indices,
    metric=st.one_of(st.none(), st.integers(1, 2**31 - 1)),
    table=st.integers(1, 2**31 - 1),
    scope=st.sampled_from(sorted(requests.SCOPES)),
)
def test_route_says_where_and_how(to, index, metric, table, scope):
    out = decoded(
        requests.route((to, 24), index=index, metric=metric, table=table, scope=scope, mtu=1400)
    )
    assert ip_address(out.get_attr("RTA_DST")) == to
    assert out["dst_len"] == 24
    assert out.get_attr("RTA_OIF") == index
    assert out.get_attr("RTA_PRIORITY") == metric
    assert out.get_attr("RTA_TABLE", out["table"]) == table
    assert out["scope"] == requests.SCOPES[scope]
    assert out.get_attr("RTA_METRICS").get_attr("RTAX_MTU") == 1400


def test_default_route_has_no_destination():
    gateway = ip_address("10.1.1.1")
    out = decoded(requests.route((ip_address("0.0.0.0"), 0), gateway=gateway))
    assert out.get_attr("RTA_DST") is None
    assert out.get_attr("RTA_GATEWAY") == "10.1.1.1"


@given(index=indices, ip=st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_neighbour_is_resolved_and_struck_off(index, ip):
    wanted = decoded(requests.neighbour(index, ip))
    assert wanted["flags"] == 0x01  # NTF_USE
    assert ip_address(wanted.get_attr("NDA_DST")) == ip
    assert requests.neighbour(index, ip, delete=True).type == requests.RTM_DELNEIGH


@pytest.mark.parametrize(("family", "table"), [(2, "arp_cache"), (10, "ndisc_cache")])
def test_neighbour_timing_names_table_and_link(family, table):
    out = decoded(requests.neighbour_timing(4, family, 20))
    assert out["family"] == family
    assert out.get_attr("NDTA_NAME") == table
    parameters = out.get_attr("NDTA_PARMS")
    assert parameters.get_attr("NDTPA_IFINDEX") == 4
    assert parameters.get_attr("NDTPA_RETRANS_TIME") == 20


def test_attributes_are_padded_to_four_bytes():
    assert requests.attr(1, b"abc") == struct.pack("=HH", 7, 1) + b"abc\0"
    assert requests.attr(1, b"abcd") == struct.pack("=HH", 8, 1) + b"abcd"
