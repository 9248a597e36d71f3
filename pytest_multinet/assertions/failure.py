"""The text of a failed assertion."""

from __future__ import annotations

from collections.abc import Callable

from pytest_multinet.diagnosis.finding import Finding

_FINDING = "multinet_finding"


def fail(
    claim: str, *, expected: str, seen: str, diagnose: Callable[[], Finding | None] | None = None
) -> AssertionError:
    """An error that says what was claimed, expected and seen, and which layer broke."""
    lines = [claim, f"  expected: {expected}", f"  seen:     {seen}"]
    finding: Finding | None = None
    if diagnose is not None:
        try:
            finding = diagnose()
        except Exception as error:  # a diagnosis must not hide the failure
            lines.append(f"  diagnosis failed: {type(error).__name__}: {error}")
        else:
            if finding is not None:
                lines += finding.lines()
    failure = AssertionError("\n".join(lines))
    vars(failure)[_FINDING] = finding
    return failure


def finding_of(error: BaseException) -> Finding | None:
    """What the diagnosis of a failed assertion found, ``None`` where there was none."""
    found = getattr(error, _FINDING, None)
    return found if isinstance(found, Finding) else None
