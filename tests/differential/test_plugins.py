"""Native plugins against the reference plugins, configuration by configuration."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings

from pytest_multinet.net.holder import Holder
from tests.differential.comparison import Trial, outcomes
from tests.differential.configurations import (
    alone,
    bridges,
    loopbacks,
    macvlans,
    ptps,
    trials,
)

profile = settings.get_profile("differential")


def examples(number: int) -> Callable[[Any], Any]:
    """That many configurations; ``MULTINET_DIFFERENTIAL_EXAMPLES`` asks for another number."""
    wanted = int(os.environ.get("MULTINET_DIFFERENTIAL_EXAMPLES", number))
    return settings(profile, max_examples=wanted)


def same(holder: Holder, trial: Trial) -> None:
    ours = outcomes(holder, trial, real=False)
    real = outcomes(holder, trial, real=True)
    for stage in real:
        assert (stage, ours.get(stage)) == (stage, real[stage])
    assert ours.keys() == real.keys()


@examples(20)
@given(
    trial=trials(
        alone(macvlans),
        "interface taken",
        "no default route",
        "passthru macvlan on eth1",
        "MAC in use on eth1",
    )
)
def test_macvlan(holder, trial):
    same(holder, trial)


@examples(20)
@given(trial=trials(alone(bridges), "interface taken", "bridge with an address"))
def test_bridge(holder, trial):
    same(holder, trial)


@examples(20)
@given(trial=trials(alone(ptps), "interface taken"))
def test_ptp(holder, trial):
    same(holder, trial)


@examples(20)
@given(trial=trials(alone(loopbacks), "address on lo"))
def test_loopback(holder, trial):
    same(holder, trial)
