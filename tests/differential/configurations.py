"""Configurations of the reference plugins: valid ones, and a third with one fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.differential.comparison import TAKEN_MAC, Trial

ABSENT = object()
Plugins = SearchStrategy[list[dict[str, Any]]]


def maybe(*values: Any) -> SearchStrategy[Any]:
    """One of the values, or the field is absent (as often as not)."""
    return st.sampled_from([*([ABSENT] * len(values)), *values])


def fields(
    faults: Sequence[dict[str, Any]] = (), **strategies: Any
) -> SearchStrategy[dict[str, Any]]:
    """Objects; one in ten gets a fault, the fields of which replace its own.

    A trial has several objects and more that can be wrong: a third of them comes out invalid.
    """
    good = st.fixed_dictionaries(
        {k: v if isinstance(v, SearchStrategy) else st.just(v) for k, v in strategies.items()}
    )
    fault = st.sampled_from([{}] * 9 * len(faults) + list(faults)) if faults else st.just({})
    return st.builds(
        lambda found, wrong: {k: v for k, v in {**found, **wrong}.items() if v is not ABSENT},
        good,
        fault,
    )


# --- what several plugins take --------------------------------------------------------------

dns = maybe(
    {},
    {"nameservers": ["10.0.0.10"], "search": ["a.example", "b"]},
    {"domain": "example", "options": ["ndots:5"]},
)
static_addresses = st.lists(
    st.sampled_from(
        [
            {"address": "10.1.1.101/24"},
            {"address": "10.1.1.102/24", "gateway": "10.1.1.1"},
            {"address": "10.2.0.7/16", "gateway": "10.2.0.1"},
            {"address": "10.3.3.3/32"},
            {"address": "fd00:1::65/64", "gateway": "fd00:1::1"},
            {"address": "fd00:2::7/48"},
        ]
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda entry: entry["address"],
)
routes = maybe(
    [],
    [{"dst": "0.0.0.0/0"}],
    [{"dst": "0.0.0.0/0", "gw": "10.1.1.1"}],
    [{"dst": "10.50.0.0/16"}, {"dst": "10.60.0.0/16", "gw": "10.1.1.7"}],
    [{"dst": "::/0", "gw": "fd00:1::1"}],
    [{"dst": "fd00:9::/48"}, {"dst": "0.0.0.0/0"}, {"dst": "10.50.0.0/16"}],
)
route_faults = [
    {"routes": [{"dst": "10.50.0.1/16"}, {"dst": "10.60.0.0/16"}]},
    {"routes": [{"dst": "10.50.0.0/16"}, {"dst": "10.60.0.0/16", "gw": "10.77.0.1"}]},
    {"routes": [{"dst": "0.0.0.0/0", "gw": "fd00:1::1"}]},
    {"routes": [{"dst": "10.50.0.0"}]},
    {"routes": [{"dst": "10.50.0.0/16", "gw": "gateway"}]},
    {"routes": [{"dst": "10.50.0.0/16"}, {"dst": "10.50.0.0/16"}]},
    {"routes": "0.0.0.0/0"},
]
static_ipam = fields(
    [
        *route_faults,
        {"addresses": []},
        {"addresses": ABSENT},
        {"addresses": [{"address": "10.1.1.1"}]},
        {"addresses": [{"address": "10.1.1.1/33"}]},
        {"addresses": [{"address": "300.1.1.1/24"}]},
        {"addresses": [{"address": "10.1.1.1/24", "gateway": "10.1.1"}]},
        {"addresses": [{"address": "10.1.1.1/24"}, {"address": "10.1.1.1/24"}]},
        {"addresses": "10.1.1.1/24"},
        {"addresses": [{"address": 10}]},
    ],
    type="static",
    addresses=static_addresses,
    routes=routes,
    dns=dns,
)
range_sets = st.lists(
    st.sampled_from(
        [
            [{"subnet": "10.1.1.0/24"}],
            [{"subnet": "10.2.0.0/24", "rangeStart": "10.2.0.50", "rangeEnd": "10.2.0.51"}],
            [{"subnet": "10.3.0.0/24", "gateway": "10.3.0.254"}],
            [{"subnet": "10.4.0.0/30", "gateway": "10.4.0.2"}, {"subnet": "10.4.1.0/29"}],
            [{"subnet": "fd00:1::/64"}],
            [{"subnet": "fd00:2::/64", "rangeStart": "fd00:2::100", "gateway": "fd00:2::9"}],
        ]
    ),
    min_size=1,
    max_size=2,
    unique_by=str,
)
host_local_ipam = fields(
    [
        *route_faults,
        {"ranges": []},
        {"ranges": [[]]},
        {"ranges": "all"},
        {"ranges": [{"subnet": "10.1.1.0/24"}]},
        {"ranges": [[{"subnet": "10.1.1.0/31"}]]},
        {"ranges": [[{"subnet": "10.1.1.0/32"}]]},
        {"ranges": [[{"subnet": "10.1.1.5/24"}]]},
        {"ranges": [[{"subnet": "10.1.1"}]]},
        {"ranges": [[{"subnet": "fd00::/127"}]]},
        {"ranges": [[{"subnet": "10.1.1.0/24", "rangeStart": "10.2.1.1"}]]},
        {"ranges": [[{"subnet": "10.1.1.0/24", "rangeEnd": "10.2.1.1"}]]},
        {
            "ranges": [
                [{"subnet": "10.1.1.0/24", "rangeStart": "10.1.1.9", "rangeEnd": "10.1.1.3"}]
            ]
        },
        {"ranges": [[{"subnet": "10.1.1.0/24", "gateway": "nobody"}]]},
        {"ranges": [[{"rangeStart": "10.1.1.1"}]]},
        {"ranges": [[{"subnet": "10.1.1.0/24"}, {"subnet": "fd00:1::/64"}]]},
        {"ranges": [[{"subnet": "10.1.1.0/24"}, {"subnet": "10.1.0.0/16"}]]},
        {"ranges": [[{"subnet": "10.1.1.0/24"}], [{"subnet": "10.1.0.0/16"}]]},
        {"ranges": ABSENT, "subnet": "10.1.1.0"},
        {"resolvConf": "/nowhere/resolv.conf"},
    ],
    type="host-local",
    ranges=range_sets,
    routes=routes,
    dataDir=maybe("/run/cni-ipam-state", "/run/elsewhere/"),
    resolvConf=maybe("/etc/hosts"),
)
single_range_ipam = fields(
    [{"subnet": "10.5.0.0/31"}, {"gateway": "10.5"}],
    type="host-local",
    subnet="10.5.0.0/24",
    rangeStart=maybe("10.5.0.7"),
    rangeEnd=maybe("10.5.0.9"),
    gateway=maybe("10.5.0.254"),
    routes=routes,
)
ipams = st.one_of(static_ipam, host_local_ipam, single_range_ipam)
ipam_or_none = st.one_of(st.just(ABSENT), ipams, ipams, ipams)

cni_args = fields(
    [
        {"IgnoreUnknown": ABSENT, "K8S_POD_NAME": "pod"},
        {"IgnoreUnknown": "yes"},
        {"MAC": "zz"},
        {"MAC": "a=b"},
        {"IP": "10.1.1.77"},
        {"IP": "10.1.1.77/24,fd00:1::77/64"},
        {"GATEWAY": "nobody"},
    ],
    IgnoreUnknown=st.sampled_from(["1", "true", "True"]),
    K8S_POD_NAME=maybe("pod"),
    MAC=maybe("02:00:00:00:00:0b"),
    IP=st.sampled_from([ABSENT] * 4 + ["10.1.1.77/24"]),
    GATEWAY=st.sampled_from([ABSENT] * 4 + ["10.1.1.9"]),
)
no_args = st.sampled_from([{}, {"IgnoreUnknown": "true", "K8S_POD_NAME": "pod"}])
runtime_configs = fields(
    [{"mac": "zz"}, {"ips": ["10.1.1.88"]}, {"ips": "10.1.1.88/24"}, {"mac": 7}],
    mac=maybe("02:00:00:00:00:0c"),
    ips=st.sampled_from([ABSENT] * 3 + [["10.1.1.88/24"], ["10.1.1.89/24", "fd00:1::88/64"], []]),
)
capabilities = maybe({"ips": True}, {"mac": True}, {"ips": True, "mac": True}, {"ips": False})
cni = st.sampled_from(
    [ABSENT] * 5 + [{"cni": {"mac": "02:00:00:00:00:0d"}}, {"cni": {"ips": ["10.1.1.99/24"]}}]
)
ipam_faults = [{"ipam": {"type": "nothing"}}, {"ipam": {}}]
macs = maybe("02:00:00:00:00:07", "02-00-00-00-00-08", "0200.0000.0009")
mac_faults = [
    {"mac": "01:00:5e:00:00:01"},
    {"mac": "zz"},
    {"mac": "02:00:00:00:00"},
    {"mac": "02:00:00:00:00:00:00:0a"},
    {"mac": 2},
]
mtu_faults = [{"mtu": 9000}, {"mtu": -1}, {"mtu": "1500"}, {"mtu": 1500.5}]

# --- the plugins ----------------------------------------------------------------------------

macvlans = fields(
    [
        *mac_faults,
        *mtu_faults,
        *ipam_faults,
        {"mac": TAKEN_MAC},
        {"master": "missing"},
        {"master": "lo"},
        {"master": "a-name-that-is-too-long"},
        {"mode": "sideways"},
        {"mode": 4},
        {"linkInContainer": True},
        {"mtu": 1501},
    ],
    type="macvlan",
    master=st.sampled_from(["eth1", "eth1", "eth2", ABSENT, ""]),
    mode=st.sampled_from([ABSENT, "", "bridge", "bridge", "private", "vepa", "passthru"]),
    mtu=maybe(0, 1400, 1500),
    mac=macs,
    ipam=ipam_or_none,
    dns=dns,
    capabilities=capabilities,
    args=cni,
    linkInContainer=maybe(False),
)
bridges = fields(
    [
        *mtu_faults,
        *ipam_faults,
        {"bridge": "eth2"},
        {"bridge": "a-name-that-is-too-long"},
        {"bridge": ""},
        {"isGateway": "yes"},
        {"hairpinMode": True, "promiscMode": True},
        {"vlan": 100},
        {"vlan": 4095},
        {"vlan": -1},
        {"vlan": 5, "vlanTrunk": [{"id": 7}]},
        {"vlanTrunk": [{"minID": 7}]},
        {"vlanTrunk": [{"minID": 7, "maxID": 3}]},
        {"vlanTrunk": [{"id": 4095}]},
        {"disableContainerInterface": True},
    ],
    type="bridge",
    bridge=st.sampled_from([ABSENT, "br0", "br0", "br0"]),
    isGateway=maybe(True, True, False),
    isDefaultGateway=maybe(True, False, False),
    forceAddress=maybe(True, False),
    ipMasq=maybe(False),
    mtu=maybe(0, 1400, 1500),
    hairpinMode=maybe(True, False, False),
    promiscMode=maybe(False),
    vlan=maybe(0),
    enabledad=maybe(True, False),
    ipam=ipam_or_none,
    dns=dns,
    capabilities=capabilities,
    args=cni,
)
ptps = fields(
    [*mtu_faults, *ipam_faults, {"ipMasq": 1}],
    type="ptp",
    mtu=maybe(0, 1400, 1500),
    ipMasq=maybe(False),
    ipam=ipams,
    dns=dns,
    capabilities=capabilities,
    args=cni,
)
loopbacks = fields([{"dns": "none"}], type="loopback", dns=dns)
tunings = fields(
    [
        *mac_faults,
        {"mtu": "1500"},
        {"mtu": 70000},
        {"mtu": -1},
        {"promisc": "yes"},
        {"sysctl": {"kernel.hostname": "1"}},
        {"sysctl": {"net.ipv4.nothing": "1"}},
        {"sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "many"}},
        {"sysctl": {"net.ipv4.conf.IFNAME.arp_filter": 1}},
        {"sysctl": {"net.ipv4.conf.IFNAME.../../../../kernel/hostname": "1"}},
        {"sysctl": ["net.ipv4.conf.IFNAME.arp_filter"]},
    ],
    type="tuning",
    sysctl=maybe(
        {},
        {"net.ipv4.conf.IFNAME.arp_filter": "1"},
        {"net/ipv4/conf/IFNAME/rp_filter": "2"},
        {"net.ipv4.conf.all.arp_filter": "1", "net.ipv4.conf.IFNAME.rp_filter": "1"},
    ),
    mac=macs,
    promisc=maybe(True, False),
    mtu=maybe(0, 1300, 1500),
    allmulti=maybe(True, False),
    txQLen=maybe(500, 0),
    dataDir=maybe("/run/tuned"),
    capabilities=capabilities,
    args=maybe({"cni": {"mtu": 1200, "promisc": True, "mac": "02:00:00:00:00:0f"}}),
)
portmaps = fields(
    [
        {"markMasqBit": 40},
        {"markMasqBit": 5, "externalSetMarkChain": "KUBE-MARK-MASQ"},
        {"snat": "no"},
    ],
    type="portmap",
    capabilities={"portMappings": True},
    snat=maybe(True, False),
    markMasqBit=maybe(5),
)
host_devices = fields(
    [
        *ipam_faults,
        {"device": "missing"},
        {"device": ABSENT},
        {"device": ABSENT, "hwaddr": "zz"},
        {"device": ABSENT, "hwaddr": "02:00:00:00:00:99"},
        {"device": ABSENT, "kernelpath": "/etc/net"},
        {"device": 7},
    ],
    type="host-device",
    device=st.sampled_from(["eth1", "eth2", "eth2"]),
    ipam=ipam_or_none,
    dns=dns,
    capabilities=capabilities,
)
host_devices_by_mac = fields(
    [{"hwaddr": ABSENT, "kernelpath": "/etc/net"}, {"hwaddr": 7}],
    type="host-device",
    hwaddr=st.sampled_from(["02:aa:00:00:00:01", "02-AA-00-00-00-02"]),
)
ipvlans = fields(
    [
        *mtu_faults,
        *ipam_faults,
        {"master": "missing"},
        {"mode": "sideways"},
        {"master": "a-name-that-is-too-long"},
    ],
    type="ipvlan",
    master=st.sampled_from(["eth1", "eth2", ABSENT]),
    mode=maybe("l2", "l3", "l3s"),
    mtu=maybe(0, 1400),
    ipam=ipam_or_none,
    dns=dns,
)
vlans = fields(
    [
        *mtu_faults,
        {"master": "missing"},
        {"master": ABSENT},
        {"vlanId": 4095},
        {"vlanId": "5"},
        {"vlanId": -1},
    ],
    type="vlan",
    master=st.sampled_from(["eth1", "eth2"]),
    vlanId=st.sampled_from([5, 4094, ABSENT]),
    mtu=maybe(0, 1400, 1500),
    ipam=ipams,
)
dummies = fields([{"ipam": ABSENT}, {"dns": "none"}], type="dummy", ipam=ipams)
taps = fields(
    [
        *ipam_faults,
        {"mac": "01:00:5e:00:00:01", "owner": ABSENT},
        {"mac": "zz"},
        {"mac": "02:00:00:00:00"},
        {"mac": "02:00:00:00:00:100"},
        {"mac": 2},
        {"mtu": 70000},
        {"mtu": -1},
        {"mtu": "1500"},
        {"owner": -1},
        {"owner": "root"},
        {"owner": 77},
        {"group": 77},
        {"group": 77, "owner": 0},
        {"multiQueue": 1},
        {"bridge": "missing"},
        {"bridge": "lo"},
        {"args": "none"},
    ],
    type="tap",
    multiQueue=maybe(True, False),
    mtu=maybe(0, 1400, 9000),
    mac=maybe("02:00:00:00:00:07", "2:0:0:0:0:8", "02-00-00-00-00-09", "0200.0000.000a"),
    owner=maybe(0),
    group=maybe(0),
    ipam=ipam_or_none,
    dns=dns,
    capabilities=capabilities,
)
_limit_fields = {
    "ingressRate": st.sampled_from([ABSENT, 0, 8_000_000]),
    "ingressBurst": st.just(80_000),
    "egressRate": st.sampled_from([ABSENT, 0, 1_000, 10**12]),
    "egressBurst": st.just(64_000),
}
limits = st.builds(
    # a burst without its rate is a fault
    lambda found: {
        key: value
        for key, value in found.items()
        if value is not ABSENT and found[key.replace("Burst", "Rate")] not in (ABSENT, 0)
    },
    st.fixed_dictionaries(_limit_fields),
)
subnet_choices = st.sampled_from(
    [
        {},
        {},
        {"unshapedSubnets": []},
        {"shapedSubnets": ["10.2.3.4/14", "fd00:1:2::/44"]},
        {"unshapedSubnets": ["10.2.0.0/16", "fd00::/40"]},
        {"unshapedSubnets": ["0.0.0.0/0"]},
        {"shapedSubnets": ["fd00::1/128"], "unshapedSubnets": []},
    ]
)
limit_faults = [
    {"ingressRate": 8_000_000, "ingressBurst": ABSENT},
    {"ingressBurst": 8_000_000, "ingressRate": ABSENT},
    {"egressRate": 100, "egressBurst": 0},
    {"egressRate": 100, "egressBurst": 1 << 40},
    {"ingressRate": 7, "ingressBurst": 8},
    {"ingressRate": "8M"},
    {"ingressRate": -8},
    {"egressBurst": 1.5},
    {"shapedSubnets": ["10.2.0.0"], "egressRate": 8_000_000, "egressBurst": 80_000},
    {"shapedSubnets": "10.2.0.0/16"},
    {
        "shapedSubnets": ["10.2.0.0/16"],
        "unshapedSubnets": ["10.3.0.0/16"],
        "ingressRate": 8_000_000,
        "ingressBurst": 80_000,
    },
]
bandwidths = st.builds(
    lambda limits, subnets, wrong, rest: {
        k: v for k, v in {**limits, **subnets, **wrong, **rest}.items() if v is not ABSENT
    },
    limits,
    subnet_choices,
    st.sampled_from([{}] * 3 * len(limit_faults) + limit_faults),
    st.fixed_dictionaries(
        {"type": st.just("bandwidth"), "capabilities": maybe({"bandwidth": True})}
    ),
)
runtime_limits = fields(
    [{"bandwidth": "8M"}, {"bandwidth": {"egressRate": 8}}, {"bandwidth": {"egressRate": "8"}}],
    bandwidth=st.one_of(st.just(ABSENT), limits),
)
vrfs = fields(
    [
        {"vrfname": ABSENT},
        {"vrfname": ""},
        {"vrfname": 7},
        {"vrfname": "lo"},
        {"vrfname": "a-name-that-is-too-long"},
        {"table": -1},
        {"table": 1 << 32},
        {"table": "main"},
    ],
    type="vrf",
    vrfname=st.sampled_from(["red", "blue"]),
    table=maybe(7, 1007, 0),
)
valid_base = st.sampled_from(
    [
        {
            "type": "bridge",
            "bridge": "br0",
            "isGateway": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.1.0/24"}]]},
        },
        {
            "type": "macvlan",
            "master": "eth1",
            "ipam": {"type": "static", "addresses": [{"address": "10.1.1.5/24"}]},
        },
    ]
)

simple_tunings = st.sampled_from([{"type": "tuning"}, {"type": "tuning", "mtu": 1400}])
_STATIC = {"type": "static", "addresses": [{"address": "10.1.1.5/24"}]}
_HOST_LOCAL = {"type": "host-local", "ranges": [[{"subnet": "10.1.1.0/24"}]]}

# --- lists and trials -----------------------------------------------------------------------


def trials(
    plugins: Plugins,
    *prepared: str,
    arguments: SearchStrategy[dict[str, str]] = no_args,
    runtime: SearchStrategy[dict[str, Any]] = runtime_configs,
) -> SearchStrategy[Trial]:
    """Trials of lists of plugins; most on an untouched site."""
    return st.builds(
        Trial,
        plugins=plugins,
        version=st.sampled_from(
            ["1.0.0", "0.4.0", "0.3.1"] * 3 + ["0.3.0", "0.2.0", "0.1.0", "1.1.0"]
        ),
        ifname=st.sampled_from(["net1", "net1", "eth0", "a.b-c_012345678"]),
        args=arguments,
        runtime_config=runtime,
        prepared=st.sampled_from([""] * 6 * max(1, len(prepared)) + list(prepared)),
    )


def chain(*plugins: SearchStrategy[dict[str, Any]]) -> Plugins:
    """A list of plugins in this order."""
    return st.tuples(*plugins).map(list)


either_args = st.one_of(no_args, cni_args)
macvlan_trials = trials(
    chain(macvlans),
    "interface taken",
    "no default route",
    "passthru macvlan on eth1",
    "MAC in use on eth1",
    arguments=either_args,
)
bridge_trials = trials(
    chain(bridges), "interface taken", "bridge with an address", arguments=either_args
)
ptp_trials = trials(chain(ptps), "interface taken", arguments=either_args)
loopback_trials = trials(
    st.one_of(chain(loopbacks), chain(valid_base, loopbacks)), "address on lo"
)
ipam_args = maybe({"cni": {"ips": ["10.1.1.99/24"]}}, {"cni": {}})
ipam_capabilities = {"ips": True, "ipRanges": True}
static_trials = trials(
    chain(
        fields(
            [{"ipam": ABSENT}, {"args": {"cni": {"ips": ["10.1.1.99"]}}, "ipam": _STATIC}],
            type="static",
            ipam=static_ipam,
            args=ipam_args,
            capabilities=ipam_capabilities,
        )
    ),
    arguments=cni_args,
)
host_local_lists = chain(
    fields(
        [{"ipam": ABSENT}, {"args": {"cni": {"ips": ["x"]}}, "ipam": _HOST_LOCAL}],
        type="host-local",
        ipam=st.one_of(host_local_ipam, host_local_ipam, single_range_ipam),
        args=ipam_args,
        capabilities=ipam_capabilities,
    )
)
host_local_trials = trials(
    host_local_lists,
    runtime=fields(
        [{"ips": "10.1.1.88/24"}, {"ipRanges": [[{"subnet": "10.7.0.0/31"}]]}, {"ipRanges": 7}],
        ips=st.sampled_from([ABSENT] * 3 + [["10.1.1.88/24"], []]),
        ipRanges=st.sampled_from(
            [ABSENT] * 4 + [[], [[{"subnet": "10.7.0.0/24"}]], [[{"subnet": "fd00:7::/64"}]]]
        ),
    ),
)
tuning_trials = trials(
    st.one_of(chain(valid_base, tunings), chain(valid_base, tunings), chain(tunings)),
    arguments=either_args,
)
chain_trials = trials(
    st.one_of(
        chain(bridges, tunings),
        chain(macvlans, tunings),
        chain(ptps, portmaps),
        chain(macvlans, tunings, portmaps),
        chain(bridges, tunings, tunings, portmaps),
        chain(ptps, tunings, loopbacks),
        chain(valid_base, tunings, portmaps),
        chain(macvlans, macvlans),
        chain(loopbacks, portmaps),
    ),
    "interface taken",
)
host_device_trials = trials(
    st.one_of(chain(host_devices), chain(host_devices_by_mac), chain(host_devices, tunings)),
    "interface taken",
)
# The kernels of most machines that run this know these links; those that do not refuse both.
ipvlan_trials = trials(
    st.one_of(chain(ipvlans), chain(valid_base, ipvlans)), "no default route", "interface taken"
)
vlan_trials = trials(chain(vlans), "interface taken")
dummy_trials = trials(chain(dummies), "interface taken")
sbr_trials = trials(
    st.one_of(
        chain(st.one_of(macvlans, valid_base), fields(type="sbr")),
        chain(bridges, fields(type="sbr"), simple_tunings),
        chain(fields(type="sbr")),
    )
)
tap_trials = trials(
    st.one_of(chain(taps), chain(taps), chain(taps, simple_tunings)),
    "interface taken",
    arguments=either_args,
)
VETH_BASE = {"type": "bridge", "bridge": "br0", "ipam": _HOST_LOCAL}
veth_base = st.sampled_from([VETH_BASE, {"type": "ptp", "mtu": 1400, "ipam": _HOST_LOCAL}])
bandwidth_trials = trials(
    st.one_of(
        chain(veth_base, bandwidths),
        chain(veth_base, bandwidths),
        chain(veth_base, bandwidths),
        chain(st.one_of(valid_base, veth_base), bandwidths, simple_tunings),
        chain(st.just({"type": "bandwidth", "egressRate": 8_000_000, "egressBurst": 80_000})),
    ),
    runtime=runtime_limits,
)
# As with ipvlan: the kernels of most machines that run this know VRFs.
vrf_trials = trials(
    st.one_of(
        chain(valid_base, vrfs),
        chain(valid_base, vrfs),
        chain(valid_base, vrfs, simple_tunings),
        chain(vrfs),
    )
)
