"""What a diagnosis found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The first broken layer on a path, and why it broke.

    Attributes:
        layer: its name, one of :data:`LAYERS`.
        where: pod or node, and interface.
        cause: what is wrong there, one sentence.
        advice: what to do.
        command: what shows it to a person, and where to run it.
        sound: layers before it that were checked and are sound, in order.
        symptom: id of the entry of :mod:`~pytest_multinet.diagnosis.symptoms` that was
            recognised, ``""`` where none was.
        stacks: names of the pods and nodes where it broke, for pictures.
    """

    layer: str
    where: str
    cause: str
    advice: str = ""
    command: str = ""
    sound: tuple[str, ...] = ()
    symptom: str = ""
    stacks: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The part of a failure text that tells it."""
        name = f" [{self.symptom}]" if self.symptom else ""
        out = [f"  broken:   {self.layer} ({self.where})", f"  cause:    {self.cause}{name}"]
        if self.advice:
            out.append(f"  to do:    {self.advice}")
        if self.command:
            out.append(f"  shown by: {self.command}")
        if self.sound:
            out.append(f"  sound:    {', '.join(self.sound)}")
        return out

    def __str__(self) -> str:
        return "\n".join(self.lines())


LAYERS = (
    "set-up",
    "annotation",
    "attachment",
    "interface",
    "master",
    "node link",
    "address",
    "route",
    "neighbour",
    "reply",
    "mtu",
    "port",
)
"""The layers in the order of the walk.

``set-up``: making the pod or network failed; ``annotation``: the pod asked, and Multus attached
nothing; ``attachment``: what network-status says against what the kernel has.
"""
