"""Reference and ours in turn, in the same minute: what every figure is made of."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RUNS = 9


@dataclass
class Figure:
    """One row of the table.

    Attributes:
        name: the figure of docs/performance.md, such as ``P1``.
        what: what is measured, and in which ``unit``.
        reference, ours: one value a run, paired.
        goal: upper bound of the median ratio; ``None``: the row informs only.
    """

    name: str
    what: str
    unit: str
    reference: list[float]
    ours: list[float]
    goal: float | None
    ratios: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.ratios = [o / r for r, o in zip(self.reference, self.ours, strict=True)]

    @property
    def reached(self) -> bool:
        """Whether the median ratio is within the goal."""
        return self.goal is None or statistics.median(self.ratios) <= self.goal

    def row(self) -> str:
        """The row as text."""
        goal = (
            "" if self.goal is None else f"<= {self.goal:g}  {'ok' if self.reached else 'MISSED'}"
        )
        return (
            f"{self.name:<4} {self.what:<44} {_spread(self.reference)} {_spread(self.ours)} "
            f"{self.unit:<4} {_spread(self.ratios, 2)}  {goal}"
        )


def header() -> str:
    """The head of the table: each triple is minimum, median, maximum."""
    return f"{'':<4} {'':<44} {'reference':^25} {'ours':^25} {'':<4} {'ratio':^25}"


def _spread(values: Sequence[float], digits: int = 1) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{low:8.{digits}f}{middle:8.{digits}f}{high:8.{digits}f} "


def environment() -> dict[str, str]:
    """Ours, with compiled modules kept as they are for users."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def run(*argv: str) -> dict[str, Any]:
    """A process of our interpreter that prints one JSON line."""
    command = [sys.executable, *argv]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
