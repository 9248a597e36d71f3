"""The evidence of a failed test: a folder with what each stack involved looked like.

Interfaces, routes, neighbours and counters as JSON and as ``ip`` would print them, networks and
what Multus reported, logs and events, captures, the picture, and a README that says what to
look at first.  What looks like a credential is left out.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_multinet.assertions.failure import finding_of, mesh_of
from pytest_multinet.cluster.base import Cluster
from pytest_multinet.cluster.stack import NetworkStack, Pod
from pytest_multinet.diagnosis.finding import Finding
from pytest_multinet.report.topology import as_mermaid, as_text, draw
from pytest_multinet.report.topology_svg import as_svg

_MOST = 20  # stacks of one folder
_LEFT_OUT = re.compile(r"last-applied-configuration|secret|token|password|credential", re.I)
_SECRET = re.compile(
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
    r"|-----BEGIN [A-Z ]*(?:PRIVATE KEY|CERTIFICATE)-----.*?-----END [A-Z ]*-----"
    r"|(?i:(?:client-key-data|client-certificate-data|certificate-authority-data|bearer|password"
    r"|token|secret)[\"']?\s*[:=]\s*[\"']?)[^\s\"',}]{6,}",
    re.S,
)


def folder_name(node_id: str) -> str:
    """A test's id as the name of a folder."""
    name = re.sub(r"[^A-Za-z0-9_.=\-\[\]]+", "-", node_id.replace("::", "--")).strip("-.")
    return name[-150:]


def redact(text: str) -> str:
    """A text without what looks like a credential."""
    return _SECRET.sub("(left out)", text)


def leave(
    folder: Path,
    *,
    test: str,
    error: BaseException,
    clusters: Iterable[Cluster],
    captures: Sequence[Path] = (),
) -> Path:
    """Write the evidence of a failed test; what cannot be had is noted, never raised.

    Args:
        folder: of this test; one that an earlier run left is replaced.
        test: its id.
        error: what it failed with.
        clusters: those that it may have used.
        captures: files already in the folder.
    """
    if not captures and (folder / "README.md").is_file():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = _Folder(folder)
    finding = finding_of(error)
    files.text("failure.txt", f"{type(error).__name__}: {error}\n", "what the test failed with")
    mesh = mesh_of(error)
    if mesh is not None:
        from pytest_multinet.report.mesh_svg import mesh_svg

        files.text("mesh.txt", mesh.table() + "\n", "the truth table")
        files.text("mesh.svg", mesh_svg(mesh), "the truth table, as a picture")
    for cluster in clusters:
        _cluster(files, cluster, error, finding)
    for path in captures:
        files.note(path.name, "packets; open it with Wireshark or tcpdump -nr")
    (folder / "README.md").write_text(_readme(test, error, finding, files), encoding="utf-8")
    return folder


class _Folder:
    """The files of a folder, each with a word about it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: dict[str, str] = {}
        self.missing: list[str] = []

    def note(self, name: str, what: str) -> None:
        """Tell of a file that is there."""
        self.files[name] = what

    def text(self, name: str, text: str, what: str) -> None:
        """Write a file."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(redact(text), encoding="utf-8")
        self.files[name] = what

    def json(self, name: str, data: object, what: str) -> None:
        """Write a file."""
        self.text(name, json.dumps(data, indent=2, default=str) + "\n", what)

    def attempt(self, what: str, write: Callable[[], None]) -> None:
        """Write what may not be had any more."""
        try:
            write()
        except Exception as error:  # evidence must not hide the failure
            self.missing.append(f"{what}: {type(error).__name__}: {error}")


def _cluster(
    files: _Folder, cluster: Cluster, error: BaseException, finding: Finding | None
) -> None:
    stacks = _involved(cluster, str(error), finding)
    pods = [s for s in stacks if isinstance(s, Pod)]

    def picture() -> None:
        drawn = draw(cluster, finding, pods)
        files.text("topology.svg", as_svg(drawn), "the cluster as a picture")
        files.text("topology.mmd", as_mermaid(drawn), "the same as Mermaid")
        files.text("topology.txt", as_text(drawn) + "\n", "the same as text")

    def networks() -> None:
        found = {f"{d.namespace}/{d.name}": _parsed(d.config_text) for d in cluster.definitions}
        files.json("networks.json", found, "every NetworkAttachmentDefinition")

    def multus() -> None:
        states = [vars(state) for state in cluster.multus_states()]
        if states:
            files.json("multus.json", states, "how Multus stands on each node")

    files.attempt("the picture", picture)
    files.attempt("networks", networks)
    files.attempt("Multus", multus)
    for stack in stacks:
        files.attempt(stack.name, lambda stack=stack: _stack(files, stack))
    for pod in pods:
        files.attempt(f"pod {pod.name}", lambda pod=pod: _pod(files, pod))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _involved(cluster: Cluster, text: str, finding: Finding | None) -> list[NetworkStack]:
    """The stacks that the failure names, with the nodes of its pods; else all, within bounds."""
    pods = list(cluster.pods())
    names = set(finding.stacks) if finding is not None else set[str]()
    named = [p for p in pods if p.name in names or re.search(rf"\b{re.escape(p.name)}\b", text)]
    chosen = (named or pods)[:_MOST]
    nodes = {p.node.name for p in chosen} | {n.name for n in cluster.nodes if n.name in text}
    return [*chosen, *(n for n in cluster.nodes if n.name in nodes or not chosen)]


