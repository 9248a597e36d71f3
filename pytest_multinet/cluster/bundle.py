"""Everything a kind run needs from the network in one file, for machines that have none.

A bundle is a tar archive: ``bundle.json`` (what is in it, with checksums), ``images.tar`` (as
``docker save`` writes it), ``cni-plugins.tar`` and, where the user has an own one,
``multus.yaml``.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from pytest_multinet.cluster import kind_config
from pytest_multinet.cluster.engine import Engine, tar_of
from pytest_multinet.cluster.folders import cache_folder
from pytest_multinet.cluster.images import images_of
from pytest_multinet.cluster.plugins import find_plugins
from pytest_multinet.errors import ImageError, UsageError
from pytest_multinet.model.topology import ClusterConfig
from pytest_multinet.multus import install

FORMAT = 1
_CONTENTS, _IMAGES, _PLUGINS, _MULTUS = (
    "bundle.json",
    "images.tar",
    "cni-plugins.tar",
    "multus.yaml",
)


@dataclass(frozen=True)
class BundleContents:
    """What a bundle holds.

    Attributes:
        format: version of the bundle's format.
        architecture: of images and plugins, as Go names it.
        node_image, pod_image: names.
        multus_mode: ``thick`` or ``thin``.
        images: image name to id.
        checksums: member name to SHA-256.
    """

    format: int
    architecture: str
    node_image: str
    pod_image: str
    multus_mode: str
    images: Mapping[str, str] = field(default_factory=dict[str, str])
    checksums: Mapping[str, str] = field(default_factory=dict[str, str])


def create_bundle(
    path: Path, config: ClusterConfig, *, progress: Callable[[str], None] = lambda line: None
) -> BundleContents:
    """Write a bundle for clusters of that configuration.

    Images that are not on this machine are pulled first.

    Raises:
        ImageError: an image is not here and cannot be pulled.
        UsageError: the file cannot be written.
    """
    config = kind_config.resolve(config)
    engine = Engine()
    try:
        names = list(dict.fromkeys(bundled_images(config)))
        ids = {name: _here_or_pulled(engine, name, progress) for name in names}
        architecture = engine.image_architecture(names[0])
        plugins = find_plugins(config.cni_plugins, architecture)
        with tempfile.TemporaryDirectory(
            prefix="multinet-bundle-", dir=_folder_of(path)
        ) as folder:
            saved = Path(folder) / _IMAGES
            progress(f"saving {len(names)} images")
            engine.save(saved, names, platform=f"linux/{architecture}")
            archive = tar_of({n: (c, 0o755) for n, c in sorted(plugins.programs.items())})
            members = {_PLUGINS: archive}
            if config.multus_manifest is not None:
                members[_MULTUS] = config.multus_manifest.read_bytes()
            sums = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
            with saved.open("rb") as file:
                sums[_IMAGES] = _checksum(file)
            contents = BundleContents(
                FORMAT,
                architecture,
                kind_config.node_images(config)[0],
                config.pod_image,
                config.multus_mode,
                ids,
                sums,
            )
            progress(f"writing {path}")
            part = Path(folder) / "bundle"
            with tarfile.open(part, "w") as tar:
                _add(tar, _CONTENTS, json.dumps(asdict(contents), indent=1).encode())
                for name, data in members.items():
                    _add(tar, name, data)
                tar.add(saved, _IMAGES, recursive=False)
            part.replace(path)
        return contents
    finally:
        engine.close()


def use_bundle(
    path: Path, config: ClusterConfig, *, progress: Callable[[str], None] = lambda line: None
) -> ClusterConfig:
    """Take images and plugins from a bundle, and return the configuration that uses them.

    Images that Docker already has under their name stay as they are.

    Raises:
        UsageError: it is no bundle, is damaged, or does not fit the configuration.
    """
    contents = read_bundle(path)
    if config.multus_mode != contents.multus_mode:
        raise UsageError(
            f"the bundle {path} has Multus {contents.multus_mode}, and {config.multus_mode} is "
            "wanted; make it again with the same settings"
        )
    engine = Engine()
    try:
        absent = [name for name in contents.images if engine.image_id(name) is None]
        with tarfile.open(path) as tar, tempfile.TemporaryDirectory(prefix="multinet-") as folder:
            if absent:
                progress(f"loading {', '.join(absent)} from {path}")
                saved = Path(folder) / _IMAGES
                _copy_checked(tar, _IMAGES, saved, contents)
                engine.load(saved)
            plugins = _kept(contents, _PLUGINS)
            _copy_checked(tar, _PLUGINS, plugins, contents)
            multus = None
            if _MULTUS in contents.checksums:
                multus = _kept(contents, _MULTUS)
                _copy_checked(tar, _MULTUS, multus, contents)
    except (tarfile.TarError, OSError) as error:
        raise UsageError(f"the bundle {path} cannot be read: {error}") from error
    finally:
        engine.close()
    return config.with_(
        node_image=contents.node_image,
        pod_image=contents.pod_image,
        cni_plugins=plugins,
        multus_manifest=multus or config.multus_manifest,
    )


def read_bundle(path: Path) -> BundleContents:
    """What a bundle holds; raises :class:`UsageError` where it is none."""
    try:
        with tarfile.open(path) as tar:
            first = tar.next()
            file = tar.extractfile(first) if first and first.name == _CONTENTS else None
            if file is None:
                raise UsageError(
                    f"{path} is no bundle of multinet: it does not begin with {_CONTENTS}"
                )
            data: dict[str, Any] = json.loads(file.read())
            contents = BundleContents(**data)
    except (tarfile.TarError, OSError, ValueError, TypeError) as error:
        raise UsageError(f"{path} is no bundle of multinet: {error}") from error
    if contents.format != FORMAT:
        raise UsageError(
            f"the bundle {path} has format {contents.format}, this version reads {FORMAT}; "
            "make it again with 'multinet bundle create'"
        )
    return contents


def bundled_images(config: ClusterConfig) -> list[str]:
    """The images that a run of that configuration needs: nodes, Multus, pods."""
    documents = install.manifest(config.multus_mode, config.multus_manifest)
    multus = [image for d in documents for image in images_of(d.data)]
    return [*kind_config.node_images(config), *multus, config.pod_image]


def _here_or_pulled(engine: Engine, name: str, progress: Callable[[str], None]) -> str:
    found = engine.image_id(name)
    if found is None:
        progress(f"pulling {name}")
        engine.pull(name)
        found = engine.image_id(name)
    if found is None:
        raise ImageError(f"image {name} is not on this machine and was not pulled")
    return found


def _folder_of(path: Path) -> Path:
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"cannot write the bundle {path}: there is no folder {folder}")
    return folder


def _kept(contents: BundleContents, member: str) -> Path:
    """Where a member of this bundle is kept: its name is its checksum's."""
    folder = cache_folder(os.environ) / "bundles" / contents.checksums[member][:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder / member


def _copy_checked(tar: tarfile.TarFile, name: str, target: Path, contents: BundleContents) -> None:
    source = tar.extractfile(name)
    if source is None:
        raise UsageError(f"the bundle has no {name}")
    part = target.with_name(target.name + ".part")
    digest = hashlib.sha256()
    with part.open("wb") as file:
        while block := source.read(1 << 20):
            digest.update(block)
            file.write(block)
    if digest.hexdigest() != contents.checksums.get(name):
        part.unlink()
        raise UsageError(
            f"the bundle is damaged: {name} has SHA-256 {digest.hexdigest()}, "
            f"expected {contents.checksums.get(name)}"
        )
    part.replace(target)


def _checksum(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mode = 0o644
    tar.addfile(entry, io.BytesIO(data))
