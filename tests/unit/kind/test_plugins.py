"""CNI plugin archives: verified, unpacked safely, of the right machine."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from pathlib import Path

import pytest

from pytest_multinet.cluster import plugins
from pytest_multinet.errors import ClusterError, UsageError


def elf(machine: int) -> bytes:
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<H", header, 18, machine)
    return bytes(header)


def archive(path: Path, members: dict[str, bytes], **fields: object) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            for field, value in fields.items():
                setattr(entry, field, value)
            tar.addfile(entry, io.BytesIO(content))
    return path


def test_programs_of_an_archive_are_found(tmp_path: Path) -> None:
    file = archive(tmp_path / "p.tgz", {"./macvlan": elf(62), "./README/x": b"text"})
    found = plugins.read_plugins(file)
    assert dict(found.programs) == {"macvlan": elf(62)}


def test_a_checksum_beside_the_archive_is_verified(tmp_path: Path) -> None:
    file = archive(tmp_path / "p.tgz", {"macvlan": elf(62)})
    beside = tmp_path / "p.tgz.sha256"
    beside.write_text(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  p.tgz\n")
    assert plugins.read_plugins(file).programs
    beside.write_text(f"{'0' * 64}  p.tgz\n")
    with pytest.raises(ClusterError, match="not what it should be: its SHA-256 is"):
        plugins.read_plugins(file)


@pytest.mark.parametrize("name", ["../macvlan", "/opt/cni/bin/macvlan", "a/../../macvlan"])
def test_a_member_that_would_leave_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    file = archive(tmp_path / "p.tgz", {name: elf(62)})
    with pytest.raises(UsageError, match="unsafe member"):
        plugins.read_plugins(file)


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    file = archive(tmp_path / "p.tgz", {"macvlan": b""}, type=tarfile.SYMTYPE, linkname="/bin/sh")
    with pytest.raises(UsageError, match="unsafe member 'macvlan'"):
        plugins.read_plugins(file)


def test_plugins_for_another_machine_are_refused(tmp_path: Path) -> None:
    file = archive(tmp_path / "p.tgz", {"macvlan": elf(183)})
    found = plugins.read_plugins(file)
    with pytest.raises(UsageError, match=r"'macvlan' of .* is for arm64, the nodes are amd64"):
        found.check_architecture("amd64")
    found.check_architecture("arm64")


def test_a_folder_gives_its_executables(tmp_path: Path) -> None:
    (tmp_path / "macvlan").write_bytes(elf(62))
    (tmp_path / "macvlan").chmod(0o755)
    (tmp_path / "notes.txt").write_text("no program")
    found = plugins.read_plugins(tmp_path)
    assert set(found.programs) == {"macvlan"}


def test_what_is_neither_folder_nor_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected a folder or a \.tgz"):
        plugins.read_plugins(tmp_path / "absent")
    (tmp_path / "x.tgz").write_bytes(b"no archive")
    with pytest.raises(UsageError, match="is no archive of CNI plugins"):
        plugins.read_plugins(tmp_path / "x.tgz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no executable CNI plugin"):
        plugins.read_plugins(tmp_path / "empty")


def test_the_cache_is_held_against_the_pinned_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "pytest-multinet"
    folder.mkdir()
    archive(folder / plugins.archive_name("amd64"), {"macvlan": elf(62)})
    with pytest.raises(ClusterError, match=plugins.SHA256["amd64"]):
        plugins.find_plugins(None, "amd64")
