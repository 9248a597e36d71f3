"""Addresses as Go's net package reads them."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_multinet.cni.addresses import Cidr, parse_cidr, parse_ip


@given(st.ip_addresses(), st.data())
def test_an_address_with_its_prefix_length_is_read_back(ip, data):
    length = data.draw(st.integers(0, ip.max_prefixlen))
    if ip.version == 6 and ip.ipv4_mapped is not None:
        return
    cidr = parse_cidr(f"{ip}/{length}")
    assert (cidr.ip, cidr.prefixlen) == (ip, length)
    network = ipaddress.ip_network(f"{ip}/{length}", strict=False)
    assert str(cidr.network) == str(network)
    assert cidr.mask == f"{int(network.netmask):0{ip.max_prefixlen // 4}x}"
    assert cidr.contains(network.broadcast_address)


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_a_value_error(text):
    for parse in (parse_cidr, parse_ip):
        with contextlib.suppress(ValueError):
            parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "10.1.1.1",
        "10.1.1.1/255.255.255.0",
        "10.1.1.1/33",
        "10.1.1.1/",
        "fe80::1%eth0/64",
        "/24",
        "10.1.1.1/-1",
        "10.1.1.1/+8",
        "10.01.1.1/24",
        "10.1.1.1/٢٤",
    ],
)
def test_what_go_refuses_is_refused(text):
    with pytest.raises(ValueError, match="invalid CIDR address: "):
        parse_cidr(text)


def test_an_ipv4_address_in_ipv6_clothes_counts_as_ipv4():
    assert parse_cidr("::ffff:10.1.1.1/120") == Cidr(parse_ip("10.1.1.1"), 24)
