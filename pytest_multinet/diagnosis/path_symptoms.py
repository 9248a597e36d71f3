"""Symptoms that show between pods that run: addresses, routes, layer 2, filters."""

from __future__ import annotations

from pytest_multinet.cluster.stack import NetworkStack, Node, Pod
from pytest_multinet.diagnosis.context import UPPER, Context
from pytest_multinet.diagnosis.symptom import Match, Symptom, entry
from pytest_multinet.model.interface import Interface, Route

_FILTERS = {
    4: ("bridge/bridge-nf-call-iptables", "iptables"),
    6: ("bridge/bridge-nf-call-ip6tables", "ip6tables"),
}


@entry(
    3,
    "no-layer-2",
    "same node works, cross-node does not",
    cause="{a} and {b} do not reach each other on layer 2: {why}",
    advice="join the masters by one link or switch (node_link), and let it pass MAC addresses "
    "that are not the nodes' own (promiscuous mode, no port security)",
    command="tcpdump -eni {master} arp  (in {node})",
    layers=("neighbour",),
)
def _no_layer_2(context: Context) -> Match | None:
    source, target = context.source, context.target
    if not isinstance(source, Pod) or not isinstance(target, Pod) or context.address is None:
        return None
    if source.node.name == target.node.name:
        return None
    near = context.find(source, context.interface or "eth0")
    far = context.carrying(target, context.address)
    if near is None or far is None or near.type not in UPPER or far.type not in UPPER:
        return None
    below, above = context.master(source, near), context.master(target, far)
    if below is None or above is None:
        return None
    a, b = f"{below.name} of {source.node.name}", f"{above.name} of {target.node.name}"
    return {
        "a": a,
        "b": b,
        "why": _why_apart(context, source, target, (below, above)),
        "master": above.name,
        "node": target.node.name,
        "where": f"{a} -- {b}",
    }


def _why_apart(
    context: Context, source: Pod, target: Pod, masters: tuple[Interface, Interface]
) -> str:
    below, above = masters
    if below.type == "veth" and above.type == "veth":
        if below.parent == above.index and above.parent == below.index:
            return "they are one veth, and something on it drops frames of the pods' MAC addresses"
        cluster = context.cluster
        nodes = {source.node.name, target.node.name}
        links = cluster.node_links if cluster is not None else ()
        if any(link.name == below.name for link in links) and not any(
            {e.name for e in link.ends} == nodes and link.name == below.name for link in links
        ):
            return "the two are ends of different links"
    here, there = source.node, target.node
    ends = [a.ip for a in above.addresses if a.version == 4]
    if ends and here.ping(ends[0], interface=below.name, timeout=0.5):
        return "the nodes do, so a MAC filter on the underlay drops the pods' own addresses"
    if below.type != "veth" or above.type != "veth":
        return f"nothing joins a {below.type} here with a {above.type} there"
    return f"no frame from {here.name} arrives at {there.name}"


@entry(
    4,
    "own-macvlan",
    "a node cannot reach its own pod",
    cause="{pod}'s {interface} is a {type} on {master} of {node}: by design a master and what "
    "stands on it do not hear each other",
    advice="probe from another pod or node, over eth0, or give the node a macvlan of its own",
    command="ip -d link show {interface}  (in {pod})",
    layers=("route", "neighbour", "reply", "port"),
)
def _own_macvlan(context: Context) -> Match | None:
    for node, pod in ((context.source, context.target), (context.target, context.source)):
        if not isinstance(node, Node) or not isinstance(pod, Pod) or pod.node.name != node.name:
            continue
        name = context.far if pod is context.target else (context.interface or "eth0")
        interface = context.find(pod, name)
        if interface is None or interface.type not in UPPER:
            continue
        master = context.master(pod, interface)
        return {
            "pod": pod.name,
            "interface": interface.name,
            "type": interface.type,
            "master": master.name if master else "its master",
            "node": node.name,
            "where": f"{node.name} and its pod {pod.name}",
        }
    return None


@entry(
    5,
    "address-on-two-nodes",
    "the same address on two nodes",
    cause="{first} on {node1} and {second} on {node2} both have {address}: host-local hands out "
    "addresses on each node by itself",
    advice="give each node a range of its own, or use static addresses or whereabouts",
    command="ls /var/lib/cni/networks/{network}  (in both nodes)",
    layers=("address", "neighbour"),
)
def _address_on_two_nodes(context: Context) -> Match | None:
    target = context.target if isinstance(context.target, Pod) else None
    one = target or next(iter(context.pods), None)
    if one is None:
        return None
    name = context.far if target else (context.interface or "eth0")
    attachment = context.attachment(one, name)
    if attachment is None or attachment.definition is None:
        return None
    if not any(p.ipam_type == "host-local" for p in attachment.plugins):
        return None
    for other, found in twins(context, one, name):
        if other.node.name == one.node.name:
            continue
        if context.address is not None and str(context.address) not in found:
            continue
        address = next(iter(found))
        config = attachment.definition.config
        return {
            "first": one.name,
            "second": other.name,
            "node1": one.node.name,
            "node2": other.node.name,
            "address": address,
            "network": config.name if config else "",
            "where": f"{one.name} and {other.name}",
        }
    return None


