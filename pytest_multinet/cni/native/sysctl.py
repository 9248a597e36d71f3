"""Sysctls of several namespaces in one request to their holder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from pytest_multinet.net.holder import HeldNamespace

Wanted: TypeAlias = "Sequence[tuple[HeldNamespace, str, str | None]]"


def sysctls(wanted: Wanted) -> list[str]:
    """Read (``None``) or write settings below ``/proc/sys/net``, in order.

    Raises:
        NetlinkError: the first that was refused; all have been tried.
    """
    return wanted[0][0].holder.sysctls(wanted) if wanted else []


def try_sysctls(wanted: Wanted) -> None:
    """Write where the reference plugins do not look at the outcome; nobody waits for it."""
    if wanted:
        wanted[0][0].holder.try_sysctls([(n, path, v) for n, path, v in wanted if v is not None])
