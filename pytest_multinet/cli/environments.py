"""``multinet ls``, ``exec``, ``shell``, ``down``, ``gc``: what runs have left."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pytest_multinet.cli.colour import Colours
from pytest_multinet.errors import UsageError
from pytest_multinet.session.keep import attach, reap, take_down
from pytest_multinet.session.ledger import Ledger, Record


def ls(arguments: argparse.Namespace) -> int:
    """List environments that are kept or in use, then the pods of kept ones as they were then."""
    records = Ledger().records()
    if arguments.json:
        print(json.dumps([asdict(record) for record in records], indent=2, default=str))
        return 0
    if not records:
        print("no environment is kept or in use; 'pytest --multinet-keep' keeps one")
        return 0
    rows = [("ID", "STATE", "BACKEND", "NODES", "PODS", "SINCE", "FOLDER")]
    rows += [_row(record) for record in records]
    _print_table(rows)
    pods = [_pod_row(record, pod) for record in records for pod in _pods(record)]
    if pods:
        print()
        _print_table([("ID", "NAMESPACE", "POD", "NODE", "IP", "NETWORKS"), *pods])
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
    records = ledger.kept() if arguments.all else [ledger.find(arguments.id)]
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


def _pods(record: Record) -> Sequence[Mapping[str, Any]]:
    return record.description.get("pods", ())


def _row(record: Record) -> tuple[str, ...]:
    nodes = str(len(record.description.get("nodes", ())))
    pods = str(len(_pods(record))) if record.state == "kept" else "?"
    return record.id, record.state, record.backend, nodes, pods, record.created, record.folder


def _pod_row(record: Record, pod: Mapping[str, Any]) -> tuple[str, ...]:
    """As ``kubectl get pods -o wide``: the default network's address, then the other networks'."""
    interfaces: Mapping[str, Sequence[str]] = pod["interfaces"]
    addresses = {name: ",".join(ips) or "-" for name, ips in interfaces.items()}
    ip, *others = addresses.items() or [("", "-")]
    networks = " ".join(map("=".join, others)) or "-"
    return record.id, pod["namespace"], pod["name"], pod["node"], ip[1], networks


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    print("\n".join([Colours(sys.stdout).head(lines[0]), *lines[1:]]))
