"""Pods: what of a pod manifest decides where it runs, what it runs and what it is attached to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pytest_multinet.errors import ManifestError
from pytest_multinet.model.attachment import (
    DEFAULT_NETWORK_ANNOTATION,
    NETWORKS_ANNOTATION,
    NetworkSelection,
    PortMapping,
    check_gateways,
    parse_default_network,
    parse_networks,
)
from pytest_multinet.model.fields import (
    FieldError,
    FieldPath,
    below,
    json_type,
    read_bool,
    read_list,
    read_mapping,
    read_str,
    read_string_map,
    read_strings,
)
from pytest_multinet.model.nad import read_metadata_maps
from pytest_multinet.model.names import nearest, validate_name
from pytest_multinet.model.placement import ANYWHERE, Placement, read_placement

if TYPE_CHECKING:
    from pytest_multinet.model.manifest import Document

# The grammar of image references (distribution/reference).
_IS_IMAGE = re.compile(
    r"(?:(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9+._-]*:[0-9a-fA-F]{32,})?",
    re.ASCII,
).fullmatch
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_SHELLS = frozenset({"sh", "bash", "ash", "dash"})
# Such as: exec sleep inf | trap : TERM; tail -f /dev/null & wait | while :; do sleep 9; done
_IDLE_SCRIPT = re.compile(
    r"\s*(?:trap [^;&|]*;\s*)?"
    r"(?:(?P<loop>while (?:true|:)\s*;\s*do sleep [0-9]+\s*;\s*done)"
    r"|(?:exec )?(?P<command>(?:sleep|tail -[fF]) [\w./]+)(?:\s*&\s*wait)?)\s*;?\s*"
).fullmatch
_LONG = 3600  # seconds: a container that sleeps as long outlives the test
_DURATION = re.compile(r"([0-9]{1,15})(?:\.[0-9]*)?([smhd]?)").fullmatch
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod.

    Attributes:
        name: within the pod.
        image: image reference.
        command: what replaces the image's entry point; ``()``: the image's own.
        args: arguments to it.
        env: variables with a literal value (those of ``valueFrom`` are left out).
        privileged: ``securityContext.privileged``.
        image_pull_policy: ``Always``, ``IfNotPresent``, ``Never`` or ``None``.
        host_ports: those of its ports that have a ``hostPort``.
    """

    name: str
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    privileged: bool = False
    image_pull_policy: str | None = None
    host_ports: tuple[PortMapping, ...] = ()

    @property
    def idle(self) -> bool:
        """Whether it only keeps the pod alive, so that no process need be started for it."""
        argv = (*self.command, *self.args)
        return not argv or _is_idle(argv)


def _is_idle(argv: tuple[str, ...]) -> bool:
    program = argv[0].rpartition("/")[2]
    if program in _SHELLS and len(argv) == 3 and argv[1] == "-c":
        script = _IDLE_SCRIPT(argv[2])
        return script is not None and (script["loop"] is not None or _is_idle(_words(script)))
    if program == "tail":
        return argv[1:] in (("-f", "/dev/null"), ("-F", "/dev/null"))
    if program == "sleep":
        return len(argv) == 2 and _sleeps_long(argv[1])
    return argv == ("/pause",)


def _words(script: re.Match[str]) -> tuple[str, ...]:
    return tuple(script["command"].split())


def _sleeps_long(duration: str) -> bool:
    if duration.lower() in ("infinity", "inf"):
        return True
    parts = _DURATION(duration)
    return parts is not None and int(parts[1]) * _UNITS[parts[2]] >= _LONG


