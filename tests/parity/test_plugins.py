"""The other plugins: bridge, ptp, host-device, tuning, sbr."""

from __future__ import annotations

from .scenario import bridge, host_local, macvlan, network, on, pod, scenario
from .stage import Stage


@scenario(
    network("br", bridge("pbr1")),
    pod("br-a", on("br", "10.61.1.1/24")),
    pod("br-b", on("br", "10.61.1.2/24")),
    pod("br-c", on("br", "10.61.1.3/24"), node="worker2"),
)
def test_a_bridge_joins_the_pods_of_one_node_and_no_others(stage: Stage) -> None:
    assert stage.ping("br-a", "br-b") == 64
    assert stage.ping("br-a", "br-c") is None
    assert stage.arp("br-b", "br-a")
    assert stage.look("worker", "pbr1").startswith("pbr1 bridge mtu 1500 up")


@scenario(
    network("brgw", bridge("pbr2", isGateway=True, ipam=host_local("10.61.2.0/24"))),
    pod("brgw-a", on("brgw")),
)
def test_a_bridge_with_is_gateway_has_the_gateways_address(stage: Stage) -> None:
    assert "10.61.2.1/24" in stage.look("worker", "pbr2")
    assert stage.ping("brgw-a", "10.61.2.1") == 64
    assert stage.ping("worker", "brgw-a") == 64


@scenario(
    network("brdef", bridge("pbr3", isDefaultGateway=True, ipam=host_local("10.61.3.0/24"))),
    pod("brdef-a", on("brdef")),
)
def test_a_bridge_with_is_default_gateway_brings_a_default_route(stage: Stage) -> None:
    assert stage.routes("brdef-a")[0] == "default via 10.61.3.1 dev net1"


@scenario(
    network("brmtu", bridge("pbr4", mtu=1300)),
    pod("brmtu-a", on("brmtu", "10.61.4.1/24")),
    pod("brmtu-b", on("brmtu", "10.61.4.2/24")),
)
def test_a_bridges_mtu_is_its_ports(stage: Stage) -> None:
    assert "mtu 1300" in stage.interface("brmtu-a", "net1")
    assert "mtu 1300" in stage.look("worker", "pbr4")
    assert stage.ping("brmtu-a", "brmtu-b", size=1272, dont_fragment=True) == 64
    assert stage.ping("brmtu-a", "brmtu-b", size=1273, dont_fragment=True) is None


@scenario(
    network("brprom", bridge("pbr5", promiscMode=True)),
    pod("brprom-a", on("brprom", "10.61.5.1/24")),
)
def test_a_bridge_in_promiscuous_mode(stage: Stage) -> None:
    assert " promisc" in stage.look("worker", "pbr5")


@scenario(
    network("brmac", bridge("pbr6")),
    pod("brmac-a", on("brmac", "10.61.6.1/24", mac="02:00:00:61:06:01")),
)
def test_a_bridge_takes_the_mac_that_the_pod_asks_for(stage: Stage) -> None:
    assert "mac 02:00:00:61:06:01" in stage.interface("brmac-a", "net1")


@scenario(
    network("ptp", {"type": "ptp", "ipam": host_local("10.61.7.0/24")}),
    pod("ptp-a", on("ptp")),
)
def test_ptp_gives_a_veth_and_routes_by_the_nodes_end(stage: Stage) -> None:
    routes = stage.routes("ptp-a")
    assert "10.61.7.0/24 via 10.61.7.1 dev net1 src 10.61.7.2" in routes
    assert "10.61.7.1 dev net1 scope link src 10.61.7.2" in routes
    assert stage.ping("ptp-a", "10.61.7.1") == 64
    assert stage.ping("worker", "ptp-a") == 64


