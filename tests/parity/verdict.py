"""What is seen of a scenario, as lines of text that mean the same on every backend.

What no scenario decides is replaced by what it stands for: the cluster's own addresses, MAC
addresses made up by the kernel, and the link-local addresses that follow from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv6Interface, ip_network

from pytest_multinet.cluster.stack import NetworkStack, Pod
from pytest_multinet.model.interface import Interface, IPInterface, Route

LINK_LOCAL = ip_network("fe80::/64")
OURS = "02:00:00:"  # what MAC addresses begin with that scenarios ask for


def of_pod(pod: Pod) -> Iterator[str]:
    """Interfaces, routes in order and network-status of a pod."""
    named = plain(pod)
    role = pod.node.name.removeprefix(f"{pod.cluster.name}-")
    yield f"{pod.name} on {role}"
    macs: dict[str, str] = {}
    for interface in pod.interfaces:
        macs.setdefault(interface.mac, interface.name)
        yield f"  {named(of_interface(interface))}"
    for route in _steady(pod.routes):
        yield f"  route {named(str(route))}"
    for status in pod.network_status:
        text = f"  status {status.name} {status.interface}"
        if status.ips:
            text += f" {', '.join(map(str, status.ips))}"
        text += " default" if status.default else ""
        text += f" gateway {', '.join(map(str, status.gateway))}" if status.gateway else ""
        if status.mac:
            text += f" mac of {macs.get(status.mac, 'no interface here')}"
        text += f" mtu {status.mtu}" if status.mtu is not None else ""
        text += f" dns {status.dns.to_dict()}" if status.dns else ""
        yield named(text)


def of_interface(interface: Interface) -> str:
    """One line about an interface."""
    text = f"{interface.name} {interface.type}"
    text += f" {interface.mode}" if interface.mode else ""
    text += f" mtu {interface.mtu} {interface.state if interface.up else 'admin-down'}"
    text += " promisc" if "PROMISC" in interface.flags else ""
    text += " allmulti" if "ALLMULTI" in interface.flags else ""
    text += f" mac {interface.mac}" if interface.mac.startswith(OURS) else ""
    for address in interface.addresses:
        text += f" {_link_local(address, interface.mac) or address}"
    return text


def plain(stack: NetworkStack) -> Callable[[str], str]:
    """Replaces the cluster's own addresses, as this stack has them, by what they stand for."""
    mine = [a for i in stack.interfaces if i.name == "eth0" for a in i.ipv4]
    pairs: list[tuple[str, str]] = []
    for address in mine:
        network = ip_network(address.network)
        pairs += [
            (f"{address.ip} ", "POD "),
            (f"{address.ip}/", "POD/"),
            (f"{network} ", "SUBNET "),
            (f"{network.network_address + 1} ", "GATEWAY "),
        ]
    return _Names(pairs)


class _Names:
    """Replaces a cluster's own addresses by what they stand for."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def __call__(self, text: str) -> str:
        indent = text[: len(text) - len(text.lstrip())]
        text = f" {text.strip()} "
        for address, name in self._pairs:
            text = text.replace(f" {address}", f" {name}")
        return indent + text.strip()


def _steady(routes: Sequence[Route]) -> list[Route]:
    """The routes in order; the link-local ones, one an interface, by interface.

    Their order is that in which the interfaces happened to get carrier, and means nothing.
    """
    local = [r for r in routes if r.destination == LINK_LOCAL]
    turns = iter(sorted(local, key=lambda r: r.interface or ""))
    return [next(turns) if r.destination == LINK_LOCAL else r for r in routes]


def _link_local(address: IPInterface, mac: str) -> str | None:
    """A link-local address made from this MAC address, or from a former one (RFC 4291, 2.5.1)."""
    if not isinstance(address, IPv6Interface) or not address.ip.is_link_local:
        return None
    host = address.ip.packed[8:]
    if host[3:5] != b"\xff\xfe" or not mac:
        return None
    octets = bytes.fromhex(mac.replace(":", ""))
    own = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return "fe80::mac/64" if host == own else "fe80::former-mac/64"
