"""The walk along a path, layer by layer, to the first that is broken.

Each check looks at real state through the same protocol on every backend, at the source first,
then at the target.  Where one fails, the registry of symptoms is asked for the cause; where none
applies, the layer says in its own words what it saw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_interface

from pytest_multinet.cluster.base import Cluster
from pytest_multinet.cluster.stack import NetworkStack, Node, Pod, Target
from pytest_multinet.diagnosis.context import UPPER, Context, Seen
from pytest_multinet.diagnosis.finding import Finding
from pytest_multinet.diagnosis.path_symptoms import twins
from pytest_multinet.diagnosis.symptoms import recognise
from pytest_multinet.errors import ManifestError, MultinetError, PodError
from pytest_multinet.model.interface import (
    ArpResult,
    ConnectResult,
    Interface,
    IPAddress,
    IPInterface,
    PingResult,
)
from pytest_multinet.model.pod import PodManifest

Check = tuple[str, Callable[[], "Finding | None"]]
_FULL = ("message too long", "Frag needed", "Packet too big")


# --- the questions --------------------------------------------------------------------------


def diagnose_interface(
    stack: NetworkStack, name: str, addresses: Sequence[IPInterface] = ()
) -> Finding | None:
    """Why an interface is not there, not up, or lacks ``addresses``."""
    wanted = next(iter(addresses), None)
    context = Context(
        cluster=_cluster_of(stack),
        source=stack,
        interface=name,
        address=wanted.ip if wanted is not None else None,
    )
    return _walk(context, _interface_walk(context, addresses))


def diagnose_route(stack: NetworkStack, destination: str, interface: str | None) -> Finding | None:
    """Why a route that was expected is not there."""
    context = Context(cluster=_cluster_of(stack), source=stack, interface=interface)

    def missing() -> Finding | None:
        shown = "; ".join(map(str, context.routes(stack))) or "no route"
        cause = f"{stack.name} has no such route to {destination}; it has {shown}"
        return Finding("route", stack.name, cause, command=_on(stack, "ip route"))

    checks = _stack_checks(context, stack, interface) if interface else ()
    return _walk(context, [*checks, ("route", missing)])


def diagnose_twin(
    stack: NetworkStack, name: str, address: IPAddress, macs: Sequence[str]
) -> Finding | None:
    """Who else has an address of an interface, by the hardware addresses that answered."""
    context = Context(cluster=_cluster_of(stack), source=stack, interface=name, address=address)

    def held() -> Finding:
        known = [
            f"{pod.name} on {pod.node.name} ({found.name})"
            for pod in context.all_pods
            for found in context.interfaces(pod)
            if found.mac in macs
        ]
        cause = f"{', '.join(known) or 'something at ' + ', '.join(macs)} has {address} too"
        advice = "give every pod of a network an address of its own"
        return Finding("address", f"{stack.name} {name}", cause, advice, _on(stack, "ip address"))

    return _walk(context, [*_stack_checks(context, stack, name), ("address", held)])


def diagnose_path(
    source: NetworkStack, target: Target, address: IPAddress, interface: str | None, seen: Seen
) -> Finding | None:
    """The first broken layer between ``source`` and ``address``."""
    stack = target if isinstance(target, NetworkStack) else None
    context = Context(
        cluster=_cluster_of(source) or (stack and _cluster_of(stack)),
        source=source,
        target=stack or _owner(source, address),
        address=address,
        interface=interface,
        seen=seen,
    )
    return _walk(context, _path_walk(context))


def explain(cluster: Cluster, error: MultinetError, manifests: Sequence[PodManifest]) -> None:
    """Put the cause of a failed set-up into the error's hint, where a symptom is recognised."""
    if not isinstance(error, (PodError, ManifestError)):
        return
    context = Context(cluster=cluster, error=error, manifests=manifests, layer="set-up")
    try:
        finding = recognise(context)
    except Exception:  # an explanation must not hide the failure
        return
    if finding is not None:
        error.hint = str(_with_real_command(cluster, finding)).lstrip()


def _with_real_command(cluster: Cluster | None, finding: Finding) -> Finding:
    if cluster is None:
        return finding
    return replace(finding, command=cluster.real_command(finding.command))


def _cluster_of(stack: NetworkStack) -> Cluster | None:
    return getattr(stack, "cluster", None)


