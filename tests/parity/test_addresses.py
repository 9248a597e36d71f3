"""Address management: static and host-local, IPv4, IPv6 and both."""

from __future__ import annotations

from .scenario import bridge, host_local, macvlan, network, on, pod, scenario
from .stage import Stage


@scenario(
    network("fixed", macvlan(capabilities={}, ipam={
        "type": "static",
        "addresses": [{"address": "10.62.1.1/24", "gateway": "10.62.1.254"}],
        "routes": [{"dst": "10.98.0.0/16"}, {"dst": "10.97.0.0/16", "gw": "10.62.1.253"}],
        "dns": {"nameservers": ["10.62.1.53"], "search": ["example.org"]},
    })),
    pod("fixed-a", on("fixed")),
)  # fmt: skip
def test_static_addresses_routes_and_dns_of_the_network_itself(stage: Stage) -> None:
    assert "10.98.0.0/16 via 10.62.1.254 dev net1" in stage.routes("fixed-a")
    assert "10.97.0.0/16 via 10.62.1.253 dev net1" in stage.routes("fixed-a")
    assert not stage.pod("fixed-a").network_status[1].dns  # macvlan passes on its own alone


@scenario(
    network("both", macvlan(ipam={"type": "static", "addresses": [{"address": "10.62.2.9/24"}]})),
    pod("both-a", on("both", "10.62.2.1/24")),
    pod("both-b", on("both")),
)
def test_asked_addresses_replace_those_of_the_network(stage: Stage) -> None:
    assert stage.status("both-a") == [("default/both", "net1", ["10.62.2.1"])]
    assert stage.status("both-b") == [("default/both", "net1", ["10.62.2.9"])]


@scenario(
    network("many", macvlan()),
    pod("many-a", on("many", "10.62.3.1/24", "10.62.4.1/24", "10.62.3.2/24")),
    pod("many-c", on("many", "10.62.3.3/24"), node="worker2"),
)
def test_several_addresses_on_one_interface_in_the_order_asked(stage: Stage) -> None:
    assert stage.status("many-a")[0][2] == ["10.62.3.1", "10.62.4.1", "10.62.3.2"]
    assert stage.ping("many-c", "10.62.3.2") == 64


@scenario(
    network("args", macvlan(capabilities={})),
    pod("args-a", on("args", "10.62.5.1/24")),
)
def test_addresses_arrive_also_without_the_capability(stage: Stage) -> None:
    assert stage.status("args-a") == [("default/args", "net1", ["10.62.5.1"])]


@scenario(
    network("hl", bridge("hbr1", capabilities={}, ipam=host_local("10.62.6.0/24"))),
    pod("hl-a", "hl,hl,hl@z9"),
    pod("hl-c", on("hl"), node="worker2"),
)
def test_host_local_counts_up_on_each_node_for_itself(stage: Stage) -> None:
    assert stage.status("hl-a") == [
        ("default/hl", "net1", ["10.62.6.2"]),
        ("default/hl", "net2", ["10.62.6.3"]),
        ("default/hl", "z9", ["10.62.6.4"]),
    ]
    assert stage.status("hl-c") == [("default/hl", "net1", ["10.62.6.2"])]


@scenario(
    network("hlrange", macvlan(capabilities={}, ipam={
        "type": "host-local", "subnet": "10.62.7.0/24", "rangeStart": "10.62.7.10",
        "rangeEnd": "10.62.7.11", "gateway": "10.62.7.200",
        "routes": [{"dst": "10.96.8.0/24"}],
    })),
    pod("hlrange-a", "hlrange,hlrange"),
    refused=(pod("hlrange-b", "hlrange,hlrange,hlrange"),),
)  # fmt: skip
def test_host_local_range_gateway_and_exhaustion(stage: Stage) -> None:
    assert [ips for _, _, ips in stage.status("hlrange-a")] == [["10.62.7.10"], ["10.62.7.11"]]
    assert "10.96.8.0/24 via 10.62.7.200 dev net1" in stage.routes("hlrange-a")
    assert stage.refused("no IP addresses available in range set: 10.62.7.10-10.62.7.11")


@scenario(
    network("hlask", macvlan(ipam=host_local("10.62.8.0/24"))),
    pod("hlask-a", on("hlask", "10.62.8.77")),
    refused=(pod("hlask-b", on("hlask", "10.62.9.1")),),
)
def test_host_local_gives_the_address_that_is_asked_for_if_it_has_it(stage: Stage) -> None:
    assert stage.status("hlask-a") == [("default/hlask", "net1", ["10.62.8.77"])]
    assert stage.refused("failed to allocate all requested IPs: 10.62.9.1")


