"""Symptoms that show while a pod or network is being made: what Multus and the plugins refuse."""

from __future__ import annotations

import re
from ipaddress import ip_address

from pytest_multinet.cluster.stack import Node, Pod
from pytest_multinet.diagnosis.context import UPPER, Context
from pytest_multinet.diagnosis.symptom import Match, Symptom, entry
from pytest_multinet.model.attachment import NetworkSelection
from pytest_multinet.model.interface import Interface

_SET_UP = ("set-up",)
_NOT_FOUND = re.compile(
    r"cannot find a network-attachment-definition \((?P<name>[^)]*)\) in namespace "
    r"\((?P<namespace>[^)]*)\)"
)


@entry(
    1,
    "plugin-missing",
    'failed to find plugin "macvlan"',
    cause="the CNI plugin {plugin} is not in /opt/cni/bin on {node}",
    advice="put it there: --multinet-cni-plugins=FOLDER; kind nodes ship only host-local, "
    "loopback, portmap and ptp (if it is no plugin's name, correct the network's type)",
    command="ls /opt/cni/bin  (in {node})",
    layers=_SET_UP,
)
def _plugin_missing(context: Context) -> Match | None:
    found = re.search(r'failed to find plugin "([^"]+)"', context.text)
    if found is None:
        return None
    return {"plugin": found[1], "node": _node(context), "where": _where(context)}


@entry(
    2,
    "master-missing",
    "Link not found",
    cause="master {master} of network {network} is not on {node}, which has {present}{others}",
    advice="correct the master, or make a node_link of that name that ends on {node}",
    command="ip link  (in {node})",
    layers=_SET_UP,
)
def _master_missing(context: Context) -> Match | None:
    failed = context.failed
    if "Link not found" not in context.text or failed is None or failed.master is None:
        return None
    lacking = [n for n in context.nodes if context.find(n, failed.master) is None]
    if context.nodes and not lacking:
        return None
    present = ", ".join(i.name for i in context.interfaces(lacking[0])) if lacking else "others"
    elsewhere = [
        n.name
        for n in (context.cluster.nodes if context.cluster else ())
        if n not in lacking and context.find(n, failed.master)
    ]
    return {
        "master": failed.master,
        "network": _network(failed.selection),
        "node": _node(context),
        "present": present,
        "others": f"; {', '.join(elsewhere)} has it" if elsewhere else "",
        "where": _where(context),
    }


@entry(
    6,
    "static-without-ips",
    "IPAM plugin returned missing IP config",
    cause="network {network} has ipam static, and neither it nor the pod gives an address",
    advice='write "ips": ["10.1.1.101/24"] into the pod\'s selection, or addresses into the ipam',
    command="kubectl get network-attachment-definitions {name} -o yaml",
    layers=_SET_UP,
)
def _static_without_ips(context: Context) -> Match | None:
    failed = context.failed
    if "missing IP config" not in context.text or failed is None or failed.selection.ips:
        return None
    if not any(p.ipam_type == "static" for p in failed.plugins):
        return None
    return {
        "network": _network(failed.selection),
        "name": failed.selection.name,
        "where": _where(context),
    }


@entry(
    7,
    "master-busy",
    "device or resource busy",
    cause="{master} on {node} cannot carry this interface as well: {holder}",
    advice="use one kind (macvlan or ipvlan) on a master, and none that is a bridge's port",
    command="ip -d link show {master}; bridge link  (in {node})",
    layers=_SET_UP,
)
def _master_busy(context: Context) -> Match | None:
    failed = context.failed
    if "device or resource busy" not in context.text or failed is None:
        return None
    master, node = _master(context)
    holder = "it is in use"
    if master is not None and node is not None:
        if master.master:
            holder = f"it is a port of bridge {master.master}"
        elif upper := _uppers(context, node, master):
            pod, interface = upper[0]
            holder = f"pod {pod.name} has an {interface.type} on it ({interface.name})"
    return {
        "master": failed.master or "the master",
        "node": _node(context),
        "holder": holder,
        "where": _where(context),
    }


