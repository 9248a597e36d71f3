"""``multinet doctor``: what works on this machine, tried for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_multinet.session.capabilities import CAPABILITIES, CONDITIONS
from pytest_multinet.session.settings import requirable

Multinet = Callable[..., "subprocess.CompletedProcess[str]"]


def _findings(found: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in json.loads(found.stdout)}


def test_doctor_tells_what_works(multinet: Multinet) -> None:
    found = multinet("doctor", "--json")
    findings = _findings(found)
    assert findings["backend embedded"]["ok"]
    assert findings["auto"]["detail"] == "picks embedded"
    assert found.returncode == 0
    for name in ("namespaces", "mounts", "veth", "macvlan", "packet", "tuning"):
        assert findings[name]["ok"], findings[name]  # else embedded could not run here
    names = [entry.name for entry in (*CONDITIONS, *CAPABILITIES)]
    assert list(findings)[3:] == names
    for finding in findings.values():
        assert finding["detail"]
        assert not (finding["ok"] and finding["to_do"])


def test_doctor_prints_a_line_for_each_and_what_to_do(
    multinet: Multinet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found = multinet("doctor", "veth", "kubectl")
    assert found.stdout.splitlines() == [
        "veth           ok       made one: veth",
        "kubectl        missing  not on PATH; needed for nothing here, but useful with a kept "
        "kind cluster",
        "                        to do: https://kubernetes.io/docs/tasks/tools",
    ]
    assert found.returncode == 3
    assert multinet("doctor", "veth").returncode == 0


def test_kernel_without_a_kind_of_link_is_told_by_the_kernel(multinet: Multinet) -> None:
    kinds = ("ipvlan", "vlan", "vxlan", "dummy", "bridge")
    findings = _findings(multinet("doctor", "--json", *kinds))
    for kind in kinds:
        finding = findings[kind]
        assert finding["ok"] or finding["detail"].startswith(f"create {kind} try-{kind}: ")
        assert finding["ok"] or "modprobe" in finding["to_do"]


def test_images_inside_containers_are_tried_for_real(
    multinet: Multinet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not _findings(multinet("doctor", "--json", "docker"))["docker"]["ok"]:
        pytest.skip("Docker does not answer here")
    listing = ["docker", "ps", "-aq", "--filter", "label=io.pytest-multinet=doctor"]
    finding = _findings(multinet("doctor", "--json", "nested-images"))["nested-images"]
    assert finding["ok"] or "not tried" in finding["detail"], finding
    assert subprocess.run(listing, capture_output=True, check=True).stdout == b""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    finding = _findings(multinet("doctor", "--json", "nested-images"))["nested-images"]
    assert (finding["ok"], "Docker is not running" in finding["detail"]) == (False, True)


def test_name_that_is_nothing_to_try_is_refused(multinet: Multinet) -> None:
    found = multinet("doctor", "netm")
    assert found.returncode == 2
    assert found.stderr.rstrip().endswith("did you mean netem?")


def test_everything_that_a_test_may_need_can_be_required() -> None:
    assert {entry.name for entry in CAPABILITIES} <= set(requirable())
    names = [entry.name for entry in (*CAPABILITIES, *CONDITIONS)]
    assert len(names) == len(set(names))


def test_every_finding_stands_in_the_docs() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "troubleshooting.md").read_text("utf-8")
    missing = [e.name for e in (*CAPABILITIES, *CONDITIONS) if f"`{e.name}`" not in page]
    assert missing == []


def test_setting_that_forbids_namespaces_is_named() -> None:
    doctor = "import sys; from pytest_multinet.cli import main; sys.exit(main(sys.argv[1:]))"
    forbid = 'echo 0 > /proc/sys/user/max_net_namespaces && exec "$0" -c "$@"'
    argv = ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, sys.executable]
    try:
        found = subprocess.run(
            [*argv, doctor, "doctor", "--json", "namespaces", "veth"],
            capture_output=True,
            text=True,
            timeout=30,
            env=dict(os.environ),
        )
    except FileNotFoundError:
        pytest.skip("needs the program unshare (util-linux)")
    assert found.returncode == 3, found.stderr
    for finding in _findings(found).values():
        assert "user.max_net_namespaces=10000" in finding["detail"]
