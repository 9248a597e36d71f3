"""How long an assertion looks: until it holds, or for as long as it must hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from pytest_multinet.errors import UsageError

Seen = TypeVar("Seen")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5
_PROBES = 3


def until(look: Callable[[], Seen], holds: Callable[[Seen], bool], within: float) -> Seen:
    """Look until it holds or ``within`` seconds are over; what was seen last.

    The first look is at once: a sound network costs one probe.
    """
    if within < 0:
        raise UsageError(f"within is {within!r}; expected seconds, 0 or more")
    started = time.monotonic()
    seen = look()
    if holds(seen):
        return seen
    from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay
    from tenacity.wait import wait_exponential

    def last(state: RetryCallState) -> Seen:
        assert state.outcome is not None  # noqa: S101 - tenacity calls this after an attempt
        return state.outcome.result()

    left = within - (time.monotonic() - started)
    if left <= 0:
        return seen
    retrying = Retrying(
        stop=stop_after_delay(left),
        wait=wait_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE),
        retry=retry_if_result(lambda result: not holds(result)),
        retry_error_callback=last,
    )
    return retrying(look)


def throughout(
    look: Callable[[], Seen], holds: Callable[[Seen], bool], during: float
) -> tuple[Seen, int]:
    """Look at least three times over ``during`` seconds; stop at the first that does not hold.

    Returns:
        What was seen last, and how often was looked.
    """
    if during < 0:
        raise UsageError(f"during is {during!r}; expected seconds, 0 or more")
    started = time.monotonic()
    seen = look()
    looks = 1
    while holds(seen):
        over = time.monotonic() - started >= during
        if over and looks >= _PROBES:
            break
        rest = started + during * looks / (_PROBES - 1) - time.monotonic()
        if rest > 0:
            time.sleep(rest)  # the quiet between two looks of one fixed schedule
        seen = look()
        looks += 1
    return seen, looks