@scenario(
    network("hldual", macvlan(capabilities={}, ipam={
        "type": "host-local",
        "ranges": [[{"subnet": "10.62.10.0/24"}], [{"subnet": "fd62:10::/64"}]],
        "routes": [{"dst": "10.95.0.0/16"}, {"dst": "fd95::/32"}],
    })),
    pod("hldual-a", on("hldual")),
)  # fmt: skip
def test_host_local_with_both_families(stage: Stage) -> None:
    assert stage.status("hldual-a")[0][2] == ["10.62.10.2", "fd62:10::2"]
    assert "10.95.0.0/16 via 10.62.10.1 dev net1" in stage.routes("hldual-a")


@scenario(
    network("hlsplit", macvlan(capabilities={}, ipam={"type": "host-local", "ranges": [[
        {"subnet": "10.62.11.0/24", "rangeStart": "10.62.11.5", "rangeEnd": "10.62.11.5"},
        {"subnet": "10.62.12.0/24", "rangeStart": "10.62.12.5", "rangeEnd": "10.62.12.6"},
    ]]})),
    pod("hlsplit-a", "hlsplit,hlsplit,hlsplit"),
)  # fmt: skip
def test_host_local_goes_on_in_the_next_range_of_a_set(stage: Stage) -> None:
    assert [ips for _, _, ips in stage.status("hlsplit-a")] == [
        ["10.62.11.5"], ["10.62.12.5"], ["10.62.12.6"],
    ]  # fmt: skip


@scenario(
    network("six", macvlan()),
    pod("six-a", on("six", "fd62:13::1/64")),
    pod("six-c", on("six", "fd62:13::3/64"), node="worker2"),
)
def test_ipv6_alone(stage: Stage) -> None:
    assert stage.reach(version=6) == {"six-a>six-c": 64, "six-c>six-a": 64}
    assert stage.arp("six-a", "six-c", version=6)


@scenario(
    network("dual", macvlan()),
    pod("dual-a", on("dual", "10.62.14.1/24", "fd62:14::1/64")),
    pod("dual-c", on("dual", "10.62.14.3/24", "fd62:14::3/64"), node="worker2"),
)
def test_ipv4_and_ipv6_on_one_interface(stage: Stage) -> None:
    assert stage.reach(version=4) == {"dual-a>dual-c": 64, "dual-c>dual-a": 64}
    assert stage.reach(version=6) == {"dual-a>dual-c": 64, "dual-c>dual-a": 64}


@scenario(
    network("sixmac", macvlan()),
    pod("sixmac-a", on("sixmac", "fd62:15::1/64", mac="02:00:00:62:15:01")),
)
def test_the_ipv6_link_local_address_follows_from_the_mac(stage: Stage) -> None:
    addresses = [str(a) for a in stage.pod("sixmac-a").interface("net1").ipv6]
    assert "fe80::ff:fe62:1501/64" in addresses


@scenario(
    network("sixbr", bridge("hbr16", isGateway=True, ipam=host_local("fd62:16::/64"))),
    refused=(pod("sixbr-a", on("sixbr")),),
)
def test_an_ipv6_gateway_on_a_node_without_ipv6_is_refused(stage: Stage) -> None:
    assert stage.refused('could not add IP address to "hbr16": permission denied')


@scenario(
    network("sixplain", bridge("hbr21", ipam=host_local("fd62:21::/64"))),
    pod("sixplain-a", "sixplain,sixplain@second"),
)
def test_host_local_with_ipv6_alone(stage: Stage) -> None:
    assert [ips for _, _, ips in stage.status("sixplain-a")] == [["fd62:21::2"], ["fd62:21::3"]]


@scenario(
    network("p31", macvlan()),
    pod("p31-a", on("p31", "10.62.17.0/31")),
    pod("p31-c", on("p31", "10.62.17.1/31"), node="worker2"),
)
def test_a_prefix_of_31_has_two_hosts(stage: Stage) -> None:
    assert stage.reach() == {"p31-a>p31-c": 64, "p31-c>p31-a": 64}


@scenario(
    network("p32", macvlan()),
    pod("p32-a", on("p32", "10.62.18.1/32")),
    pod("p32-c", on("p32", "10.62.18.2/32"), node="worker2"),
)
def test_a_prefix_of_32_has_no_neighbour(stage: Stage) -> None:
    assert stage.routes("p32-a") == stage.routes("p32-c")
    assert "10.62.18.2/32" in stage.interface("p32-c", "net1")


@scenario(
    network("subnets", macvlan()),
    pod("subnets-a", on("subnets", "10.62.19.1/24")),
    pod("subnets-c", on("subnets", "10.62.20.1/24"), node="worker2"),
)
def test_two_subnets_on_one_network_do_not_meet(stage: Stage) -> None:
    assert stage.reach() == {"subnets-a>subnets-c": None, "subnets-c>subnets-a": None}