@entry(
    8,
    "duplicate-mac",
    "set interface UP: address already in use",
    cause="MAC address {mac} is taken on master {master} of {node}{holder}",
    advice="give each pod on one master a MAC address of its own, or none",
    command="ip -d link  (in the pods on {node})",
    layers=_SET_UP,
)
def _duplicate_mac(context: Context) -> Match | None:
    failed = context.failed
    if "UP: address already in use" not in context.text or failed is None:
        return None
    macvlan = failed.plugin("macvlan")
    given = macvlan.raw.get("mac") if macvlan else None
    mac = (failed.selection.mac or str(given or "")).lower()
    master, node = _master(context)
    holder = ""
    if master is not None and node is not None:
        for pod, interface in _uppers(context, node, master):
            if mac and interface.mac == mac:
                holder = f": pod {pod.name} has it on {interface.name}"
    return {
        "mac": mac or "asked for",
        "master": failed.master or "",
        "node": _node(context),
        "holder": holder,
        "where": _where(context),
    }


@entry(
    9,
    "multicast-mac",
    "cannot assign requested address",
    cause="MAC address {mac} is a multicast address (odd first byte) or zero: no interface has it",
    advice="take one whose first byte is even, such as 02:00:00:00:01:01",
    command="kubectl describe pod {pod}",
    layers=_SET_UP,
)
def _multicast_mac(context: Context) -> Match | None:
    if "cannot assign requested address" not in context.text:
        return None
    failed = context.failed
    mac = str(getattr(context.error, "value", None) or "")
    if failed is not None:
        given = [str(p.raw["mac"]) for p in failed.plugins if p.raw.get("mac")]
        mac = failed.selection.mac or (given[0] if given else mac)
    if mac and not _no_interface_mac(mac):
        return None
    return {"mac": mac or "asked for", "pod": _pod(context), "where": _where(context)}


@entry(
    13,
    "empty-or-qualified-name",
    "cannot find a network-attachment-definition () or (ns/name)",
    cause="{why}",
    advice="{fix}",
    command="kubectl get pod {pod} -o jsonpath='{{.metadata.annotations}}'",
    layers=_SET_UP,
)
def _empty_or_qualified_name(context: Context) -> Match | None:
    found = _NOT_FOUND.search(context.text)
    if found is None or (found["name"] and "/" not in found["name"]):
        return None
    if not found["name"]:
        why = "the annotation has an empty network name: a comma too many"
        fix = "take the comma at the end (or the double one) away"
    else:
        space, _, name = found["name"].partition("/")
        why = f'"name": "{found["name"]}" in JSON is looked up as it stands, slash and all'
        fix = f'write "name": "{name}", "namespace": "{space}"'
    return {"why": why, "fix": fix, "pod": _pod(context), "where": _where(context)}


@entry(
    14,
    "network-in-other-namespace",
    "cannot find a network-attachment-definition that does exist",
    cause="network {name} is looked up in the pod's namespace {namespace}; it is in {others}",
    advice="name it {others}/{name} (in JSON: a key namespace), or apply it in {namespace}",
    command="kubectl get network-attachment-definitions -A",
    layers=_SET_UP,
)
def _network_in_other_namespace(context: Context) -> Match | None:
    found = _NOT_FOUND.search(context.text)
    if found is None or not found["name"]:
        return None
    others = [d.namespace for d in context.definitions if d.name == found["name"]]
    if not others or found["namespace"] in others:
        return None
    return {
        "name": found["name"],
        "namespace": found["namespace"],
        "others": others[0],
        "where": _where(context),
    }


@entry(
    15,
    "not-json",
    "spec.config is not JSON, or a field has another type (ips as a string)",
    cause="{what} cannot be read: {why}",
    advice="{fix}",
    command="kubectl get {object} -o yaml",
    layers=_SET_UP,
)
def _not_json(context: Context) -> Match | None:
    text = context.text
    if "failed to unmarshal Spec.Config" in text:
        what, thing = "spec.config of the network", "network-attachment-definitions"
        fix = "make it one JSON object: quotes around keys, no comma at the end, no comments"
    elif "cannot unmarshal" in text or "invalid character" in text:
        what, thing = "the annotation k8s.v1.cni.cncf.io/networks", "pod"
        fix = "make it a JSON list of objects"
        if "NetworkSelectionElement.ips" in text:
            fix = 'write ips as a list: "ips": ["10.1.1.101/24"]'
    else:
        return None
    why = re.split(r"failed to unmarshal Spec\.Config:|JSON format:", text)[-1].strip(" :")
    return {"what": what, "why": why, "fix": fix, "object": thing, "where": _where(context)}


@entry(
    17,
    "cni-version",
    "incompatible CNI versions",
    cause="cniVersion and plugin disagree: {why}",
    advice="write a cniVersion that every plugin of the chain knows; 0.3.1 and 1.0.0 are safe",
    command="CNI_COMMAND=VERSION /opt/cni/bin/<plugin> < /dev/null  (in {node})",
    layers=_SET_UP,
)
def _cni_version(context: Context) -> Match | None:
    found = re.search(
        r"(incompatible CNI versions.*|unsupported CNI result version.*"
        r"|invalid version .*|no result version.*|unsupported version .*)",
        context.text,
    )
    if found is None:
        return None
    return {"why": found[1].strip(), "node": _node(context), "where": _where(context)}


