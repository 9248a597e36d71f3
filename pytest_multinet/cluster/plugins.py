"""The CNI reference plugins: where they come from, and onto every node they go.

kind nodes ship host-local, loopback, portmap and ptp only; nodes need no network for the rest,
the files go through the Docker API.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import shutil
import struct
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_multinet.cluster.engine import Engine, tar_of
from pytest_multinet.cluster.folders import cache_folder
from pytest_multinet.errors import ClusterError, UsageError

VERSION = "1.5.1"
FOLDER = "/opt/cni/bin"
# Of the archives of the release, as its page shows them.
SHA256: Mapping[str, str] = {
    "amd64": "77baa2f669980a82255ffa2f2717de823992480271ee778aa51a9c60ae89ff9b",
}
_RELEASE = "https://github.com/containernetworking/plugins/releases/download"
_ENOUGH = {"macvlan", "bridge", "static", "host-local", "tuning", "ptp", "portmap", "loopback"}
_MACHINES = {62: "amd64", 183: "arm64", 40: "arm", 21: "ppc64le", 22: "s390x", 243: "riscv64"}
_GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Plugins:
    """A set of CNI plugins: name to program.

    Attributes:
        source: where they came from, for messages.
        programs: name to content.
        fingerprint: equal for equal programs.
    """

    source: str
    programs: Mapping[str, bytes]
    fingerprint: str
    _archives: dict[tuple[str, ...], bytes] = field(
        default_factory=dict[tuple[str, ...], bytes], repr=False, compare=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def archive(self, names: tuple[str, ...]) -> bytes:
        """Some of the programs as a tar archive; made once, since all nodes want the same."""
        with self._lock:
            if names not in self._archives:
                files = {name: (self.programs[name], 0o755) for name in names}
                self._archives[names] = tar_of(files)
            return self._archives[names]

    def check_architecture(self, wanted: str) -> None:
        """Raise :class:`UsageError` where a program is for another machine."""
        for name, content in sorted(self.programs.items()):
            found = elf_architecture(content)
            if found not in (None, wanted):
                raise UsageError(
                    f"the CNI plugin {name!r} of {self.source} is for {found}, the nodes are "
                    f"{wanted}; give plugins for linux/{wanted} with --multinet-cni-plugins"
                )


def find_plugins(given: Path | None, architecture: str) -> Plugins:
    """The plugins: those given, else the cache, ``/opt/cni/bin`` of this machine, the release.

    Raises:
        UsageError: the folder or archive cannot be used.
        ClusterError: the release could not be fetched or its checksum is another.
    """
    if given is not None:
        plugins = read_plugins(given)
    elif (cached := _cached(architecture)).is_file():
        plugins = read_archive(cached, sha256=SHA256.get(architecture))
    elif _usable_here(Path(FOLDER), architecture):
        plugins = read_folder(Path(FOLDER))
    else:
        plugins = read_archive(_download(architecture), sha256=SHA256.get(architecture))
    plugins.check_architecture(architecture)
    return plugins


def read_plugins(path: Path) -> Plugins:
    """Plugins of a folder or a ``.tgz``."""
    if path.is_dir():
        return read_folder(path)
    if path.is_file():
        beside = path.with_name(path.name + ".sha256")
        return read_archive(path, sha256=_first_word(beside) if beside.is_file() else None)
    raise UsageError(
        f"--multinet-cni-plugins is {str(path)!r}; expected a folder or a .tgz archive"
    )


def read_folder(folder: Path) -> Plugins:
    """Every executable file of a folder."""
    found = {
        f.name: f.read_bytes()
        for f in sorted(folder.iterdir())
        if f.is_file() and os.access(f, os.X_OK)
    }
    if not found:
        raise UsageError(f"no executable CNI plugin in the folder {folder}")
    return Plugins(str(folder), found, _fingerprint(found))


def read_archive(path: Path, *, sha256: str | None) -> Plugins:
    """The programs of a release archive; nothing is unpacked to disk.

    Args:
        path: a tar archive, compressed or not.
        sha256: what its checksum must be; ``None``: not known.

    Raises:
        ClusterError: the checksum is another.
        UsageError: it is no archive, or a member would leave its folder.
    """
    data = path.read_bytes()
    found_sum = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found_sum != sha256:
        raise ClusterError(
            f"{path} is not what it should be: its SHA-256 is {found_sum}, expected {sha256}; "
            "remove it and fetch it again"
        )
    programs: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                name = _member_name(path, member)
                content = tar.extractfile(member) if name else None
                if content is not None and member.mode & 0o111:
                    programs[name] = content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UsageError(f"{path} is no archive of CNI plugins: {error}") from error
    if not programs:
        raise UsageError(f"no executable CNI plugin in the archive {path}")
    return Plugins(str(path), programs, _fingerprint(programs))


def _member_name(path: Path, member: tarfile.TarInfo) -> str:
    parts = [p for p in member.name.split("/") if p not in ("", ".")]
    if member.name.startswith("/") or ".." in parts or member.issym() or member.islnk():
        raise UsageError(f"the archive {path} has an unsafe member {member.name!r}")
    return parts[0] if member.isfile() and len(parts) == 1 else ""


def install_plugins(
    engine: Engine, node: str, plugins: Plugins, *, overwrite: bool = False
) -> tuple[str, ...]:
    """Put the plugins on one node; what the node image ships stays unless ``overwrite``.

    Returns:
        The names that were put there.
    """
    there = set(plugins_on(engine, node))
    new = tuple(sorted(n for n in plugins.programs if overwrite or n not in there))
    if new:
        engine.put(node, FOLDER, plugins.archive(new))
    return new


def plugins_on(engine: Engine, node: str) -> tuple[str, ...]:
    """The executable files in ``/opt/cni/bin`` of a node."""
    argv = [
        "find",
        "-L",
        FOLDER,
        "-maxdepth",
        "1",
        "-type",
        "f",
        "-executable",
        "-printf",
        "%f\\n",
    ]
    return tuple(sorted(engine.exec(node, argv).stdout.split()))


def elf_architecture(content: bytes) -> str | None:
    """The machine that a program is for (ELF header), ``None`` where it is no ELF file."""
    if content[:4] != b"\x7fELF" or len(content) < 20:
        return None
    order = "<" if content[5] == 1 else ">"
    (machine,) = struct.unpack_from(order + "H", content, 18)
    return _MACHINES.get(machine, f"ELF machine {machine}")


def this_architecture() -> str:
    """This machine, as Go names it."""
    return _GO_NAMES.get(platform.machine(), platform.machine())


def archive_name(architecture: str) -> str:
    """File name of the release's archive."""
    return f"cni-plugins-linux-{architecture}-v{VERSION}.tgz"


