"""From what Kubernetes says about a pod to the error that a user reads.

A failed network set-up is one line of a thousand characters in a FailedCreatePodSandBox event,
half of it identifiers, and kubelet retries it for ever; the useful part and its cause are
picked out here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_multinet.errors import PodError
from pytest_multinet.model.nested import items, mapping

SANDBOX = "FailedCreatePodSandBox"

# While the node is still coming up these go away by themselves: wait, and quote at the deadline.
_PASSING = re.compile(
    r"connection refused|i/o timeout|context deadline exceeded|TLS handshake timeout"
    r"|waiting for pod|still waiting for readinessindicatorfile|readinessindicatorfile"
    r"|cni plugin not initialized|no such host|dial unix .*multus\.sock|Unauthorized"
    r"|failed to find network info for sandbox|serviceaccount .* not found"
    r"|failed to reserve sandbox name|no networks found in|EOF"
)
_SCHEDULING_FINAL = re.compile(
    r"didn't match Pod's node affinity/selector|Insufficient |had untolerated taint "
    r"\{(?!node\.kubernetes\.io|node\.cloudprovider)"
)
_IMAGE_REASONS = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
_CONTAINER_REASONS = {
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
}

_HINTS: tuple[tuple[str, str], ...] = (
    (
        r'failed to find plugin "(?P<plugin>[^"]+)"',
        "the CNI plugin {plugin!r} is not in /opt/cni/bin on node {node}; give a folder or "
        "archive that has it with --multinet-cni-plugins (kind nodes ship only host-local, "
        "loopback, portmap and ptp)",
    ),
    (
        r"Link not found",
        "the network's master interface does not exist on node {node}; is its 'master' right, "
        "and is there a node_link to that node? ('docker exec {node} ip link' shows its links)",
    ),
    (
        r"no default route interface found",
        "the network names no master and node {node} has no default route to take one from",
    ),
    (r"unknown macvlan mode", "macvlan modes are bridge, private, vepa and passthru"),
    (
        r"invalid MTU (?P<mtu>\d+), must be",
        "an mtu above the master's is refused; raise the link's mtu (node_link), or lower the "
        "network's",
    ),
    (
        r"missing IP config",
        "ipam 'static' got no address: name one in the pod's annotation as "
        '"ips": ["10.1.1.101/24"] (and give the plugin "capabilities": {{"ips": true}})',
    ),
    (
        r"cannot find a network-attachment-definition \(\) ",
        "an empty network name: is there a trailing comma in the annotation?",
    ),
    (
        r"cannot find a network-attachment-definition \((?P<name>[^)]*)\) "
        r"in namespace \((?P<namespace>[^)]*)\)",
        "apply the NetworkAttachmentDefinition {name!r} in namespace {namespace!r} first, or name "
        "another as 'namespace/name' (a bare name is looked up in the pod's namespace)",
    ),
    (
        r"failed to unmarshal Spec\.Config",
        "spec.config of the NetworkAttachmentDefinition is not JSON",
    ),
    (
        r"failed to mac: address",
        "the annotation's 'mac' is no hardware address such as 02:00:00:00:01:01",
    ),
    (
        r"expected to be in CIDR notation",
        "write the address with its prefix length, such as 10.1.1.101/24",
    ),
    (r"NetworkSelectionElement\.ips of type", '"ips" is a list: "ips": ["10.1.1.101/24"]'),
    (
        r"parsePodNetworkAnnotation",
        "the annotation k8s.v1.cni.cncf.io/networks is a JSON list of objects, or "
        "'[namespace/]name[@interface]' separated by commas",
    ),
    (r"numerical result out of range", "an interface name has at most 15 characters"),
    (r"interface name .* already exists", "one interface name was asked for twice"),
    (r"does not support ECMP", "name one IPv4 and one IPv6 'default-route' gateway at most"),
    (
        r"failed to create macvlan: cannot assign requested address",
        "the MAC address is a multicast address (odd first byte)",
    ),
    (
        r"failed to create macvlan: invalid argument",
        "a macvlan in passthru mode takes its master alone: another macvlan is on it already",
    ),
    (
        r"set \"?(?P<interface>[^\" ]+)\"? UP: address already in use",
        "another macvlan on the same master has this MAC address",
    ),
    (
        r"device or resource busy",
        "the master already carries another kind of upper device (ipvlan beside macvlan, or a "
        "bridge)",
    ),
    (r"failed to allocate for range|no IP addresses available", "host-local's range is exhausted"),
    (r"IPAM plugin .*permission denied|IPv6.*permission denied", "IPv6 is disabled in the pod"),
    (
        r"dhcp\.sock",
        "the dhcp plugin needs its daemon on the node (/opt/cni/bin/dhcp daemon)",
    ),
    (
        r"multus\.sock.*(connection refused|no such file)",
        "the Multus daemon on node {node} does not answer: "
        "kubectl -n kube-system get pods -l name=multus -o wide",
    ),
    (r"Unauthorized", "Multus' token has expired; restart its DaemonSet"),
    (
        r"unsupported CNI result version|incompatible CNI versions",
        "cniVersion and plugin disagree",
    ),
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that keeps a pod from running.

    Attributes:
        reason: the event's or container's reason.
        message: the useful part.
        node: where it happened, ``""`` where unknown.
        passing: it may go away by itself.
    """

    reason: str
    message: str
    node: str
    passing: bool

    def error(self, pod: str) -> PodError:
        """The error for the pod ``namespace/name``."""
        return PodError(
            self.message,
            pod=pod,
            reason=self.reason,
            hint=hint(self.message, self.node, self.reason),
            node=self.node or None,
        )


