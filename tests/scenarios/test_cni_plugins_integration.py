"""The integration cases of the reference plugins: github.com/containernetworking/plugins."""

from __future__ import annotations

from ipaddress import ip_network

from pytest_multinet import (
    NetworkFactory,
    PodFactory,
    assert_interface,
    assert_no_interface,
    assert_ping,
    throughput,
)

from .conftest import chain, single

RATE = 8_000_000  # bits a second


def test_basic_ptp_add_and_del(
    multinet_network: NetworkFactory, multinet_pod_factory: PodFactory
) -> None:
    """The case "supports basic network add and del operations": ptp with an MTU of 512."""
    plugin = {
        "type": "ptp",
        "mtu": 512,
        "ipam": {"type": "host-local", "subnet": "10.96.2.0/24"},
    }
    multinet_network("basic-ptp", single(plugin, "0.3.0", name="basic-ptp"))
    with multinet_pod_factory("basic-ptp", networks="basic-ptp") as pod:
        assert pod.ip("net1") in ip_network("10.96.2.0/24")
        assert_interface(pod, "net1", type="veth", mtu=512)
        assert_ping(pod, "10.96.2.1", interface="net1")
        node = pod.node
        (host,) = [i for i in node.interfaces if "10.96.2.1/32" in map(str, i.ipv4)]
    assert_no_interface(node, host.name, during=0.1)


def test_ptp_with_bandwidth(
    multinet_network: NetworkFactory, multinet_pod_factory: PodFactory
) -> None:
    """The case "supports add and del with ptp + bandwidth"."""
    network = multinet_network(
        "ptp-bandwidth",
        chain(
            {"type": "ptp", "ipam": {"type": "host-local", "subnet": "10.96.3.0/24"}},
            {
                "type": "bandwidth",
                "ingressRate": RATE,
                "ingressBurst": RATE,
                "egressRate": RATE,
                "egressBurst": RATE,
            },
        ),
    )
    for _ in range(2):
        with multinet_pod_factory("ptp-bandwidth", networks=network) as pod:
            assert pod.ip("net1") in ip_network("10.96.3.0/24")
            assert_ping(pod, "10.96.3.1", interface="net1")


def test_traffic_is_limited_on_the_restricted_pod_only(
    multinet_network: NetworkFactory, multinet_pod_factory: PodFactory
) -> None:
    """The case "limits traffic only on the restricted bandwidth veth device"."""
    limit = {
        "type": "bandwidth",
        "ingressRate": RATE,
        "ingressBurst": 256_000,
        "egressRate": RATE,
        "egressBurst": 256_000,
    }

    def bridge(number: int, first: int = 2) -> dict[str, object]:
        return {
            "type": "bridge",
            "bridge": f"cnibr{number}",
            "isDefaultGateway": True,
            "ipam": {
                "type": "host-local",
                "subnet": f"10.97.{number}.0/24",
                "rangeStart": f"10.97.{number}.{first}",
            },
        }

    multinet_network("free", chain(bridge(1)))
    multinet_network("limited", chain(bridge(2), limit))
    multinet_network("beside-limited", chain(bridge(2, first=20)))
    free, limited, client = multinet_pod_factory.batch(
        {
            "free": {"node": "worker", "networks": ["free@lan1"]},
            "limited": {"node": "worker", "networks": ["limited@lan2"]},
            "client": {"node": "worker", "networks": ["free@lan1", "beside-limited@lan2"]},
        }
    )
    unbound = throughput(client, free, interface="lan1", seconds=0.3)
    bound = throughput(client, limited, interface="lan2", seconds=0.3)
    assert bound / unbound < 0.5
