"""Multus on a real cluster: its manifests, and what makes it usable on a node.

A Multus pod that is Ready does not mean a usable Multus; six points do, and each has a name here.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from pytest_multinet.errors import MultusError, UsageError
from pytest_multinet.model.manifest import Document, load_documents
from pytest_multinet.model.nested import items, mapping

VERSION = "4.1.0"
NAMESPACE = "kube-system"
CRD = "network-attachment-definitions.k8s.cni.cncf.io"
CONFIGURATIONS = "/etc/cni/net.d"
PLUGINS = "/opt/cni/bin"
SOCKET = "/run/multus/multus.sock"

PRIMARY = "primary configuration"
FIRST = "Multus is first and names the primary"
EXECUTABLE = "plugins executable"
DAEMON = "daemon answers"
ESTABLISHED = "CRD established"
CANARY = "canary pod attached"
POINTS = (PRIMARY, FIRST, EXECUTABLE, DAEMON, ESTABLISHED, CANARY)

_DAEMON_CONFIG = "daemon-config.json"
_MULTUS_FILE = re.compile(r"00-multus.*\.conf(list)?")
_CONFIGURATION = re.compile(r".*\.(conf|conflist|json)")


class NodeFiles(Protocol):
    """What is asked of a node.

    Attributes:
        name: its name.
    """

    name: str

    def listing(self, folder: str) -> Mapping[str, bool]:
        """Files of a folder, and whether each is executable; empty where there is no folder."""
        ...

    def read(self, path: str) -> str | None:
        """A file's text, ``None`` where it does not exist."""
        ...

    def answers(self, socket_path: str) -> str | None:
        """``None`` when the HTTP server on a Unix socket answers, else why not."""
        ...


@dataclass(frozen=True, slots=True)
class Point:
    """One readiness point on one node (``""``: of the cluster): what was seen."""

    node: str
    point: str
    ok: bool
    detail: str = ""


def manifest(mode: Literal["thick", "thin"], given: Path | None = None) -> list[Document]:
    """Our manifest of Multus, or the user's.

    Raises:
        UsageError: the user's file cannot be read, or has no DaemonSet.
    """
    if given is None:
        file = resources.files("pytest_multinet.multus") / "manifests" / f"{mode}.yaml"
        return load_documents(file.read_text(encoding="utf-8"), name=f"multus/{mode}.yaml")
    try:
        documents = load_documents(given.read_text(encoding="utf-8"), name=str(given))
    except OSError as error:
        raise UsageError(f"cannot read the Multus manifest {given}: {error.strerror}") from None
    if not any(d.kind == "DaemonSet" for d in documents):
        raise UsageError(f"the Multus manifest {given} has no DaemonSet")
    return documents


def with_isolation(
    documents: Iterable[Document], global_namespaces: Sequence[str]
) -> list[Document]:
    """Our manifest with ``namespaceIsolation``.

    Thick: in the daemon's configuration, which it merges into each request's; thin: as arguments
    of the entry point.
    """
    shared = ",".join(global_namespaces)
    changed = copy.deepcopy(list(documents))
    for document in changed:
        settings = mapping(document.data, "data")
        if document.kind == "ConfigMap" and _DAEMON_CONFIG in settings:
            daemon = json.loads(settings[_DAEMON_CONFIG])
            daemon |= {"namespaceIsolation": True, "globalNamespaces": shared}
            settings[_DAEMON_CONFIG] = json.dumps(daemon, indent=2)
        elif document.kind == "DaemonSet":
            for container in document.data["spec"]["template"]["spec"]["containers"]:
                if "/thin_entrypoint" in container["command"]:
                    isolated = ["--namespace-isolation=true", f"--global-namespaces={shared}"]
                    container["args"] = [*container["args"], *isolated]
    return changed


def in_order(documents: Iterable[Document]) -> list[Document]:
    """Definitions and namespaces first, workloads last, else as they stand."""
    ranks = {"CustomResourceDefinition": 0, "Namespace": 0, "DaemonSet": 2, "Deployment": 2}
    return sorted(documents, key=lambda d: ranks.get(d.kind, 1))


def with_service_address(documents: Iterable[Document], address: str) -> list[Document]:
    """The thin manifest for a cluster whose API service has ``address``.

    The thin entry point always writes ``https://[<address>]:443`` into Multus' kubeconfig.
    Brackets around an IPv4 address are no valid URL (newer Go refuses it), around its IPv6 form
    they are, and it is dialled and verified as the IPv4 address that it stands for.
    """
    if ip_address(address).version == 6:
        return list(documents)
    changed = copy.deepcopy(list(documents))
    for document in changed:
        if document.kind == "DaemonSet":
            for container in document.data["spec"]["template"]["spec"]["containers"]:
                variable = {"name": "KUBERNETES_SERVICE_HOST", "value": f"::ffff:{address}"}
                container["env"] = [*container.get("env", []), variable]
    return changed


