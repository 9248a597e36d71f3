"""Configurations of native plugins: every JSON value is taken or refused by a CniError."""

from __future__ import annotations

import contextlib
import re
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.plugin import Call, load_args, parse_mac
from pytest_multinet.cni.native.registry import NATIVE, native
from pytest_multinet.errors import CniError, ManifestError
from pytest_multinet.model.nad import NetworkConf, parse_network_config

KEYS = re.findall(
    r"\w+",
    """
master mode mtu mac ipam dns routes dst gw address addresses gateway linkInContainer bridge
isGateway isDefaultGateway forceAddress ipMasq hairpinMode promiscMode vlan vlanTrunk minID maxID
id preserveDefaultVlan macspoofchk enabledad disableContainerInterface sysctl promisc allmulti
txQLen dataDir args cni ips ranges subnet rangeStart rangeEnd resolvConf snat masqAll markMasqBit
externalSetMarkChain device hwaddr kernelpath pciBusID vlanId range range_start range_end exclude
ipRanges enable_overlapping_ranges network_name nameservers domain search options Master
multiQueue owner group selinuxContext vrfname table ingressRate ingressBurst egressRate
egressBurst shapedSubnets unshapedSubnets bandwidth flushroutes flushgateway delroutes addroutes
skipcheck
""",
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "eth1", "10.1.1.5/24", "10.1.1.1", "bridge", "zz", "02:00:00:00:00:01"])
    | st.text(max_size=6)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(KEYS), values, max_size=6)


@pytest.mark.parametrize("kind", sorted(NATIVE))
@settings(max_examples=40)
@given(raw=objects, ipam=objects)
def test_any_configuration_is_taken_or_refused(kind, raw, ipam):
    made = native(kind)
    assert made is not None
    try:
        whole = {**raw, "type": kind, "ipam": {**ipam, "type": "static"}}
        (conf,) = parse_network_config(
            {"cniVersion": "1.0.0", "name": "n", "plugins": [whole]}
        ).plugins
    except ManifestError:
        return
    with contextlib.suppress(CniError):
        made(conf)


@pytest.mark.parametrize("kind", ["static", "host-local", "whereabouts", "portmap"])
@given(
    raw=objects,
    ipam=objects,
    runtime=objects,
    args=st.dictionaries(
        st.sampled_from(["IgnoreUnknown", "IP", "GATEWAY", "MAC", "x"]), st.text(max_size=12)
    ),
)
def test_add_without_a_kernel_gives_a_result_or_a_cni_error(kind, raw, ipam, runtime, args):
    made = native(kind)
    assert made is not None
    conf = NetworkConf(kind, raw={**raw, "ipam": {**ipam, "type": kind}})
    host = SimpleNamespace(name="worker", namespace=None, state={}, cluster_state={})
    sandbox = SimpleNamespace(container_id="c", namespace=None, path="/x")
    call = Call(
        cast("Any", host), cast("Any", sandbox), "net1", "net", "1.0.0", conf, args, runtime,
        None, cast("Any", None),
    )  # fmt: skip
    with contextlib.suppress(CniError):
        plugin = made(conf)
        if plugin.beyond(call) is None:
            plugin.add(call)
        plugin.delete(call)


def test_a_value_of_the_wrong_type_is_told_as_go_does():
    read = Conf({"mtu": "1500", "Mode": 4, "ipam": {"routes": "x"}})
    with pytest.raises(CniError) as raised:
        read.whole("mtu")
    assert raised.value.msg == (
        "failed to load netconf: json: cannot unmarshal string into Go struct field NetConf.mtu "
        "of type int"
    )
    with pytest.raises(CniError, match=r"number into Go struct field NetConf\.mode"):
        read.text("mode")
    with pytest.raises(CniError, match=r"IPAMConfig\.ipam\.routes of type \[\]\*types\.Route"):
        read.child("ipam", "IPAMConfig").routes()


@pytest.mark.parametrize(
    ("args", "known", "message"),
    [
        ({"K8S_POD_NAME": "x"}, {}, 'ARGS: unknown args ["K8S_POD_NAME=x"]'),
        ({"MAC": "a=b"}, {}, 'ARGS: invalid pair "MAC=a=b"'),
        ({"MAC": "a;b"}, {}, 'ARGS: invalid pair "b"'),
        ({"IgnoreUnknown": "maybe"}, {}, "boolean unmarshal error: invalid input maybe"),
        ({"IgnoreUnknown": "TRUE", "X": "y", "MAC": "m"}, {"MAC": "m"}, None),
    ],
)
def test_cni_args_are_read_as_libcni_does(args, known, message):
    if message is None:
        assert load_args(args, ("MAC",)) == known
        return
    with pytest.raises(CniError) as raised:
        load_args(args, ("MAC",))
    assert message in raised.value.msg


@pytest.mark.parametrize("text", ["02:00:00:00:00:0A", "02-00-00-00-00-0a", "0200.0000.000a"])
def test_a_mac_address_can_be_written_in_three_ways(text):
    assert parse_mac(text) == "02:00:00:00:00:0a"


@given(st.text(max_size=20))
def test_any_text_is_a_mac_address_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        assert len(bytes.fromhex(parse_mac(text).replace(":", ""))) in (6, 8, 20)
