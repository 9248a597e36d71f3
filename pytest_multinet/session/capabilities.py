"""What this machine can do, one entry each: tried for real, in namespaces of our own.

``multinet doctor`` shows the entries.  A name in :data:`CAPABILITIES` is what ``NeedsCapability``
is raised with where a test needs it, and what ``--multinet-require`` takes.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_multinet.errors import BackendUnavailable, MultinetError, NeedsCapability, UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

    from pytest_multinet.net.holder import HeldNamespace, Holder

_INOTIFY = {"max_user_instances": 512, "max_user_watches": 524288}  # kind's "known issues"
_FREE = 5e9  # bytes: kind's node image, its copies on three nodes, Multus


@dataclass(frozen=True)
class Finding:
    """One thing that was tried.

    Attributes:
        name: what it is called.
        ok: whether it works.
        detail: what was seen.
        to_do: what makes it work; empty where it does.
    """

    name: str
    ok: bool
    detail: str
    to_do: str = ""


class Sandbox:
    """Namespaces to try things in, made when first needed; a context manager that ends them."""

    def __init__(self) -> None:
        self._undo = ExitStack()

    @cached_property
    def holder(self) -> Holder:
        """The process that owns them.

        Raises:
            BackendUnavailable: there can be none here; with what to do.
        """
        from pytest_multinet.errors import HolderDied
        from pytest_multinet.net import usable
        from pytest_multinet.net.holder import Holder, HolderRefused

        if not Path("/proc/self/ns/net").exists():
            raise BackendUnavailable("needs Linux with network namespaces")
        try:
            holder = Holder.start()
        except (HolderRefused, HolderDied) as error:
            raise BackendUnavailable(usable.explain(error)) from error
        self._undo.callback(holder.close)
        return holder

    @cached_property
    def namespace(self) -> HeldNamespace:
        """A namespace."""
        (namespace,) = self.holder.namespaces(["try"])
        self._undo.callback(namespace.release)
        if self.holder.hub is not None:
            self._undo.callback(self.holder.hub.release)
        return namespace

    @cached_property
    def link(self) -> int:
        """Index of ``try0``, a veth in :attr:`namespace` whose other end is ``try1`` there."""
        from pytest_multinet.net import requests

        self.namespace.rtnl.execute(requests.veth("try0", "try1"))
        return self.namespace.rtnl.index("try0") or 0

    def make(self, kind: str, *, data: bytes = b"", parent: str | None = "try0") -> str:
        """Make a link of some kind; raises ``NetlinkError`` where the kernel has none."""
        from pytest_multinet.cni.native.upper_link import new_link

        below = self.namespace.rtnl.index(parent) if parent and self.link else None
        self.namespace.rtnl.execute(
            new_link(kind, f"try-{kind}", parent=below, ns_fd=None, mtu=0, data=data)
        )
        return f"made one: {kind}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()


class Capability(NamedTuple):
    """One thing that a machine can do or not.

    Attributes:
        name: what it is called.
        purpose: what does not work without it.
        attempt: tries it and returns what was seen; raises where it does not work.
        to_do: what makes it work.
    """

    name: str
    purpose: str
    attempt: Callable[[Sandbox], str]
    to_do: str


def examine(entries: Iterable[Capability]) -> Iterator[Finding]:
    """Try each entry."""
    with Sandbox() as sandbox:
        for entry in entries:
            try:
                yield Finding(entry.name, True, entry.attempt(sandbox))
            except BackendUnavailable as error:  # it says what to do itself
                yield Finding(entry.name, False, f"{error}; needed for {entry.purpose}")
            except (MultinetError, OSError) as error:
                detail = f"{error}; needed for {entry.purpose}"
                yield Finding(entry.name, False, detail, entry.to_do)


def chosen(names: Iterable[str]) -> tuple[Capability, ...]:
    """The entries of these names; raises :class:`UsageError` where there is none."""
    from pytest_multinet.session.settings import nearest

    known = {entry.name: entry for entry in (*CAPABILITIES, *CONDITIONS)}
    found: list[Capability] = []
    for name in names:
        if name not in known:
            near = nearest(name, known)
            meant = f"; did you mean {near}?" if near else ""
            raise UsageError(f"{name!r} is nothing to try; there are: {', '.join(known)}{meant}")
        found.append(known[name])
    return tuple(found)


# --- how each is tried --------------------------------------------------------------------------


def _user_namespaces(sandbox: Sandbox) -> str:
    user = "with CAP_SYS_ADMIN" if os.geteuid() == 0 else "as an ordinary user"
    return f"made namespaces {user}" if sandbox.namespace else ""


def _mounts(sandbox: Sandbox) -> str:
    sandbox.holder.view(sandbox.namespace, "try", "")
    return "mounted /proc and /sys"


def _veth(sandbox: Sandbox) -> str:
    return "made one: veth" if sandbox.link else ""


def _macvlan(sandbox: Sandbox) -> str:
    return sandbox.make("macvlan", data=_attribute(1, struct.pack("=I", 4)))  # mode bridge


def _ipvlan(sandbox: Sandbox) -> str:
    return sandbox.make("ipvlan", parent="try1")  # a link with a macvlan takes no ipvlan


def _vlan(sandbox: Sandbox) -> str:
    return sandbox.make("vlan", data=_attribute(1, struct.pack("=H", 7)))  # IFLA_VLAN_ID


def _bridge(sandbox: Sandbox) -> str:
    return sandbox.make("bridge", parent=None)


def _bridge_vlan(sandbox: Sandbox) -> str:
    from pytest_multinet.net import requests

    sandbox.namespace.rtnl.execute(requests.bridge("try-filter", vlan_filtering=True))
    return "made one: bridge with VLAN filtering"


def _dummy(sandbox: Sandbox) -> str:
    return sandbox.make("dummy", parent=None)


def _vrf(sandbox: Sandbox) -> str:
    return sandbox.make("vrf", parent=None, data=_attribute(1, struct.pack("=I", 7)))  # its table


def _tun(sandbox: Sandbox) -> str:
    sandbox.namespace.tap("try-tap", 0x1002, None, None)  # IFF_TAP, IFF_NO_PI
    return "made a tap device"


def _bandwidth(sandbox: Sandbox) -> str:
    from pytest_multinet.cni.native import traffic_control

    made = sandbox.make("ifb", parent=None)
    device = sandbox.namespace.rtnl.index("try-ifb") or 0
    sandbox.namespace.rtnl.execute(traffic_control.htb(sandbox.link, 1))
    sandbox.namespace.rtnl.execute(traffic_control.ingress(sandbox.link))
    sandbox.namespace.rtnl.execute(traffic_control.redirect(sandbox.link, device))
    return f"{made}; limited a link"


def _vxlan(sandbox: Sandbox) -> str:
    return sandbox.make("vxlan", data=_attribute(1, struct.pack("=I", 7)))  # IFLA_VXLAN_ID


def _netem(sandbox: Sandbox) -> str:
    from pytest_multinet.net.requests import Message

    new_qdisc, create_excl, root = 36, 0x600, 0xFFFFFFFF  # rtnetlink.h, pkt_sched.h
    body = struct.pack("=BxxxiIII", 0, sandbox.link, 0, root, 0)
    body += _attribute(1, b"netem\0")
    body += _attribute(2, struct.pack("=6I", 1000, 1000, 0, 0, 0, 0))  # struct tc_netem_qopt
    sandbox.namespace.rtnl.execute(Message(new_qdisc, create_excl, body, "create qdisc netem"))
    return "delayed a link"


def _packet(sandbox: Sandbox) -> str:
    import socket

    sandbox.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    return "opened a packet socket"


def _tuning(sandbox: Sandbox) -> str:
    sandbox.namespace.sysctl("ipv4/conf/lo/arp_filter", "1")
    return "set a sysctl"


def _bpf(sandbox: Sandbox) -> str:
    from pytest_multinet.probe.bpf import compile_filter

    return f"compiled a filter of {len(compile_filter('icmp'))} instructions"


def _throughput(sandbox: Sandbox) -> str:
    import socket

    sandbox.namespace.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    return "opened a TCP socket in a namespace"


def _scapy(sandbox: Sandbox) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"scapy {version('scapy')}"
    except PackageNotFoundError:
        raise NeedsCapability("scapy", "there is no Python package scapy") from None


def _cni_plugins(sandbox: Sandbox) -> str:
    from pytest_multinet.cluster.cni_path import DEFAULT_FOLDERS

    given = os.environ.get("MULTINET_CNI_PLUGINS")
    folders = [*([given] if given else []), *DEFAULT_FOLDERS]
    for folder in map(Path, folders):
        if folder.is_file():
            return f"archive {folder}"
        found = [p for p in folder.glob("*") if p.is_file() and os.access(p, os.X_OK)]
        if found:
            return f"{len(found)} in {folder}"
    raise NeedsCapability("cni-plugins", f"none in {', '.join(folders)}")


def _inotify(sandbox: Sandbox) -> str:
    limits: dict[str, int] = {}
    for name in _INOTIFY:
        path = Path("/proc/sys/fs/inotify", name)
        if path.exists():
            limits[name] = int(path.read_text())
    shown = ", ".join(f"{name} {value}" for name, value in limits.items()) or "no such limit"
    if any(value < _INOTIFY[name] for name, value in limits.items()):
        wanted = ", ".join(f"{name} {value}" for name, value in _INOTIFY.items())
        raise NeedsCapability("inotify", f"{shown}; several kind nodes take {wanted}")
    return shown


def _cgroup(sandbox: Sandbox) -> str:
    if not Path("/sys/fs/cgroup").exists():
        return "no control groups here"
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        raise NeedsCapability(
            "cgroup", "version 1; Kubernetes 1.31 works on it, newer versions may not"
        )
    return "version 2"


def _disk(sandbox: Sandbox) -> str:
    places = [p for p in (Path(tempfile.gettempdir()), _docker_folder()) if p.exists()]
    free = {place: shutil.disk_usage(place).free for place in places}
    shown = ", ".join(f"{bytes / 1e9:.1f} GB free in {place}" for place, bytes in free.items())
    if any(bytes < _FREE for bytes in free.values()):
        raise NeedsCapability("disk", f"{shown}; kind takes {_FREE / 1e9:.0f} GB")
    return shown


def _docker(sandbox: Sandbox) -> str:
    info = _docker_info()
    return f"Docker {info.get('ServerVersion')}, storage {info.get('Driver')}"


def _docker_info() -> Mapping[str, Any]:
    from pytest_multinet.cluster.engine import Engine

    engine = Engine(timeout=2.0)
    try:
        return engine.info()
    finally:
        engine.close()


def _docker_folder() -> Path:
    """Where Docker keeps images and containers, as far as that is known."""
    try:
        return Path(str(_docker_info().get("DockerRootDir")))
    except BackendUnavailable:
        return Path("/var/lib/docker")


def _nested_images(sandbox: Sandbox) -> str:
    """Layers one over another inside a container made as kind makes a node: what images need."""
    from pytest_multinet.model.topology import ClusterConfig

    _docker_info()
    image = ClusterConfig.node_image
    if _run("docker", "image", "inspect", image).returncode:
        raise NeedsCapability("nested-images", f"not tried: {image} is not here; docker pull it")
    layers = "cd /var && mkdir one two work all && touch one/file && "
    layers += "mount -t overlay -o lowerdir=one,upperdir=two,workdir=work overlay all && "
    layers += "mv all/file all/moved && umount all"
    argv = ["run", "--rm", "--privileged", "--network=none", "--volume=/var", "--pull=never"]
    argv += ["--label=io.pytest-multinet=doctor", "--entrypoint=sh", image, "-c", layers]
    tried = _run("docker", *argv)
    if tried.returncode:
        raise NeedsCapability("nested-images", tried.stderr.strip() or "the container failed")
    return "mounted an overlay in a container of kind's node image"


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired as error:
        raise NeedsCapability(argv[0], f"{' '.join(argv[:2])} takes more than 60 s") from error


def _kind(sandbox: Sandbox) -> str:
    from pytest_multinet.cluster.kind_program import KindProgram

    program = KindProgram(None, os.environ)
    return f"kind {program.check()}, {program.path}"


def _program(name: str) -> Callable[[Sandbox], str]:
    def attempt(sandbox: Sandbox) -> str:
        path = shutil.which(name)
        if path is None:
            raise NeedsCapability(name, "not on PATH")
        return path

    return attempt


def _attribute(kind: int, data: bytes) -> bytes:
    from pytest_multinet.net.requests import attr

    return attr(kind, data)


# --- the entries --------------------------------------------------------------------------------

# What a test may need.
CAPABILITIES = (
    Capability("veth", "links between nodes", _veth, "sudo modprobe veth"),
    Capability("macvlan", "macvlan networks", _macvlan, "sudo modprobe macvlan"),
    Capability("ipvlan", "ipvlan networks", _ipvlan, "sudo modprobe ipvlan"),
    Capability("vlan", "vlan networks", _vlan, "sudo modprobe 8021q"),
    Capability("bridge", "bridge networks", _bridge, "sudo modprobe bridge"),
    Capability(
        "bridge-vlan",
        "bridge networks with vlan",
        _bridge_vlan,
        "a kernel with CONFIG_BRIDGE_VLAN_FILTERING",
    ),
    Capability("dummy", "dummy networks", _dummy, "sudo modprobe dummy"),
    Capability("vrf", "networks with the vrf plugin", _vrf, "sudo modprobe vrf"),
    Capability(
        "tun", "tap networks", _tun, "sudo modprobe tun; write access to /dev/net/tun for you"
    ),
    Capability(
        "bandwidth",
        "networks with the bandwidth plugin",
        _bandwidth,
        "sudo modprobe -a ifb sch_htb sch_ingress cls_u32 act_mirred",
    ),
    Capability("vxlan", "links across machines", _vxlan, "sudo modprobe vxlan"),
    Capability("netem", "delay and loss on links", _netem, "sudo modprobe sch_netem"),
    Capability("packet", "ARP probes", _packet, "sudo modprobe af_packet"),
    Capability("capture", "captures", _packet, "sudo modprobe af_packet"),
    Capability("tuning", "sysctls by the tuning plugin", _tuning, "a kernel with CONFIG_SYSCTL"),
    Capability("throughput", "measuring a link", _throughput, "a kernel with CONFIG_INET"),
    Capability("bpf", "filters of captures", _bpf, "install libpcap (libpcap0.8) or tcpdump"),
    Capability("scapy", "Capture.scapy()", _scapy, "pip install scapy"),
    Capability(
        "cni-plugins",
        "plugin types that are not built in, and --multinet-cni=real",
        _cni_plugins,
        "install containernetworking-plugins, or name a folder with --multinet-cni-plugins",
    ),
)

# What the backends rest on.
CONDITIONS = (
    Capability("namespaces", "the embedded backend", _user_namespaces, "see docs/embedded.md"),
    Capability(
        "mounts",
        "the embedded backend",
        _mounts,
        "in a container: start it with --security-opt systempaths=unconfined",
    ),
    Capability("docker", "the kind backend", _docker, "https://docs.docker.com/engine/install"),
    Capability("kind", "the kind backend", _kind, "https://kind.sigs.k8s.io"),
    Capability(
        "inotify",
        "the kind backend",
        _inotify,
        "sudo sysctl fs.inotify.max_user_watches=524288; likewise max_user_instances=512",
    ),
    Capability(
        "cgroup", "the kind backend", _cgroup, "boot with systemd.unified_cgroup_hierarchy=1"
    ),
    Capability(
        "nested-images",
        "the kind backend",
        _nested_images,
        "put Docker's data on ext4 or xfs; in Docker-in-Docker: a volume at /var/lib/docker",
    ),
    Capability("disk", "the kind backend", _disk, "docker system prune"),
    Capability("ip", "pod.exec(['ip', ...]) on embedded", _program("ip"), "install iproute2"),
    Capability(
        "ping", "pod.exec(['ping', ...]) on embedded", _program("ping"), "install iputils-ping"
    ),
    Capability(
        "kubectl",
        "nothing here, but useful with a kept kind cluster",
        _program("kubectl"),
        "https://kubernetes.io/docs/tasks/tools",
    ),
)
