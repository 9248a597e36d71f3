"""Pods that cannot start: the cause within seconds, in the plugin's words and in ours."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from pytest_multinet.cluster.kind_cluster import KindCluster
from pytest_multinet.errors import PodError

from .conftest import network, pod

STATIC = {"type": "static", "addresses": [{"address": "10.9.0.1/24"}]}
WORKER = "multus-cluster-worker"


def macvlan(**more: Any) -> dict[str, Any]:
    return {"type": "macvlan", "master": "eth1", "ipam": STATIC, **more}


CASES = [
    pytest.param(
        macvlan(master="nope0"),
        "refused",
        "Link not found",
        f"does not exist on node {WORKER}",
        id="missing master",
    ),
    pytest.param(
        macvlan(mode="sideways"),
        "refused",
        'unknown macvlan mode: "sideways"',
        "bridge, private, vepa and passthru",
        id="unknown mode",
    ),
    pytest.param(
        {"type": "notaplugin"},
        "refused",
        'failed to find plugin "notaplugin"',
        f"'notaplugin' is not in /opt/cni/bin on node {WORKER}",
        id="unknown plugin",
    ),
    pytest.param(
        macvlan(mtu=9000),
        "refused",
        "invalid MTU 9000, must be [0, master MTU(1500)]",
        "raise the link's mtu",
        id="mtu above the master's",
    ),
    pytest.param(
        macvlan(ipam={"type": "static"}),
        "refused",
        "IPAM plugin returned missing IP config",
        "ipam 'static' got no address",
        id="static without address",
    ),
    pytest.param(
        None,
        "not-there",
        "cannot find a network-attachment-definition (not-there) in namespace (default)",
        "apply the NetworkAttachmentDefinition 'not-there' in namespace 'default' first",
        id="unknown network",
    ),
]


@pytest.mark.parametrize(("config", "annotation", "words", "hint"), CASES)
def test_a_refusal_is_an_error_within_seconds_that_names_the_cause(
    clean: KindCluster, config: dict[str, Any] | None, annotation: str, words: str, hint: str
) -> None:
    if config is not None:
        clean.apply(network("refused", config))
    began = time.monotonic()
    with pytest.raises(PodError) as caught:
        clean.apply(pod("refused", annotation, WORKER))
    assert time.monotonic() - began < 10
    assert caught.value.reason == "FailedCreatePodSandBox"
    assert words in caught.value.message
    assert "StdinData" not in str(caught.value)
    assert hint in (caught.value.hint or "")


def test_a_refused_pod_is_removed_again(clean: KindCluster) -> None:
    with pytest.raises(PodError):
        clean.apply(pod("refused", "not-there", WORKER))
    assert clean.kube.get_or_none("/api/v1/namespaces/default/pods/refused") is None
    assert clean.pods() == ()


def test_the_others_of_a_batch_go_with_the_one_that_is_refused(clean: KindCluster) -> None:
    with pytest.raises(PodError, match="default/bad"):
        clean.apply([pod("good", node=WORKER), pod("bad", "not-there", WORKER)])
    listed = clean.kube.get("/api/v1/namespaces/default/pods")["items"]
    assert [p["metadata"]["name"] for p in listed] == []


def test_an_unknown_image_is_an_error_that_says_how_to_bring_it(clean: KindCluster) -> None:
    with pytest.raises(PodError) as caught:
        clean.apply(pod("imageless", node=WORKER, image="nosuch.example/none:1"))
    assert caught.value.reason == "ErrImagePull"
    assert "nosuch.example/none:1" in caught.value.message
    assert "load_image" in (caught.value.hint or "")


def test_a_node_that_does_not_exist_is_an_error_of_the_scheduler(clean: KindCluster) -> None:
    selector = {"kubernetes.io/hostname": "nowhere"}
    with pytest.raises(PodError, match="didn't match Pod's node affinity/selector") as caught:
        clean.apply(pod("homeless", nodeSelector=selector))
    assert caught.value.reason == "FailedScheduling"


def test_a_program_that_the_image_lacks_is_an_error(clean: KindCluster) -> None:
    with pytest.raises(PodError) as caught:
        clean.apply(pod("programless", node=WORKER, command=["frobnicate"]))
    assert "frobnicate" in caught.value.message
    assert "executable file not found" in caught.value.message


def test_a_duplicate_mac_on_one_master_is_named(clean: KindCluster) -> None:
    clean.apply(
        network(
            "mv",
            {
                "type": "macvlan",
                "master": "eth1",
                "capabilities": {"mac": True, "ips": True},
                "ipam": {"type": "static"},
            },
        )
    )
    selection = [{"name": "mv", "ips": ["10.8.0.1/24"], "mac": "02:00:00:00:08:01"}]
    clean.apply(pod("first", json.dumps(selection), WORKER))
    with pytest.raises(PodError) as caught:
        clean.apply(pod("second", json.dumps(selection), WORKER))
    assert "address already in use" in caught.value.message
    assert "has this MAC address" in (caught.value.hint or "")


def test_a_second_pod_in_passthru_mode_is_refused(clean: KindCluster) -> None:
    clean.link("worker", "worker2", name="pass0")
    clean.apply(
        network(
            "through",
            {
                "type": "macvlan",
                "master": "pass0",
                "mode": "passthru",
                "capabilities": {"ips": True},
                "ipam": {"type": "static"},
            },
        )
    )
    clean.apply(pod("first", json.dumps([{"name": "through", "ips": ["10.8.1.1/24"]}]), WORKER))
    with pytest.raises(PodError) as caught:
        clean.apply(
            pod("second", json.dumps([{"name": "through", "ips": ["10.8.1.2/24"]}]), WORKER)
        )
    assert "failed to create macvlan: invalid argument" in caught.value.message
