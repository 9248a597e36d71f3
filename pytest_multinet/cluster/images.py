"""Images on the nodes of a kind cluster: what is there, and bringing local ones there.

``docker save`` + ``kind load image-archive``, since ``kind load docker-image`` fails on Docker's
containerd image store.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pytest_multinet.cluster.engine import Engine
from pytest_multinet.cluster.sandboxes import can_look, in_container
from pytest_multinet.errors import ClusterError, ImageError
from pytest_multinet.model.nested import items, mapping

_SNAPSHOTTER = re.compile(r'^\s*snapshotter = [\'"](\w[\w-]*)[\'"]', re.MULTILINE)

MULTUS_IMAGES = {
    "thick": "ghcr.io/k8snetworkplumbingwg/multus-cni:v4.1.0-thick",
    "thin": "ghcr.io/k8snetworkplumbingwg/multus-cni:v4.1.0",
}


def full_name(image: str) -> str:
    """An image reference as containerd keeps it: with registry, repository and tag."""
    name, at, digest = image.partition("@")
    head, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in head and ":" not in head and head != "localhost":
        name = f"docker.io/{name}"
    if at:
        return f"{name}@{digest}"
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


class Nodes(Protocol):
    """Which nodes there are, and how ``kind`` is called."""

    @property
    def node_names(self) -> Sequence[str]:
        """Every node's name."""
        ...

    def kind(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run ``kind``."""
        ...


class NodeImages:
    """The images on a cluster's nodes.

    Args:
        engine: where local images are.
        nodes: the cluster.
        loaded: image name to the local id it had when it was loaded; kept up to date.
        scratch: folder for archives on their way.
    """

    def __init__(
        self, engine: Engine, nodes: Nodes, loaded: dict[str, str], scratch: Path
    ) -> None:
        self._scratch = scratch
        self._engine = engine
        self._nodes = nodes
        self.loaded = loaded
        self._known: dict[str, frozenset[str]] = {}
        self._lock = threading.Lock()

    def on_node(self, node: str, *, refresh: bool = False) -> frozenset[str]:
        """Full names of the images in one node's containerd."""
        if refresh or node not in self._known:
            listing = self._engine.exec(node, ["ctr", "-n", "k8s.io", "images", "ls", "-q"])
            if listing.returncode:
                raise ClusterError(f"cannot list the images on node {node}: {listing.stderr}")
            self._known[node] = frozenset(listing.stdout.split())
        return self._known[node]

    def everywhere(self, image: str, nodes: Iterable[str]) -> bool:
        """Whether every one of these nodes has the image."""
        name = full_name(image)
        return all(name in self.on_node(node) for node in nodes)

    def local(self, image: str) -> str | None:
        """The local image's id, ``None`` where Docker does not have it."""
        return self._engine.image_id(image)

    def load(self, images: Iterable[str], nodes: Sequence[str] | None = None) -> None:
        """Bring local images onto nodes; what is there in the same version is passed over.

        Raises:
            ImageError: an image is not on this machine, or the nodes refused it.
        """
        wanted = list(dict.fromkeys(images))
        ids = {image: self.local(image) for image in wanted}
        absent = [image for image, found in ids.items() if found is None]
        if absent:
            raise ImageError(
                f"image {', '.join(absent)} is not on this machine; 'docker pull' or build it "
                "first, or leave it out and let the nodes pull it"
            )
        targets = list(nodes if nodes is not None else self._nodes.node_names)
        with self._lock:
            new = [
                i
                for i in wanted
                if self.loaded.get(full_name(i)) != ids[i] or not self.everywhere(i, targets)
            ]
            if new:
                self._transfer(new, targets)
                self.loaded.update({full_name(i): ids[i] or "" for i in new})

    def _transfer(self, images: Sequence[str], nodes: Sequence[str]) -> None:
        # Beside the record: what a killed run leaves there goes with it.
        with tempfile.TemporaryDirectory(
            prefix="images-", dir=self._scratch, ignore_cleanup_errors=True
        ) as folder:
            archive = Path(folder) / "images.tar"
            platform = f"linux/{self._engine.image_architecture(images[0])}"
            self._engine.save(archive, images, platform=platform)
            self.load_archive(archive, nodes)

    def load_archive(self, archive: Path, nodes: Sequence[str]) -> None:
        """Bring an image archive onto nodes, all at once."""
        with ThreadPoolExecutor(len(nodes) or 1) as pool:
            done = list(pool.map(partial(self._import, archive), nodes))
        left = [node for node, imported in zip(nodes, done, strict=True) if not imported]
        if left:
            self._load_by_kind(archive, left)
        for node in nodes:
            self._known.pop(node, None)

    def _import(self, archive: Path, node: str) -> bool:
        """Copy the archive into the node's files and import it there; whether that was possible.

        Beside Docker and as root this spares sending it through Docker once a node.
        """
        container = self._engine.container(node)
        if container is None or not can_look() or not in_container(container.pid, container.id):
            return False
        root = Path(f"/proc/{container.pid}/root")
        inside = f"/kind/{archive.parent.name}-{archive.name}"
        outside = Path(f"{root}{inside}")
        argv = ["ctr", "-n", "k8s.io", "images", "import", "--all-platforms"]
        try:
            config = Path(f"{root}/etc/containerd/config.toml").read_text(encoding="utf-8")
            snapshotter = _SNAPSHOTTER.search(config)
            if snapshotter is None:
                return False
            shutil.copyfile(archive, outside)
            run = self._engine.exec(node, [*argv, "--snapshotter", snapshotter[1], inside])
            return run.returncode == 0
        except OSError:
            return False
        finally:
            outside.unlink(missing_ok=True)

    def _load_by_kind(self, archive: Path, nodes: Sequence[str]) -> None:
        run = self._nodes.kind("load", "image-archive", str(archive), "--nodes", ",".join(nodes))
        if run.returncode:
            raise ImageError(f"the nodes refused {archive.name}: {_last(run.stderr)}")


def set_pull_policy(
    manifest: Mapping[str, Any], present: Iterable[str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The pod manifest with ``IfNotPresent`` where it names no policy and the image is there.

    Kubernetes would pull ``:latest`` images always, which fails without a registry.

    Returns:
        The manifest, and the images whose policy was set.
    """
    there = {full_name(i) for i in present}
    spec: dict[str, Any] = dict(manifest["spec"])
    changed: list[str] = []
    for key in ("initContainers", "containers"):
        if key not in spec:
            continue
        containers: list[dict[str, Any]] = []
        for original in items(spec, key):
            container = dict(original)
            image = container.get("image")
            if image and not container.get("imagePullPolicy") and full_name(image) in there:
                container["imagePullPolicy"] = "IfNotPresent"
                changed.append(image)
            containers.append(container)
        spec[key] = containers
    return {**manifest, "spec": spec}, tuple(dict.fromkeys(changed))


def images_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Every image that a pod (or a pod template's owner) names."""
    spec = mapping(manifest, "spec")
    template = mapping(spec, "template")
    if template:
        return images_of(template)
    containers = [*items(spec, "initContainers"), *items(spec, "containers")]
    return tuple(dict.fromkeys(c["image"] for c in containers if c.get("image")))


def _last(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "no message"
