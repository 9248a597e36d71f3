"""``multinet doctor``: what works here, and what to do about the rest."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from pytest_multinet.errors import BackendUnavailable
from pytest_multinet.session.backend import AUTO, choose, unusable_reason

_PROGRAMS = {
    "ip": "pod.exec(['ip', ...]) on embedded; Debian: iproute2",
    "ping": "pod.exec(['ping', ...]) on embedded; Debian: iputils-ping",
    "docker": "the kind backend; https://docs.docker.com/engine/install",
    "kind": "the kind backend; https://kind.sigs.k8s.io",
    "kubectl": "nothing here, but useful with a kept kind cluster",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was tried: whether it works, and what was seen or what to do."""

    name: str
    ok: bool
    detail: str


def doctor(arguments: argparse.Namespace) -> int:
    """Try everything; status 3 where no backend can run."""
    findings = list(_findings())
    usable = any(f.ok for f in findings if f.name == "auto")
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        width = max(len(f.name) for f in findings)
        for finding in findings:
            state = "ok     " if finding.ok else "missing"
            print(f"{finding.name:<{width}}  {state}  {finding.detail}".rstrip())
    return 0 if usable else 3


def _findings() -> Iterator[Finding]:
    for backend in AUTO:
        reason = unusable_reason(backend)
        yield Finding(f"backend {backend}", reason is None, reason or "can run here")
    try:
        choice = choose("auto")
        yield Finding("auto", True, f"picks {choice.backend}")
    except BackendUnavailable as error:
        yield Finding("auto", False, str(error).partition("\n")[0])
    for program, purpose in _PROGRAMS.items():
        path = shutil.which(program)
        yield Finding(f"program {program}", path is not None, path or f"needed for {purpose}")