@entry(
    20,
    "dhcp-daemon",
    "dial unix /run/cni/dhcp.sock",
    cause="network {network} has ipam dhcp, and no dhcp daemon listens on {node}",
    advice="start it on every node (/opt/cni/bin/dhcp daemon), or use another ipam",
    command="ls /run/cni/dhcp.sock  (in {node})",
    layers=_SET_UP,
)
def _dhcp_daemon(context: Context) -> Match | None:
    if "dhcp.sock" not in context.text:
        return None
    failed = context.failed
    return {
        "network": _network(failed.selection) if failed else "the network",
        "node": _node(context),
        "where": _where(context),
    }


@entry(
    21,
    "addresses-exhausted",
    "no IP addresses available in range set",
    cause="host-local on {node} has given out all of {range}: {held}",
    advice="delete the files of sandboxes that are gone (a reboot or a lost DEL leaves them), or "
    "take a wider range",
    command="ls /var/lib/cni/networks/{name}  (in {node})",
    layers=_SET_UP,
)
def _addresses_exhausted(context: Context) -> Match | None:
    found = re.search(
        r"no IP addresses available in range set: ([0-9a-f.:]+)-([0-9a-f.:]+)", context.text
    )
    failed = context.failed
    if found is None or failed is None:
        return None
    first, last = ip_address(found[1]), ip_address(found[2].rstrip(".:"))
    size = int(last) - int(first) + 1
    holders = [
        pod.name
        for pod in context.all_pods
        if pod.node in context.nodes
        for status in pod.network_status
        if any(
            first.version == ip.version and int(first) <= int(ip) <= int(last) for ip in status.ips
        )
    ]
    shown = ", ".join(holders[:4]) or "no pod here"
    held = f"{len(holders)} of {size} are held by running pods ({shown})"
    if not holders or len(holders) < size - 1:
        held += "; the others belong to sandboxes that are gone"
    name = failed.definition.config.name if failed.definition and failed.definition.config else ""
    return {
        "range": f"{first}-{last}",
        "held": held,
        "name": name,
        "node": _node(context),
        "where": _where(context),
    }


# --- shared ---------------------------------------------------------------------------------


def _pod(context: Context) -> str:
    manifest = context.manifest
    return manifest.name if manifest else str(getattr(context.error, "pod", "") or "<pod>")


def _node(context: Context) -> str:
    return ", ".join(n.name for n in context.nodes) or "its node"


def _where(context: Context) -> str:
    manifest, failed = context.manifest, context.failed
    if manifest is None:
        source, line = getattr(context.error, "source", None), getattr(context.error, "line", None)
        return f"{source or 'the manifest'}{f':{line}' if line else ''}"
    interface = f" {failed.interface}" if failed else ""
    node = f" on {_node(context)}" if context.nodes else ""
    return f"pod {manifest.name}{interface}{node}"


def _network(selection: NetworkSelection) -> str:
    return f"{selection.namespace}/{selection.name}"


def _master(context: Context) -> tuple[Interface | None, Node | None]:
    """The master of the attachment that failed, on the node where it did."""
    name = context.failed.master if context.failed else None
    for node in context.nodes:
        master = context.find(node, name or "")
        if master is not None:
            return master, node
    return None, None


def _uppers(context: Context, node: Node, master: Interface) -> list[tuple[Pod, Interface]]:
    """The pods' interfaces that stand on a master."""
    return [
        (pod, interface)
        for pod in context.all_pods
        if pod.node is node or pod.node.name == node.name
        for interface in context.interfaces(pod)
        if interface.type in UPPER and interface.parent == master.index
    ]


def _no_interface_mac(mac: str) -> bool:
    digits = re.sub(r"[^0-9a-fA-F]", "", mac)
    return len(digits) < 12 or bool(int(digits[:2], 16) & 1) or not int(digits, 16)


ATTACHMENT: tuple[Symptom, ...] = (
    _plugin_missing,
    _master_missing,
    _static_without_ips,
    _master_busy,
    _duplicate_mac,
    _multicast_mac,
    _empty_or_qualified_name,
    _network_in_other_namespace,
    _not_json,
    _cni_version,
    _dhcp_daemon,
    _addresses_exhausted,
)
