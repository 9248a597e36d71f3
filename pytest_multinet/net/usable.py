"""Whether namespaces can be made here: tried for real, and explained where not."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from pytest_multinet.errors import HolderDied, NetlinkError
from pytest_multinet.net import requests
from pytest_multinet.net.holder import Holder, HolderRefused

_CLONE = Path("/proc/sys/kernel/unprivileged_userns_clone")  # Debian's switch
_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")  # Ubuntu's, 23.10 on
_LIMITS = ("user", "net", "mnt", "pid", "ipc", "uts")


def unusable_reason() -> str | None:
    """Why an embedded cluster cannot run here and what to do; ``None`` where it can.

    A namespace, a macvlan and the mounts of a view (``/proc``, ``/sys``) are really made.
    """
    if not Path("/proc/self/ns/net").exists():
        return "it needs Linux with network namespaces; use --multinet-backend=kind"
    try:
        holder = Holder.start()
    except (HolderRefused, HolderDied) as error:
        return explain(error)
    try:
        return _try(holder)
    finally:
        holder.close()


def _try(holder: Holder) -> str | None:
    assert holder.hub is not None  # noqa: S101 - a holder that was started has one
    hub = holder.hub
    (other,) = holder.namespaces(["try"])
    try:
        hub.rtnl.execute(requests.veth("try0", "try1"))
        hub.rtnl.execute(requests.macvlan("try2", hub.rtnl.index("try0") or 0, ns_fd=other.fd))
    except NetlinkError as error:
        if error.errno == errno.EOPNOTSUPP:
            kind = "macvlan" if "macvlan" in error.what else "veth"
            return f"the kernel has no {kind} links; load the module: sudo modprobe {kind}"
        return f"links cannot be made in a namespace of our own: {error}"
    try:
        holder.view(other, "try", "")
    except HolderRefused as error:
        return (
            f"/proc and /sys cannot be mounted in namespaces of our own ({error}): in a "
            f"container, they are masked; start it with --security-opt systempaths=unconfined"
        )
    finally:
        other.close()
        hub.close()
    return None


def explain(error: Exception) -> str:
    """The setting that keeps a holder from starting, and how to change it."""
    code = error.errno if isinstance(error, HolderRefused) else None
    if code is None:
        return str(error)
    if _read(_CLONE) == "0" and os.geteuid() != 0:
        return (
            "user namespaces are switched off for ordinary users; as root: "
            "sysctl -w kernel.unprivileged_userns_clone=1"
        )
    for kind in _LIMITS:
        if _read(Path(f"/proc/sys/user/max_{kind}_namespaces")) == "0":
            setting = f"user.max_{kind}_namespaces"
            return f"{kind} namespaces are switched off; as root: sysctl -w {setting}=10000"
    if code == errno.ENOSPC:
        return (
            "the limit on namespaces is reached; end other users of them, or as root raise "
            "user.max_user_namespaces and user.max_net_namespaces"
        )
    if _read(_APPARMOR) == "1" and os.geteuid() != 0:
        return (
            "AppArmor takes the rights out of ordinary users' namespaces (Ubuntu 23.10 on); "
            "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        )
    if code in (errno.EPERM, errno.EACCES):
        return (
            f"making namespaces was refused ({error}): in a container, its seccomp profile does; "
            f"start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
        )
    return f"making namespaces failed: {error}"


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
