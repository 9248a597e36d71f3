"""The text of a failed assertion."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_multinet.diagnosis.finding import Finding
from pytest_multinet.model.mesh import MeshResult

_FINDING, _MESH = "multinet_finding", "multinet_mesh"


def fail(
    claim: str, *, expected: str, seen: str, diagnose: Callable[[], Finding | None] | None = None
) -> AssertionError:
    """An error that says what was claimed, expected and seen, and which layer broke."""
    lines = text_of(claim, expected=expected, seen=seen)
    finding: Finding | None = None
    if diagnose is not None:
        try:
            finding = diagnose()
        except Exception as error:  # a diagnosis must not hide the failure
            lines.append(f"  diagnosis failed: {type(error).__name__}: {error}")
        else:
            lines += finding.lines() if finding is not None else []
    return diagnosed(lines, finding)


def text_of(claim: str, *, expected: str, seen: str) -> list[str]:
    """The part of the text that needs no diagnosis."""
    return [claim, f"  expected: {expected}", f"  seen:     {seen}"]


def diagnosed(
    lines: Sequence[str], finding: Finding | None, *, mesh: MeshResult | None = None
) -> AssertionError:
    """An error that carries what was found, for pictures and artifacts."""
    failure = AssertionError("\n".join(lines))
    vars(failure).update({_FINDING: finding, _MESH: mesh})
    return failure


def finding_of(error: BaseException) -> Finding | None:
    """What the diagnosis of a failed assertion found, ``None`` where there was none."""
    found = getattr(error, _FINDING, None)
    return found if isinstance(found, Finding) else None


def mesh_of(error: BaseException) -> MeshResult | None:
    """The mesh that a failed assertion saw, ``None`` where it was none."""
    found = getattr(error, _MESH, None)
    return found if isinstance(found, MeshResult) else None
