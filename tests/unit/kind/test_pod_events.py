"""From an event of a thousand characters to the sentence that matters."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_multinet.cluster.pod_events import from_event, from_status, hint, network_cause

THICK = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for "
    'sandbox "b1273b": plugin type="multus-shim" name="multus-cni-network" failed (add): CmdAdd '
    '(shim): CNI request failed with status 400: \'ContainerID:"b1273b" Netns:"/var/run/netns/'
    'cni-c58a" IfName:"eth0" Args:"K8S_POD_NAME=p" Path:"" ERRORED: error configuring pod '
    '[default/p] networking: {cause}\n\': StdinData: {{"clusterNetwork":"/host/etc/x"}}'
)
THIN = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for "
    'sandbox "b1273b": plugin type="multus" name="multus-cni-network" failed (add): {cause}'
)
LINK = '[default/p/1ce2:mv]: error adding container to network "mv": Link not found'


def event(message: str, reason: str = "FailedCreatePodSandBox") -> dict[str, Any]:
    return {"reason": reason, "message": message, "source": {"host": "node-a"}}


@pytest.mark.parametrize("form", [THICK, THIN])
def test_the_useful_part_stands_alone(form: str) -> None:
    assert network_cause(form.format(cause=LINK)) == LINK


def test_a_missing_master_names_node_and_next_step() -> None:
    trouble = from_event(event(THICK.format(cause=LINK)))
    assert trouble is not None
    assert not trouble.passing
    error = trouble.error("default/p")
    assert (error.reason, error.message) == ("FailedCreatePodSandBox", LINK)
    assert "does not exist on node node-a" in (error.hint or "")
    assert str(error).startswith("pod default/p: FailedCreatePodSandBox: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ('failed to find plugin "notaplugin" in path [/opt/cni/bin]', "'notaplugin' is not in"),
        ('unknown macvlan mode: "sideways"', "bridge, private, vepa and passthru"),
        ("invalid MTU 9000, must be [0, master MTU(1500)]", "above the master's"),
        ("IPAM plugin returned missing IP config", "ipam 'static' got no address"),
        (
            "cannot find a network-attachment-definition (mv) in namespace (shop)",
            "'mv' in namespace 'shop'",
        ),
        ("cannot find a network-attachment-definition () in namespace (x)", "trailing comma"),
        (
            "getCNIConfigFromSpec: failed to unmarshal Spec.Config: invalid character 'n'",
            "is not JSON",
        ),
        (
            "parsePodNetworkAnnotation: failed to mac: address zz: invalid MAC address",
            "no hardware address",
        ),
        (
            "the 'ip' field is expected to be in CIDR notation, got: '10.7.18.1'",
            "with its prefix length",
        ),
        (
            "json: cannot unmarshal string into Go struct field "
            "NetworkSelectionElement.ips of type []string",
            "is a list",
        ),
        (
            'cannot set "" interface name to "abcdefghijklmnop": numerical result out of range',
            "15",
        ),
        ("validateIfName: interface name a0 already exists", "asked for twice"),
        ("multus does not support ECMP for default-route", "one IPv4 and one IPv6"),
        ("failed to create macvlan: cannot assign requested address", "multicast"),
        ("failed to create macvlan: invalid argument", "passthru"),
        ('failed to set "net1" UP: address already in use', "has this MAC address"),
        ("failed to create macvlan: device or resource busy", "another kind of upper device"),
    ],
)
def test_every_cause_of_the_ground_truth_has_its_sentence(words: str, said: str) -> None:
    assert said in (hint(words, "node-a") or "")


@pytest.mark.parametrize(
    "cause",
    [
        "Multus: dial unix /run/multus/multus.sock: connect: connection refused",
        "still waiting for readinessindicatorfile @ /host/etc/cni/net.d/10-kindnet.conflist",
        "context deadline exceeded",
    ],
)
def test_what_passes_by_itself_is_waited_for(cause: str) -> None:
    trouble = from_event(event(THICK.format(cause=cause)))
    assert trouble is not None
    assert trouble.passing


def test_the_scheduler_is_final_where_no_node_can_ever_fit() -> None:
    text = "0/3 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
    trouble = from_event(event(text + " preemption: none", "FailedScheduling"))
    assert trouble is not None
    assert not trouble.passing
    assert trouble.message == text
    taint = "untolerated taint {node.kubernetes.io/not-ready: }"
    text = f"0/1 nodes are available: 1 node(s) had {taint}."
    trouble = from_event(event(text, "FailedScheduling"))
    assert trouble is not None
    assert trouble.passing


def test_an_event_that_says_nothing_is_passed_over() -> None:
    assert from_event(event("Created container main", "Created")) is None


def test_a_container_that_ends_tells_its_status() -> None:
    status = {
        "phase": "Running",
        "containerStatuses": [
            {
                "name": "main",
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 3}},
            }
        ],
    }
    trouble = from_status({"status": status, "spec": {"nodeName": "node-a"}})
    assert trouble is not None
    assert trouble.message == "container main: its program ended with status 3"


def test_a_pod_that_is_starting_has_no_trouble() -> None:
    waiting = {"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}}
    assert from_status({"status": {"phase": "Pending", "containerStatuses": [waiting]}}) is None
    assert from_status({}) is None
