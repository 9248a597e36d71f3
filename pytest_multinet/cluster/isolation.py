"""What keeps the workers of one run apart in a Kubernetes cluster that they share.

Worker 0 has everything under the names that tests give.  In worker N the Kubernetes namespace
``default`` is ``default-wN``, and links, bridges and the stores of IPAM plugins, which belong to
a node, are called ``<name>-wN``.  Tests and handles know only the given names: what goes to the
API server passes :meth:`Isolation.outward`, what comes back :meth:`Isolation.inward`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from pytest_multinet.errors import UsageError
from pytest_multinet.model.attachment import (
    DEFAULT_NETWORK_ANNOTATION,
    NETWORK_STATUS_ANNOTATION,
    NETWORKS_ANNOTATION,
)
from pytest_multinet.model.nested import items, mapping
from pytest_multinet.model.topology import LinkConfig

ORIGINAL = "original.pytest-multinet/"
_NAMESPACE = "default"
_OF_WORKERS = re.compile(rf"{_NAMESPACE}(-w\d+)?")
_IN_PATH = re.compile(rf"/namespaces/{_NAMESPACE}(?=[/?]|$)")
_LONGEST = 15  # IFNAMSIZ - 1, netdevice(7)
_DEFAULT_BRIDGE = "cni0"
_SELECTIONS = (NETWORKS_ANNOTATION, DEFAULT_NETWORK_ANNOTATION)
_TURN_OFF = "--multinet-isolation=none turns this off"


class Isolation:
    """The names of one worker.

    Args:
        worker: its number: 3 for ``gw3``.

    Attributes:
        names: names of links and bridges as given, each with the kernel's.
        configurations: names of CNI configurations as given, each with the real one.
        note: called with the kernel's name of a link or bridge, and this worker's number.
        of_workers: the kernel's names of all workers' links and bridges, each with its worker.
    """

    def __init__(self, worker: int) -> None:
        self.worker = worker
        self.suffix = _suffix(worker)
        self.namespace = _NAMESPACE + self.suffix
        self.names: dict[str, str] = {}
        self.configurations: dict[str, str] = {}
        self.note: Callable[[str, int], None] = lambda name, worker: None
        self.of_workers: Callable[[], Mapping[str, int]] = dict[str, int]

    # --- names ------------------------------------------------------------------------------

    def kernel_name(self, given: str) -> str:
        """The name that a link or bridge of this worker has on the nodes.

        Raises:
            UsageError: it would be longer than an interface's name may be.
        """
        name = given + self.suffix
        if self.suffix and len(name.encode()) > _LONGEST:
            raise UsageError(
                f"the workers share a cluster, so that {given!r} is called {name!r} in worker "
                f"gw{self.worker}: that is longer than {_LONGEST} characters. Choose a shorter "
                f"name ({_TURN_OFF})"
            )
        self.names[given] = name
        self.note(name, self.worker)
        return name

    def link(self, config: LinkConfig) -> LinkConfig:
        """A link as it is on the nodes."""
        return replace(config, name=self.kernel_name(config.name))

    def naming(self) -> Callable[[str], str | None]:
        """From an interface of a node to the name that a test gave it.

        ``None`` is what it answers for a link or bridge of another worker.
        """
        given = {own: name for name, own in self.names.items()}
        others = {name for name, worker in self.of_workers().items() if worker != self.worker}
        return lambda name: None if name in others else given.get(name, name)

    def _is_a_link(self, name: object) -> bool:
        """Whether a name means a link: this worker's, or that of another one here."""
        if name in self.names:
            return True
        others = self.of_workers().items()
        return any(name == own.removesuffix(_suffix(worker)) for own, worker in others)

    def namespace_manifest(self) -> dict[str, Any]:
        """This worker's Kubernetes namespace."""
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}

    def real_namespace(self, given: str) -> str:
        """The Kubernetes namespace that stands for a given one."""
        return self.namespace if given == _NAMESPACE else given

    def check(self, kind: str, namespace: str | None, *, namespaced: bool) -> None:
        """Refuse an object that workers could not have side by side.

        Raises:
            UsageError: it belongs to no namespace, or to another one than ``default``.
        """
        if not namespaced:
            raise UsageError(
                f"the workers share a cluster, and a {kind} is the whole cluster's: apply it in "
                f"a run without pytest-xdist ({_TURN_OFF}; then --dist loadgroup)"
            )
        if namespace not in (None, "", _NAMESPACE):
            raise UsageError(
                f"the workers share a cluster, and each has its own namespace in place of "
                f"{_NAMESPACE!r}; {kind} in namespace {namespace!r} would be in all of them: "
                f"leave the namespace out ({_TURN_OFF})"
            )

    # --- requests and answers ---------------------------------------------------------------

    def path(self, path: str) -> str:
        """A path of the API with this worker's namespace in place of ``default``."""
        return _IN_PATH.sub(f"/namespaces/{self.namespace}", path)

    def text(self, text: str) -> str:
        """A message of the API server as if this worker were alone."""
        for given, real in self._real().items():
            text = _word(real).sub(given, text)
        return text

    def command(self, text: str) -> str:
        """A command that a message gives, so that it shows what is this worker's."""
        if not self.suffix:
            return text
        text = re.sub(r"kubectl (?!-n )(?!.*? -A)", f"kubectl -n {_NAMESPACE} ", text)
        for given, real in self._real().items():
            text = _word(given).sub(real, text)
        return text

    def _real(self) -> dict[str, str]:
        if not self.suffix:
            return {}
        return {_NAMESPACE: self.namespace, **self.configurations, **self.names}

    def outward(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """A manifest as it goes to the API server; what is changed is kept in annotations."""
        out = dict(manifest)
        metadata = dict(mapping(out, "metadata"))
        renamed = None
        if out.get("kind") == "NetworkAttachmentDefinition":
            config = mapping(out, "spec").get("config")
            renamed = self._config(config, str(metadata.get("name", "")))
        if not self.suffix:
            return out
        if metadata.get("namespace") == _NAMESPACE:
            metadata["namespace"] = self.namespace
        annotations = dict(mapping(metadata, "annotations"))
        if renamed is not None:
            annotations[f"{ORIGINAL}config"] = out["spec"]["config"]
            out["spec"] = {**out["spec"], "config": renamed}
        self._select(annotations)
        if annotations:
            metadata["annotations"] = annotations
        out["metadata"] = metadata
        return _with_templates(out, self.outward)

    def inward(self, answer: dict[str, Any]) -> dict[str, Any]:
        """An object or list of the API server under the given names."""
        if isinstance(answer.get("items"), list):
            mine = (self.inward(item) for item in items(answer, "items") if self.is_mine(item))
            return {**answer, "items": list(mine)}
        if not self.suffix or not isinstance(answer.get("metadata"), dict):
            return answer
        out = {**answer, "metadata": self._metadata(answer["metadata"])}
        config = mapping(answer, "metadata", "annotations").get(f"{ORIGINAL}config")
        if config is not None:
            out["spec"] = {**mapping(out, "spec"), "config": config}
        about = mapping(answer, "involvedObject")
        if about:  # an event
            out["message"] = self.text(str(answer.get("message") or ""))
            if about.get("namespace") == self.namespace:
                out["involvedObject"] = {**about, "namespace": _NAMESPACE}
        return _with_templates(out, self.inward)

    def is_mine(self, thing: Mapping[str, Any]) -> bool:
        """Whether an object is not another worker's."""
        namespace = str(mapping(thing, "metadata").get("namespace", ""))
        return namespace == self.namespace or _OF_WORKERS.fullmatch(namespace) is None

    # --- parts of objects -------------------------------------------------------------------

    def _metadata(self, metadata: dict[str, Any]) -> dict[str, Any]:
        out = dict(metadata)
        if out.get("namespace") == self.namespace:
            out["namespace"] = _NAMESPACE
        annotations = mapping(metadata, "annotations")
        if annotations:
            given = {k: v for k, v in annotations.items() if not k.startswith(ORIGINAL)}
            for key in _SELECTIONS:
                original = annotations.get(_original(key))
                if original is not None:
                    given[key] = original
            status = given.get(NETWORK_STATUS_ANNOTATION)
            if status is not None:
                given[NETWORK_STATUS_ANNOTATION] = status.replace(
                    f'"{self.namespace}/', f'"{_NAMESPACE}/'
                )
            out["annotations"] = given
        return out

    def _select(self, annotations: dict[str, Any]) -> None:
        """Lead selections of networks in ``default`` to this worker's namespace."""
        for key in _SELECTIONS:
            text = annotations.get(key)
            if isinstance(text, str):
                renamed = self._selections(text)
                if renamed != text:
                    annotations[key] = renamed
                    annotations[_original(key)] = text

    def _selections(self, text: str) -> str:
        if not any(mark in text for mark in '[{"'):
            own = f"{self.namespace}/"
            return ",".join(
                re.sub(rf"^(\s*){_NAMESPACE}/", rf"\g<1>{own}", part) for part in text.split(",")
            )
        try:
            elements: Any = json.loads(text)
        except ValueError:
            return text  # Multus will say what is wrong with it
        changed = False
        for element in cast("list[Any]", elements) if isinstance(elements, list) else []:
            if isinstance(element, dict):
                found = cast("dict[str, Any]", element)
                key = _key(found, "namespace")
                if found.get(key) == _NAMESPACE:
                    found[key], changed = self.namespace, True
        return json.dumps(elements) if changed else text

    def _config(self, text: object, network: str) -> str | None:
        """A CNI configuration whose names on the nodes are this worker's."""
        try:
            config: Any = json.loads(text) if isinstance(text, str) else None
        except ValueError:
            return None  # Multus will say what is wrong with it
        if not isinstance(config, dict):
            return None
        config = cast("dict[str, Any]", config)
        name = _key(config, "name")
        if isinstance(config.get(name, ""), str):
            given = str(config.get(name) or network)
            config[name] = self.configurations[given] = given + self.suffix
        plugins: Any = config.get(_key(config, "plugins"), [config])
        for plugin in cast("list[Any]", plugins) if isinstance(plugins, list) else []:
            if isinstance(plugin, dict):
                self._plugin(cast("dict[str, Any]", plugin))
        return json.dumps(config)

    def _plugin(self, plugin: dict[str, Any]) -> None:
        if plugin.get(_key(plugin, "type")) == "bridge":
            key = _key(plugin, "bridge")
            given = plugin.get(key) or _DEFAULT_BRIDGE
            if isinstance(given, str):
                plugin[key] = self.kernel_name(given)
        if plugin.get(_key(plugin, "linkincontainer")) is True:
            return  # the master is one of the pod's interfaces
        for wanted in ("master", "device"):
            key = _key(plugin, wanted)
            if self._is_a_link(plugin.get(key)):
                plugin[key] = str(plugin[key]) + self.suffix


def _with_templates(
    thing: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """A workload whose pod template, or job template, is changed too."""
    spec = mapping(thing, "spec")
    for key in ("template", "jobTemplate"):
        template = mapping(spec, key)
        if "spec" in template:
            spec = {**spec, key: change({"metadata": {}, **template})}
    return {**thing, "spec": spec} if spec else thing


def _suffix(worker: int) -> str:
    return f"-w{worker}" if worker else ""


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w-])")


def _original(annotation: str) -> str:
    """The annotation that keeps what another one was."""
    return ORIGINAL + annotation.rpartition("/")[2]


def _key(data: Mapping[str, Any], wanted: str) -> str:
    """The key as the object spells it: Go's JSON decoder does not look at case."""
    return next((key for key in data if key.lower() == wanted), wanted)
