"""DEL of a container's interface, which may be gone already."""

from __future__ import annotations

from pytest_multinet.cni.native import links
from pytest_multinet.cni.native.plugin import Call, quoted, words
from pytest_multinet.errors import CniError, NetlinkError
from pytest_multinet.net import requests


def delete_interface(call: Call) -> None:
    """Delete the container's interface; none of that name is no error.

    Raises:
        CniError: the kernel keeps it.
    """
    if call.sandbox.namespace.fd < 0:  # the namespace has gone, and the interface with it
        return
    rtnl = call.sandbox.namespace.rtnl
    link = links.find(rtnl, call.ifname)
    if link is None:
        return
    try:
        rtnl.execute(requests.delete_link(link.index))
    except NetlinkError as error:
        raise CniError(f"failed to delete {quoted(call.ifname)}: {words(error)}") from error
