"""``multinet up``: an environment without pytest, left for the other commands."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pytest_multinet.cluster.kind_config import resolve
from pytest_multinet.errors import UsageError
from pytest_multinet.session.backend import choose, open_cluster
from pytest_multinet.session.keep import keep_cluster
from pytest_multinet.session.ledger import Ledger
from pytest_multinet.session.settings import Settings, check_environment
from pytest_multinet.session.settings import resolve as resolve_settings
from pytest_multinet.session.topology_file import default_topology, read_topology


def up(arguments: argparse.Namespace) -> int:
    """Build what the file says, and leave it running."""
    folder = Path.cwd()
    settings = _settings(folder)
    base = settings.cluster_config()
    topology = (
        read_topology(Path(arguments.file), base) if arguments.file else default_topology(base)
    )
    backend = choose(arguments.backend or settings.backend).backend
    _check_free(resolve(topology.cluster).name, backend, folder)
    with open_cluster(topology.cluster, backend, progress=_say) as cluster:
        cluster.install_multus()
        for link in topology.links:
            cluster.link(link.a, link.b, name=link.name, mtu=link.mtu, addresses=link.addresses)
        for manifest in topology.manifests:
            cluster.apply(manifest)
        kept = keep_cluster(cluster, worker=None, folder=folder, rerun="")
    print("\n".join(kept.lines()))
    return 0


def _settings(folder: Path) -> Settings:
    """What the environment sets, as for tests; an ini file is pytest's to find."""
    for warning in check_environment(os.environ):
        _say(f"multinet: {warning}")
    return resolve_settings({}, {}, os.environ, folder=folder)


def _check_free(name: str, backend: str, folder: Path) -> None:
    """Refuse to replace what is up, or what a run kept.

    What no process of ours owns has its name on the whole machine, else in its folder.
    """
    for record in Ledger().records():
        elsewhere = record.backend == backend and record.owner is None
        if record.cluster == name and (elsewhere or record.folder == str(folder)):
            raise UsageError(
                f"{record.id} is kept for {record.folder} already; end it first: "
                f"multinet down {record.id}"
            )


def _say(line: str) -> None:
    print(line, file=sys.stderr)
