"""The annotation: selections, names, several networks, default routes."""

from __future__ import annotations

import json

from .scenario import bridge, host_local, macvlan, network, on, pod, scenario
from .stage import Stage

DEFAULT = {"dst": "0.0.0.0/0", "gw": "10.63.5.1"}


@scenario(pod("plain-a"), pod("plain-b"), pod("plain-c", node="worker2"))
def test_a_pod_without_annotation_has_eth0_alone(stage: Stage) -> None:
    assert [i.name for i in stage.pod("plain-a").interfaces] == ["lo", "eth0"]
    assert stage.ping("plain-a", "plain-b", "eth0") == 63
    assert stage.ping("plain-a", "plain-c", "eth0") == 62
    assert stage.ping("worker", "plain-a", "eth0") == 64
    assert stage.ping("worker2", "plain-a", "eth0") == 63


@scenario(pod("empty-a", ""))
def test_an_empty_annotation_is_none(stage: Stage) -> None:
    assert stage.status("empty-a") == []


@scenario(
    network("named", macvlan()),
    pod("named-a", on("named", "10.63.1.1/24", interface="x0"), on("named", "10.63.2.1/24")),
)
def test_a_named_interface_takes_up_its_number(stage: Stage) -> None:
    assert [interface for _, interface, _ in stage.status("named-a")] == ["x0", "net2"]


@scenario(
    network("three1", macvlan()),
    network("three2", bridge("tbr2", capabilities={}, ipam=host_local("10.63.3.0/24"))),
    network("three3", {"type": "ptp", "ipam": host_local("10.63.4.0/24")}),
    pod(
        "three-a",
        on("three3"),
        on("three1", "10.63.10.1/24", interface="data0"),
        on("three2"),
        on("three1", "10.63.11.1/24"),
    ),
)
def test_four_attachments_of_three_kinds_in_the_annotations_order(stage: Stage) -> None:
    assert [(n, i) for n, i, _ in stage.status("three-a")] == [
        ("default/three3", "net1"),
        ("default/three1", "data0"),
        ("default/three2", "net3"),
        ("default/three1", "net4"),
    ]


@scenario(
    network("short", bridge("sbr3", capabilities={}, ipam=host_local("10.63.5.0/24"))),
    pod("short-a", " short , default/short@lan , short "),
)
def test_the_short_form_with_spaces_namespace_and_interface(stage: Stage) -> None:
    assert [i for _, i, _ in stage.status("short-a")] == ["net1", "lan", "net3"]


@scenario(
    network("droute", macvlan()),
    pod("droute-a", on("droute", "10.63.6.1/24", **{"default-route": ["10.63.6.254"]})),
)
def test_default_route_replaces_that_of_eth0(stage: Stage) -> None:
    assert stage.routes("droute-a")[0] == "default via 10.63.6.254 dev net1"
    assert [r for r in stage.routes("droute-a") if r.startswith("default")] == [
        "default via 10.63.6.254 dev net1"
    ]


@scenario(
    network("drown", macvlan(ipam={"type": "static", "routes": [DEFAULT]})),
    pod("drown-a", on("drown", "10.63.5.2/24", **{"default-route": ["10.63.5.254"]})),
    pod("drown-b", on("drown", "10.63.5.3/24", **{"default-route": []})),
)
def test_default_route_over_a_network_that_has_one(stage: Stage) -> None:
    defaults = {
        name: [r for r in stage.routes(name) if r.startswith("default")] for name in stage.pods
    }
    assert defaults == {"drown-a": ["default via 10.63.5.254 dev net1"], "drown-b": []}


@scenario(
    network("drsix", macvlan()),
    pod(
        "drsix-a",
        on(
            "drsix",
            "10.63.7.1/24",
            "fd63:7::1/64",
            **{"default-route": ["10.63.7.254", "fd63:7::fe"]},
        ),
    ),
)
def test_default_routes_of_both_families(stage: Stage) -> None:
    assert "default via 10.63.7.254 dev net1" in stage.routes("drsix-a")
    assert any(r.startswith("default via fd63:7::fe dev net1") for r in stage.routes("drsix-a", 6))


@scenario(
    network("drtwo", macvlan()),
    pod(
        "drtwo-a",
        on("drtwo", "10.63.8.1/24", **{"default-route": ["10.63.8.254"]}),
        on("drtwo", "10.63.9.1/24"),
    ),
)
def test_default_route_on_the_first_of_two(stage: Stage) -> None:
    defaults = [r for r in stage.routes("drtwo-a") if r.startswith("default")]
    assert defaults == ["default via 10.63.8.254 dev net1"]


@scenario(
    network("primary", bridge("dbr4", isDefaultGateway=True, ipam=host_local("10.63.12.0/24"))),
    pod("primary-a", annotations={"v1.multus-cni.io/default-network": "default/primary"}),
)
def test_another_default_network(stage: Stage) -> None:
    assert "10.63.12.2/24" in stage.interface("primary-a", "eth0")


@scenario(
    network("confname", json.dumps({"cniVersion": "0.3.1", **macvlan()})),
    pod("confname-a", on("confname", "10.63.13.1/24")),
)
def test_one_plugin_without_a_list_and_without_a_name(stage: Stage) -> None:
    assert stage.status("confname-a") == [("default/confname", "net1", ["10.63.13.1"])]


@scenario(
    network("v1", json.dumps({"cniVersion": "1.0.0", "name": "v1", "plugins": [macvlan()]})),
    pod("v1-a", on("v1", "10.63.14.1/24")),
)
def test_cni_version_1_0_0(stage: Stage) -> None:
    assert stage.status("v1-a") == [("default/v1", "net1", ["10.63.14.1"])]


@scenario(
    network("cniargs", macvlan(capabilities={})),
    pod("cniargs-a", on("cniargs", **{"cni-args": {"ips": ["10.63.15.1/24"]}})),
)
def test_cni_args_reach_the_plugins(stage: Stage) -> None:
    assert stage.status("cniargs-a") == [("default/cniargs", "net1", ["10.63.15.1"])]


@scenario(
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "parity-other"}},
    {
        **network("far", macvlan()),
        "metadata": {"name": "far", "namespace": "parity-other"},
    },
    pod("far-a", on("far", "10.63.16.1/24", namespace="parity-other")),
    refused=(pod("far-b", on("far", "10.63.16.2/24")),),
)
def test_a_network_of_another_namespace_must_be_named_with_it(stage: Stage) -> None:
    assert stage.status("far-a") == [("parity-other/far", "net1", ["10.63.16.1"])]
    assert stage.refused(
        "cannot find a network-attachment-definition (far) in namespace (default)"
    )
