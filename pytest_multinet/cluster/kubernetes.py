"""What every backend with a real Kubernetes API shares: objects, pods, exec, waiting."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pytest_multinet.cluster import kubernetes_state
from pytest_multinet.cluster.base import Cluster
from pytest_multinet.cluster.images import images_of, set_pull_policy
from pytest_multinet.cluster.multus import MultusState
from pytest_multinet.cluster.network import Network
from pytest_multinet.cluster.pod_exec import PodExecStream, run_in_pod, with_environment
from pytest_multinet.cluster.pod_wait import (
    PodWatch,
    has_network_status,
    is_ready,
    key_of,
    wait_gone,
    wait_ready,
    watching,
)
from pytest_multinet.cluster.process import Process
from pytest_multinet.cluster.remote_process import RemoteProcess, announced
from pytest_multinet.cluster.rest import ApiError, KubeApi
from pytest_multinet.cluster.stack import Handle, Node, Pod
from pytest_multinet.errors import (
    BackendUnavailable,
    ClusterError,
    ExecFailed,
    MultinetError,
    PodError,
    UsageError,
    WaitTimeout,
)
from pytest_multinet.model.attachment import NETWORK_STATUS_ANNOTATION
from pytest_multinet.model.interface import ExecResult
from pytest_multinet.model.manifest import Document, load_documents
from pytest_multinet.model.nad import NetworkAttachmentDefinition
from pytest_multinet.model.nested import items, mapping
from pytest_multinet.model.network_status import NetworkStatus, parse_network_status
from pytest_multinet.model.pod import PodManifest
from pytest_multinet.model.topology import ClusterConfig, LinkConfig
from pytest_multinet.probe.remote import RemoteProber
from pytest_multinet.probe.stack import Prober

NETWORKS = "k8s.v1.cni.cncf.io/networks"
IGNORED = "AnnotationIgnored"  # our own reason: the pod runs, and Multus did not see it
_AT_ONCE = 8  # requests in flight while a batch of pods is made


class KubernetesPod(Pod):
    """A pod of a real cluster."""

    cluster: KubernetesCluster  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self, cluster: KubernetesCluster, manifest: PodManifest, seen: dict[str, Any]
    ) -> None:
        self.manifest = manifest
        self.name = manifest.name
        self.namespace = manifest.namespace
        self.cluster = cluster  # pyright: ignore[reportIncompatibleVariableOverride]
        self.patience = cluster.config.timeout
        self._seen = seen
        self._prober: Prober | None = None

    @property
    def path(self) -> str:
        """Its path in the API."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"

    @property
    def uid(self) -> str:
        """Its unique identifier."""
        return self._seen["metadata"]["uid"]

    def refresh(self) -> dict[str, Any]:
        """The object as the API server has it now."""
        self._seen = self.cluster.kube.get(self.path)
        return self._seen

    @property
    def node(self) -> Node:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The node that it runs on; known once it is scheduled."""
        name = self._seen["spec"].get("nodeName") or self.refresh()["spec"].get("nodeName")
        if not name:
            raise PodError(
                "it is not scheduled yet", pod=f"{self.namespace}/{self.name}", reason="Pending"
            )
        return self.cluster.node(str(name))

    @property
    def annotations(self) -> Mapping[str, str]:
        """Its annotations now."""
        return mapping(self.refresh(), "metadata", "annotations")

    @property
    def network_status(self) -> tuple[NetworkStatus, ...]:
        """One entry per attachment, the default network first."""
        known = mapping(self._seen, "metadata", "annotations")
        text = known.get(NETWORK_STATUS_ANNOTATION)
        if text is None:
            text = self.annotations.get(NETWORK_STATUS_ANNOTATION, "")
        return parse_network_status(text)

    @property
    def container(self) -> str:
        """The container that programs run in: the first."""
        return self.manifest.raw["spec"]["containers"][0]["name"]

    @property
    def prober(self) -> Prober:
        """The way to this stack."""
        return self.cluster.pod_prober(self)

    def exec(
        self,
        argv: Sequence[str],
        *,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        check: bool = False,
    ) -> ExecResult:
        """Run a program inside the first container to its end."""
        limit = self.cluster.config.timeout if timeout is None else timeout
        words = with_environment(argv, env)
        try:
            result = run_in_pod(
                self.cluster.kube,
                self.namespace,
                self.name,
                self.container,
                words,
                input=input,
                timeout=limit,
            )
        except WaitTimeout:
            self.cluster.kill_in_pod(self, words)
            raise WaitTimeout(
                f"{' '.join(argv)} in pod {self.namespace}/{self.name} "
                f"still ran after {limit:g} s and was killed"
            ) from None
        result = ExecResult(tuple(argv), result.returncode, result.stdout, result.stderr)
        if check and result.returncode:
            raise ExecFailed(f"in pod {self.namespace}/{self.name}: {result!r}")
        return result

    def spawn(
        self,
        argv: Sequence[str],
        *,
        ready: str | int | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Process:
        """Start a program and return while it runs."""
        words = announced(with_environment(argv, env))
        stream = PodExecStream(self.cluster.kube, self.namespace, self.name, self.container, words)
        process = RemoteProcess(argv, stream, self._kill, f"pod {self.namespace}/{self.name}")
        limit = self.cluster.config.timeout if timeout is None else timeout
        return until_ready(process, ready, limit, self._listens_on)

    def _kill(self, pid: int, name: str) -> None:
        self.exec(["sh", "-c", 'kill -s "$1" "$2"', "sh", name, str(pid)], timeout=10.0)

    def _listens_on(self, port: int) -> bool:
        tables = self.exec(["sh", "-c", "cat /proc/net/tcp /proc/net/tcp6"], timeout=10.0).stdout
        return listens(tables, port)

    def logs(self, container: str | None = None) -> str:
        """What its container has written so far."""
        query = {"container": container or self.container}
        return self.cluster.kube.text(f"{self.path}/log", query)

    @property
    def events(self) -> tuple[str, ...]:
        """What Kubernetes noted about it, oldest first."""
        return kubernetes_state.events(self.cluster.kube, self.namespace, self.name, self.uid)

    @property
    def cni(self) -> tuple[Mapping[str, Any], ...]:
        """What each plugin list was asked and what it answered, by libcni's notes on the node."""
        namespace = self.cluster.real_namespace(self.namespace)
        return kubernetes_state.cni_results(self.node, namespace, self.name)

    @property
    def owner(self) -> Mapping[str, Any] | None:
        """The workload that made it."""
        return kubernetes_state.owner(self.cluster.kube, self._seen["metadata"])

    @property
    def started(self) -> float | None:
        """When kubelet took it, seconds since the epoch."""
        return kubernetes_state.moment(mapping(self.refresh(), "status").get("startTime"))

    def delete(self) -> None:
        """Delete it and wait until its sandbox is gone."""
        self.cluster.delete_pods([self])


