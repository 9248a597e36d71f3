"""How much went from one stack to another, and how fast."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Throughput:
    """One TCP stream from ``source`` to ``target``.

    A figure for reports, and for ratios between two of one run: machines are shared, so it is
    nothing to assert by itself.

    Attributes:
        bytes: that arrived.
        seconds: from the first byte to the last.
    """

    source: str
    target: str
    interface: str | None
    bytes: int
    seconds: float

    @property
    def bits_per_second(self) -> float:
        """Payload bits a second."""
        return self.bytes * 8 / self.seconds if self.seconds else 0.0

    def __truediv__(self, other: Throughput) -> float:
        """How many times faster this is than ``other``."""
        return self.bits_per_second / other.bits_per_second if other.bits_per_second else 0.0

    def __repr__(self) -> str:
        via = f" dev {self.interface}" if self.interface else ""
        rate = self.bits_per_second / 1e6
        return (
            f"<Throughput {self.source} -> {self.target}{via}: {rate:.0f} Mbit/s, "
            f"{self.bytes} bytes in {self.seconds:.3f} s>"
        )
