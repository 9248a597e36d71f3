"""What a mesh of probes saw: who reaches whom, beside who should."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Matrix = tuple[tuple[bool, ...], ...]
_WIDE = 16  # names shown in full tables; larger ones show what differs


@dataclass(frozen=True)
class MeshResult:
    """Every ordered pair of a list of stacks.  True in a boolean sense when all is as expected.

    Attributes:
        names: of the stacks, in the order given.
        interface: that was probed over.
        probe: ``icmp``, ``arp``, ``tcp/80``, ...
        expected: row: source, column: target; the diagonal means nothing.
        observed: likewise.
        attempts: rounds that it took.
    """

    names: tuple[str, ...]
    interface: str
    probe: str
    expected: Matrix
    observed: Matrix
    attempts: int = 1

    def __bool__(self) -> bool:
        return next(iter(self.different), None) is None

    @property
    def pairs(self) -> Iterator[tuple[int, int]]:
        """Every ordered pair of places."""
        count = len(self.names)
        return ((i, j) for i in range(count) for j in range(count) if i != j)

    @property
    def different(self) -> Iterator[tuple[int, int]]:
        """The pairs that are not as expected."""
        return ((i, j) for i, j in self.pairs if self.expected[i][j] != self.observed[i][j])

    def reaches(self, source: str, target: str) -> bool:
        """Whether ``source`` reached ``target``, by name."""
        return self.observed[self.names.index(source)][self.names.index(target)]

    def counts(self) -> tuple[int, int, int]:
        """Pairs in all, pairs that reached each other, pairs that differ."""
        pairs = list(self.pairs)
        reached = sum(self.observed[i][j] for i, j in pairs)
        return len(pairs), reached, sum(1 for _ in self.different)

    def table(self) -> str:
        """The truth table: expected, observed and different, side by side.

        ``o`` reaches, ``.`` does not, ``X`` differs.  Above 16 stacks only those that differ.
        """
        places = list(range(len(self.names)))
        hidden = 0
        if len(places) > _WIDE:
            bad = sorted({p for pair in self.different for p in pair})
            hidden = len(places) - len(bad[:_WIDE])
            places = bad[:_WIDE]
        if not places:
            return ""
        width = max(len(self.names[p]) for p in places)
        titles = ("expected", "observed", "different")
        size = max(2 * len(places), 9)
        lines = [" " * width + "  " + "  ".join(f"{t:<{size}}" for t in titles).rstrip()]
        head = " ".join(str(n % 10) for n in range(1, len(places) + 1))
        lines.append(" " * width + "  " + "  ".join(f"{head:<{size}}" for _ in titles).rstrip())
        for i in places:
            cells = [
                [self._mark(self.expected, i, j) for j in places],
                [self._mark(self.observed, i, j) for j in places],
                [self._cross(i, j) for j in places],
            ]
            shown = "  ".join(f"{' '.join(row):<{size}}" for row in cells).rstrip()
            lines.append(f"{self.names[i]:<{width}}  {shown}")
        if hidden:
            lines.append(f"({hidden} more are not shown)")
        return "\n".join(lines)

    @staticmethod
    def _mark(matrix: Matrix, i: int, j: int) -> str:
        return "-" if i == j else "o" if matrix[i][j] else "."

    def _cross(self, i: int, j: int) -> str:
        if i == j:
            return "-"
        return "X" if self.expected[i][j] != self.observed[i][j] else "."

    def __repr__(self) -> str:
        pairs, reached, different = self.counts()
        return (
            f"<MeshResult {len(self.names)} stacks over {self.interface} by {self.probe}: "
            f"{reached} of {pairs} pairs reach, {different} differ>"
        )