def _stack(files: _Folder, stack: NetworkStack) -> None:
    interfaces = stack.interfaces
    counters = stack.prober.counters()
    data = {
        "name": stack.name,
        "interfaces": [
            {name: getattr(i, name) for name in i.__slots__} | {"counters": counters.get(i.name)}
            for i in interfaces
        ],
        "routes": [str(r) for r in stack.routes],
        "neighbours": [
            {"address": n.address, "interface": n.interface, "mac": n.mac, "state": n.state}
            for n in stack.neighbours
        ],
    }
    files.json(f"stacks/{stack.name}.json", data, "its interfaces, routes, neighbours, counters")
    files.text(f"stacks/{stack.name}.txt", _ip_text(stack, counters), "the same as ip prints it")


def _ip_text(stack: NetworkStack, counters: Mapping[str, Mapping[str, int]]) -> str:
    lines = ["# ip -d -s address"]
    for i in stack.interfaces:
        flags = ",".join(i.flags)
        lines.append(f"{i.index}: {i.name}: <{flags}> mtu {i.mtu} state {i.state.upper()}")
        lines.append(f"    link/{i.type} {i.mode or ''} {i.mac}".rstrip())
        lines += [f"    inet{'6' if a.version == 6 else ''} {a}" for a in i.addresses]
        if held := counters.get(i.name):
            lines.append("    " + "  ".join(f"{key} {value}" for key, value in held.items()))
    lines += ["", "# ip route; ip -6 route", *map(str, stack.routes)]
    lines += ["", "# ip neighbour"]
    lines += [
        f"{n.address} dev {n.interface} {f'lladdr {n.mac} ' if n.mac else ''}{n.state.upper()}"
        for n in stack.neighbours
    ]
    return "\n".join(lines) + "\n"


def _pod(files: _Folder, pod: Pod) -> None:
    annotations = {k: v for k, v in pod.annotations.items() if not _LEFT_OUT.search(k)}
    data = {
        "name": pod.name,
        "namespace": pod.namespace,
        "node": pod.node.name,
        "annotations": {k: _parsed(v) for k, v in annotations.items()},
        "events": list(pod.events),
    }
    files.json(f"pods/{pod.name}.json", data, "annotation, network-status, events")
    if asked := pod.cni:
        files.json(f"pods/{pod.name}-cni.json", asked, "what the CNI plugins were asked and said")
    logs = pod.logs()
    if logs.strip():
        files.text(f"pods/{pod.name}.log", logs, "what its container wrote")


def _readme(test: str, error: BaseException, finding: Finding | None, files: _Folder) -> str:
    lines = [f"# {test}", "", "```", redact(str(error)), "```", "", "## Look at this first", ""]
    lines += [f"{n}. {step}" for n, step in enumerate(_steps(finding, files), 1)]
    lines += ["", "## Files", ""]
    lines += [f"- [{name}]({name}): {what}" for name, what in files.files.items()]
    if files.missing:
        lines += ["", "## What could not be had", ""]
        lines += [f"- {redact(text)}" for text in files.missing]
    return "\n".join(lines) + "\n"


def _steps(finding: Finding | None, files: _Folder) -> list[str]:
    steps: list[str] = []
    if finding is not None:
        steps.append(f"**{finding.layer}** broke ({finding.where}): {finding.cause}.")
        if finding.advice:
            steps.append(f"To do: {finding.advice}.")
        if finding.command:
            steps.append(f"To see it yourself: `{finding.command}`")
        steps += [
            f"[stacks/{name}.txt](stacks/{name}.txt): what {name} looked like"
            for name in finding.stacks
            if f"stacks/{name}.txt" in files.files
        ]
    if "mesh.svg" in files.files:
        steps.append("[mesh.svg](mesh.svg): which pairs differ (red frames)")
    if "topology.svg" in files.files:
        steps.append("[topology.svg](topology.svg): the cluster; what broke is red")
    captures = [name for name in files.files if name.endswith(".pcapng")]
    if captures:
        steps.append(f"[{captures[0]}]({captures[0]}) and its like: the packets of the test")
    return steps or ["[failure.txt](failure.txt)"]
