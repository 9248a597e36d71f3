"""Runs that are ended at random moments; `make soak` ends more of them."""

from __future__ import annotations

import pytest

from .crash import kill_once


# Set-up, test and tear-down, killed, interrupted twice, and bereft of a node; creation is ended
# in test_lifecycle.py.
@pytest.mark.parametrize("seed", [3, 17, 22])
def test_what_an_ended_run_leaves_is_reaped(seed: int) -> None:
    kill = kill_once(seed)
    assert kill.left == (), f"{kill}\n{kill.said}"
