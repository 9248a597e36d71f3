"""The protocol that every backend fulfils: clusters, nodes, pods, links, networks.

What all backends share stands here (names, aliases, ``apply``, the rule for repeated names,
target resolution); what differs is an abstract method with a leading underscore.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_multinet.cluster.callsite import call_site
from pytest_multinet.cluster.multus import Multus, MultusState
from pytest_multinet.cluster.network import Network, NodeLink
from pytest_multinet.cluster.stack import Handle, Node, Pod
from pytest_multinet.errors import MultinetError, NeedsKubernetes, UsageError
from pytest_multinet.model.manifest import Document, load_documents
from pytest_multinet.model.nad import NetworkAttachmentDefinition
from pytest_multinet.model.pod import PodManifest
from pytest_multinet.model.selector import selected
from pytest_multinet.model.topology import ClusterConfig, LinkConfig, MacvlanConfig

if TYPE_CHECKING:
    from typing_extensions import Self

Source: TypeAlias = "str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]]"


@dataclass(frozen=True)
class _Made:
    """What was made under a name: its handle, from what, and where it was asked for."""

    handle: Handle
    digest: str
    where: str


class Cluster(ABC):
    """A running cluster; a context manager that closes it.

    Attributes:
        backend: ``embedded``, ``kind`` or ``kubeconfig``.
        config: what it was made from.
        namespace: Kubernetes namespace of objects that name none.
        attached: taken over from an earlier run that kept it.
        shared: other workers of the run use it too; :meth:`close` then only leaves it.
        search_path: folders in which ``apply`` looks for a relative path, in order.
        progress: called with one line for every stage of long work.
        explain: called with an error before it is raised, and the pods that were being made;
            may add what caused it.
    """

    backend: str
    config: ClusterConfig
    namespace: str = "default"
    attached: bool = False
    shared: bool = False

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config
        self.search_path: Callable[[], Sequence[Path]] = lambda: [Path.cwd()]
        self.progress: Callable[[str], None] = lambda line: None
        self.explain: Callable[[MultinetError, Sequence[PodManifest]], None] = _as_it_is
        self._made: dict[tuple[str, str, str], _Made] = {}

    # --- what a backend gives --------------------------------------------------------------

    @property
    @abstractmethod
    def nodes(self) -> tuple[Node, ...]:
        """Every node: control plane first, then workers in order."""

    @abstractmethod
    def install_multus(self) -> Multus:
        """Make Multus and the CNI plugins usable on every node; repeated: the same."""

    @abstractmethod
    def close(self) -> None:
        """Undo everything; goes on past errors and raises them together at the end."""

    @abstractmethod
    def keep(self, id: str) -> dict[str, Any]:
        """Let the environment outlive this process under the name ``id``; :meth:`close` is void.

        Returns:
            What the backend's ``attach`` needs to reach it again, as JSON types; ``owner`` is
            the process whose end is the environment's, where there is one.
        """

    @abstractmethod
    def load_image(self, *images: str) -> None:
        """Make local images available to every node without a registry."""

    @abstractmethod
    def _make_link(self, config: LinkConfig, ends: tuple[Node, Node]) -> NodeLink: ...

    @abstractmethod
    def _make_network(self, definition: NetworkAttachmentDefinition) -> Network: ...

    @abstractmethod
    def _make_pods(self, manifests: Sequence[PodManifest], *, wait: bool) -> list[Pod]:
        """Start pods together; when one fails, those of this call are removed again."""

    @abstractmethod
    def _make_object(self, document: Document) -> Handle:
        """Apply any other kind."""

    @property
    def definitions(self) -> tuple[NetworkAttachmentDefinition, ...]:
        """Every NetworkAttachmentDefinition in the cluster that can be read."""
        return tuple(network.definition for network in self.networks)

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks made here, in order of creation."""
        return tuple(
            made.handle for made in self._made.values() if isinstance(made.handle, Network)
        )

    @property
    def node_links(self) -> tuple[NodeLink, ...]:
        """The links made here, in order of creation."""
        return tuple(
            made.handle for made in self._made.values() if isinstance(made.handle, NodeLink)
        )

    def multus_states(self) -> tuple[MultusState, ...]:
        """How Multus stands on each node; none where it is built in."""
        return ()

    def real_namespace(self, given: str) -> str:
        """The Kubernetes namespace that stands for a given one: the same, unless workers share."""
        return given

    def real_command(self, command: str) -> str:
        """A command that a message gives, as it shows what is meant."""
        return command

    @property
    def kubeconfig(self) -> Path:
        """Path of this cluster's own kubeconfig file."""
        raise NeedsKubernetes(f"the {self.backend} backend has no Kubernetes API: no kubeconfig")

    @property
    def api(self) -> Any:
        """A ``kubernetes.client.ApiClient`` for this cluster."""
        raise NeedsKubernetes(f"the {self.backend} backend has no Kubernetes API")

    # --- names ------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.config.name

    def node(self, name: str | Node) -> Node:
        """A node by full name, by what follows ``<cluster>-``, or by alias.

        The aliases ``control-plane``, ``worker``, ``worker2``, ... mean the nth node of that
        role by name, where no node bears the name itself.
        """
        if isinstance(name, Node):
            return name
        nodes = self.nodes
        for node in nodes:
            if name in (node.name, node.name.removeprefix(f"{self.name}-")):
                return node
        for role in ("control-plane", "worker"):
            number = name.removeprefix(role)
            if name.startswith(role) and (not number or number.isdigit()):
                of_role = sorted((n for n in nodes if n.role == role), key=lambda n: n.name)
                position = int(number or 1)
                if 0 < position <= len(of_role):
                    return of_role[position - 1]
        names = ", ".join(n.name for n in nodes)
        raise UsageError(f"cluster {self.name} has no node {name!r}; it has {names}")

    def pod(self, name: str, namespace: str | None = None) -> Pod:
        """The pod of that name."""
        found = self._made.get(("Pod", namespace or self.namespace, name))
        if found is None or not isinstance(found.handle, Pod):
            names = ", ".join(f"{p.namespace}/{p.name}" for p in self.pods()) or "none"
            raise UsageError(f"no pod {namespace or self.namespace}/{name}; there are: {names}")
        return found.handle

    def pods(
        self,
        selector: str | Mapping[str, str] | None = None,
        namespace: str | None = None,
    ) -> tuple[Pod, ...]:
        """Pods made here, in order of creation.

        Args:
            selector: labels that must match: ``{"app": "x"}`` or ``app=x,tier!=y``.
            namespace: only this one; ``None``: all.
        """
        return tuple(
            made.handle
            for made in self._made.values()
            if isinstance(made.handle, Pod)
            and namespace in (None, made.handle.namespace)
            and selected(made.handle.labels, selector)
        )

    # --- making things ----------------------------------------------------------------------

    def link(
        self,
        a: str | Node,
        b: str | Node,
        name: str = "eth1",
        mtu: int = 1500,
        addresses: Sequence[str] = (),
    ) -> NodeLink:
        """A veth between two nodes, ``name`` at both ends.

        The same call again returns the same link; one that differs is a :class:`UsageError`.
        """
        ends = (self.node(a), self.node(b))
        config = LinkConfig(
            a=ends[0].name, b=ends[1].name, name=name, mtu=mtu, addresses=tuple(addresses)
        )
        key = ("NodeLink", f"{config.a}+{config.b}", name)
        return self._once(key, config.digest, lambda: self._make_link(config, ends))

    def network(
        self, definition: MacvlanConfig | NetworkAttachmentDefinition | Mapping[str, Any]
    ) -> Network:
        """A NetworkAttachmentDefinition, from a configuration, a model or a manifest."""
        if isinstance(definition, MacvlanConfig):
            definition = {
                "apiVersion": "k8s.cni.cncf.io/v1",
                "kind": "NetworkAttachmentDefinition",
                "metadata": {"name": definition.name, "namespace": definition.namespace},
                "spec": {"config": json.dumps(definition.cni_config())},
            }
        if isinstance(definition, NetworkAttachmentDefinition):
            definition = definition.manifest()
        (handle,) = self.apply(definition)
        if not isinstance(handle, Network):
            raise UsageError(f"expected a NetworkAttachmentDefinition, got {handle!r}")
        return handle

    def apply(self, source: Source, *, wait: bool = True) -> list[Any]:
        """Apply manifests as ``kubectl apply -f`` does, and wait for the pods.

        Everything is read and checked before anything is made.

        Args:
            source: a path (relative ones are tried in ``search_path``), text (a string with a
                newline), a mapping, or a list of mappings.
            wait: wait until pods run.

        Returns:
            One handle per document, in order.

        Raises:
            ManifestError: file, line, field, value and what was expected.
            PodError: a pod could not start; the pods of this call are removed again.
        """
        documents = self.documents(source)
        try:
            parsed = [self._parse(document) for document in documents]
        except MultinetError as error:
            self.explain(error, ())
            raise
        handles: list[Handle | None] = [None] * len(documents)
        batch: list[int] = []
        where = call_site()

        def flush() -> None:
            manifests = [m for i in batch if isinstance(m := parsed[i], PodManifest)]
            for i, pod in zip(batch, self._pods_once(manifests, where, wait=wait), strict=True):
                handles[i] = pod
            batch.clear()

        for i, (document, model) in enumerate(zip(documents, parsed, strict=True)):
            if isinstance(model, PodManifest):
                batch.append(i)
                continue
            flush()
            namespace = getattr(model, "namespace", None) or document.namespace or ""
            key = (document.kind, namespace, document.name)
            make = self._maker(document, model)
            handles[i] = self._once(key, _digest(document.data), make, where)
        flush()
        return [h for h in handles if h is not None]

    def delete(self, source: Source) -> None:
        """Delete what the manifests name; what does not exist is passed over."""
        for document in reversed(self.documents(source)):
            namespace = document.namespace or self.namespace
            for key in ((document.kind, n, document.name) for n in (namespace, "")):
                if key in self._made:
                    self._made[key].handle.delete()

    def clear(self) -> None:
        """Delete everything that was made here, newest first; nodes and Multus stay."""
        with ExitStack() as stack:
            for made in self._made.values():
                stack.callback(made.handle.delete)
        self._made.clear()

    def describe(self) -> dict[str, Any]:
        """Nodes, pods, links and networks, as JSON types."""
        return {
            "nodes": [
                {"name": n.name, "role": n.role, "address": str(n.address)} for n in self.nodes
            ],
            "pods": [
                {
                    "name": p.name,
                    "namespace": p.namespace,
                    "node": p.node.name,
                    "interfaces": {
                        s.interface: [str(ip) for ip in s.ips] for s in p.network_status
                    },
                }
                for p in self.pods()
            ],
            "links": [
                {"name": h.name, "ends": [e.name for e in h.ends], "mtu": h.mtu}
                for made in self._made.values()
                if isinstance(h := made.handle, NodeLink)
            ],
            "networks": [f"{n.namespace}/{n.name}" for n in self.networks],
        }

    def documents(self, source: Source) -> list[Document]:
        """Read manifests without applying them; see :meth:`apply`."""
        if isinstance(source, str) and "\n" not in source:
            source = Path(source)
        if not isinstance(source, Path):
            return load_documents(source)
        tried = [source] if source.is_absolute() else [f / source for f in self.search_path()]
        for path in tried:
            if path.is_file():
                return load_documents(path.read_text(encoding="utf-8"), name=str(path))
        places = "\n  ".join(dict.fromkeys(map(str, tried)))
        raise UsageError(f"no manifest {str(source)!r}; looked for\n  {places}")

    def create_pods(self, manifests: Sequence[PodManifest], *, wait: bool = True) -> list[Pod]:
        """Start several pods together, under the rule for repeated names."""
        return self._pods_once(manifests, call_site(), wait=wait)

    def forget(self, handle: Handle) -> None:
        """Strike a handle off the list of what exists; backends call it on deletion."""
        for key, made in list(self._made.items()):
            if made.handle is handle:
                del self._made[key]

    def _parse(self, document: Document) -> object:
        if document.kind == "Pod":
            return PodManifest.from_document(document, self.namespace, bare_addresses=True)
        if document.kind == "NetworkAttachmentDefinition":
            return NetworkAttachmentDefinition.from_document(document, self.namespace)
        return self._check_object(document)

    def _check_object(self, document: Document) -> object:
        """Refuse a kind that this backend cannot apply, before anything is made."""
        return document

    def _maker(self, document: Document, model: object) -> Callable[[], Handle]:
        if isinstance(model, NetworkAttachmentDefinition):
            return lambda: self._make_network(model)
        return lambda: self._make_object(document)

    def _once(
        self,
        key: tuple[str, str, str],
        digest: str,
        make: Callable[[], Any],
        where: str | None = None,
    ) -> Any:
        """Make it, or return what the same request made before."""
        where = where or call_site()
        before = self._made.get(key)
        if before is not None:
            self._refuse_other(before, key, digest)
            return before.handle
        handle = make()
        self._made[key] = _Made(handle, digest, where)
        return handle

    def _pods_once(self, manifests: Sequence[PodManifest], where: str, *, wait: bool) -> list[Pod]:
        keys = [("Pod", m.namespace, m.name) for m in manifests]
        digests = [_digest(m.raw) for m in manifests]
        wanted: dict[tuple[str, str, str], tuple[PodManifest, str]] = {}
        for key, manifest, digest in zip(keys, manifests, digests, strict=True):
            if key in self._made:
                self._refuse_other(self._made[key], key, digest)
            elif key in wanted and wanted[key][1] != digest:
                raise UsageError(f"two different pods are called {key[1]}/{key[2]} in one call")
            else:
                wanted[key] = (manifest, digest)
        if wanted:
            new = [m for m, _ in wanted.values()]
            try:
                pods = self._make_pods(new, wait=wait)
            except MultinetError as error:
                self.explain(error, new)
                raise
            for (key, (_, digest)), pod in zip(wanted.items(), pods, strict=True):
                self._made[key] = _Made(pod, digest, where)
        return [self.pod(m.name, m.namespace) for m in manifests]

    @staticmethod
    def _refuse_other(before: _Made, key: tuple[str, str, str], digest: str) -> None:
        if before.digest == digest:
            return
        kind, namespace, name = key
        example = f"; for a short-lived one use 'with multinet_pod({name!r}, ...) as pod:'"
        raise UsageError(
            f"{kind} {namespace}/{name} exists with other arguments, made at {before.where}; "
            f"use another name, or delete it first{example if kind == 'Pod' else ''}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except MultinetError:
            if error is None:
                raise

    def __repr__(self) -> str:
        return f"<Cluster {self.name} on {self.backend}, {len(self.nodes)} nodes>"


def _as_it_is(error: MultinetError, manifests: Sequence[PodManifest]) -> None:
    """Adds nothing to an error: what a cluster does that nobody diagnoses."""


def _digest(data: object) -> str:
    return json.dumps(data, sort_keys=True, default=str)