def from_event(event: Mapping[str, Any]) -> Trouble | None:
    """What a Warning event says that matters, else ``None``."""
    reason = str(event.get("reason") or "")
    text = str(event.get("message") or "")
    node = str(mapping(event, "source").get("host") or "")
    if reason == SANDBOX:
        return Trouble(reason, network_cause(text), node, bool(_PASSING.search(text)))
    if reason == "FailedScheduling":
        return Trouble(
            reason, text.split(" preemption:")[0], node, not _SCHEDULING_FINAL.search(text)
        )
    if reason == "FailedMount":
        return Trouble(reason, text, node, True)
    if reason == "Failed" and "pull image" in text:
        return Trouble("ErrImagePull", text, node, False)
    return None


def from_status(pod: Mapping[str, Any]) -> Trouble | None:
    """What the containers' states say that matters, else ``None``."""
    status = mapping(pod, "status")
    node = str(mapping(pod, "spec").get("nodeName") or "")
    for key in ("initContainerStatuses", "containerStatuses"):
        for container in items(status, key):
            waiting = mapping(container, "state", "waiting")
            reason = str(waiting.get("reason") or "")
            message = str(waiting.get("message") or reason)
            if reason in _IMAGE_REASONS:
                named = f"{container['name']}: {message}"
                return Trouble(reason, named, node, reason == "ImagePullBackOff")
            if reason in _CONTAINER_REASONS:
                ended = mapping(container, "lastState", "terminated")
                if ended and reason == "CrashLoopBackOff":
                    message = f"its program ended with status {ended.get('exitCode')}"
                return Trouble(reason, f"container {container['name']}: {message}", node, False)
    if status.get("phase") == "Failed":
        text = str(
            status.get("message") or status.get("reason") or "its containers ended in failure"
        )
        return Trouble(str(status.get("reason") or "Failed"), text, node, False)
    return None


def network_cause(message: str) -> str:
    """The useful part of a FailedCreatePodSandBox message.

    Thick Multus: what stands between ``networking:`` and ``': StdinData``; thin Multus: what
    follows its own ``failed (add):``.
    """
    text = message
    if "networking:" in text:
        text = text.split("networking:", 1)[1].split("': StdinData", 1)[0]
    elif found := re.search(r'plugin type="multus[^"]*" name="[^"]*" failed \(add\): ', text):
        text = text[found.end() :].split(": StdinData", 1)[0]
    elif "failed to setup network for sandbox" in text:
        text = text.split('": ', 1)[-1]
    return " ".join(text.split()).strip("' ")


def hint(message: str, node: str = "", reason: str = "") -> str | None:
    """The cause of a failure in our words and the next step."""
    if reason in _IMAGE_REASONS:
        return (
            "the image is neither on the node nor was it pulled; build or pull it on this machine "
            "and load it with cluster.load_image(...), or check its name and registry"
        )
    if reason == "FailedScheduling":
        return "no node takes it: check nodeSelector, taints and requests"
    if reason == "CrashLoopBackOff":
        return "give the pod a command that stays, such as ['sleep', 'infinity']"
    for pattern, text in _HINTS:
        if found := re.search(pattern, message):
            values = {k: v for k, v in found.groupdict().items() if v is not None}
            return _fill(text, {"node": node or "its node", **values})
    return None


def _fill(text: str, values: Mapping[str, str]) -> str:
    return text.format(**values)
