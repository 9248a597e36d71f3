"""The step summary of GitHub Actions: what ran where, the topology, the matrices that failed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_summary(
    path: Path, lines: list[str], pictures: Mapping[str, str], artifacts: list[str]
) -> None:
    """Append to the step summary.

    Args:
        path: the file that ``GITHUB_STEP_SUMMARY`` names.
        lines: what the terminal's last lines say.
        pictures: Markdown by title.
        artifacts: folders of failed tests.
    """
    out = ["## multinet", ""]
    out += [f"- {line}" for line in lines]
    out += [f"- evidence of a failed test: `{folder}`" for folder in artifacts]
    for title, picture in pictures.items():
        out += ["", f"### {title}", "", picture]
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n")
