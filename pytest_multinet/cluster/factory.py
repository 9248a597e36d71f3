"""Pods, networks and links in one line: arguments become manifests, the cluster does the rest."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, TypeAlias, cast, overload

from pytest_multinet.cluster.base import Cluster
from pytest_multinet.cluster.network import Attachment, Network, NodeLink, selections_of
from pytest_multinet.cluster.stack import Node, Pod
from pytest_multinet.errors import UsageError
from pytest_multinet.model.attachment import (
    NETWORKS_ANNOTATION,
    NetworkSelection,
    dump_networks,
)
from pytest_multinet.model.nad import NetworkAttachmentDefinition
from pytest_multinet.model.topology import MacvlanConfig

Attachments: TypeAlias = "Attachment | Iterable[Attachment]"
IDLE = ("sleep", "infinity")


class Pods(Sequence[Pod]):
    """Pods in the order in which they were asked for; also found by name."""

    def __init__(self, pods: Iterable[Pod]) -> None:
        self._pods = tuple(pods)

    @overload
    def __getitem__(self, key: int | str) -> Pod: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[Pod]: ...
    def __getitem__(self, key: int | str | slice) -> Pod | Sequence[Pod]:
        if not isinstance(key, str):
            return self._pods[key]
        for pod in self._pods:
            if pod.name == key:
                return pod
        names = ", ".join(pod.name for pod in self._pods)
        raise KeyError(f"no pod {key!r}; there are {names}")

    def __iter__(self) -> Iterator[Pod]:
        return iter(self._pods)

    def __len__(self) -> int:
        return len(self._pods)

    def __repr__(self) -> str:
        return f"<Pods {', '.join(pod.name for pod in self._pods)}>"


class PodFactory:
    """Makes pods of one container in a cluster.

    Args:
        cluster: where.
        around: entered while pods are being made.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.cluster = cluster
        self._around = around
        self._made: dict[int, Pod] = {}

    def __call__(
        self,
        name: str | None = None,
        *,
        node: str | Node | None = None,
        networks: Attachments = (),
        image: str | None = None,
        command: Sequence[str] | None = None,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        privileged: bool = False,
        spec: Mapping[str, Any] | None = None,
        wait: bool = True,
    ) -> Pod:
        """Start a pod and wait until it runs.

        The same call again returns the living pod.

        Args:
            name: its name; ``None``: one is made up.
            node: the node that it runs on, by name, suffix or alias; ``None``: scheduled.
            networks: what it is attached to besides the cluster's default network: networks,
                ``network.attach(...)`` selections, or text such as ``macvlan-conf@net5``.
            image: of its container; ``None``: the cluster's ``pod_image``.
            command: of its container, a list; ``None``: it sleeps.
            labels: its labels.
            annotations: its annotations besides ``networks``.
            privileged: run the container privileged.
            spec: pod specification, merged over what the other arguments make; a
                ``containers`` list replaces the container.
            wait: wait until it runs.

        Raises:
            UsageError: a pod of that name exists that was made from other arguments.
            PodError: it could not start, with the cause; it is removed again.
        """
        manifest = self.manifest(
            name or self._unused_name(),
            node=node,
            networks=networks,
            image=image,
            command=command,
            labels=labels,
            annotations=annotations,
            privileged=privileged,
            spec=spec,
        )
        return self._create([manifest], wait=wait)[0]

    def batch(self, pods: Mapping[str, Mapping[str, Any]], *, wait: bool = True) -> Pods:
        """Start several pods together.

        Args:
            pods: name to arguments, those of a single call without ``wait``.
            wait: wait until all run.

        Returns:
            The pods, in the order given; ``batch["pod1"]`` finds one by name.

        Raises:
            PodError: one could not start; all that this call started are removed again.
        """
        known = [p for p in inspect.signature(self.manifest).parameters if p != "name"]
        for name, arguments in pods.items():
            for argument in arguments:
                if argument not in known:
                    raise UsageError(
                        f"batch: pod {name!r} has an argument {argument!r}; "
                        f"expected some of {', '.join(known)}"
                    )
        manifests = [self.manifest(name, **arguments) for name, arguments in pods.items()]
        return self._create(manifests, wait=wait)

    def manifest(
        self,
        name: str,
        *,
        node: str | Node | None = None,
        networks: Attachments = (),
        image: str | None = None,
        command: Sequence[str] | None = None,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        privileged: bool = False,
        spec: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The pod's manifest; arguments as in a call."""
        if isinstance(command, str):
            raise UsageError(
                f"command is {command!r}; expected a list, such as {command.split()!r}"
            )
        container: dict[str, Any] = {
            "name": name[:63].rstrip("-.").replace(".", "-"),
            "image": image or self.cluster.config.pod_image,
            "command": list(command or IDLE),
        }
        if privileged:
            container["securityContext"] = {"privileged": True}
        pod_spec: dict[str, Any] = {
            "containers": [container],
            "terminationGracePeriodSeconds": 0,
        }
        if node is not None:
            pod_spec["nodeName"] = self.cluster.node(node).name
        metadata: dict[str, Any] = {"name": name, "namespace": self.cluster.namespace}
        if labels:
            metadata["labels"] = dict(labels)
        metadata["annotations"] = dict(annotations or {})
        given = (networks,) if isinstance(networks, (Network, NetworkSelection, str)) else networks
        selections = selections_of(given, self.cluster.namespace)
        if selections:
            if NETWORKS_ANNOTATION in metadata["annotations"]:
                raise UsageError(
                    f"pod {name!r}: networks= and the annotation {NETWORKS_ANNOTATION} are both "
                    "given; use one of them"
                )
            metadata["annotations"][NETWORKS_ANNOTATION] = dump_networks(
                selections, self.cluster.namespace
            )
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {k: v for k, v in metadata.items() if v},
            "spec": _merged(pod_spec, spec or {}),
        }

    def delete_all(self) -> None:
        """Delete every pod that was made here and still exists, newest first."""
        with ExitStack() as stack:
            while self._made:
                stack.callback(self._made.pop(next(iter(self._made))).delete)

    def __repr__(self) -> str:
        return f"<PodFactory of {self.cluster.name}>"

    def _create(self, manifests: Sequence[dict[str, Any]], *, wait: bool) -> Pods:
        before = {id(pod) for pod in self.cluster.pods()}
        with self._around():
            pods = cast("list[Pod]", self.cluster.apply(manifests, wait=wait))
        self._made |= {id(pod): pod for pod in pods if id(pod) not in before}
        return Pods(pods)

    def _unused_name(self) -> str:
        taken = {pod.name for pod in self.cluster.pods()}
        number = 1
        while f"multinet-pod-{number}" in taken:
            number += 1
        return f"multinet-pod-{number}"


