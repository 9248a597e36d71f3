"""Native plugins against the reference plugins, configuration by configuration.

Known differences, each with its reason, are rows of docs/parity.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_multinet.errors import CniError
from pytest_multinet.net.holder import Holder
from tests.cni_site import Site
from tests.differential.comparison import (
    Trial,
    as_older_plugins_know,
    differences,
    outcomes,
    without_crashes,
    without_races,
    without_what_changed,
    without_what_the_kernel_lacks,
)
from tests.differential.configurations import (
    VETH_BASE,
    bandwidth_trials,
    bridge_trials,
    chain_trials,
    dummy_trials,
    host_device_trials,
    host_local_trials,
    ipvlan_trials,
    loopback_trials,
    macvlan_trials,
    ptp_trials,
    sbr_trials,
    static_trials,
    tap_trials,
    tuning_trials,
    vlan_trials,
    vrf_trials,
)
from tests.differential.tried import INVALID, VALID, Tried, outcome_of

LIMITS = {
    "type": "bandwidth",
    "ingressRate": 8_000_000,
    "ingressBurst": 80_000,
    "egressRate": 64_000,
    "egressBurst": 8_000,
}
profile = settings.get_profile("differential")
# Many examples make a long list of allocations, and hypothesis minds its text.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


def examples(number: int) -> Callable[[Any], Any]:
    """That many configurations; ``MULTINET_DIFFERENTIAL_EXAMPLES`` asks for another number."""
    wanted = int(os.environ.get("MULTINET_DIFFERENTIAL_EXAMPLES", number))
    return settings(profile, max_examples=wanted)


@pytest.fixture
def same(
    holder: Holder, plugins_version: str, tried: Tried, request: pytest.FixtureRequest
) -> Callable[[Trial], None]:
    """Tries a trial on both and compares."""
    older = not plugins_version.startswith("1.5")

    def compare(trial: Trial) -> None:
        if older:
            trial = as_older_plugins_know(trial)
        ours = outcomes(holder, trial, real=False)
        real = outcomes(holder, trial, real=True)
        tried.record(request.function.__name__, trial, outcome_of(ours, real))
        if older:
            ours, real = without_what_changed(ours, trial), without_what_changed(real, trial)
        ours, real = without_races(*without_what_the_kernel_lacks(ours, real))
        ours, real = without_crashes(ours, real)
        assert not differences(ours, real), trial

    return compare


@pytest.fixture(scope="module")
def since_1_5(plugins_version: str) -> None:
    """For what changed too much, or came, with plugins 1.5."""
    if not plugins_version.startswith("1.5"):
        pytest.skip(f"the real plugins are {plugins_version}, not 1.5")


@examples(25)
@given(trial=macvlan_trials)
def test_macvlan(same, trial):
    same(trial)


# Beside the generated ones stand examples of fields that a short run may miss.
@examples(25)
@example(trial=Trial([{"type": "bridge", "disableContainerInterface": True}]))
@example(trial=Trial([{"type": "bridge", "vlanTrunk": [{"minID": 7}]}]))
@given(trial=bridge_trials)
def test_bridge(same, trial):
    same(trial)


@examples(25)
@given(trial=ptp_trials)
def test_ptp(same, trial):
    same(trial)


@examples(20)
@given(trial=loopback_trials)
def test_loopback(same, trial):
    same(trial)


@examples(25)
@given(trial=static_trials)
def test_static(same, trial):
    same(trial)


@examples(25)
@given(trial=tuning_trials)
def test_tuning(same, trial):
    same(trial)


@examples(20)
@example(trial=Trial([{"type": "host-device", "kernelpath": "/etc/net"}]))
@given(trial=host_device_trials)
def test_host_device(same, since_1_5, trial):
    same(trial)


@examples(20)
@given(trial=ipvlan_trials)
def test_ipvlan(same, trial):
    same(trial)


@examples(20)
@given(trial=vlan_trials)
def test_vlan(same, trial):
    same(trial)


@examples(20)
@given(trial=dummy_trials)
def test_dummy(same, since_1_5, trial):
    same(trial)


@examples(20)
@given(trial=sbr_trials)
def test_sbr(same, since_1_5, trial):
    same(trial)


@examples(20)
@example(trial=Trial([{"type": "tap", "bridge": "lo"}]))
@given(trial=tap_trials)
def test_tap(same, since_1_5, trial):
    same(trial)


@examples(20)
@example(trial=Trial([VETH_BASE, {**LIMITS, "shapedSubnets": ["10.2.3.4/14", "fd00::/44"]}]))
@example(trial=Trial([VETH_BASE, {**LIMITS, "unshapedSubnets": ["10.2.3.4"]}]))
@given(trial=bandwidth_trials)
def test_bandwidth(same, since_1_5, trial):
    same(trial)


@examples(20)
@given(trial=vrf_trials)
def test_vrf(same, trial):
    same(trial)


@examples(35)
@example(trial=Trial([{"type": "loopback"}, {"type": "portmap", "externalSetMarkChain": "MARK"}]))
@given(trial=chain_trials)
def test_chains(same, trial):
    same(trial)


@examples(20)
@given(
    trial=host_local_trials,
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "add", "delete", "check"]), st.integers(0, 3)),
        min_size=1,
        max_size=8,
    ),
)
def test_host_local_gives_and_takes_back_the_same_addresses(holder, tried, request, trial, steps):
    seen = []
    for real in (False, True):
        site = Site(holder, real=real)
        try:
            seen.append([_step(site, trial, verb, pod) for verb, pod in [("add", 0), *steps]])
        finally:
            site.close()
    outcome = VALID if isinstance(seen[1][0], dict) else INVALID
    tried.record(request.function.__name__, trial, outcome)
    assert seen[0] == seen[1]


def _step(site: Site, trial: Trial, verb: str, pod: int) -> Any:
    site.sandbox.container_id = f"pod{pod}"
    try:
        result = getattr(site.runtime, verb)(
            trial.network(),
            site.sandbox,
            trial.ifname,
            args=trial.args,
            runtime_config=trial.runtime_config,
        )
    except CniError as error:
        return error.code, sorted(error.msg.split()), error.details
    return result and result.to_dict("1.0.0")