class KubernetesNetwork(Network):
    """A NetworkAttachmentDefinition of a real cluster."""

    def __init__(
        self, cluster: KubernetesCluster, definition: NetworkAttachmentDefinition
    ) -> None:
        self.definition = definition
        self.name = definition.name
        self.namespace = definition.namespace
        self._cluster = cluster

    def delete(self) -> None:
        """Delete it; pods that use it keep their interfaces."""
        self._cluster.kube.delete(self._cluster.kube.path_of(self.definition.manifest()))
        self._cluster.forget(self)


class KubernetesObject(Handle):
    """Any other object of a real cluster.

    Attributes:
        path: its path in the API.
        ours: whether it did not exist before; others are changed, but never cleared away.
    """

    def __init__(
        self, cluster: KubernetesCluster, document: Document, path: str, *, ours: bool
    ) -> None:
        self.ours = ours
        self.kind = document.kind
        self.name = document.name
        self.namespace = document.namespace or ""
        self.path = path
        self._cluster = cluster

    @property
    def manifest(self) -> dict[str, Any]:
        """The object as the API server has it now."""
        return self._cluster.kube.get(self.path)

    @property
    def pods(self) -> tuple[KubernetesPod, ...]:
        """The pods that a workload's selector takes; a Deployment's once they are ready."""
        found = self.manifest
        if self.kind in ("Deployment", "ReplicaSet"):
            wanted = found["spec"].get("replicas", 1)
            folder, _, name = self.path.rpartition("/")
            self._cluster.await_object(
                folder,
                {"fieldSelector": f"metadata.name={name}"},
                lambda o: mapping(o, "status").get("readyReplicas", 0) >= wanted,
                what=f"{self.kind} {self.name}",
            )
        labels = mapping(found, "spec", "selector", "matchLabels")
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        path = f"/api/v1/namespaces/{found['metadata']['namespace']}/pods"
        listed = self._cluster.kube.get(path, {"labelSelector": selector})
        return tuple(self._cluster.adopt(item) for item in items(listed, "items"))

    def delete(self) -> None:
        """Delete it and what it owns, and wait until it is gone."""
        self._cluster.delete_object(self.path)
        self._cluster.forget(self)


