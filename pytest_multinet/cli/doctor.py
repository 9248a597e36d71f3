"""``multinet doctor``: what works here, and what to do about the rest."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from pytest_multinet.cli.colour import Colours
from pytest_multinet.errors import BackendUnavailable
from pytest_multinet.session.backend import AUTO, choose, unusable_reason
from pytest_multinet.session.capabilities import (
    CAPABILITIES,
    CONDITIONS,
    Finding,
    chosen,
    examine,
)

_WIDTH = max(len(entry.name) for entry in (*CAPABILITIES, *CONDITIONS))


def doctor(arguments: argparse.Namespace) -> int:
    """Try everything, or what was named.

    Returns:
        3 where no backend can run, or where something that was named does not work.
    """
    if arguments.names:
        findings = list(examine(chosen(arguments.names)))
        usable = all(finding.ok for finding in findings)
    else:
        findings = [*_backends(), *examine((*CONDITIONS, *CAPABILITIES))]
        usable = any(finding.ok for finding in findings if finding.name == "auto")
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _show(findings)
    return 0 if usable else 3


def _backends() -> Iterator[Finding]:
    for backend in AUTO:
        reason = unusable_reason(backend)
        yield Finding(f"backend {backend}", reason is None, reason or "can run here")
    try:
        choice = choose("auto")
        yield Finding("auto", True, f"picks {choice.backend}")
    except BackendUnavailable as error:
        yield Finding("auto", False, str(error).partition("\n")[0])


def _show(findings: Iterable[Finding]) -> None:
    findings = list(findings)
    width = max(_WIDTH, *(len(finding.name) for finding in findings))
    colours = Colours(sys.stdout)
    for finding in findings:
        state = colours.good("ok     ") if finding.ok else colours.weak("missing")
        print(f"{finding.name:<{width}}  {state}  {finding.detail}".rstrip())
        if finding.to_do:
            print(f"{'':<{width}}           to do: {finding.to_do}")