def _owner(source: NetworkStack, address: IPAddress) -> NetworkStack | None:
    """Whose address that is, in the cluster, where the caller gave a number."""
    cluster = _cluster_of(source)
    if cluster is None:
        return None
    for pod in cluster.pods():
        if any(address in status.ips for status in pod.network_status):
            return pod
    for node in cluster.nodes:
        if any(a.ip == address for i in node.interfaces for a in i.addresses):
            return node
    return None


# --- the walk -------------------------------------------------------------------------------


def _walk(context: Context, checks: Sequence[Check]) -> Finding | None:
    sound: list[str] = []
    for name, check in checks:
        finding = check()
        if finding is not None:
            named = recognise(context.at(finding.layer))
            found = replace(named or finding, sound=tuple(dict.fromkeys(sound)))
            return _with_real_command(context.cluster, found)
        sound.append(name)
    return None


def _interface_walk(context: Context, wanted: Sequence[IPInterface]) -> list[Check]:
    stack, name = context.source, context.interface
    if stack is None or name is None:
        return []
    checks = _stack_checks(context, stack, name)
    return [*checks, (f"{stack.name} address", lambda: _lacks(context, stack, name, wanted))]


def _path_walk(context: Context) -> list[Check]:
    source, target, address = context.source, context.target, context.address
    if source is None or address is None:
        return []
    checks = _stack_checks(context, source, context.out)
    checks.append((f"{source.name} address", lambda: _no_address(context, source, address)))
    if target is not None:
        checks += _stack_checks(context, target, context.far)
        checks.append((f"{target.name} address", lambda: _carries(context, target, address)))
    checks.append(("unique address", lambda: _unique(context, source, address)))
    checks.append(("route", lambda: _no_route(context, source, address, context.interface)))
    checks.append(("neighbour", lambda: _neighbour(context, source, address)))
    if target is not None and not isinstance(context.seen, ArpResult):
        checks.append(("route back", lambda: _no_way_back(context, target)))
    return [*checks, ("reply", lambda: _reply(context, source, address))]


def _stack_checks(context: Context, stack: NetworkStack, name: str) -> list[Check]:
    checks: list[Check] = []
    if isinstance(stack, Pod):
        checks.append((f"{stack.name} annotation", lambda: _annotation(context, stack, name)))
        checks.append((f"{name} attached", lambda: _attachment(context, stack, name)))
    checks.append((f"{stack.name} {name}", lambda: _present(context, stack, name)))
    checks.append((f"{name} up", lambda: _up(context, stack, name)))
    if isinstance(stack, Pod):
        checks.append((f"master of {name}", lambda: _master(context, stack, name)))
    return checks


# --- annotation, attachment, interface ------------------------------------------------------


def _annotation(context: Context, pod: Pod, name: str) -> Finding | None:
    """The pod asked for the interface, and Multus heard it."""
    if context.find(pod, name) is not None or name == "eth0":
        return None
    asked = [a.interface for a in context.attachments(pod.manifest)]
    status = pod.network_status
    if name in asked and len(status) > 1:
        return None
    if name not in asked and any(s.interface == name for s in status):
        return None
    command = f"kubectl -n {pod.namespace} get pod {pod.name} -o yaml"
    where = f"pod {pod.name}"
    if not asked:
        cause = (
            f"{pod.name} has no annotation k8s.v1.cni.cncf.io/networks: nothing asks for {name}"
        )
        return Finding("annotation", where, cause, "attach a network to it", command)
    if name not in asked:
        held = ", ".join(i.name for i in context.interfaces(pod))
        cause = f"{pod.name} asks for {', '.join(asked)}, not for {name}; it has {held}"
        return Finding("annotation", where, cause, "name an interface that it has", command)
    cause = f"{pod.name} asks for {name}, and Multus attached nothing"
    return Finding("annotation", where, cause, "is Multus usable on its node?", command)


