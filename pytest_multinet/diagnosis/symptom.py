"""What a symptom is: a cause that can be recognised in real state, with its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pytest_multinet.diagnosis.context import Context
from pytest_multinet.diagnosis.finding import Finding

Match = Mapping[str, object]
Recognise = Callable[[Context], "Match | None"]


@dataclass(frozen=True)
class Symptom:
    """One entry of the registry.

    Attributes:
        number: its row in the documentation's table.
        id: short name, as failure texts show it in brackets.
        title: what a user meets, one line.
        cause: why; ``{names}`` are filled with what was recognised.
        advice: what to do, likewise.
        command: what shows it, likewise.
        layers: layers at which it shows; it is asked only when one of them is broken.
        recognise: looks at real state; the values for the texts, ``where`` among them, or
            ``None``.
    """

    number: int
    id: str
    title: str
    cause: str
    advice: str
    command: str
    layers: tuple[str, ...]
    recognise: Recognise

    def finding(self, context: Context) -> Finding | None:
        """What it finds in ``context``; ``None`` where it does not apply."""
        if context.layer not in self.layers:
            return None
        match = self.recognise(context)
        if match is None:
            return None
        values = _Values(match)
        return Finding(
            layer=context.layer,
            where=str(match.get("where", "")),
            cause=self.cause.format_map(values),
            advice=self.advice.format_map(values),
            command=self.command.format_map(values),
            symptom=self.id,
            stacks=tuple(s.name for s, _ in context.ends),
        )


class _Values(dict[str, object]):
    """What a recogniser gave; a name that it left out shows as itself, never as an error."""

    def __missing__(self, key: str) -> str:
        return f"<{key}>"


def entry(
    number: int,
    id: str,
    title: str,
    *,
    cause: str,
    advice: str,
    command: str,
    layers: tuple[str, ...],
) -> Callable[[Recognise], Symptom]:
    """Make a registry entry of the recogniser that it decorates."""

    def make(recognise: Recognise) -> Symptom:
        return Symptom(number, id, title, cause, advice, command, layers, recognise)

    return make