def twins(context: Context, pod: Pod, name: str) -> list[tuple[Pod, list[str]]]:
    """Other pods of the same network with an address of this pod's interface ``name``."""
    own = context.find(pod, name)
    attachment = context.attachment(pod, name)
    if own is None or attachment is None:
        return []
    mine = {a.ip for a in own.addresses if not a.ip.is_link_local}
    out: list[tuple[Pod, list[str]]] = []
    for other in context.all_pods:
        if other is pod or (other.namespace, other.name) == (pod.namespace, pod.name):
            continue
        same = [
            a.interface
            for a in context.attachments(other.manifest)
            if (a.selection.namespace, a.selection.name)
            == (attachment.selection.namespace, attachment.selection.name)
        ]
        theirs = {
            a.ip
            for interface in context.interfaces(other)
            if interface.name in same
            for a in interface.addresses
        }
        if mine & theirs:
            out.append((other, [str(a) for a in mine & theirs]))
    return out


@entry(
    16,
    "default-route",
    "default-route had no effect, or eth0's default went away",
    cause="{why}",
    advice="{fix}",
    command="ip route  (in {stack})",
    layers=("route", "neighbour", "reply", "port"),
)
def _default_route(context: Context) -> Match | None:
    version = context.address.version if context.address is not None else 4
    for stack in (context.source, context.target):
        if not isinstance(stack, Pod) or not _needs_default(context, stack):
            continue
        found = _without_effect(context, stack, version) or _gone(context, stack, version)
        found = found or _two(context, stack, version)
        if found is not None:
            why, fix = found
            return {"why": why, "fix": fix, "stack": stack.name, "where": f"{stack.name} routes"}
    return None


def _needs_default(context: Context, pod: Pod) -> bool:
    """Whether what the pod sends here has to take a default route."""
    if context.address is None:
        return True  # a route was asked for
    towards = (context.address,) if pod is context.source else context.origin
    return not towards or not all(_on_link(context, pod, a) for a in towards)


def _defaults(context: Context, pod: Pod, version: int) -> list[Route]:
    return [r for r in context.routes(pod) if r.default and r.destination.version == version]


def _without_effect(context: Context, pod: Pod, version: int) -> tuple[str, str] | None:
    held = _defaults(context, pod, version)
    for attachment in context.attachments(pod.manifest):
        for gateway in attachment.selection.default_route or ():
            if (":" in gateway) != (version == 6):
                continue
            name = attachment.interface
            if any(str(r.gateway) == gateway and r.interface == name for r in held):
                others = [r for r in held if r.interface != name]
                if not others:
                    continue
                why = f"{others[0].interface}'s default route stayed beside {name}'s"
            else:
                shown = "; ".join(map(str, held)) or "none"
                why = f"there is no default route by {gateway} on {name} (default routes: {shown})"
            return (
                f"{pod.name} asks for default-route {gateway} on {name}, and {why}",
                "look at Multus' version: 4.2.2 to 4.3 swallow the failure; 4.1.0 does it right",
            )
    return None


def _gone(context: Context, pod: Pod, version: int) -> tuple[str, str] | None:
    """A default route that the pod gave away, and something needs it."""
    if any(r.interface == "eth0" for r in _defaults(context, pod, version)):
        return None
    chosen = [
        a for a in context.attachments(pod.manifest) if a.selection.default_route is not None
    ]
    if not chosen:
        return None
    behind = context.address if pod is context.source else next(iter(context.origin), None)
    gateways = ", ".join(chosen[0].selection.default_route or ()) or "[]"
    return (
        f"eth0 of {pod.name} has no default route: default-route {gateways} of "
        f"{chosen[0].interface} took it away, and {behind or 'what is asked for'} lies behind it",
        "leave default-route out, or add a route to the pod network by eth0",
    )


def _on_link(context: Context, stack: NetworkStack, address: object) -> bool:
    return any(
        not r.default and address in r.destination  # pyright: ignore[reportOperatorIssue]
        for r in context.routes(stack)
    )