class NetworkFactory:
    """Makes NetworkAttachmentDefinitions in a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def __call__(
        self,
        definition: str | MacvlanConfig | NetworkAttachmentDefinition | Mapping[str, Any],
        config: Mapping[str, Any] | str | None = None,
        *,
        namespace: str | None = None,
    ) -> Network:
        """Make a network.

        Args:
            definition: its name, and ``config`` the CNI configuration; or all of it: a
                :class:`MacvlanConfig`, a manifest, or a model of one.
            config: CNI configuration, a mapping or JSON text; ``None`` with a name: the
                configuration file of that name on the nodes.
            namespace: of the NetworkAttachmentDefinition, with a name only.

        Raises:
            ManifestError: not a valid NetworkAttachmentDefinition or CNI configuration.
            UsageError: a network of that name exists with another configuration.
        """
        if not isinstance(definition, str):
            if config is not None or namespace is not None:
                raise UsageError("config and namespace go with a name, not with a definition")
            return self.cluster.network(definition)
        return self.cluster.network(_definition(definition, config, namespace))

    def __repr__(self) -> str:
        return f"<NetworkFactory of {self.cluster.name}>"


class LinkFactory:
    """Makes links between nodes of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def __call__(
        self,
        a: str | Node = "worker",
        b: str | Node = "worker2",
        *,
        name: str = "eth1",
        mtu: int = 1500,
        addresses: Sequence[str] = (),
    ) -> NodeLink:
        """Make a veth between two nodes, ``name`` at both ends.

        Args:
            a: one node, by name, suffix or alias.
            b: the other.
            name: interface name at both ends.
            mtu: bytes.
            addresses: one address with prefix length an end, or none.
        """
        return self.cluster.link(a, b, name=name, mtu=mtu, addresses=addresses)

    def __repr__(self) -> str:
        return f"<LinkFactory of {self.cluster.name}>"


def _definition(
    name: str, config: Mapping[str, Any] | str | None, namespace: str | None
) -> dict[str, Any]:
    import json

    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    text = config if config is None or isinstance(config, str) else json.dumps(config)
    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": metadata,
        "spec": {} if text is None else {"config": text},
    }


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the entries of ``over``; mappings in both are merged, all else replaced."""
    merged = dict(base)
    for key, value in over.items():
        mine = merged.get(key)
        if isinstance(mine, Mapping) and isinstance(value, Mapping):
            value = _merged(cast("Mapping[str, Any]", mine), cast("Mapping[str, Any]", value))
        merged[key] = value
    return merged
