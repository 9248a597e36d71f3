"""The veth pair between a pod and its node (plugins: pkg/ip, ``SetupVeth``)."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from pytest_multinet.cni.native import links
from pytest_multinet.cni.native.interface_setup import Step, carry_out, up_step
from pytest_multinet.cni.native.links import Link
from pytest_multinet.cni.native.plugin import Call, parse_mac, quoted, words
from pytest_multinet.cni.native.sysctl import try_sysctls
from pytest_multinet.errors import CniError, NetlinkError
from pytest_multinet.net import requests
from pytest_multinet.net.holder import HeldNamespace


@dataclass(slots=True)
class Pair:
    """A new veth pair: the end in the pod, and name and index of the end on the node."""

    inside: Link
    host_name: str
    host_index: int


def create_pair(call: Call, mtu: int, mac: str = "") -> Pair:
    """Create a pair, each end in its namespace; the node's end gets a random name.

    The caller sets the node's end up (:func:`node_end_up`) and sees to router advertisements.

    Raises:
        CniError: with the reference plugins' message.
    """
    return _create(call.sandbox.namespace, call.host.namespace, call.ifname, mtu, mac)


def create_pair_on_node(call: Call, name: str, mtu: int) -> Pair:
    """The same with both ends on the node, one of them named ``name``, the other up."""
    pair = _create(call.host.namespace, call.host.namespace, name, mtu, "")
    try_sysctls([(call.host.namespace, f"ipv6/conf/{pair.host_name}/accept_ra", "0")])
    carry_out(call.host.namespace.rtnl, [node_end_up(pair)])
    return pair


def _create(inside: HeldNamespace, node: HeldNamespace, name: str, mtu: int, mac: str) -> Pair:
    address = None
    if mac:
        try:
            address = parse_mac(mac)
        except ValueError as error:
            raise CniError(f"failed to make veth pair: {error}") from None
    peer = f"veth{os.urandom(4).hex()}"
    message = requests.veth(
        name,
        peer,
        peer_ns_fd=None if inside is node else node.fd,
        mtu=mtu if mtu > 0 else None,
        mac=address,
        queue_length=0,
    )
    try:
        answer = inside.rtnl.execute(message, links.question(name))
    except NetlinkError as error:
        if error.errno == errno.EEXIST:
            raise CniError(
                f"container veth name ({quoted(name)}) peer provided ({quoted(peer)}) "
                "already exists",
                hint=f"there already is an interface {name}",
            ) from error
        raise CniError(f"failed to make veth pair: {words(error)}") from error
    link = links.decode(answer[0])
    return Pair(link, peer, link.parent)


def node_end_up(pair: Pair) -> Step:
    """Set the node's end up."""
    return up_step(pair.host_index, f"failed to set {quoted(pair.host_name)} up")
