"""The scenario that started it, from its own files."""

from __future__ import annotations

import pytest
import yaml

from tests.conftest import SEED

from .scenario import scenario
from .stage import Stage

DOCUMENTS = [
    document
    for file in ("nad.yaml", "pod.yaml")
    for document in yaml.safe_load_all((SEED / file).read_text(encoding="utf-8"))
]
pytestmark = [pytest.mark.filterwarnings("ignore:Multus ignores the key"), scenario(*DOCUMENTS)]


def test_net1_joins_the_nodes_with_ttl_64(stage: Stage) -> None:
    assert stage.reach("net1") == {"pod1>pod2": 64, "pod2>pod1": 64}
    assert stage.arp("pod1", "pod2")


def test_eth0_reaches_the_other_pod_over_two_nodes_with_ttl_62(stage: Stage) -> None:
    assert stage.reach("eth0") == {"pod1>pod2": 62, "pod2>pod1": 62}


def test_the_networks_default_route_stands_before_that_of_eth0(stage: Stage) -> None:
    assert stage.routes("pod1") == [
        "default via 10.1.1.1 dev net1",
        "default via GATEWAY dev eth0",
        "10.1.1.0/24 dev net1 scope link src 10.1.1.101",
        "SUBNET via GATEWAY dev eth0 src POD",
        "GATEWAY dev eth0 scope link src POD",
    ]


def test_network_status_names_both_networks(stage: Stage) -> None:
    first, second = stage.pod("pod1").network_status
    assert (first.name, first.interface, first.default) == ("kindnet", "eth0", True)
    assert second.interface == "net1"
    assert stage.status("pod1") == [("default/macvlan-conf", "net1", ["10.1.1.101"])]


def test_the_program_ip_in_the_pod_shows_net1s_route_first(stage: Stage) -> None:
    text = stage.pod("pod1").exec(["ip", "route"], check=True).stdout
    stage.note(f"ip route: {text.splitlines()[0].strip()}")
    assert text.startswith("default via 10.1.1.1 dev net1")
