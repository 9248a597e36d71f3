"""The table of docs/parity.md, from the recorded verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from .differences import DIFFERENCES
from .record import BACKENDS, Rows

PAGE = Path(__file__).parents[2] / "docs" / "parity.md"
BEGIN = "<!-- verdicts: written by `make parity` -->"
END = "<!-- end of verdicts -->"


def rendered(rows: Rows) -> str:
    """The part of the page between its two marks."""
    differing = rows.differing()
    unproven = [row for row in rows if row not in rows.on_both()]
    lines = [
        f"{len(rows.on_both())} rows ran on both backends, {len(differing)} of them differ, "
        f"{len(unproven)} are unproven.",
        "",
        "| Scenario | Verdict | Facts compared | What was seen |",
        "|---|---|---|---|",
    ]
    for group, members in groupby(sorted(rows), key=lambda row: row.split(": ")[0]):
        lines += [f"| **{group}** | | | |"]
        lines += [_line(rows, row) for row in members]
    return "\n".join(lines)


def write(rows: Rows, page: Path = PAGE) -> None:
    """Put the table into the page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{rendered(rows)}\n\n{END}{after}", encoding="utf-8")


def shown(page: Path = PAGE) -> str:
    """What the page shows."""
    return page.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def _line(rows: Rows, row: str) -> str:
    sentence = row.split(": ", 1)[1]
    verdicts = {b: v for b in BACKENDS if (v := rows.of(row, b)) is not None}
    if len(verdicts) < len(BACKENDS):
        verdict = f"unproven ({rows.why_not(row)})"
    elif row in rows.differing():
        verdict = f"differs: {DIFFERENCES.get(row, 'undocumented')}"
    else:
        verdict = "same"
    seen = next(iter(verdicts.values()), [])
    cells = (sentence, verdict, str(len(seen)), "; ".join(_notes(seen)))
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _notes(verdict: list[str]) -> Iterator[str]:
    """What was asked, in few words: answers, refusals, sysctls; interfaces are in the record."""
    pings = [line for line in verdict if " -> " in line]
    answered = [line for line in pings if "ttl" in line.rpartition(": ")[2]]
    if pings:
        ttls = sorted({line.rpartition(": ttl ")[2] for line in answered})
        yield f"{len(answered)} of {len(pings)} pings answered" + (
            f", ttl {', '.join(ttls)}" if ttls else ""
        )
    yield from (f"`{line}`" for line in verdict if line.startswith("refused"))
