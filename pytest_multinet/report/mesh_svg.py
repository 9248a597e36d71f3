"""A mesh's truth table as SVG: one square a pair, red where it is not as expected."""

from __future__ import annotations

from html import escape

from pytest_multinet.model.mesh import MeshResult

_CELL, _CHAR = 16.0, 7.25
_REACHED, _SILENT, _SELF, _RED = "#66bb6a", "#eceff1", "#ffffff", "#c62828"
_FONT = "ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace"


def mesh_svg(result: MeshResult) -> str:
    """The table; green: reached, grey: not, red frame: differs from what was expected."""
    longest = max(map(len, result.names), default=0)
    left, top = longest * _CHAR + 20, longest * _CHAR + 44
    count = len(result.names)
    pairs, reached, different = result.counts()
    title = f"{reached} of {pairs} pairs reach over {result.interface}, {different} differ"
    parts = [f'<text x="10" y="20" font-size="14" font-weight="600">{escape(title)}</text>']
    for place, name in enumerate(result.names):
        y = top + place * _CELL + 12
        x = left + place * _CELL + 12
        parts.append(
            f'<text x="{left - 6:.1f}" y="{y:.1f}" font-size="12" text-anchor="end">'
            f"{escape(name)}</text>"
        )
        parts.append(
            f'<text transform="translate({x:.1f} {top - 6:.1f}) rotate(-90)" font-size="12">'
            f"{escape(name)}</text>"
        )
    for i in range(count):
        for j in range(count):
            fill = _SELF if i == j else _REACHED if result.observed[i][j] else _SILENT
            bad = i != j and result.observed[i][j] != result.expected[i][j]
            x, y = left + j * _CELL, top + i * _CELL
            frame = f' stroke="{_RED}" stroke-width="2.5"' if bad else ' stroke="#ffffff"'
            hint = f"{result.names[i]} -&gt; {result.names[j]}"
            parts.append(
                f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{_CELL - 3}" '
                f'height="{_CELL - 3}" fill="{fill}"{frame}><title>{hint}</title></rect>'
            )
    width = max(left + count * _CELL + 16, len(title) * 9 + 20)
    height = top + count * _CELL + 14
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{_FONT}" fill="#263238">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )
