"""Sysctls of several namespaces in one request, where a holder keeps them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TypeAlias

from pytest_multinet.errors import NetlinkError
from pytest_multinet.net.holder import HeldNamespace
from pytest_multinet.net.netns import Namespace

Wanted: TypeAlias = "Sequence[tuple[Namespace, str, str | None]]"


def sysctls(wanted: Wanted) -> list[str]:
    """Read (``None``) or write settings below ``/proc/sys/net``, in order.

    Raises:
        NetlinkError: the first that was refused; all have been tried.
    """
    held: list[tuple[HeldNamespace, str, str | None]] = []
    for namespace, path, value in wanted:
        if not isinstance(namespace, HeldNamespace):
            return [n.sysctl(p, v) for n, p, v in wanted]
        held.append((namespace, path, value))
    return held[0][0].holder.sysctls(held) if held else []


def try_sysctls(wanted: Wanted) -> None:
    """The same where the reference plugins do not look at the outcome."""
    with contextlib.suppress(NetlinkError):
        sysctls(wanted)
