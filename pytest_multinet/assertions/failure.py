"""The text of a failed assertion."""

from __future__ import annotations

from collections.abc import Callable

from pytest_multinet.diagnosis.finding import Finding


def fail(
    claim: str, *, expected: str, seen: str, diagnose: Callable[[], Finding | None] | None = None
) -> AssertionError:
    """An error that says what was claimed, expected and seen, and which layer broke."""
    lines = [claim, f"  expected: {expected}", f"  seen:     {seen}"]
    if diagnose is not None:
        try:
            finding = diagnose()
        except Exception as error:  # noqa: BLE001 - a diagnosis must not hide the failure
            lines.append(f"  diagnosis failed: {type(error).__name__}: {error}")
        else:
            if finding is not None:
                lines += finding.lines()
    return AssertionError("\n".join(lines))
