"""What a run has tried: which fields of which plugins, with how many values, with what outcome.

The fields are those of the tables of the plugins' documentation that the native plugins follow.
What only the real plugins do (docs/parity.md) is not among them.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.differential.comparison import Trial

FIELDS = {
    "macvlan": "master mode mtu mac linkInContainer ipam dns",
    "bridge": "bridge isGateway isDefaultGateway forceAddress ipMasq mtu hairpinMode promiscMode "
    "vlan vlanTrunk enabledad disableContainerInterface ipam dns",
    "ptp": "mtu ipMasq ipam dns",
    "loopback": "dns",
    "host-device": "device hwaddr kernelpath ipam dns",
    "ipvlan": "master mode mtu ipam dns",
    "vlan": "master vlanId mtu ipam",
    "dummy": "ipam",
    "tap": "multiQueue mtu mac owner group bridge ipam dns",
    "tuning": "sysctl mac mtu promisc allmulti txQLen dataDir args",
    "bandwidth": "ingressRate ingressBurst egressRate egressBurst shapedSubnets unshapedSubnets",
    "portmap": "snat markMasqBit externalSetMarkChain",
    "vrf": "vrfname table",
    "static": "addresses routes dns",
    "host-local": "ranges subnet rangeStart rangeEnd gateway routes resolvConf dataDir",
    "CNI_ARGS": "IgnoreUnknown MAC IP GATEWAY",
    "runtimeConfig": "mac ips ipRanges bandwidth",
    "args.cni": "ips mac",
    "network": "cniVersion ifname",
}
VALID, INVALID, LACKING = "valid", "invalid", "lacking"


@dataclass
class Tried:
    """All trials of a run.

    Attributes:
        outcomes: of the trials, by test.
        seen: outcomes of the trials that had a field, by table and field.
        values: what each field was, as JSON; ``""``: it was absent.
    """

    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    seen: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    values: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    def record(self, test: str, trial: Trial, outcome: str) -> None:
        """One trial."""
        self.outcomes[test][outcome] += 1
        for table, given in _objects(trial):
            for name in FIELDS.get(table, "").split():
                there = name in given
                text = json.dumps(given[name], sort_keys=True) if there else ""
                self.values[table, name].add(text)
                if there:
                    self.seen[table, name][outcome] += 1

    def total(self, *outcomes: str) -> int:
        """Number of trials with one of these outcomes, without any: of all."""
        counts = sum(self.outcomes.values(), Counter[str]())
        return sum(counts[outcome] for outcome in outcomes or counts)

    def never_varied(self) -> list[str]:
        """Fields that were absent, or one and the same, in all trials."""
        return [
            f"{table}.{name}"
            for table, names in FIELDS.items()
            for name in names.split()
            if len(self.values.get((table, name), ())) < 2
        ]

    def lines(self) -> Iterator[str]:
        """The report: for each field, in how many accepted and refused trials it was given."""
        told = f"{self.total()} configurations, {self.total(INVALID)} of them refused"
        if self.total(LACKING):
            told += f", {self.total(LACKING)} beyond this kernel"
        yield f"{told}; each field with accepted + refused configurations / different values:"
        for table, names in FIELDS.items():
            shown = ", ".join(self._field(table, name) for name in names.split())
            yield f"  {table:14} {shown}"

    def _field(self, table: str, name: str) -> str:
        counts = self.seen.get((table, name), Counter())
        values = len(self.values.get((table, name), ()))
        return f"{name} {counts[VALID]} + {counts[INVALID]} / {values}"

    def to_json(self) -> Any:
        """What :meth:`merge` takes, of plain JSON types."""
        return [
            [[test, dict(counts)] for test, counts in self.outcomes.items()],
            [[*key, dict(counts)] for key, counts in self.seen.items()],
            [[*key, sorted(values)] for key, values in self.values.items()],
        ]

    def merge(self, data: Any) -> None:
        """Add the trials of another process."""
        outcomes, seen, values = data
        for test, counts in outcomes:
            self.outcomes[test].update(counts)
        for table, name, counts in seen:
            self.seen[table, name].update(counts)
        for table, name, found in values:
            self.values[table, name].update(found)


def outcome_of(ours: Mapping[str, Any], real: Mapping[str, Any]) -> str:
    """Whether a trial's ADD was accepted, or refused, or is beyond this kernel."""
    if "needs" in (ours.get("ADD") or {}):
        return LACKING
    refused = "refused" in real or "msg" in (real.get("ADD") or {})
    return INVALID if refused else VALID


def _objects(trial: Trial) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of a trial, each with the name of its table."""
    for plugin in trial.plugins:
        yield plugin["type"], plugin
        ipam = plugin.get("ipam")
        if isinstance(ipam, dict):
            yield ipam.get("type", ""), ipam
        args = plugin.get("args")
        cni = args.get("cni") if isinstance(args, dict) else None
        yield "args.cni", cni if isinstance(cni, dict) else {}
    yield "CNI_ARGS", trial.args
    yield "runtimeConfig", trial.runtime_config
    yield "network", {"cniVersion": trial.version, "ifname": trial.ifname}
