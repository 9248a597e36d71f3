"""A run tries what it should: enough of each plugin, a third of it wrong, and every field.

These tests look back at the run, so they stand last in their folder.
"""

from __future__ import annotations

import pytest

from tests.differential import test_plugins
from tests.differential.comparison import Trial
from tests.differential.tried import INVALID, LACKING, VALID, Tried

COMPARISONS = {name for name in vars(test_plugins) if name.startswith("test_")}


@pytest.fixture
def whole(tried: Tried) -> Tried:
    """What was tried, where all of it was."""
    missing = COMPARISONS - set(tried.outcomes)
    if missing:
        pytest.skip(f"not all comparisons ran here: {', '.join(sorted(missing))}")
    return tried


def test_enough_of_each_plugin_and_of_chains(whole):
    counts = {test: sum(outcomes.values()) for test, outcomes in whole.outcomes.items()}
    assert whole.total() >= 300, counts
    assert all(count >= 20 for count in counts.values()), counts
    assert counts["test_chains"] >= 30


def test_a_third_is_refused(whole):
    share = whole.total(INVALID) / (whole.total() - whole.total(LACKING))
    assert 1 / 3 <= share <= 2 / 3, whole.outcomes


def test_every_field_was_varied(whole):
    assert whole.never_varied() == []


def test_a_field_that_stays_the_same_is_found_out():
    tried = Tried()
    for outcome in (VALID, INVALID):
        tried.record("test", Trial([{"type": "macvlan", "mode": "bridge"}]), outcome)
    tried.record("test", Trial([{"type": "vrf", "vrfname": "red", "table": 7}]), VALID)
    tried.record("test", Trial([{"type": "vrf", "vrfname": "red"}]), VALID)
    assert {"macvlan.mode", "macvlan.mtu", "vrf.vrfname"} <= set(tried.never_varied())
    assert "vrf.table" not in tried.never_varied()


def test_what_another_process_tried_counts_as_well():
    one, other = Tried(), Tried()
    one.record("test", Trial([{"type": "vrf", "table": 7}]), VALID)
    other.record("test", Trial([{"type": "vrf", "table": 8}]), INVALID)
    one.merge(other.to_json())
    assert one.outcomes["test"] == {VALID: 1, INVALID: 1}
    assert "vrf.table" not in one.never_varied()
    assert any("table 1 + 1 / 2" in line for line in one.lines())
