"""``multinet ls``, ``exec``, ``shell``, ``down``, ``gc``: what runs have left."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from pytest_multinet.cli.colour import Colours
from pytest_multinet.errors import UsageError
from pytest_multinet.session.keep import attach, reap, take_down
from pytest_multinet.session.ledger import Ledger, Record


def ls(arguments: argparse.Namespace) -> int:
    """List what is kept."""
    records = Ledger().records()
    if arguments.json:
        print(json.dumps([asdict(record) for record in records], indent=2, default=str))
        return 0
    if not records:
        print("no environment is kept; 'pytest --multinet-keep' keeps one")
        return 0
    rows = [("ID", "BACKEND", "NODES", "PODS", "KEPT", "FOLDER")]
    rows += [_row(record) for record in records]
    _print_table(rows)
    return 0


def exec_(arguments: argparse.Namespace) -> int:
    """Run a program in a pod or node; returns its status."""
    record = Ledger().find(arguments.environment)
    return attach(record).exec(arguments.name, arguments.argv)


def shell(arguments: argparse.Namespace) -> int:
    """Open a shell in a pod or node; returns its status."""
    record = Ledger().find(arguments.environment)
    return attach(record).shell(arguments.name)


def down(arguments: argparse.Namespace) -> int:
    """End one environment, or all."""
    if arguments.all and arguments.id:
        raise UsageError("give an ID or --all, not both")
    ledger = Ledger()
    records = ledger.records() if arguments.all else [ledger.find(arguments.id)]
    for record in records:
        take_down(record, ledger)
        print(f"{record.id} ended")
    return 0


def gc(arguments: argparse.Namespace) -> int:
    """Remove what crashed runs left; what was kept on purpose stays."""
    removed = reap()
    for name in removed:
        print(f"{name} removed")
    if not removed:
        print("nothing to remove")
    return 0


def _row(record: Record) -> tuple[str, ...]:
    pods = ",".join(pod["name"] for pod in record.description.get("pods", ())) or "-"
    nodes = str(len(record.description.get("nodes", ())))
    return record.id, record.backend, nodes, pods, record.created, record.folder


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    print("\n".join([Colours(sys.stdout).head(lines[0]), *lines[1:]]))