def _attachment(context: Context, pod: Pod, name: str) -> Finding | None:
    """What network-status says against what the kernel has."""
    promised = next((s for s in pod.network_status if s.interface == name), None)
    if promised is None:
        return None
    seen = context.find(pod, name)
    where = f"{pod.name} {name}"
    command = _on(pod, "ip address")
    if seen is None:
        cause = f"network-status promises {name}, and the kernel has it no more"
        return Finding("attachment", where, cause, "make the pod again", command)
    held = {a.ip for a in seen.addresses}
    lost = [str(ip) for ip in promised.ips if ip not in held]
    if lost:
        own = ", ".join(map(str, seen.addresses)) or "none"
        cause = f"network-status says {', '.join(lost)}, the kernel has {own}"
        advice = "somebody changed the address after the pod was made: make it again"
        return Finding("attachment", where, cause, advice, command)
    if promised.mac and seen.mac and promised.mac.lower() != seen.mac:
        cause = f"network-status says MAC {promised.mac}, the kernel has {seen.mac}"
        return Finding("attachment", where, cause, "make the pod again", _on(pod, "ip link"))
    return None


def _present(context: Context, stack: NetworkStack, name: str) -> Finding | None:
    if context.find(stack, name) is not None:
        return None
    held = ", ".join(i.name for i in context.interfaces(stack))
    cause = f"{stack.name} has no interface {name}; it has {held}"
    advice = "make the link, or name an interface that it has"
    return Finding("interface", f"{stack.name} {name}", cause, advice, _on(stack, "ip link"))


def _up(context: Context, stack: NetworkStack, name: str) -> Finding | None:
    interface = context.find(stack, name)
    if interface is None:
        return None
    where = f"{stack.name} {name}"
    command = _on(stack, f"ip -d link show {name}")
    if not interface.up:
        cause, advice = "it is administratively down", f"ip link set {name} up"
        return Finding("interface", where, cause, advice, command)
    if _carrier(interface) or (isinstance(stack, Pod) and interface.type in UPPER):
        return None  # of a macvlan its master tells why
    cause = f"it has no carrier (state {interface.state}): its other end is down or gone"
    return Finding("interface", where, cause, "look at its other end", command)


def _carrier(interface: Interface) -> bool:
    """By the flag where flags are known: the kernel changes the state up to a second later."""
    if interface.flags:
        return "LOWER_UP" in interface.flags
    return interface.state in ("up", "unknown")


# --- master and node link -------------------------------------------------------------------


def _master(context: Context, pod: Pod, name: str) -> Finding | None:
    interface = context.find(pod, name)
    if interface is None or interface.type not in (*UPPER, "veth"):
        return None
    node = pod.node
    below = context.master(pod, interface)
    where = f"{node.name}, below {pod.name} {name}"
    if below is None:
        cause = f"what {name} stands on (index {interface.parent}) is not on {node.name} any more"
        advice = "make the node link and the pod again"
        return Finding("master", where, cause, advice, _on(node, "ip link"))
    layer = "node link" if interface.type in UPPER else "master"
    return _usable(context, node, below, layer, where) or _bridge(context, node, below, where)


def _bridge(context: Context, node: Node, port: Interface, where: str) -> Finding | None:
    bridge = context.find(node, port.master) if port.master else None
    return bridge and _usable(context, node, bridge, "master", where)


def _usable(
    context: Context, node: Node, below: Interface, layer: str, where: str
) -> Finding | None:
    command = _on(node, f"ip link show {below.name}")
    if not below.up:
        cause, advice = f"{below.name} is administratively down", f"ip link set {below.name} up"
        return Finding(layer, where, cause, advice, command, stacks=(node.name,))
    if _carrier(below):
        return None
    cluster = context.cluster
    ends = [
        end.name
        for link in (cluster.node_links if cluster else ())
        if link.name == below.name and node.name in {e.name for e in link.ends}
        for end in link.ends
        if end.name != node.name
    ]
    other = f"on {ends[0]}, " if ends else ""
    cause = f"{below.name} has no carrier: its other end, {other}is down or gone"
    advice = f"set {below.name} up there, or make the node link again"
    return Finding(layer, where, cause, advice, command, stacks=(node.name, *ends))


# --- addresses ------------------------------------------------------------------------------


def _lacks(
    context: Context, stack: NetworkStack, name: str, wanted: Sequence[IPInterface]
) -> Finding | None:
    seen = context.find(stack, name)
    missing = [str(a) for a in wanted if seen is None or a not in seen.addresses]
    if not missing or seen is None:
        return None
    held = ", ".join(map(str, seen.addresses)) or "no address"
    cause = f"{name} has {held}, not {', '.join(missing)}"
    advice = "compare the pod's ips and the network's ipam with what is expected"
    command = _on(stack, f"ip address show {name}")
    return Finding("address", f"{stack.name} {name}", cause, advice, command)