@scenario(
    network(
        "ptpmtu",
        {
            "type": "ptp",
            "mtu": 1350,
            "capabilities": {"ips": True},
            "ipam": host_local("10.61.8.0/24"),
        },
    ),
    pod("ptpmtu-a", on("ptpmtu", "10.61.8.77/24")),
    pod("ptpmtu-b", on("ptpmtu", "10.61.8.78/24")),
)
def test_ptp_pods_of_one_node_reach_each_other_through_it_with_ttl_63(stage: Stage) -> None:
    assert stage.reach() == {"ptpmtu-a>ptpmtu-b": 63, "ptpmtu-b>ptpmtu-a": 63}
    assert stage.interface("ptpmtu-a", "net1").startswith("net1 veth mtu 1350 up")


@scenario(
    network(
        "dev",
        {
            "type": "host-device",
            "device": "dev0",
            "capabilities": {"ips": True},
            "ipam": {"type": "static"},
        },
    ),
    pod("dev-a", on("dev", "10.61.9.1/24")),
    pod("dev-c", on("dev", "10.61.9.3/24"), node="worker2"),
    links=("dev0",),
)
def test_host_device_moves_the_nodes_link_into_the_pod(stage: Stage) -> None:
    assert stage.reach() == {"dev-a>dev-c": 64, "dev-c>dev-a": 64}
    assert "dev0" not in [i.name for i in stage.cluster.node("worker").interfaces]


@scenario(
    network("tune", macvlan(), {
        "type": "tuning", "mac": "02:00:00:61:10:01", "mtu": 1450, "promisc": True,
        "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1", "net.ipv4.conf.net1.rp_filter": "2"},
    }),
    pod("tune-a", on("tune", "10.61.10.1/24")),
)  # fmt: skip
def test_tuning_sets_mac_mtu_promisc_and_sysctls(stage: Stage) -> None:
    assert stage.interface("tune-a", "net1").startswith(
        "net1 macvlan bridge mtu 1450 up promisc mac 02:00:00:61:10:01"
    )
    assert stage.sysctl("tune-a", "ipv4/conf/net1/arp_filter") == "1"
    assert stage.sysctl("tune-a", "ipv4/conf/net1/rp_filter") == "2"


@scenario(
    network(
        "tunemac",
        bridge("pbr11", capabilities={"ips": True}),
        {"type": "tuning", "capabilities": {"mac": True}},
    ),
    pod("tunemac-a", on("tunemac", "10.61.11.1/24", mac="02:00:00:61:11:01")),
)
def test_tuning_sets_the_mac_that_the_pod_asks_for(stage: Stage) -> None:
    assert "mac 02:00:00:61:11:01" in stage.interface("tunemac-a", "net1")


@scenario(
    network("sbr", macvlan(ipam={"type": "static", "addresses": [
        {"address": "10.61.12.1/24", "gateway": "10.61.12.254"}],
        "routes": [{"dst": "10.99.0.0/16", "gw": "10.61.12.254"}]}), {"type": "sbr"}),
    pod("sbr-a", on("sbr")),
)  # fmt: skip
def test_sbr_moves_routes_into_a_table_of_their_own(stage: Stage) -> None:
    ask = stage.pod("sbr-a").exec
    rules = [" ".join(r.split()) for r in ask(["ip", "rule"], check=True).stdout.splitlines()]
    table = ask(["ip", "route", "show", "table", "100"], check=True).stdout
    routes = sorted(" ".join(line.split()) for line in table.splitlines())
    stage.note(f"rules: {rules}; table 100: {routes}")
    assert any("from 10.61.12.1 lookup 100" in rule for rule in rules)
    assert routes[0].startswith("10.61.12.0/24 dev net1")
    assert "10.99.0.0/16" in " ".join(routes)


@scenario(
    network("arpn", macvlan()),
    pod("arpn-a", on("arpn", "10.61.13.1/24")),
)
def test_macvlan_announces_its_addresses(stage: Stage) -> None:
    assert stage.sysctl("arpn-a", "ipv4/conf/net1/arp_notify") == "1"
    assert stage.sysctl("arpn-a", "ipv6/conf/net1/ndisc_notify") == "1"