def find_daemon_set(found: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The DaemonSet of Multus among all DaemonSets, by image or label."""
    for item in found:
        containers = item["spec"]["template"]["spec"]["containers"]
        labels = mapping(item, "metadata", "labels")
        named = labels.get("name") == "multus" or labels.get("app") == "multus"
        if named or any("multus-cni" in c.get("image", "") for c in containers):
            return item
    return None


def version_of(daemon_set: Mapping[str, Any]) -> tuple[str, str]:
    """(version, ``thick`` or ``thin``) as the DaemonSet's image and command tell."""
    container: Mapping[str, Any] = daemon_set["spec"]["template"]["spec"]["containers"][0]
    image = str(container.get("image", ""))
    tag = image.rpartition(":")[2] if ":" in image.rpartition("/")[2] else ""
    words = " ".join([tag, *(container.get("command") or ()), *(container.get("args") or ())])
    thick = "thick" in words or "multus-daemon" in words
    number = re.search(r"\d+(\.\d+)+", tag)
    return (number.group(0) if number else tag or "unknown"), ("thick" if thick else "thin")


def check_node(node: NodeFiles, mode: str, plugins: Iterable[str]) -> list[Point]:
    """The points that stand in a node's files: primary, first, executable, daemon.

    Args:
        node: the node.
        mode: ``thick`` or ``thin``.
        plugins: the plugin types that must be there.
    """
    files = sorted(n for n in node.listing(CONFIGURATIONS) if _CONFIGURATION.fullmatch(n))
    primaries = [n for n in files if not _MULTUS_FILE.fullmatch(n)]
    primary = primaries[0] if primaries else ""
    points = [
        Point(
            node.name,
            PRIMARY,
            bool(primary),
            primary
            or f"no CNI configuration in {CONFIGURATIONS} but Multus' own: is there a "
            "default network (disableDefaultCNI without an own one)?",
        ),
        _first(node, files, primary),
        _executable(node, mode, plugins),
    ]
    if mode == "thick":
        why = node.answers(SOCKET)
        points.append(Point(node.name, DAEMON, why is None, why or SOCKET))
    return points


def _first(node: NodeFiles, files: Sequence[str], primary: str) -> Point:
    first = files[0] if files else ""
    if not _MULTUS_FILE.fullmatch(first):
        seen = f"the first file of {CONFIGURATIONS} is {first or 'absent'}, not 00-multus.conf"
        return Point(node.name, FIRST, ok=False, detail=seen)
    text = node.read(f"{CONFIGURATIONS}/{first}") or ""
    try:
        data = cast("dict[str, Any]", json.loads(text))
    except ValueError:
        return Point(
            node.name, FIRST, ok=False, detail=f"{first} is not JSON (yet): {text[:60]!r}"
        )
    if not primary or not _names_primary(node, data, primary):
        return Point(
            node.name, FIRST, ok=False, detail=f"{first} does not name {primary or 'one'}"
        )
    return Point(node.name, FIRST, ok=True, detail=f"{first} -> {primary}")


def _names_primary(node: NodeFiles, multus: Mapping[str, Any], primary: str) -> bool:
    named = str(multus.get("clusterNetwork") or "")
    if named.rpartition("/")[2] == primary:
        return True
    # The thin entry point writes the primary's configuration in, as the only delegate.
    delegates = items(multus, "delegates")
    name = _name_in(node.read(f"{CONFIGURATIONS}/{primary}") or "")
    return bool(name) and (named == name or any(d.get("name") == name for d in delegates))


def _name_in(text: str) -> str:
    try:
        return str(json.loads(text).get("name") or "")
    except (ValueError, AttributeError):
        return ""


def _executable(node: NodeFiles, mode: str, plugins: Iterable[str]) -> Point:
    there = node.listing(PLUGINS)
    wanted = ["multus-shim" if mode == "thick" else "multus", *sorted(set(plugins))]
    bad = [p for p in wanted if not there.get(p)]
    if bad:
        return Point(node.name, EXECUTABLE, ok=False, detail=f"not in {PLUGINS}: {', '.join(bad)}")
    return Point(node.name, EXECUTABLE, ok=True, detail=", ".join(wanted))


def is_established(crd: Mapping[str, Any] | None) -> bool:
    """Whether the CustomResourceDefinition can be used."""
    conditions = items(crd, "status", "conditions")
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def canary_network() -> dict[str, Any]:
    """A network for the canary pods: a veth with a fixed address, no route, nothing kept."""
    config = {
        "cniVersion": "0.3.1",
        "name": "multinet-canary",
        "type": "ptp",
        "ipam": {
            "type": "static",
            "addresses": [{"address": "198.18.255.2/30", "gateway": "198.18.255.1"}],
        },
    }
    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "multinet-canary", "namespace": NAMESPACE},
        "spec": {"config": json.dumps(config)},
    }


def canary_pod(node: str, image: str, number: int) -> dict[str, Any]:
    """A pod on one node that asks for the canary network and needs no image but ``pause``."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"multinet-canary-{number}",
            "namespace": NAMESPACE,
            "labels": {"app.kubernetes.io/managed-by": "pytest-multinet"},
            "annotations": {"k8s.v1.cni.cncf.io/networks": "multinet-canary"},
        },
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "canary", "image": image, "imagePullPolicy": "IfNotPresent"}],
        },
    }


def not_ready(points: Iterable[Point]) -> MultusError:
    """The error that names every failing point."""
    bad = [p for p in points if not p.ok]
    lines = "\n  ".join(f"{p.node or 'cluster'}: {p.point}: {p.detail}" for p in bad)
    return MultusError(
        f"Multus is not usable:\n  {lines}\n"
        "see: kubectl -n kube-system get pods -l name=multus -o wide; "
        "kubectl -n kube-system logs -l name=multus --all-containers"
    )