def _no_address(context: Context, source: NetworkStack, target: IPAddress) -> Finding | None:
    out = context.out
    seen = context.find(source, out)
    if seen is None or any(a.version == target.version for a in seen.addresses):
        return None
    cause = f"{out} has no IPv{target.version} address to ask from"
    advice = "give ips in the selection, or an ipam that hands one out"
    command = _on(source, f"ip address show {out}")
    return Finding("address", f"{source.name} {out}", cause, advice, command)


def _carries(context: Context, target: NetworkStack, address: IPAddress) -> Finding | None:
    if context.carrying(target, address) is not None:
        return None
    far = context.far
    own = context.find(target, far)
    held = ", ".join(map(str, own.addresses)) if own else "no such interface"
    cause = f"{target.name} has no {address}: {far} has {held or 'no address'}"
    command = _on(target, f"ip address show {far}")
    where = f"{target.name} {far}"
    return Finding("address", where, cause, "give it the address that is asked for", command)


def _unique(context: Context, source: NetworkStack, address: IPAddress) -> Finding | None:
    target = context.target
    if target is None or target is source:
        return None
    advice = "give every pod of a network an address of its own"
    own = context.carrying(source, address)
    if own is not None and (context.interface in (None, own.name) or own.name != "lo"):
        cause = f"{source.name} has {address} itself on {own.name}: it would answer itself"
        where = f"{source.name} and {target.name}"
        return Finding("address", where, cause, advice, _on(source, "ip address"))
    if isinstance(target, Pod):
        for other, _ in twins(context, target, context.far):
            if context.carrying(other, address) is None:
                continue
            cause = f"{other.name} on {other.node.name} has {address} too"
            where = f"{target.name} and {other.name}"
            return Finding("address", where, cause, advice, _on(other, "ip address"))
    return None


# --- routes and neighbours ------------------------------------------------------------------


def _no_route(
    context: Context, stack: NetworkStack, target: IPAddress, interface: str | None
) -> Finding | None:
    if context.carrying(stack, target) is not None:
        return None
    route = context.route_to(stack, target, interface)
    if route is not None and route.type == "unicast":
        return None
    over = f" over {interface}" if interface else ""
    why = "no route" if route is None else f"a {route.type} route"
    held = [
        str(a)
        for i in context.interfaces(stack)
        for a in i.addresses
        if interface in (None, i.name) and a.version == target.version and i.name != "lo"
    ]
    cause = (
        f"{stack.name} has {why} to {target}{over} (its addresses: {', '.join(held) or 'none'})"
    )
    advice = "give both ends one prefix, or add a route"
    return Finding("route", stack.name, cause, advice, _on(stack, f"ip route get {target}"))


def _no_way_back(context: Context, target: NetworkStack) -> Finding | None:
    for address in context.origin:
        if address.is_link_local:
            continue
        finding = _no_route(context, target, address, None)
        if finding is not None:
            return finding
    return None


def _neighbour(context: Context, source: NetworkStack, address: IPAddress) -> Finding | None:
    route, out = context.route, context.out
    hop = (route.gateway if route else None) or address
    own = context.find(source, out)
    if own is None or any(hop in ip_interface(str(a.ip)).network for a in own.addresses):
        return None  # itself
    answer = source.prober.arping(hop, interface=out, count=1, timeout=0.5)
    protocol = "ARP" if hop.version == 4 else "ND"
    command = _on(source, f"arping -I {out} {hop}" if hop.version == 4 else f"ndisc6 {hop} {out}")
    where = f"{source.name} {out}"
    if not answer:
        what = f"the gateway {hop}" if hop != address else str(hop)
        cause = f"nobody answers {protocol} for {what} on {out}{_isolated(context, source)}"
        advice = "compare masters, macvlan modes and the node link of the two"
        return Finding("neighbour", where, cause, advice, command)
    meant = (
        context.carrying(context.target, address) if context.target and hop == address else None
    )
    if meant is not None and meant.mac and answer.mac not in (meant.mac, None):
        cause = f"{answer.mac} answers {protocol} for {hop}, not {meant.mac} of {meant.name}"
        advice = "find who has that address as well, and give it another"
        return Finding("neighbour", where, cause, advice, command)
    return None


