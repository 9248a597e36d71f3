"""A cluster's picture as SVG: nodes side by side, their pods inside, links as lines below.

All text is of one width a character, so that every box is wide enough for its words.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from pytest_multinet.report.topology import DrawnInterface, DrawnPod, Picture

_CHAR, _LINE = 7.25, 16.0  # of a 12 px monospace font
_PAD, _GAP = 10.0, 18.0
_RED, _INK, _FAINT = "#c62828", "#263238", "#90a4ae"
_COLOURS = ("#1565c0", "#2e7d32", "#ef6c00", "#6a1b9a", "#00838f", "#ad1457", "#5d4037", "#9e9d24")
_FONT = "ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace"


def as_svg(picture: Picture) -> str:
    """The picture as an SVG document."""
    colours = {n.name: _COLOURS[i % len(_COLOURS)] for i, n in enumerate(picture.networks)}
    canvas = _Canvas()
    canvas.text(_GAP, 26, picture.title, size=15, bold=True)
    top, left = 42.0, _GAP
    heights = [_node_height(picture.on(n.name)) for n in picture.nodes]
    height = max(heights, default=60.0)
    centres: dict[str, float] = {}
    for node in picture.nodes:
        pods = picture.on(node.name)
        width = _node_width(node.name, f"{node.role} {node.address}", pods)
        colour = _RED if node.broken else _FAINT
        canvas.box(left, top, width, height, stroke=colour, fill="#f7f9fa", thick=node.broken)
        canvas.text(left + _PAD, top + 18, node.name, bold=True, colour=_ink(node.broken))
        canvas.text(left + _PAD, top + 34, f"{node.role} {node.address}", colour="#607d8b")
        y = top + 46
        for pod in pods:
            y = _draw_pod(canvas, pod, left + _PAD, y, width - 2 * _PAD, colours) + 8
        centres[node.name] = left + width / 2
        left += width + _GAP
    bottom = _draw_links(canvas, picture, centres, top + height)
    bottom = _draw_networks(canvas, picture, colours, bottom)
    if picture.caption:
        bottom = _draw_caption(canvas, picture.caption, bottom, max(left, 420.0))
    return canvas.document(max(left, canvas.right + _GAP), bottom + 8)


def _ink(broken: bool) -> str:
    return _RED if broken else _INK


def _node_height(pods: list[DrawnPod]) -> float:
    return 46 + sum(_pod_height(pod) + 8 for pod in pods) + 4


def _pod_height(pod: DrawnPod) -> float:
    return 24 + _LINE * sum(max(1, len(i.addresses)) for i in pod.interfaces) + 6


def _node_width(name: str, below: str, pods: list[DrawnPod]) -> float:
    words = [len(name), len(below), *(_pod_words(pod) + 3 for pod in pods)]
    return max(words) * _CHAR + 2 * _PAD + 4


def _pod_words(pod: DrawnPod) -> int:
    rows = [len(pod.name)]
    rows += [8 + max(map(len, i.addresses), default=10) for i in pod.interfaces]
    return max(rows) + 2


def _draw_pod(
    canvas: _Canvas, pod: DrawnPod, x: float, y: float, width: float, colours: Mapping[str, str]
) -> float:
    height = _pod_height(pod)
    stroke = _RED if pod.broken else "#b0bec5"
    canvas.box(x, y, width, height, stroke=stroke, fill="#ffffff", thick=pod.broken)
    canvas.text(x + 8, y + 17, pod.name, bold=True, colour=_ink(pod.broken))
    row = y + 24 + 10
    for interface in pod.interfaces:
        row = _draw_interface(canvas, interface, x, row, colours)
    return y + height


def _draw_interface(
    canvas: _Canvas, interface: DrawnInterface, x: float, row: float, colours: Mapping[str, str]
) -> float:
    colour = colours.get(interface.network, "#78909c")
    ink = _ink(interface.broken)
    canvas.dot(x + 13, row - 4, _RED if interface.broken else colour)
    canvas.text(x + 22, row, interface.name, colour=ink)
    for address in interface.addresses or ("no address",):
        canvas.text(x + 22 + 7 * _CHAR, row, address, colour=ink)
        row += _LINE
    return row


def _draw_links(
    canvas: _Canvas, picture: Picture, centres: Mapping[str, float], below: float
) -> float:
    """Each link on a line of its own, so that no two labels meet."""
    y = below + 14
    for number, link in enumerate(picture.links):
        if link.a not in centres or link.b not in centres:
            continue
        shift = 10.0 * ((number % 5) - 2)
        a, b = centres[link.a] + shift, centres[link.b] + shift
        y += 22
        colour = _RED if link.broken else "#455a64"
        canvas.path(f"M{a:.1f} {below:.1f} V{y:.1f} H{b:.1f} V{below:.1f}", colour, link.broken)
        label = f"{link.name}  mtu {link.mtu}"
        middle, half = (a + b) / 2, (len(label) + 2) * _CHAR / 2
        canvas.plate(middle - half, y - 9, 2 * half, 18)
        canvas.text(middle - half + _CHAR, y + 4, label, colour=_ink(link.broken))
        if link.broken:
            canvas.cross(middle - half - 14, y)
            canvas.cross(middle + half + 14, y)
        y += 4
    return y + 16


def _draw_networks(
    canvas: _Canvas, picture: Picture, colours: Mapping[str, str], y: float
) -> float:
    for network in picture.networks:
        y += 18
        canvas.dot(_GAP + 6, y - 4, colours[network.name])
        canvas.text(_GAP + 18, y, network.name, bold=True)
        canvas.text(_GAP + 18 + (len(network.name) + 2) * _CHAR, y, network.what)
    return y + 10


def _draw_caption(canvas: _Canvas, caption: str, y: float, width: float) -> float:
    for line in _wrapped(caption, int((width - 2 * _GAP) / _CHAR)):
        y += 18
        canvas.text(_GAP, y, line, colour=_RED, bold=True)
    return y + 6


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, max(width, 30))


class _Canvas:
    """Shapes, in the order in which they are drawn."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.right = 0.0

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: int = 12,
        bold: bool = False,
        colour: str = _INK,
    ) -> None:
        self.right = max(self.right, x + len(words) * _CHAR * size / 12)
        weight = ' font-weight="600"' if bold else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"{weight} '
            f'xml:space="preserve">{escape(words)}</text>'
        )

    def box(
        self, x: float, y: float, w: float, h: float, *, stroke: str, fill: str, thick: bool
    ) -> None:
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="6" '
            f'fill="{fill}" stroke="{stroke}" stroke-width="{3 if thick else 1}"/>'
        )

    def plate(self, x: float, y: float, w: float, h: float) -> None:
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" fill="#ffffff"/>'
        )

    def dot(self, x: float, y: float, colour: str) -> None:
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>')

    def path(self, d: str, colour: str, broken: bool) -> None:
        dash = ' stroke-dasharray="7 5"' if broken else ""
        width = 3 if broken else 2
        self.parts.append(
            f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>'
        )

    def cross(self, x: float, y: float) -> None:
        self.parts.append(
            f'<path d="M{x - 6:.1f} {y - 6:.1f} l12 12 m0 -12 l-12 12" fill="none" '
            f'stroke="{_RED}" stroke-width="3"/>'
        )

    def document(self, width: float, height: float) -> str:
        body = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{_FONT}">\n'
            f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
        )
