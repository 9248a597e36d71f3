"""The annotation in which Multus reports what it attached."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_multinet.errors import ManifestError
from pytest_multinet.model.network_status import (
    Dns,
    NetworkStatus,
    dump_network_status,
    parse_network_status,
)

# As Multus 4.1 wrote it for a pod with kindnet and one macvlan.
FROM_MULTUS = r"""[{
    "name": "kindnet",
    "interface": "eth0",
    "ips": [
        "10.244.1.2"
    ],
    "mac": "e2:5a:1e:6e:9d:3c",
    "default": true,
    "dns": {},
    "gateway": [
        "\u003cnil\u003e"
    ]
},{
    "name": "default/macvlan-conf",
    "interface": "net1",
    "ips": [
        "10.1.1.101"
    ],
    "mac": "36:6b:8f:40:57:d2",
    "dns": {},
    "gateway": [
        "10.1.1.1"
    ]
}]"""

KINDNET = NetworkStatus(
    name="kindnet",
    interface="eth0",
    ips=(ip_address("10.244.1.2"),),
    mac="e2:5a:1e:6e:9d:3c",
    default=True,
    gateway=("<nil>",),
)
MACVLAN = NetworkStatus(
    name="default/macvlan-conf",
    interface="net1",
    ips=(ip_address("10.1.1.101"),),
    mac="36:6b:8f:40:57:d2",
    gateway=("10.1.1.1",),
)


def test_what_multus_wrote_is_read() -> None:
    assert parse_network_status(FROM_MULTUS) == (KINDNET, MACVLAN)


def test_what_is_written_is_what_multus_writes() -> None:
    assert dump_network_status([KINDNET, MACVLAN]) == FROM_MULTUS


@pytest.mark.parametrize("text", ["", "[]", "null"])
def test_nothing_attached_is_an_empty_tuple(text: str) -> None:
    assert parse_network_status(text) == ()


def test_every_key_is_carried() -> None:
    status = NetworkStatus(
        name="a/b",
        interface="x0",
        ips=(ip_address("10.0.0.1"), ip_address("fd00::1")),
        mac="02:00:00:00:00:01",
        mtu=9000,
        dns=Dns(("10.0.0.10",), "example.org", ("a.example.org",), ("ndots:5",)),
        device_info={"type": "pci", "pci": {"pci-address": "0000:00:01.0"}},
    )
    assert parse_network_status(dump_network_status([status])) == (status,)
    assert list(status.to_dict()) == [
        "name",
        "interface",
        "ips",
        "mac",
        "mtu",
        "dns",
        "device-info",
    ]


def test_keys_are_found_without_regard_to_case_and_others_are_ignored() -> None:
    (status,) = parse_network_status(
        '[{"Name": "a", "IPs": ["10.0.0.1"], "DNS": {"Domain": "x"}, "new": 1}]'
    )
    assert status == NetworkStatus("a", ips=(ip_address("10.0.0.1"),), dns=Dns(domain="x"))


def test_an_mtu_of_zero_counts_as_absent() -> None:
    (status,) = parse_network_status('[{"name": "a", "mtu": 0}]')
    assert status.mtu is None


def test_dns_without_settings_is_false() -> None:
    assert not Dns()
    assert Dns(nameservers=("10.0.0.10",))


def test_the_repr_is_short() -> None:
    assert repr(KINDNET) == "<NetworkStatus kindnet eth0 default 10.244.1.2>"
    assert repr(NetworkStatus("a")) == "<NetworkStatus a - no address>"


ADDRESSES = st.ip_addresses()
STATUSES = st.builds(
    NetworkStatus,
    name=st.text(max_size=20),
    interface=st.text(max_size=15),
    ips=st.lists(ADDRESSES, max_size=3).map(tuple),
    mac=st.sampled_from(["", "02:00:00:00:00:01"]),
    mtu=st.none() | st.integers(1, 65535),
    default=st.booleans(),
    dns=st.builds(
        Dns,
        nameservers=st.lists(ADDRESSES.map(str), max_size=2).map(tuple),
        domain=st.none() | st.text(min_size=1, max_size=5),
        search=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    ),
    device_info=st.none() | st.dictionaries(st.text(max_size=4), st.text(max_size=4)),
    gateway=st.lists(st.sampled_from(["<nil>", "10.0.0.1", "fd00::1"]), max_size=2).map(tuple),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(STATUSES, max_size=3))
def test_what_is_written_is_read_back(statuses: list[NetworkStatus]) -> None:
    assert parse_network_status(dump_network_status(statuses)) == tuple(statuses)


@pytest.mark.parametrize(
    ("text", "message", "field"),
    [
        ("{", "unexpected end of JSON input", None),
        ("[,]", "invalid character ','", None),
        ("{}", "is of type object", None),
        ('"x"', "is of type string", None),
        ("[1]", "an entry of the network status is of type number", "[0]"),
        ('[{"name": 1}]', "of type number", "[0].name"),
        ('[{"name": "a"}, {"interface": []}]', "of type array", "[1].interface"),
        ('[{"ips": "10.0.0.1"}]', "of type string", "[0].ips"),
        ('[{"ips": ["10.0.0.1/24"]}]', "is no IP address", "[0].ips[0]"),
        ('[{"ips": [1]}]', "of type number", "[0].ips[0]"),
        ('[{"mac": 2}]', "of type number", "[0].mac"),
        ('[{"mtu": "1500"}]', "mtu is not a number", "[0].mtu"),
        ('[{"mtu": -1}]', "mtu is not a number", "[0].mtu"),
        ('[{"default": "true"}]', "of type string", "[0].default"),
        ('[{"dns": []}]', "of type array", "[0].dns"),
        ('[{"dns": {"search": "x"}}]', "of type string", "[0].dns.search"),
        ('[{"gateway": "10.0.0.1"}]', "of type string", "[0].gateway"),
        ('[{"device-info": "x"}]', "of type string", "[0].device-info"),
    ],
)
def test_a_malformed_status_is_refused(text: str, message: str, field: Any) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_network_status(text)
    assert message in caught.value.message
    expected = "network-status" + (field or "")
    assert caught.value.field == expected