def _isolated(context: Context, source: NetworkStack) -> str:
    """Macvlans that are kept apart on purpose."""
    target = context.target
    if not isinstance(source, Pod) or not isinstance(target, Pod):
        return ""
    near, far = context.find(source, context.out), context.find(target, context.far)
    if near is None or far is None or source.node.name != target.node.name:
        return ""
    if near.parent == far.parent and near.mode in ("private", "vepa"):
        return f": mode {near.mode} keeps the macvlans of one master apart"
    return ""


# --- ICMP, MTU, port ------------------------------------------------------------------------


def _reply(context: Context, source: NetworkStack, address: IPAddress) -> Finding | None:
    seen = context.seen
    where = f"{source.name} -> {address}"
    if isinstance(seen, ArpResult):
        said = ", ".join(seen.macs) or "nobody in time"
        cause = f"the answer that was expected did not come: {said} answered"
        return Finding("neighbour", where, cause, "look for a duplicate address")
    if isinstance(seen, ConnectResult):
        return _port(context, source, address, seen, where)
    if isinstance(seen, PingResult):
        return _echo(context, source, address, seen, where)
    return None


def _echo(
    context: Context, source: NetworkStack, address: IPAddress, seen: PingResult, where: str
) -> Finding | None:
    if any(sign in error for error in seen.errors for sign in _FULL):
        return _too_long(context, where, "; ".join(seen.errors))
    if seen.received:
        ttls = ", ".join(str(t) for t in sorted({r.ttl for r in seen.replies}))
        cause = f"{seen.received} of {seen.sent} replies came, with ttl {ttls}"
        advice = "another path than expected is taken, or packets are lost"
        return Finding("reply", where, cause, advice, _on(source, f"traceroute -n {address}"))
    again = source.ping(address, interface=context.interface, timeout=1.0)
    if again:
        return _too_long(context, where, "") or Finding(
            "reply",
            where,
            "it answers now: the requests were lost, too long, or answered too late",
            "raise the timeout, or look for loss on the way",
            _on(source, f"ping -c 20 {address}"),
        )
    cause = "; ".join(seen.errors) or "the neighbour is there, and no echo reply comes back"
    advice = "look for a packet filter, or a route back that leads elsewhere"
    where_to = context.target.name if context.target else str(address)
    return Finding("reply", where, cause, advice, f"tcpdump -ni any icmp  (in {where_to})")


def _too_long(context: Context, where: str, said: str) -> Finding | None:
    """Interfaces of the path whose MTUs differ."""
    found: dict[str, int] = {}
    for stack, name in context.ends:
        interface = context.find(stack, context.out if stack is context.source else name)
        if interface is None:
            continue
        found[f"{stack.name} {interface.name}"] = interface.mtu
        below = context.master(stack, interface) if isinstance(stack, Pod) else None
        if below is not None and isinstance(stack, Pod):
            found[f"{stack.node.name} {below.name}"] = below.mtu
    if not said and len(set(found.values())) < 2:
        return None
    shown = ", ".join(f"{name} {mtu}" for name, mtu in found.items())
    cause = f"{said or 'short packets pass and long ones do not'} (MTUs on the way: {shown})"
    advice = "give all of them one MTU, or send less"
    return Finding("mtu", where, cause, advice, "ip link  (at both ends and on their nodes)")


def _port(
    context: Context,
    source: NetworkStack,
    address: IPAddress,
    seen: ConnectResult,
    where: str,
) -> Finding | None:
    port = f"{seen.protocol}/{seen.port}"
    target = context.target.name if context.target else str(address)
    if seen.outcome == "refused":
        cause = f"{address} is reached, and nothing listens on {port}"
        advice = "start the server, or wait until it listens"
        return Finding("port", where, cause, advice, f"ss -lntu  (in {target})")
    if not source.ping(address, interface=context.interface, timeout=1.0):
        cause = f"no echo reply either, and {port}: {seen.error}"
        advice = "look for a packet filter, or a route back that leads elsewhere"
        return Finding("reply", where, cause, advice, f"tcpdump -ni any  (in {target})")
    cause = f"ping is answered, {port} is not: {seen.error}"
    advice = "look for a packet filter on the way, or a UDP server that does not answer"
    return Finding("port", where, cause, advice, f"nft list ruleset; ss -lnu  (in {target})")


def _on(stack: NetworkStack, command: str) -> str:
    return f"{command}  (in {stack.name})"