def _cached(architecture: str) -> Path:
    return cache_folder(os.environ) / archive_name(architecture)


def _usable_here(folder: Path, architecture: str) -> bool:
    if not folder.is_dir() or not {f.name for f in folder.iterdir()} >= _ENOUGH:
        return False
    return elf_architecture((folder / "macvlan").read_bytes()[:64]) == architecture


def _download(architecture: str) -> Path:
    if architecture not in SHA256:
        raise ClusterError(
            f"no checksum is pinned for the CNI plugins {VERSION} of linux/{architecture}; "
            "download and check them yourself and give the archive with --multinet-cni-plugins"
        )
    import urllib.request

    target = _cached(architecture)
    target.parent.mkdir(parents=True, exist_ok=True)
    url = f"{_RELEASE}/v{VERSION}/{archive_name(architecture)}"
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        with urllib.request.urlopen(url, timeout=20) as answer, part.open("wb") as file:  # noqa: S310 - a constant https address
            shutil.copyfileobj(answer, file)
        found = hashlib.sha256(part.read_bytes()).hexdigest()
        if found != SHA256[architecture]:
            raise ClusterError(f"{url} has SHA-256 {found}, expected {SHA256[architecture]}")
        part.replace(target)
    except OSError as error:
        raise ClusterError(
            f"could not fetch the CNI plugins from {url} ({error}); give a folder or archive "
            "with --multinet-cni-plugins (or MULTINET_CNI_PLUGINS)"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return target


def _fingerprint(programs: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name in sorted(programs):
        whole.update(name.encode() + hashlib.sha256(programs[name]).digest())
    return whole.hexdigest()[:16]


def _first_word(path: Path) -> str:
    words = path.read_text(encoding="utf-8").split()
    return words[0].lower() if words else ""
