"""One configuration tried on two like sites: ours on one, the real plugins on the other."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

from pytest_multinet.cni.result import Result
from pytest_multinet.errors import CniError, ManifestError, NeedsCapability
from pytest_multinet.model.nad import NetworkConfList, parse_network_config
from pytest_multinet.net import requests
from pytest_multinet.net.holder import Holder
from tests.cni_site import Site, neutral

TAKEN_MAC = "02:00:00:00:00:aa"


@dataclass
class Trial:
    """What is tried: a list of plugins, and what the runtime and the node add to it."""

    plugins: list[dict[str, Any]]
    version: str = "1.0.0"
    ifname: str = "net1"
    args: dict[str, str] = field(default_factory=dict)
    runtime_config: dict[str, Any] = field(default_factory=dict)
    prepared: str = ""

    def network(self) -> NetworkConfList:
        return parse_network_config(
            {"cniVersion": self.version, "name": "net", "plugins": self.plugins}
        )


def as_older_plugins_know(trial: Trial) -> Trial:
    """The trial without what plugins before 1.5 do not know (see docs/parity.md)."""
    plugins: list[dict[str, Any]] = []
    for plugin in trial.plugins:
        unknown = {
            "tuning": {"args", "txQLen"},
            "bridge": {"vlanTrunk", "vlan", "disableContainerInterface"},
        }
        dropped = unknown.get(plugin["type"], set())
        plugins.append({key: value for key, value in plugin.items() if key not in dropped})
    ifname = trial.ifname.replace(".", "-")  # tuning took its dots for slashes
    return replace(trial, plugins=plugins, ifname=ifname)


def without_what_changed(seen: dict[str, Any], trial: Trial) -> dict[str, Any]:
    """Outcomes without what became different by plugins 1.5 (see docs/parity.md)."""
    text = json.dumps(seen)
    text = re.sub(r'"ipv6/conf/{}/ndisc_notify": "[01]"', '"ndisc_notify": "?"', text)
    text = text.replace("Required prevResult", "required prevResult")
    taken = r"container veth name (provided \([^)]*\)|\([^)]*\) peer provided \([^)]*\))"
    text = re.sub(taken, "container veth name", text)
    text = re.sub(r'"dns": \{[^}]*\}', '"dns": {}', text)
    found: dict[str, Any] = json.loads(text)
    found.get("ADD", {}).pop("dns", None)
    if found.get("ADD", {}).get("plugin") == "macvlan":  # its DEL looked the master up too
        for when in ("DEL", "after DEL", "second DEL"):
            found.pop(when, None)
    if "IFNAME" in json.dumps(trial.plugins):
        found.pop("CHECK", None)
    return found


def outcomes(holder: Holder, trial: Trial, *, real: bool) -> dict[str, Any]:
    """Everything that can be seen of ADD, CHECK, DEL and a second DEL."""
    site = Site(holder, real=real)
    try:
        prepare(site, trial)
        return _outcomes(site, trial)
    finally:
        site.close()


def _outcomes(site: Site, trial: Trial) -> dict[str, Any]:
    try:
        network = trial.network()
    except ManifestError as error:  # refused before any plugin is called
        return {"refused": error.message}

    def call(verb: str) -> Any:
        try:
            result = getattr(site.runtime, verb)(
                network,
                site.sandbox,
                trial.ifname,
                args=trial.args,
                runtime_config=trial.runtime_config,
            )
        except CniError as error:
            return _told(error, site)
        except NeedsCapability as error:
            return {"needs": error.capability}
        return _shown(result, site) if isinstance(result, Result) else result

    with site.announcements() as heard:
        seen: dict[str, Any] = {"ADD": call("add")}
    seen |= {"announced by ADD": heard, "after ADD": site.picture()}
    if trial.version not in ("0.1.0", "0.2.0", "0.3.0", "0.3.1"):
        seen["CHECK"] = call("check")
    seen["DEL"] = call("delete")
    seen["after DEL"] = site.picture()
    seen["second DEL"] = call("delete")
    return seen


def _told(error: CniError, site: Site) -> dict[str, Any]:
    details = error.details
    return {
        "plugin": error.plugin,
        "code": error.code,
        "msg": _without_macs(neutral(error.msg), site),
        "details": _without_macs(neutral(details), site),
    }


def _shown(result: Result, site: Site) -> Any:
    return json.loads(_without_macs(neutral(json.dumps(result.to_dict("1.0.0"))), site))


def _without_macs(text: str, site: Site) -> str:
    for mac, name in site.mac_names().items():
        text = text.replace(mac, name)
    return text


# --- what is there already ------------------------------------------------------------------


def prepare(site: Site, trial: Trial) -> None:
    """Put the site into the state that the trial asks for."""
    node, pod = site.namespace, site.pod
    if trial.prepared == "interface taken":
        pod.rtnl.execute(requests.veth(trial.ifname, "other"))
    elif trial.prepared == "no default route":
        node.rtnl.execute(
            requests.route((ip_address("0.0.0.0"), 0), index=site.index("eth1"), delete=True)
        )
    elif trial.prepared == "passthru macvlan on eth1":
        node.rtnl.execute(requests.macvlan("mv0", site.index("eth1"), mode="passthru"))
    elif trial.prepared == "MAC in use on eth1":
        node.rtnl.execute(requests.macvlan("mv0", site.index("eth1"), mac=TAKEN_MAC))
        node.rtnl.execute(requests.set_link(site.index("mv0"), up=True))
    elif trial.prepared == "bridge with an address":
        node.rtnl.execute(requests.bridge("br0", mac="02:bb:00:00:00:01"))
        index = site.index("br0")
        node.rtnl.execute(requests.address(index, ip_address("10.9.9.1"), 24))
    elif trial.prepared == "address on lo":
        pod.rtnl.execute(requests.address(1, ip_address("10.9.9.1"), 24))
    else:
        assert not trial.prepared, trial.prepared


def without_what_the_kernel_lacks(
    ours: dict[str, Any], real: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Where the kernel lacks something, ours says so and the real plugin passes its refusal on."""
    if "needs" in ours.get("ADD", {}):
        refusals = ("operation not supported", "no such file or directory")
        assert real["ADD"]["msg"].endswith(refusals), (ours, real)
        return {**ours, "ADD": None}, {**real, "ADD": None}
    return ours, real


def without_races(
    ours: dict[str, Any], real: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Without where the real ptp fails for an IPv6 address without gateway (docs/parity.md)."""
    seen = str(real.get("ADD", ""))
    if "msg" in seen and ("net.IP(nil)" in seen or "Dst: <nil>" in seen):
        assert "msg" in ours["ADD"], ours
        dropped = {"ADD": None, "after ADD": None}
        return {**ours, **dropped}, {**real, **dropped}
    return ours, real


def without_crashes(
    ours: dict[str, Any], real: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Without a CHECK in which the real plugin crashes (docs/parity.md: bandwidth)."""
    check = real.get("CHECK")
    if isinstance(check, dict) and "panic: runtime error" in check["msg"]:
        return {**ours, "CHECK": None}, {**real, "CHECK": None}
    return ours, real


def differences(ours: Any, real: Any, where: str = "") -> list[str]:
    """What differs, each with its place."""
    if isinstance(ours, dict) and isinstance(real, dict):
        keys = [*real, *(key for key in ours if key not in real)]
        return [
            found
            for key in keys
            for found in differences(ours.get(key), real.get(key), f"{where}/{key}")
        ]
    return [] if ours == real else [f"{where}: ours {ours!r}, real {real!r}"]
