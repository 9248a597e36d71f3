"""Links on top of another: created by their master's side, directly in the pod's namespace."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from pytest_multinet.cni.native import links
from pytest_multinet.cni.native.links import Link
from pytest_multinet.cni.native.plugin import Call, quoted, words
from pytest_multinet.errors import CniError, NeedsCapability, NetlinkError
from pytest_multinet.net import requests
from pytest_multinet.net.holder import HeldNamespace
from pytest_multinet.net.requests import RTM_NEWLINK, Message, attr, u32

_CREATE_EXCL = 0x600
_MODULES = {"vlan": "8021q"}
_IFLA_LINK, _IFLA_TXQLEN, _IFLA_LINKINFO, _INFO_KIND, _INFO_DATA = 5, 13, 18, 1, 2


def new_link(
    kind: str, name: str, *, parent: int | None, ns_fd: int | None, mtu: int, data: bytes = b""
) -> Message:
    """A link of any kind, made directly in ``ns_fd`` (``None``: the socket's namespace)."""
    body = requests.set_link(0, name=name, ns_fd=ns_fd, mtu=mtu or None).body
    body += u32(_IFLA_TXQLEN, 0)  # as the reference plugins leave it
    if parent is not None:
        body += u32(_IFLA_LINK, parent)
    info = attr(_INFO_KIND, kind.encode()) + (attr(_INFO_DATA, data) if data else b"")
    body += attr(_IFLA_LINKINFO, info)
    return Message(RTM_NEWLINK, _CREATE_EXCL, body, f"create {kind} {name}")


def create(
    call: Call,
    kind: str,
    below: HeldNamespace,
    make: Callable[[str], Message],
    explain: Callable[[NetlinkError], str],
) -> Link:
    """Create a link on one in ``below``, in the pod and with the name asked for.

    Args:
        call: the call.
        kind: of link, for messages.
        below: the master's namespace.
        make: makes the request for a name.
        explain: what we know beyond the kernel's refusal.

    Raises:
        CniError: with the reference plugins' message.
        NeedsCapability: the kernel has no links of this kind.
    """
    inside, name = call.sandbox.namespace, call.ifname
    temporary = f"veth{os.urandom(4).hex()}"
    taken = False
    try:
        try:
            below.rtnl.execute(make(name))
        except NetlinkError as error:
            if error.errno != errno.EEXIST:
                raise
            # The name is taken in the pod; or, to kernels before 6.14, on the node.
            taken = True
            below.rtnl.execute(make(temporary))
    except NetlinkError as error:
        need_kind(error, kind)
        raise CniError(f"failed to create {kind}: {words(error)}", hint=explain(error)) from error
    if taken:
        _rename(inside, kind, temporary, name)
    return links.need(inside.rtnl, name)


def need_kind(error: NetlinkError, kind: str) -> None:
    """Tell a kernel that knows no links of this kind from one that refuses this link.

    Raises:
        NeedsCapability: it knows none.
    """
    if error.errno == errno.EOPNOTSUPP:
        raise NeedsCapability(
            kind,
            f"this machine's kernel has no {kind} links (modprobe {_MODULES.get(kind, kind)}?)",
        ) from error


def _rename(inside: HeldNamespace, kind: str, temporary: str, name: str) -> None:
    index = links.need(inside.rtnl, temporary).index
    try:
        inside.rtnl.execute(requests.set_link(index, name=name))
    except NetlinkError as error:
        inside.rtnl.execute(requests.delete_link(index))
        raise CniError(
            f"failed to rename {kind} to {quoted(name)}: {words(error)}",
            hint=f"the pod already has an interface {name}",
        ) from error
