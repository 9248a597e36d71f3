"""The comparison is worth something: a plugin that does wrong is found out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from pytest_multinet.cni.native import (
    bridge,
    host_local,
    interface_setup,
    links,
    macvlan,
    ptp,
    static,
    tuning,
)
from pytest_multinet.errors import NetlinkError
from pytest_multinet.net import requests
from pytest_multinet.net.holder import Holder
from tests.differential.comparison import Trial, differences, outcomes

STATIC = {
    "type": "static",
    "addresses": [{"address": "10.1.1.101/24", "gateway": "10.1.1.1"}],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "0.0.0.0/0", "gw": "10.1.1.7"}],
}
HOST_LOCAL = {"type": "host-local", "ranges": [[{"subnet": "10.7.0.0/24"}]]}
BASE = {"type": "macvlan", "master": "eth1", "mode": "private", "ipam": STATIC}
TRIALS = [
    Trial([BASE]),
    Trial([{**BASE, "mtu": 9000}]),
    Trial([{**BASE, "mac": "01:00:5e:00:00:01"}]),
    Trial([{"type": "bridge", "isGateway": True, "ipam": HOST_LOCAL}]),
    Trial([{"type": "ptp", "ipam": HOST_LOCAL}]),
    Trial([{"type": "loopback"}, {"type": "tuning", "mtu": 1400}], ifname="lo"),
    Trial([BASE, {"type": "tuning", "mtu": 1400, "mac": "02:00:00:00:00:07"}]),
]


@pytest.fixture(scope="module")
def real(holder: Holder, plugins_version: str) -> list[dict[str, Any]]:
    """What the real plugins do."""
    if not plugins_version.startswith("1.5"):
        pytest.skip(f"the real plugins are {plugins_version}; ours follow 1.5.1")
    return [outcomes(holder, trial, real=True) for trial in TRIALS]


def found_out(holder: Holder, real: list[dict[str, Any]]) -> list[str]:
    return [
        difference
        for trial, seen in zip(TRIALS, real, strict=True)
        for difference in differences(outcomes(holder, trial, real=False), seen)
    ]


def test_right_behaviour_is_not_found_wrong(holder, real):
    assert found_out(holder, real) == []


def wrong_mode(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(requests.MACVLAN_MODES, "private", requests.MACVLAN_MODES["bridge"])


def no_announcement(patch: pytest.MonkeyPatch) -> None:
    right = interface_setup.configure
    patch.setattr(
        interface_setup, "configure", lambda *a, **k: right(*a, **{**k, "arp_notify": False})
    )


def announced_too_early(patch: pytest.MonkeyPatch) -> None:
    """Up before there are addresses: all looks the same, and nobody has been told."""
    right = interface_setup.configure

    def wrong(namespace: Any, ifname: str, index: int, *args: Any, **kwargs: Any) -> None:
        namespace.rtnl.execute(requests.set_link(index, up=True))
        right(namespace, ifname, index, *args, **kwargs)

    patch.setattr(interface_setup, "configure", wrong)


def routes_behind_their_equals(patch: pytest.MonkeyPatch) -> None:
    right = requests.route

    def wrong(*args: Any, prepend: bool = False, **kwargs: Any) -> Any:
        return right(*args, append=prepend, **kwargs)

    patch.setattr(requests, "route", wrong)


def no_mtu_check(patch: pytest.MonkeyPatch) -> None:
    right = links.need
    patch.setattr(links, "need", lambda *a, **k: replace(right(*a, **k), mtu=65535))


def subnet_stays_on_the_link(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ptp, "_by_the_gateway", lambda index, ips: [])


def no_gateway_on_the_bridge(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(bridge.Bridge, "_become_gateway", lambda self, call, result, link: result)


def nothing_given_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tuning.Tuning, "delete", lambda self, call: None)


def another_default_gateway(patch: pytest.MonkeyPatch) -> None:
    right = host_local._range
    patch.setattr(
        host_local, "_range", lambda item: replace(right(item), gateway=ip_address("10.7.0.9"))
    )


def another_error_text(patch: pytest.MonkeyPatch) -> None:
    from pytest_multinet.cni.native import upper_link

    def wrong(error: NetlinkError) -> str:
        return error.strerror.upper()

    patch.setattr(upper_link, "words", wrong)


def the_link_stays(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(macvlan, "delete_interface", lambda call: None)


def another_queue_length(patch: pytest.MonkeyPatch) -> None:
    right = requests.macvlan
    patch.setattr(requests, "macvlan", lambda *a, **k: right(*a, **{**k, "queue_length": 1000}))


def no_gateway_in_the_result(patch: pytest.MonkeyPatch) -> None:
    right = static.Static._addresses
    patch.setattr(
        static.Static,
        "_addresses",
        lambda self, call, written: [(a, None) for a, _ in right(self, call, written)],
    )


@pytest.mark.parametrize(
    "wrong",
    [
        wrong_mode,
        no_announcement,
        announced_too_early,
        routes_behind_their_equals,
        no_mtu_check,
        subnet_stays_on_the_link,
        no_gateway_on_the_bridge,
        nothing_given_back,
        another_default_gateway,
        another_error_text,
        the_link_stays,
        another_queue_length,
        no_gateway_in_the_result,
    ],
)
def test_wrong_behaviour_is_found_out(
    holder: Holder,
    real: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    wrong: Callable[[pytest.MonkeyPatch], None],
) -> None:
    wrong(monkeypatch)
    assert found_out(holder, real)
