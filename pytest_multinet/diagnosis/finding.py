"""What a diagnosis found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The first broken layer on a path.

    Attributes:
        layer: its name, such as ``address`` or ``neighbour``.
        where: pod or node, and interface.
        cause: what is wrong there, one sentence.
        advice: what to do.
        command: what shows it to a person, and where to run it.
        sound: layers before it that were checked and are sound, in order.
    """

    layer: str
    where: str
    cause: str
    advice: str = ""
    command: str = ""
    sound: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The part of a failure text that tells it."""
        out = [f"  broken:   {self.layer} ({self.where})", f"  cause:    {self.cause}"]
        if self.advice:
            out.append(f"  to do:    {self.advice}")
        if self.command:
            out.append(f"  shown by: {self.command}")
        if self.sound:
            out.append(f"  sound:    {', '.join(self.sound)}")
        return out
