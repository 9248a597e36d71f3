"""The verdicts of both backends: of this run, and as last recorded with both at work.

``make parity`` records; every other run holds what it sees against ``verdicts.yaml``, so that
embedded is compared with what a real cluster did also where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import unified_diff
from pathlib import Path

import yaml

Verdict = list[str]
BACKENDS = ("embedded", "kind")
RECORDED = Path(__file__).with_name("verdicts.yaml")


class Rows:
    """Verdict by row and backend; a row that a backend did not execute has none of it."""

    def __init__(self, seen: Mapping[str, Mapping[str, Verdict]] | None = None) -> None:
        self._seen = {row: dict(of) for row, of in (seen or {}).items()}

    def record(self, row: str, backend: str, verdict: Verdict) -> None:
        """Note what a backend showed."""
        self._seen.setdefault(row, {})[backend] = verdict

    def __iter__(self):
        return iter(self._seen)

    def __len__(self) -> int:
        return len(self._seen)

    def of(self, row: str, backend: str) -> Verdict | None:
        """What the backend showed, ``None`` where it did not execute the row."""
        return self._seen.get(row, {}).get(backend)

    def on_both(self) -> list[str]:
        """The rows that both executed."""
        return [row for row, of in self._seen.items() if len(of) == len(BACKENDS)]

    def differing(self) -> list[str]:
        """The rows of both whose verdicts differ."""
        return [
            row for row in self.on_both() if len(set(map(tuple, self._seen[row].values()))) > 1
        ]

    def difference(self, row: str) -> str:
        """Embedded against kind, line by line."""
        return compared(self._seen[row]["embedded"], self._seen[row]["kind"])

    # --- the file ---------------------------------------------------------------------------

    @classmethod
    def load(cls, path: Path = RECORDED) -> Rows:
        """As recorded; equal verdicts stand there once."""
        if not path.exists():
            return cls()
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        return cls(
            {
                row: dict.fromkeys(BACKENDS, of["both"]) if "both" in of else of
                for row, of in data.items()
            }
        )

    def save(self, path: Path = RECORDED) -> None:
        """Write the file."""
        data = {
            row: {"both": of["kind"]} if row not in self.differing() and len(of) == 2 else of
            for row, of in sorted(self._seen.items())
        }
        text = yaml.safe_dump(data, sort_keys=False, width=200, allow_unicode=True)
        path.write_text("# Written by `make parity`; what it means: docs/parity.md.\n" + text)


def compared(embedded: Sequence[str], kind: Sequence[str]) -> str:
    """What differs, with ``-`` on embedded and ``+`` on kind."""
    return "\n".join(unified_diff(embedded, kind, "embedded", "kind", lineterm="", n=1))