@dataclass(frozen=True, slots=True)
class PodManifest:
    """A pod as its manifest asks for it.

    Attributes:
        name, namespace: of the object.
        labels, annotations: of the object, verbatim.
        node_name: node that it is bound to, past the scheduler.
        node_selector: labels that the node must have.
        placement: its affinity and tolerations.
        containers: at least one.
        networks: the annotation's networks, in order.
        default_network: what replaces the cluster's default network, or ``None``.
        hostname: its host name (``spec.hostname``, else the name).
        raw: the object as loaded.
    """

    name: str
    namespace: str = "default"
    labels: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    annotations: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    node_name: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    placement: Placement = ANYWHERE
    containers: tuple[Container, ...] = ()
    networks: tuple[NetworkSelection, ...] = ()
    default_network: NetworkSelection | None = None
    hostname: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False, repr=False)

    @classmethod
    def from_document(
        cls,
        document: Document,
        default_namespace: str = "default",
        *,
        bare_addresses: bool = False,
    ) -> PodManifest:
        """Read one document of a manifest.

        Args:
            document: the document.
            default_namespace: where it names none.
            bare_addresses: see :func:`~pytest_multinet.model.attachment.parse_networks`.

        Raises:
            ManifestError: it is of another kind, or a field breaks a rule.
        """
        error = document.error
        if document.kind != "Pod":
            message = f"{document.kind} {document.name} is not a Pod"
            raise error(message, ("kind",), document.kind, "Pod")
        if document.api_version != "v1":
            found = document.api_version or None
            raise error("a Pod has another apiVersion", ("apiVersion",), found, "v1")
        name = validate_name(
            document.name, what="pod name", path=("metadata", "name"), error=error
        )
        namespace = validate_name(
            document.namespace or default_namespace,
            what="namespace",
            label=True,
            path=("metadata", "namespace"),
            error=error,
        )
        labels, annotations = read_metadata_maps(document)
        networks, default_network = _networks(annotations, namespace, error, bare_addresses)
        spec = read_mapping(document.data, "spec", (), error)
        node_name = read_str(spec, "nodeName", ("spec",), error)
        return cls(
            name=name,
            namespace=namespace,
            labels=labels,
            annotations=annotations,
            node_name=node_name or None,
            node_selector=read_string_map(spec, "nodeSelector", ("spec",), error),
            placement=read_placement(spec, namespace, error),
            containers=_containers(spec, error),
            networks=networks,
            default_network=default_network,
            hostname=_hostname(spec, name, error),
            raw=document.data,
        )


def _networks(
    annotations: Mapping[str, str],
    namespace: str,
    error: FieldError,
    bare_addresses: bool,
) -> tuple[tuple[NetworkSelection, ...], NetworkSelection | None]:
    default: NetworkSelection | None = None
    path = ("metadata", "annotations")
    text = annotations.get(DEFAULT_NETWORK_ANNOTATION)
    if text is not None:
        inside = below(error, *path, DEFAULT_NETWORK_ANNOTATION)
        default = parse_default_network(text, error=inside)
    inside = below(error, *path, NETWORKS_ANNOTATION)
    networks = parse_networks(
        annotations.get(NETWORKS_ANNOTATION, ""),
        namespace,
        error=inside,
        default_interface=(default.interface if default else None) or "eth0",
        bare_addresses=bare_addresses,
    )
    if default is not None and default.default_route:
        check_gateways((default, *networks), error=_after_default(inside))
    return networks, default


def _after_default(error: FieldError) -> FieldError:
    """An error maker that drops the index of a list with the default network in front."""

    def make(
        message: str,
        path: FieldPath = (),
        value: Any = None,
        expected: str | None = None,
        *,
        offset: int | None = None,
    ) -> ManifestError:
        index, *rest = path
        return error(message, (int(index) - 1, *rest), value, expected, offset=offset)

    return make


def _containers(spec: Mapping[str, Any], error: FieldError) -> tuple[Container, ...]:
    containers = read_list(spec, "containers", ("spec",), error)
    if not containers:
        near = None
        if "containers" not in spec:
            near = nearest("containers", (str(k) for k in spec if k != "initContainers"))
        message = "a pod has no containers" + (f"; did you mean them by {near!r}?" if near else "")
        raise error(message, ("spec", "containers"), None, "at least one, with name and image")
    found: list[Container] = []
    for index, item in enumerate(containers):
        container = _container(item, ("spec", "containers", index), error)
        if any(container.name == other.name for other in found):
            message = f'two containers have the name "{container.name}"'
            path = ("spec", "containers", index, "name")
            raise error(message, path, container.name, "a name of its own for each container")
        found.append(container)
    return tuple(found)


