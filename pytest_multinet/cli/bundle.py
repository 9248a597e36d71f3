"""``multinet bundle``: all images and plugins in one archive."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from pytest_multinet.cluster.bundle import create_bundle, read_bundle, use_bundle
from pytest_multinet.model.topology import ClusterConfig


def create(arguments: argparse.Namespace) -> int:
    """Write a bundle."""
    plugins = arguments.cni_plugins or os.environ.get("MULTINET_CNI_PLUGINS")
    config = ClusterConfig(
        multus_mode="thin" if arguments.thin else "thick",
        cni_plugins=Path(plugins) if plugins else None,
        multus_manifest=Path(arguments.multus_manifest) if arguments.multus_manifest else None,
    )
    if arguments.node_image:
        config = config.with_(node_image=arguments.node_image)
    if arguments.pod_image:
        config = config.with_(pod_image=arguments.pod_image)
    file = Path(arguments.file)
    create_bundle(file, config, progress=_say)
    print(f"{file}: {file.stat().st_size / 1e6:.0f} MB; use it with --multinet-bundle={file}")
    return 0


def use(arguments: argparse.Namespace) -> int:
    """Load a bundle's images into Docker, and say which settings use it."""
    file = Path(arguments.file)
    mode = read_bundle(file).multus_mode
    wanted = ClusterConfig(multus_mode="thin" if mode == "thin" else "thick")
    config = use_bundle(file, wanted, progress=_say)
    print(f"images are in Docker; CNI plugins are in {config.cni_plugins}")
    print(f"pytest --multinet-backend=kind --multinet-bundle={file}")
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Tell what is in a bundle."""
    contents = read_bundle(Path(arguments.file))
    if arguments.json:
        print(json.dumps(asdict(contents), indent=2))
        return 0
    print(f"linux/{contents.architecture}, Multus {contents.multus_mode}")
    for image, identifier in contents.images.items():
        print(f"  {image}  {identifier.removeprefix('sha256:')[:12]}")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)