class KubernetesCluster(Cluster):
    """A cluster with a real API server.

    Attributes:
        kube: plain requests to it.
    """

    kube: KubeApi

    def __init__(self, config: ClusterConfig) -> None:
        super().__init__(config)
        self._said: set[str] = set()

    # --- what a backend gives ---------------------------------------------------------------

    @abstractmethod
    def pod_prober(self, pod: KubernetesPod) -> Prober:
        """The way to a pod's stack."""

    @abstractmethod
    def kill_in_pod(self, pod: KubernetesPod, argv: Sequence[str]) -> None:
        """End a program that outlived its ``exec``, where that can be done from here."""

    def hasten_end(self, uid: str) -> None:
        """End the containers of a deleted pod that asked for no grace period.

        kubelet gives every container 2 s, and a ``sleep`` that is process 1 never heeds SIGTERM.
        """

    @abstractmethod
    def present_images(self, images: Iterable[str], nodes: Sequence[str]) -> set[str]:
        """Which of the images are on all of the nodes (local ones are brought there first)."""

    @abstractmethod
    def note_object(self, manifest: Mapping[str, Any]) -> None:
        """Write down that an object was made, for the next run to remove."""

    def real_namespace(self, given: str) -> str:
        """The Kubernetes namespace that stands for a given one: the same, unless workers share."""
        isolation = self.kube.isolation
        return given if isolation is None else isolation.real_namespace(given)

    def real_command(self, command: str) -> str:
        """A command as it shows what is meant: with real names, where workers share."""
        isolation = self.kube.isolation
        return command if isolation is None else isolation.command(command)

    def multus_is_back(self) -> bool:
        """Whether Multus, which a pod has just missed, is usable again: then it is made anew."""
        return False

    def before_pods(self) -> None:
        """Whatever must be right before pods start: links, leftovers of an earlier run."""

    # --- the API ----------------------------------------------------------------------------

    @property
    def kubeconfig(self) -> Path:
        """Path of this cluster's own kubeconfig file."""
        return self.kube.kubeconfig

    @property
    def api(self) -> Any:
        """A ``kubernetes.client.ApiClient`` for this cluster."""
        try:
            config: Any = import_module("kubernetes.config")
        except ImportError as error:
            raise BackendUnavailable(
                "cluster.api needs the Python package 'kubernetes'; "
                "install it with: pip install 'pytest-multinet[kind]'"
            ) from error
        return config.new_client_from_config(config_file=str(self.kubeconfig))

    # --- for a diagnosis --------------------------------------------------------------------

    @property
    def definitions(self) -> tuple[NetworkAttachmentDefinition, ...]:
        """Every NetworkAttachmentDefinition in the cluster that can be read."""
        return kubernetes_state.definitions(self.kube)

    def adopt(self, item: Mapping[str, Any]) -> KubernetesPod:
        """A handle for a pod that something else made, from its object."""
        whole = {"apiVersion": "v1", "kind": "Pod", **item}
        (document,) = load_documents(whole)
        return KubernetesPod(self, PodManifest.from_document(document), dict(item))

    def multus_states(self) -> tuple[MultusState, ...]:
        """How Multus stands on each node."""
        return kubernetes_state.multus_states(self.kube, self.nodes)

    # --- objects ----------------------------------------------------------------------------

    def _parse(self, document: Document) -> object:
        isolation = self.kube.isolation
        if isolation is not None:
            kind = document.kind
            ours = kind in ("Pod", "NetworkAttachmentDefinition")
            namespaced = ours or self.kube.resource(document.data["apiVersion"], kind)[1]
            isolation.check(kind, document.namespace, namespaced=namespaced)
        return super()._parse(document)

    def create_pods(self, manifests: Sequence[PodManifest], *, wait: bool = True) -> list[Pod]:
        """Start several pods together, under the rule for repeated names."""
        if self.kube.isolation is not None:
            for manifest in manifests:
                self.kube.isolation.check("Pod", manifest.namespace, namespaced=True)
        return super().create_pods(manifests, wait=wait)

    def _make_network(self, definition: NetworkAttachmentDefinition) -> Network:
        self.before_pods()
        try:
            self._apply(definition.manifest())
        except MultinetError as error:
            if "NetworkAttachmentDefinition" not in str(error) or "knows no kind" not in str(
                error
            ):
                raise
            raise ClusterError(
                f"cannot make network {definition.name}: the cluster has no "
                "NetworkAttachmentDefinitions; is Multus installed? (the fixture 'multus', or "
                "cluster.install_multus(), does that)"
            ) from error
        return KubernetesNetwork(self, definition)

    def _make_object(self, document: Document) -> Handle:
        self.before_pods()
        manifest = self._with_policies(document.data)
        path = self.kube.path_of(manifest, self.namespace)
        ours = self._apply(manifest)
        if document.kind == "Namespace":
            self._await_account(document.name)
        return KubernetesObject(self, document, path, ours=ours)

    def _apply(self, manifest: Mapping[str, Any]) -> bool:
        """Apply an object; whether it was not there before, so that it is ours to delete."""
        ours = not self.kube.exists(manifest, self.namespace)
        if ours:
            self.note_object(manifest)
        self.kube.apply(manifest, self.namespace)
        return ours

    def _with_policies(self, data: dict[str, Any]) -> dict[str, Any]:
        """A workload's manifest, its pod template's image policies set."""
        template = mapping(data, "spec", "template")
        if "spec" not in template:
            return data
        there = self.present_images(images_of(data), self._pod_nodes())
        changed, images = set_pull_policy(template, there)
        self._say_policy(images)
        return {**data, "spec": {**data["spec"], "template": changed}}

    def _await_account(self, namespace: str) -> None:
        """A new namespace takes pods once its default service account is there."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self.await_object(path, {"fieldSelector": "metadata.name=default"}, lambda o: True)

    def await_object(
        self,
        path: str,
        query: Mapping[str, str],
        enough: Callable[[Mapping[str, Any]], bool],
        *,
        timeout: float | None = None,
        what: str = "",
    ) -> dict[str, Any]:
        """Wait by watch until one object of a list is as wanted, and return it."""
        limit = self.config.timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        listed = self.kube.get(path, query)
        for item in listed["items"]:
            if enough(item):
                return item
        version = listed["metadata"]["resourceVersion"]
        while (left := deadline - time.monotonic()) > 0:
            watch = self.kube.watch(path, {**query, "resourceVersion": version}, seconds=left + 1)
            try:
                for kind, thing in watch:
                    if kind != "DELETED" and enough(thing):
                        return thing
                    version = thing["metadata"].get("resourceVersion", version)
                    if time.monotonic() > deadline:
                        break
            finally:
                watch.close()
        raise WaitTimeout(f"{what or path} was not as wanted within {limit:g} s")

    def delete_object(self, path: str) -> None:
        """Delete an object with what it owns, and wait until it is gone."""
        if self.kube.delete(path, foreground=True) is None:
            return
        folder, _, name = path.rpartition("/")
        query = {"fieldSelector": f"metadata.name={name}"}
        deadline = time.monotonic() + max(self.config.timeout, 60.0)
        while time.monotonic() < deadline:
            listed = self.kube.get(folder, query)
            if not listed["items"]:
                return
            version = listed["metadata"]["resourceVersion"]
            watch = self.kube.watch(folder, {**query, "resourceVersion": version}, seconds=5)
            try:
                if any(kind == "DELETED" for kind, _ in watch):
                    return
            finally:
                watch.close()
        raise WaitTimeout(
            f"{path} was not gone {max(self.config.timeout, 60.0):g} s after its deletion"
        )

    # --- pods -------------------------------------------------------------------------------

    def _make_pods(self, manifests: Sequence[PodManifest], *, wait: bool) -> list[Pod]:
        try:
            return self._start_pods(manifests, wait=wait)
        except PodError as error:
            if error.reason != IGNORED or not self.multus_is_back():
                raise
            self.progress(f"pod {error.pod} is made again: Multus was away when it started")
            return self._start_pods(manifests, wait=wait)

    def _start_pods(self, manifests: Sequence[PodManifest], *, wait: bool) -> list[Pod]:
        self.before_pods()
        wanted = self._pod_bodies(manifests)
        namespaces = {m.namespace for m in manifests}
        with watching(self.kube, namespaces) as watch:
            made: list[dict[str, Any]] = []
            mine: list[tuple[str, str]] = []

            def create(body: Mapping[str, Any]) -> dict[str, Any]:
                pod = self._create_pod(body)
                mine.append(key_of(pod))
                return pod

            try:
                with ThreadPoolExecutor(_AT_ONCE) as pool:
                    made += pool.map(create, wanted)
                if wait:
                    made = self._await_pods(watch, manifests, made)
            except BaseException:
                self._remove(mine, wait=True)
                raise
        pods = [KubernetesPod(self, m, p) for m, p in zip(manifests, made, strict=True)]
        return list(pods)

    def _await_pods(
        self, watch: PodWatch, manifests: Sequence[PodManifest], made: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        seen = wait_ready(watch, made, timeout=max(self.config.timeout, 30.0))
        silent = [
            m
            for m in manifests
            if m.networks and not has_network_status(seen[m.namespace, m.name])
        ]
        if silent:
            # Multus writes the status before the sandbox is ready, so a short while is enough.
            seen.update(self._second_look(silent))
        return [seen[m.namespace, m.name] for m in manifests]

    def _second_look(self, silent: Sequence[PodManifest]) -> dict[tuple[str, str], dict[str, Any]]:
        seen: dict[tuple[str, str], dict[str, Any]] = {}
        for manifest in silent:
            path = f"/api/v1/namespaces/{manifest.namespace}/pods"
            query = {"fieldSelector": f"metadata.name={manifest.name}"}
            try:
                pod = self.await_object(path, query, has_network_status, timeout=2.0)
            except WaitTimeout:
                raise PodError(
                    "it runs, but Multus did not see its annotation (it has no network-status)",
                    pod=f"{manifest.namespace}/{manifest.name}",
                    reason=IGNORED,
                    hint="Multus is not installed, not first in /etc/cni/net.d of the node, or "
                    "started later than the pod; the fixture 'multus' installs it",
                ) from None
            seen[manifest.namespace, manifest.name] = pod
        return seen

    def _pod_bodies(self, manifests: Sequence[PodManifest]) -> list[dict[str, Any]]:
        images = {i for m in manifests for i in images_of(m.raw)}
        bound = [m.node_name or m.node_selector.get("kubernetes.io/hostname") for m in manifests]
        known = {n.name for n in self.nodes}
        nodes = {b for b in bound if b in known}
        if len(nodes) < len(bound):
            nodes |= set(self._pod_nodes())
        there = self.present_images(images, sorted(n for n in nodes if n))
        bodies: list[dict[str, Any]] = []
        for manifest in manifests:
            body, changed = set_pull_policy(manifest.raw, there)
            body["metadata"] = {**body["metadata"], "namespace": manifest.namespace}
            self._say_policy(changed)
            bodies.append(body)
        return bodies

    def _pod_nodes(self) -> list[str]:
        """The nodes that take any pod: the workers, or the only node."""
        nodes = self.nodes
        return [n.name for n in nodes if n.role == "worker"] or [n.name for n in nodes]

    def _say_policy(self, images: Iterable[str]) -> None:
        new = [i for i in images if i not in self._said]
        if new:
            self._said.update(new)
            self.progress(
                f"imagePullPolicy of {', '.join(new)}: IfNotPresent (none was given, and the "
                "image is on the nodes)"
            )

    def _create_pod(self, body: Mapping[str, Any]) -> dict[str, Any]:
        before = self.kube.get_or_none(self.kube.path_of(body))
        if before is not None and before["metadata"].get("deletionTimestamp"):
            self._remove([key_of(before)], wait=True)
            before = None
        if before is not None:
            namespace, name = key_of(before)
            command = self.real_command(f"kubectl -n {namespace} delete pod {name}")
            raise UsageError(
                f"pod {namespace}/{name} exists in the cluster and was not made here; use "
                f"another name, or: {command}"
            )
        self.note_object(body)
        return self.kube.apply(body)

    def delete_pods(self, pods: Sequence[KubernetesPod]) -> None:
        """Delete pods together and wait until their sandboxes are gone."""
        self._remove([(p.namespace, p.name) for p in pods], wait=True)
        for pod in pods:
            self.forget(pod)

    def clear(self) -> None:
        """Delete everything that was made here: pods together, then the rest, newest first."""
        pods = [p for p in self.pods() if isinstance(p, KubernetesPod)]
        if pods:
            self.delete_pods(pods)
        for made in list(self._made.values()):
            if isinstance(made.handle, KubernetesObject) and not made.handle.ours:
                self.forget(made.handle)
        super().clear()

    def _remove(self, keys: Sequence[tuple[str, str]], *, wait: bool) -> None:
        """Delete pods; their API objects go only when kubelet has torn the sandbox down."""
        with watching(self.kube, {namespace for namespace, _ in keys} if wait else ()) as watch:
            left: list[tuple[str, str]] = []
            hasty: set[str] = set()
            for namespace, name in keys:
                path = f"/api/v1/namespaces/{namespace}/pods/{name}"
                answer = self._delete_pod(path)
                if answer is not None and answer.get("kind") == "Pod":
                    left.append((namespace, name))
                    if answer["spec"].get("terminationGracePeriodSeconds") == 0:
                        hasty.add(answer["metadata"]["uid"])
            if wait and left:

                def stopping(uid: str) -> None:
                    if uid in hasty:
                        self.hasten_end(uid)

                stuck = wait_gone(watch, left, timeout=60.0, stopping=stopping)
                if stuck:
                    names = ", ".join("/".join(k) for k in sorted(stuck))
                    raise WaitTimeout(f"pods {names} were not gone 60 s after their deletion")

    def _delete_pod(self, path: str) -> dict[str, Any] | None:
        # With a grace of 0 the object vanishes while the sandbox still holds its addresses.
        answer = self.kube.delete(path, grace=1)
        if answer is None or answer.get("kind") != "Pod":
            return answer
        gone_at_once = not answer["spec"].get("nodeName")
        return None if gone_at_once else answer

    def pod_exec_prober(self, pod: KubernetesPod) -> RemoteProber:
        """A prober that runs programs in the pod."""
        return RemoteProber(
            pod.name,
            lambda argv, timeout: pod.exec(argv, timeout=timeout),
            lambda argv, ready: pod.spawn(argv, ready=ready),
        )


def until_ready(
    process: RemoteProcess,
    ready: str | int | None,
    timeout: float,
    listens_on: Callable[[int], bool],
) -> RemoteProcess:
    """Wait until a program that was just started is ready, and return it."""
    from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

    process.started(timeout)
    if isinstance(ready, str):
        process.ready_when(ready, timeout)
    elif ready is not None:
        waiting: Retrying = Retrying(
            retry=retry_if_result(lambda done: not done),
            stop=stop_after_delay(timeout),
            wait=wait_fixed(0.1),
            retry_error_callback=lambda _: False,
        )
        if not waiting(lambda: process.returncode is not None or listens_on(ready)) or (
            process.returncode is not None
        ):
            process.terminate()
            raise ExecFailed(
                f"{' '.join(process.argv)} does not listen on port {ready} after {timeout:g} s "
                f"(exit {process.returncode}); it wrote:\n{process.output or '(nothing)'}"
            )
    return process


def listens(tables: str, port: int) -> bool:
    """Whether ``/proc/net/tcp`` and ``tcp6`` show a listener on a port (proc(5))."""
    for line in tables.splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[3] == "0A" and fields[1].endswith(f":{port:04X}"):
            return True
    return False


def node_facts(item: Mapping[str, Any]) -> tuple[str, str, str]:
    """(name, role, InternalIP) of a node object."""
    labels = mapping(item, "metadata", "labels")
    role = "control-plane" if "node-role.kubernetes.io/control-plane" in labels else "worker"
    addresses = items(item, "status", "addresses")
    internal = [a["address"] for a in addresses if a["type"] == "InternalIP"]
    if not internal:
        raise ClusterError(f"node {item['metadata']['name']} has no InternalIP address")
    return item["metadata"]["name"], role, str(ip_address(internal[0]))


__all__ = [
    "NETWORKS",
    "ApiError",
    "KubernetesCluster",
    "KubernetesNetwork",
    "KubernetesObject",
    "KubernetesPod",
    "LinkConfig",
    "is_ready",
    "node_facts",
    "until_ready",
]