def _two(context: Context, pod: Pod, version: int) -> tuple[str, str] | None:
    """Two default routes, one by a gateway that does not answer."""
    held = _defaults(context, pod, version)
    if len(held) < 2 or context.layer == "route":
        return None
    for route in held:
        if route.gateway is None or route.interface is None:
            continue
        if not pod.prober.arping(route.gateway, interface=route.interface, count=1, timeout=0.5):
            return (
                f"{pod.name} has {len(held)} default routes, and {route.interface}'s gateway "
                f"{route.gateway} does not answer: packets that take it are lost",
                "give the secondary network no 0.0.0.0/0 route, or ask for default-route",
            )
    return None


@entry(
    22,
    "interface-vanished",
    "net1 was there and is gone",
    cause="network-status of {pod} promises {interface}, and the kernel has it no more: its "
    "master on {node} was removed or made anew, which takes it along",
    advice="make the pod again; make node links before pods, and do not restart nodes under them",
    command="ip link  (in {pod}); ip link  (in {node})",
    layers=("attachment",),
)
def _interface_vanished(context: Context) -> Match | None:
    for stack, name in context.ends:
        if not isinstance(stack, Pod) or context.find(stack, name) is not None:
            continue
        if any(s.interface == name for s in stack.network_status):
            return {
                "pod": stack.name,
                "interface": name,
                "node": stack.node.name,
                "where": f"{stack.name} {name}",
            }
    return None


@entry(
    23,
    "bridge-filtered",
    "pods on one bridge resolve ARP and lose every packet",
    cause="{node} passes bridged packets through {program}'s FORWARD rules "
    "(net.bridge.bridge-nf-call-{program}=1), and {rule}",
    advice="set net.bridge.bridge-nf-call-{program} to 0 on the node, or accept the bridge's "
    "packets in FORWARD",
    command="sysctl net.bridge; {program} -S FORWARD  (in {node})",
    layers=("reply", "port"),
)
def _bridge_filtered(context: Context) -> Match | None:
    source, target = context.source, context.target
    if not isinstance(source, Pod) or not isinstance(target, Pod) or context.address is None:
        return None
    if source.node.name != target.node.name:
        return None
    near = context.find(source, context.interface or "eth0")
    far = context.carrying(target, context.address)
    if near is None or far is None:
        return None
    ports = [context.master(source, near), context.master(target, far)]
    bridge = ports[0].master if ports[0] else None
    if bridge is None or ports[1] is None or ports[1].master != bridge:
        return None
    path, program = _FILTERS[context.address.version]
    node = source.node
    if node.sysctl(path) != "1":
        return None
    return {
        "node": node.name,
        "program": program,
        "rule": _forward_rule(node, program),
        "where": f"bridge {bridge} of {node.name}",
    }


def _forward_rule(node: Node, program: str) -> str:
    try:
        shown = node.exec([program, "-S", "FORWARD"], timeout=5).stdout
    except Exception:  # the program may be missing; the sysctl tells enough
        return "they drop them"
    if "-P FORWARD DROP" in shown:
        return "the policy there is DROP"
    drops = [line for line in shown.splitlines() if "DROP" in line or "REJECT" in line]
    return f"there stands {drops[0]!r}" if drops else "they, or masquerading, lose them"


@entry(
    24,
    "ipv6-disabled",
    "an IPv6 address: permission denied",
    cause="IPv6 is disabled in {pod} ({path}=1): no IPv6 address can be had there",
    advice="set it to 0 (a tuning plugin or the pod's securityContext.sysctls), or drop the "
    "IPv6 address",
    command="sysctl {path}  (in {pod})",
    layers=("set-up", "attachment", "address", "route"),
)
def _ipv6_disabled(context: Context) -> Match | None:
    if context.layer == "set-up":
        failed = context.failed
        six = failed is not None and (
            any(":" in ip for ip in failed.selection.ips)
            or ":" in str([p.raw for p in failed.plugins])
        )
        if "permission denied" not in context.text or not six:
            return None
        manifest = context.manifest
        pod = manifest.name if manifest else "the pod"
        path = "net.ipv6.conf.all.disable_ipv6"
        return {"pod": pod, "path": path, "where": f"pod {pod}"}
    if context.address is not None and context.address.version == 4:
        return None
    for stack, name in context.ends:
        for interface in (name, "all"):
            path = f"ipv6/conf/{interface}/disable_ipv6"
            held = context.find(stack, name)
            if held is not None and held.ipv6:
                break
            if stack.sysctl(path) == "1":
                shown = f"net.ipv6.conf.{interface}.disable_ipv6"
                return {"pod": stack.name, "path": shown, "where": f"{stack.name} {name}"}
    return None


PATH: tuple[Symptom, ...] = (
    _no_layer_2,
    _own_macvlan,
    _address_on_two_nodes,
    _default_route,
    _interface_vanished,
    _bridge_filtered,
    _ipv6_disabled,
)
