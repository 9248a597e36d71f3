"""Multus on a kind cluster: installed where there is none, and its six readiness points."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from pytest_multinet.cluster.multus import Multus, ReadinessCheck
from pytest_multinet.cluster.pod_wait import (
    PodWatch,
    has_network_status,
    is_ready,
    wait_ready,
    watching,
)
from pytest_multinet.cluster.rest import ApiError
from pytest_multinet.errors import MultinetError, MultusError, PodError, UsageError
from pytest_multinet.model.nested import mapping
from pytest_multinet.multus import install

if TYPE_CHECKING:
    from pytest_multinet.cluster.kind_cluster import KindCluster


class KindMultus(Multus):
    """Multus on a kind cluster: ours, or one that was there before."""

    version = install.VERSION
    mode = "thick"

    def __init__(self, cluster: KindCluster) -> None:
        self._cluster = cluster
        self._canary: dict[str, install.Point] = {}

    def make_usable(self) -> None:
        """Install it where there is none, and wait for all six points on every node."""
        cluster = self._cluster
        found = self._find()
        if found is None:
            self._apply()
            found = self._find()
        if found is None:
            raise MultusError(
                "the Multus manifest was applied, but there is no DaemonSet of Multus"
            )
        self.version, self.mode = install.version_of(found)
        if cluster.attached and cluster.record.multus and all(p.ok for p in self._points()):
            for node in cluster.nodes:
                seen = "attached when the cluster was made"
                self._canary[node.name] = install.Point(node.name, install.CANARY, True, seen)
            return
        cluster.await_multus_parts()
        with cluster.timeline.stage("Multus ready"):
            self._await_points(found)
        with cluster.timeline.stage("canary pods"):
            self._run_canaries()
        bad = [p for p in self._all() if not p.ok]
        if bad:
            raise install.not_ready(bad)

    def _find(self) -> Mapping[str, Any] | None:
        listed = self._cluster.kube.get("/apis/apps/v1/daemonsets")["items"]
        return install.find_daemon_set(listed)

    def _apply(self) -> None:
        config = self._cluster.config
        documents = install.manifest(config.multus_mode, config.multus_manifest)
        if config.namespace_isolation:
            if config.multus_manifest is not None:
                raise UsageError(
                    f"namespace_isolation goes into our manifest of Multus; set it in "
                    f"{config.multus_manifest} instead"
                )
            documents = install.with_isolation(documents, config.global_namespaces)
        with self._cluster.timeline.stage("apply Multus"):
            if config.multus_manifest is None and config.multus_mode == "thin":
                service = self._cluster.service_of_the_api()
                documents = install.with_service_address(documents, service["spec"]["clusterIP"])
            for document in install.in_order(documents):
                self._cluster.kube.apply(document.data, install.NAMESPACE)

    def settle(self, seconds: float = 10.0) -> bool:
        """Wait a while for a Multus that is just coming back: a pod made now would miss it.

        After a restart the primary's configuration may be used in its place, without a word.

        Returns:
            Whether it is usable; where not, the pod's own error says what is wrong.
        """
        from tenacity import Retrying, retry_if_result, stop_after_delay, wait_exponential

        def settled() -> bool:
            points = self._points()
            return all(p.ok for p in points if p.point != install.EXECUTABLE)

        waiting: Retrying = Retrying(
            retry=retry_if_result(lambda ok: not ok),
            stop=stop_after_delay(seconds),
            wait=wait_exponential(multiplier=0.1, max=1.0),
            retry_error_callback=lambda _: False,
        )
        return bool(waiting(settled))

    # --- the six points ---------------------------------------------------------------------

    def status(self) -> tuple[ReadinessCheck, ...]:
        """Every readiness point on every node, checked now (the canary as it was seen)."""
        return tuple(ReadinessCheck(p.node, p.point, p.ok, p.detail) for p in self._all())

    def _all(self) -> list[install.Point]:
        return [*self._points(), *self._canary.values()]

    def _points(self) -> list[install.Point]:
        cluster = self._cluster
        plugins = self._plugin_types()
        points = [
            point
            for node in cluster.nodes
            for point in install.check_node(cluster.kind_node(node.name), self.mode, plugins)
        ]
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{install.CRD}"
        established = install.is_established(cluster.kube.get_or_none(path))
        return [*points, install.Point("", install.ESTABLISHED, established, install.CRD)]

    def _plugin_types(self) -> set[str]:
        """The plugin types that the cluster's networks use."""
        from pytest_multinet.model.nad import parse_network_config

        types: set[str] = set()
        try:
            listed = self._cluster.kube.get(
                "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions"
            )
        except ApiError:
            return types
        for item in listed["items"]:
            text = str(mapping(item, "spec").get("config") or "")
            try:
                conf = parse_network_config(text, name=item["metadata"]["name"])
            except MultinetError:
                continue  # a network that nobody can attach to asks for no plugin
            for plugin in conf.plugins:
                types |= {plugin.type, *([plugin.ipam_type] if plugin.ipam_type else [])}
        return types

    def _await_points(self, found: Mapping[str, Any]) -> None:
        """Wait until the points that stand on the nodes hold; the DaemonSet by watch."""
        from tenacity import (
            RetryError,
            Retrying,
            retry_if_result,
            stop_after_delay,
            wait_exponential,
        )

        cluster = self._cluster
        name, namespace = found["metadata"]["name"], found["metadata"]["namespace"]
        limit = max(cluster.config.timeout, 120.0)
        began = time.monotonic()
        try:
            cluster.await_object(
                f"/apis/apps/v1/namespaces/{namespace}/daemonsets",
                {"fieldSelector": f"metadata.name={name}"},
                _rolled_out,
                timeout=limit,
                what=f"DaemonSet {namespace}/{name}",
            )
        except MultinetError as error:
            raise self._why_not(namespace, error) from error
        left = max(limit - (time.monotonic() - began), 10.0)
        waiting: Retrying = Retrying(
            retry=retry_if_result(lambda points: not all(p.ok for p in points)),
            stop=stop_after_delay(min(left, 60.0)),
            wait=wait_exponential(multiplier=0.1, max=1.0),
        )
        try:
            waiting(self._points)
        except RetryError:
            raise install.not_ready(self._points()) from None

    def _why_not(self, namespace: str, error: MultinetError) -> MultusError:
        """Which points fail, and what the Multus pods say."""
        from pytest_multinet.cluster.pod_events import from_status

        lines: list[str] = []
        pods = self._cluster.kube.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
        for pod in pods:
            trouble = from_status(pod)
            if "multus" in pod["metadata"]["name"] and trouble is not None:
                where = pod["spec"].get("nodeName") or "no node"
                lines.append(f"{where}: {trouble.reason}: {trouble.message}")
        failing = install.not_ready(self._points())
        more = "\n  ".join(lines)
        return MultusError(f"{error}\n{failing}" + (f"\n  {more}" if more else ""))

    # --- the canary -------------------------------------------------------------------------

    def _run_canaries(self) -> None:
        """One pod a node asks for a network; each must get its network-status."""
        kube = self._cluster.kube
        network = install.canary_network()
        image = self._cluster.pause_image()
        bodies = [
            install.canary_pod(node.name, image, number)
            for number, node in enumerate(self._cluster.nodes)
        ]
        with ExitStack() as stack:
            stack.callback(self._sweep, [*bodies, network])
            kube.apply(network)
            with watching(kube, [install.NAMESPACE]) as watch:
                pods = [kube.apply(body) for body in bodies]
                self._judge(watch, pods)

    def _judge(self, watch: PodWatch, pods: Sequence[Mapping[str, Any]]) -> None:
        def attached(pod: Mapping[str, Any]) -> bool:
            return is_ready(pod) and has_network_status(pod)

        waiting: list[Mapping[str, Any]] = list(pods)
        limit = max(self._cluster.config.timeout, 60.0)
        while waiting:
            why: PodError | None = None
            try:
                wait_ready(watch, waiting, timeout=limit, enough=attached)
            except PodError as error:
                why, limit = error, 5.0
            failed: list[Mapping[str, Any]] = [
                p for p in waiting if why is not None and why.pod.endswith(_name(p))
            ]
            for pod in failed if why is not None else waiting:
                node = pod["spec"]["nodeName"]
                detail = str(why) if why is not None else "network-status seen"
                self._canary[node] = install.Point(node, install.CANARY, why is None, detail)
            waiting = [p for p in waiting if p not in failed] if failed else []

    def _sweep(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        kube = self._cluster.kube
        for body in bodies:
            kube.delete(kube.path_of(body), grace=0 if body["kind"] == "Pod" else None)


def _name(thing: Mapping[str, Any]) -> str:
    return str(thing["metadata"]["name"])


def _rolled_out(daemon_set: Mapping[str, Any]) -> bool:
    status = mapping(daemon_set, "status")
    wanted = int(status.get("desiredNumberScheduled") or 0)
    current = status.get("observedGeneration") == daemon_set["metadata"].get("generation")
    return current and wanted > 0 and int(status.get("numberReady") or 0) >= wanted
