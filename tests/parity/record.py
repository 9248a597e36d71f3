"""The verdicts of both backends: of this run, and as last recorded with both at work.

``make parity`` records; every other run holds what it sees against ``verdicts.yaml``, so that
embedded is compared with what a real cluster did also where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from pathlib import Path

import yaml

Verdict = list[str]
BACKENDS = ("embedded", "kind")
RECORDED = Path(__file__).with_name("verdicts.yaml")


class Rows:
    """Verdict by row and backend; a row that a backend did not execute has none of it."""

    def __init__(
        self,
        seen: Mapping[str, Mapping[str, Verdict]] | None = None,
        skipped: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._seen = {row: dict(of) for row, of in (seen or {}).items()}
        self._skipped = {row: dict(of) for row, of in (skipped or {}).items()}

    def record(self, row: str, backend: str, verdict: Verdict) -> None:
        """Note what a backend showed."""
        self._seen.setdefault(row, {})[backend] = verdict

    def skip(self, row: str, backend: str, reason: str) -> None:
        """Note why a backend did not execute a row."""
        self._seen.setdefault(row, {})
        self._skipped.setdefault(row, {})[backend] = reason

    def update(self, other: Rows) -> None:
        """Take over the rows of another run."""
        self._seen |= other._seen
        for row in other:
            self._skipped.pop(row, None)
        self._skipped |= other._skipped

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen)

    def __len__(self) -> int:
        return len(self._seen)

    def why_not(self, row: str) -> str:
        """Why a row is unproven."""
        reasons = self._skipped.get(row, {})
        default = "it did not run"
        missing = [b for b in BACKENDS if b not in self._seen[row]]
        return "; ".join(f"{b}: {reasons.get(b, default)}" for b in missing)

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
        skipped = {row: of.pop("skipped", {}) for row, of in data.items()}
        seen = {
            row: dict.fromkeys(BACKENDS, of["both"]) if "both" in of else of
            for row, of in data.items()
        }
        return cls(seen, skipped)

    def save(self, path: Path = RECORDED) -> None:
        """Write the file."""
        same = set(self.on_both()) - set(self.differing())
        data = {
            row: {"both": of["kind"]}
            if row in same
            else of | ({"skipped": self._skipped[row]} if row in self._skipped else {})
            for row, of in sorted(self._seen.items())
        }
        text = yaml.safe_dump(data, sort_keys=False, width=200, allow_unicode=True)
        path.write_text("# Written by `make parity`; what it means: docs/parity.md.\n" + text)


def compared(embedded: Sequence[str], kind: Sequence[str]) -> str:
    """What differs, with ``-`` on embedded and ``+`` on kind."""
    return "\n".join(unified_diff(embedded, kind, "embedded", "kind", lineterm="", n=1))
