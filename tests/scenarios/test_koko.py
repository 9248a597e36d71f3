"""What koko's README and acceptance tests show: github.com/redhat-nfvpe/koko."""

from __future__ import annotations

import pytest

from pytest_multinet import (
    LinkFactory,
    Network,
    NetworkFactory,
    NodeLink,
    Pod,
    PodFactory,
    UsageError,
    assert_interface,
    assert_no_interface,
    assert_no_ping,
    assert_ping,
)

from .conftest import chain


@pytest.fixture
def link(multinet_link: LinkFactory, request: pytest.FixtureRequest):
    """Makes links between the workers; deleted after the test."""
    made: list[NodeLink] = []

    def make(name: str, **more) -> NodeLink:
        made.append(multinet_link("worker", "worker2", name=name, **more))
        return made[-1]

    yield make
    for node_link in reversed(made):
        node_link.delete()


@pytest.fixture
def joined(link, multinet_network: NetworkFactory, multinet_pod_factory: PodFactory):
    """Two pods, and a veth whose ends lie in them: koko's "container to container"."""

    def make(name: str, *addresses: tuple[str, ...]) -> tuple[Pod, Pod]:
        link(name)
        network: Network = multinet_network(
            f"koko-{name}",
            chain(
                {
                    "type": "host-device",
                    "device": name,
                    "capabilities": {"ips": True},
                    "ipam": {"type": "static"},
                }
            ),
        )
        one, two = multinet_pod_factory.batch(
            {
                f"{name}-{n}": {
                    "node": node,
                    "networks": network.attach(*addresses[n], interface="link1"),
                }
                for n, node in enumerate(("worker", "worker2"))
            }
        )
        return one, two

    return make


def test_two_containers_with_ipv4(joined) -> None:
    """README: -d centos1,link1,192.168.1.1/24 -d centos2,link1,192.168.1.2/24."""
    one, two = joined("kk4", ("192.168.1.1/24",), ("192.168.1.2/24",))
    assert_interface(one, "link1", address="192.168.1.1/24", type="veth")
    assert_ping(one, two, interface="link1", ttl=64)


def test_two_containers_with_ipv6(joined) -> None:
    """README: the same with 2001:DB8::1/64 and 2001:DB8::2/64."""
    one, two = joined("kk6", ("2001:db8::1/64",), ("2001:db8::2/64",))
    assert_ping(one, two, interface="link1", version=6, ttl=64)


def test_two_containers_with_both(joined) -> None:
    """README and tests/acceptanceIPv4v6.bats: IPv4 and IPv6 on one link."""
    one, two = joined(
        "kk46", ("10.10.10.1/29", "2001:db8:1::1/64"), ("10.10.10.2/29", "2001:db8:1::2/64")
    )
    assert_ping(one, two, interface="link1", version=4)
    assert_ping(one, two, interface="link1", version=6)


def test_two_namespaces(link, multinet_cluster) -> None:
    """README: -n testns1,link1,192.168.1.1/24 -n testns2,link1,192.168.1.2/24."""
    link("kkns", addresses=("192.168.11.1/24", "192.168.11.2/24"))
    one, two = multinet_cluster.node("worker"), multinet_cluster.node("worker2")
    assert_interface(one, "kkns", address="192.168.11.1/24")
    assert_ping(one, two, interface="kkns", ttl=64)


def test_deleting_one_end_deletes_the_other(link, multinet_cluster) -> None:
    """README: -N deletes a link; of a veth the peer goes too."""
    with link("kkdel", addresses=("192.168.12.1/24", "192.168.12.2/24")):
        assert_interface(multinet_cluster.node("worker2"), "kkdel", state="up")
    for name in ("worker", "worker2"):
        assert_no_interface(multinet_cluster.node(name), "kkdel", during=0.1)


@pytest.mark.parametrize("mode", ["private", "vepa", "bridge"])
def test_macvlan_into_a_container_with_a_mode(
    link, multinet_network: NetworkFactory, multinet_pod_factory: PodFactory, mode: str
) -> None:
    """README: -M <parent>,<mode>; two containers of one host meet in bridge mode alone."""
    master = f"kk{mode}"
    link(master)
    network = multinet_network(
        f"koko-{mode}",
        chain(
            {
                "type": "macvlan",
                "master": master,
                "mode": mode,
                "capabilities": {"ips": True},
                "ipam": {"type": "static"},
            }
        ),
    )
    one, two = multinet_pod_factory.batch(
        {
            f"{mode}-{n}": {"node": "worker", "networks": network.attach(f"10.94.0.{n}/24")}
            for n in (1, 2)
        }
    )
    assert_interface(one, "net1", type="macvlan", mode=mode)
    if mode == "bridge":
        assert_ping(one, two, interface="net1")
    else:
        assert_no_ping(one, two, interface="net1", during=0.3)


def test_a_link_that_exists_is_the_same_link_and_another_is_an_error(link) -> None:
    """koko says nothing when a link of that name exists; we return it, or refuse."""
    made = link("kksame")
    assert link("kksame") is made
    with pytest.raises(UsageError, match="exists with other arguments"):
        link("kksame", mtu=9000)


def test_an_mtu_of_its_own(link, multinet_cluster) -> None:
    """koko's veth has 1500 always; a link here has what is asked for."""
    link("kkmtu", mtu=9000, addresses=("192.168.13.1/24", "192.168.13.2/24"))
    one, two = multinet_cluster.node("worker"), multinet_cluster.node("worker2")
    assert one.interface("kkmtu").mtu == 9000
    assert_ping(one, two, interface="kkmtu", size=8972, dont_fragment=True)


def test_a_link_outlives_the_container_that_had_it(joined, multinet_cluster) -> None:
    """koko's links go with their container; a link of nodes comes back to its node."""
    one, two = joined("kkback", ("192.168.14.1/24",), ("192.168.14.2/24",))
    one.delete()
    assert_interface(multinet_cluster.node("worker"), "kkback", type="veth")
    assert_no_ping(two, "192.168.14.1", interface="link1", during=0.3)
