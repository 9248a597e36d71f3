"""The veth pair between a pod and its node (plugins: pkg/ip, ``SetupVeth``)."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from pytest_multinet.cni.native import interface_setup, links
from pytest_multinet.cni.native.links import Link
from pytest_multinet.cni.native.plugin import Call, parse_mac, quoted, words
from pytest_multinet.errors import CniError, NetlinkError
from pytest_multinet.net import requests


@dataclass(slots=True)
class Pair:
    """A new veth pair: the end in the pod, and name and index of the end on the node."""

    inside: Link
    host_name: str
    host_index: int


def create_pair(call: Call, mtu: int, mac: str = "") -> Pair:
    """Create a pair, each end in its namespace, and set the node's end up.

    The node's end gets a random name; router advertisements are left to the caller.

    Raises:
        CniError: with the reference plugins' message.
    """
    address = None
    if mac:
        try:
            address = parse_mac(mac)
        except ValueError as error:
            raise CniError(f"failed to make veth pair: {error}") from None
    peer = f"veth{os.urandom(4).hex()}"
    inside, node = call.sandbox.namespace.rtnl, call.host.namespace
    message = requests.veth(
        call.ifname,
        peer,
        peer_ns_fd=node.fd,
        mtu=mtu if mtu > 0 else None,
        mac=address,
        queue_length=0,
    )
    try:
        inside.execute(message)
    except NetlinkError as error:
        if error.errno == errno.EEXIST:
            raise CniError(
                f"container veth name ({quoted(call.ifname)}) peer provided ({quoted(peer)}) "
                "already exists",
                hint=f"the pod already has an interface {call.ifname}",
            ) from error
        raise CniError(f"failed to make veth pair: {words(error)}") from error
    link = links.need(inside, call.ifname)
    up = requests.set_link(link.parent, up=True)
    interface_setup.execute(node.rtnl, [(up, lambda: f"failed to set {quoted(peer)} up")])
    return Pair(link, peer, link.parent)
