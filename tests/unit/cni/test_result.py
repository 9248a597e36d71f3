"""Results of every version, to JSON and back."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_multinet.cni.addresses import parse_cidr, parse_ip
from pytest_multinet.cni.result import DNS, IPConfig, Result, ResultInterface, ResultRoute
from pytest_multinet.errors import CniError

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
words = st.text("abc0", max_size=4)
cidrs = st.sampled_from(["10.1.1.101/24", "10.2.0.7/32", "fd00::1/64", "::/0", "0.0.0.0/0"]).map(
    parse_cidr
)
ips = st.none() | st.sampled_from(["10.1.1.1", "fd00::ff"]).map(parse_ip)
results = st.builds(
    Result,
    st.just("1.0.0"),
    st.lists(st.builds(ResultInterface, words, words, words), max_size=3).map(tuple),
    st.lists(st.builds(IPConfig, cidrs, ips, st.none() | st.integers(0, 3)), max_size=3).map(
        tuple
    ),
    st.lists(st.builds(ResultRoute, cidrs, ips), max_size=3).map(tuple),
    st.builds(DNS, st.lists(words, max_size=2).map(tuple), words),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("10.1.1.1/24"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "address", "dst", "gw", "interface", "ip", "mtu"]), inner
        )
    ),
    max_leaves=8,
)


@given(results, st.sampled_from(VERSIONS[2:]))
def test_a_result_survives_every_version_since_0_3(result, version):
    there = json.loads(json.dumps(result.to_dict(version)))
    assert there["cniVersion"] == version
    assert Result.from_dict(there) == result


@given(results)
def test_a_result_before_0_3_keeps_one_address_a_family(result):
    if not result.ips:
        with pytest.raises(CniError, match="cannot convert: no valid IP addresses"):
            result.to_dict("0.2.0")
        return
    back = Result.from_dict(result.to_dict("0.2.0"))
    assert not back.interfaces
    for family in (4, 6):
        first = [ip for ip in result.ips if ip.address.version == family][:1]
        kept = [ip for ip in back.ips if ip.address.version == family]
        assert [(i.address, i.gateway) for i in kept] == [(i.address, i.gateway) for i in first]


@given(
    st.dictionaries(
        st.sampled_from(["cniVersion", "interfaces", "ips", "routes", "dns", "ip4", "IPs"]), values
    ),
    st.sampled_from(VERSIONS),
)
def test_any_object_is_a_result_or_a_cni_error(data, version):
    with contextlib.suppress(CniError):
        Result.from_dict(data, version)


def test_results_that_mean_the_same_are_equal():
    data = {
        "cniVersion": "0.3.1",
        "interfaces": [{"name": "net1", "sandbox": "/x"}],
        "ips": [{"version": "4", "address": "10.1.1.5/24", "interface": 0}],
        "dns": {},
    }
    newer = {**data, "cniVersion": "1.0.0", "IPs": [{"Address": "10.1.1.5/24", "interface": 0}]}
    del newer["ips"], newer["dns"]
    assert Result.from_dict(data) == Result.from_dict(newer)


def test_fields_of_1_1_are_told_in_1_1_only():
    interface = ResultInterface("net1", mtu=1400, pci_id="0000:00:1f.6")
    route = ResultRoute(parse_cidr("10.0.0.0/8"), priority=7, table=100)
    result = Result("1.1.0", (interface,), (), (route,))
    assert result.to_dict()["interfaces"][0]["mtu"] == 1400
    assert Result.from_dict(result.to_dict()) == result
    older = result.to_dict("1.0.0")
    assert "mtu" not in older["interfaces"][0]
    assert older["routes"] == [{"dst": "10.0.0.0/8"}]


@pytest.mark.parametrize("version", ["2.0.0", "0.3.2", "one"])
def test_an_unknown_version_is_refused(version):
    with pytest.raises(CniError, match="unsupported CNI result version"):
        Result.from_dict({"cniVersion": version})
    with pytest.raises(CniError, match="no converter for CNI result version"):
        replace(Result(), cni_version="1.0.0").to_dict(version)