def _container(data: Any, path: FieldPath, error: FieldError) -> Container:
    if not isinstance(data, Mapping):
        message = f"a container is of type {json_type(data)}"
        raise error(message, path, data, "a mapping with name and image")
    data = cast("Mapping[str, Any]", data)
    name = read_str(data, "name", path, error)
    if not name:
        raise error("a container has no name", (*path, "name"), None, "a name")
    validate_name(name, what="container name", label=True, path=(*path, "name"), error=error)
    image = read_str(data, "image", path, error)
    if not image:
        message = f'container "{name}" has no image'
        raise error(message, (*path, "image"), None, "an image, such as alpine:3.20")
    if not _IS_IMAGE(image):
        message = f'the image of container "{name}" is not a reference'
        expected = "[registry/]name[:tag][@digest], the name in lower case"
        raise error(message, (*path, "image"), image, expected)
    policy = read_str(data, "imagePullPolicy", path, error) or None
    if policy is not None and policy not in _PULL_POLICIES:
        near = nearest(policy, _PULL_POLICIES)
        message = f'unknown imagePullPolicy "{policy}"' + (
            f"; did you mean {near}?" if near else ""
        )
        expected = ", ".join(_PULL_POLICIES)
        raise error(message, (*path, "imagePullPolicy"), policy, expected)
    security = read_mapping(data, "securityContext", path, error)
    return Container(
        name=name,
        image=image,
        command=_argv(data, "command", path, error),
        args=_argv(data, "args", path, error),
        env=_env(data, path, error),
        privileged=read_bool(security, "privileged", (*path, "securityContext"), error),
        image_pull_policy=policy,
        host_ports=_host_ports(data, path, error),
    )


def _host_ports(
    data: Mapping[str, Any], path: FieldPath, error: FieldError
) -> tuple[PortMapping, ...]:
    found: list[PortMapping] = []
    for index, item in enumerate(read_list(data, "ports", path, error)):
        at = (*path, "ports", index)
        if not isinstance(item, Mapping):
            raise error(f"a port is of type {json_type(item)}", at, item, "an object")
        item = cast("Mapping[str, Any]", item)
        if not item.get("hostPort"):
            continue
        for key in ("containerPort", "hostPort"):
            port = item.get(key)
            if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
                raise error(f"{key} is no port", (*at, key), port, "a port, 1 to 65535")
        protocol = (read_str(item, "protocol", at, error) or "TCP").lower()
        host_ip = read_str(item, "hostIP", at, error) or None
        mapping = PortMapping(item["hostPort"], item["containerPort"], protocol, host_ip)
        found.append(mapping)
    return tuple(found)


def _argv(
    data: Mapping[str, Any], key: str, path: FieldPath, error: FieldError
) -> tuple[str, ...]:
    value = data.get(key)
    if isinstance(value, str):
        words = ", ".join(f'"{word}"' for word in value.split()[:4])
        expected = f"a list of strings, such as [{words}]"
        raise error(f"{key} is of type string", (*path, key), value, expected)
    argv = read_strings(data, key, path, error)
    for index, word in enumerate(argv):
        if "\0" in word:
            raise error(f"{key} holds a NUL character", (*path, key, index), word, "no NUL")
    return argv


def _env(data: Mapping[str, Any], path: FieldPath, error: FieldError) -> dict[str, str]:
    env: dict[str, str] = {}
    for index, item in enumerate(read_list(data, "env", path, error)):
        at = (*path, "env", index)
        if not isinstance(item, Mapping):
            expected = "a mapping with name and value"
            raise error(f"a variable is of type {json_type(item)}", at, item, expected)
        item = cast("Mapping[str, Any]", item)
        name = read_str(item, "name", at, error)
        if not name or "=" in name or "\0" in name:
            message = (
                "a variable has no name" if not name else "the name of a variable has = in it"
            )
            raise error(message, (*at, "name"), name, "a name, such as DEBUG")
        value = read_str(item, "value", at, error)
        if "valueFrom" not in item:
            env[name] = value or ""
    return env


def _hostname(spec: Mapping[str, Any], name: str, error: FieldError) -> str:
    written = read_str(spec, "hostname", ("spec",), error)
    if written:
        return validate_name(
            written, what="host name", label=True, path=("spec", "hostname"), error=error
        )
    return name[:63].rstrip("-.")  # as kubelet does
