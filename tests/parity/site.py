"""The two backends as the parity suite drives them."""

from __future__ import annotations

import contextlib
import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from pytest_multinet.cluster.base import Cluster
from pytest_multinet.cluster.kind_cluster import KindCluster
from pytest_multinet.cluster.kubernetes import KubernetesPod
from pytest_multinet.cluster.network import Network
from pytest_multinet.cluster.pod_events import SANDBOX, from_event
from pytest_multinet.cluster.pod_wait import watching
from pytest_multinet.cluster.stack import Handle
from pytest_multinet.errors import ManifestError, MultinetError, PodError

from .scenario import Manifest

REFUSAL_TIMEOUT = 60.0  # seconds until every pod that cannot start must have said so


class Site(ABC):
    """A cluster of one backend, with the node link ``eth1``."""

    backend: str
    cluster: Cluster

    @abstractmethod
    def refusals(self, wanted: Mapping[str, Sequence[Manifest]]) -> dict[str, str]:
        """What is said of pods that cannot start; of each, its manifests, the pod last."""

    @abstractmethod
    def delete(self, handles: Sequence[Handle]) -> None:
        """Delete what a scenario made, pods together and first."""

    def staged(self, manifest: Manifest) -> Manifest:
        """The manifest with this cluster's node names and image."""
        manifest = copy.deepcopy(manifest)
        if manifest["kind"] == "Pod":
            spec = manifest["spec"]
            node = spec.pop("nodeName", None) or _alias(spec.pop("nodeSelector"))
            spec["nodeName"] = self.cluster.node(node).name
            for container in spec["containers"]:
                container.setdefault("image", self.cluster.config.pod_image)
        return manifest


class EmbeddedSite(Site):
    """What we build."""

    backend = "embedded"

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def refusals(self, wanted: Mapping[str, Sequence[Manifest]]) -> dict[str, str]:
        said: dict[str, str] = {}
        for row, manifests in wanted.items():
            handles: list[Handle] = []
            try:
                for manifest in manifests:
                    handles += self.cluster.apply(self.staged(manifest))
                said[row] = "it was not refused"
            except (PodError, ManifestError) as error:
                said[row] = error.message
            finally:
                self.delete(handles)
        return said

    def delete(self, handles: Sequence[Handle]) -> None:
        for handle in sorted(handles, key=lambda h: h.kind != "Pod"):
            handle.delete()


class KindSite(Site):
    """What is real."""

    backend = "kind"
    cluster: KindCluster

    def __init__(self, cluster: KindCluster) -> None:
        self.cluster = cluster

    def refusals(self, wanted: Mapping[str, Sequence[Manifest]]) -> dict[str, str]:
        """Past our own checks: the API server gets the manifests as they are."""
        kube = self.cluster.kube
        rows = {manifests[-1]["metadata"]["name"]: row for row, manifests in wanted.items()}
        said: dict[str, str] = {}
        made: list[str] = []
        try:
            with watching(kube, [self.cluster.namespace]) as watch:
                for manifest in (m for manifests in wanted.values() for m in manifests):
                    body = self.staged(manifest)
                    body["metadata"]["namespace"] = self.cluster.namespace
                    made.append(kube.path_of(body))
                    kube.apply(_with_policy(body))
                deadline = time.monotonic() + REFUSAL_TIMEOUT
                while len(said) < len(rows) and time.monotonic() < deadline:
                    item = watch.next(deadline - time.monotonic())
                    if item is None or item[0] != "event":
                        continue
                    trouble = from_event(item[2])
                    row = rows.get(item[2]["involvedObject"]["name"])
                    if trouble and row and trouble.reason == SANDBOX and not trouble.passing:
                        said.setdefault(row, trouble.message)
        finally:
            for path in made:
                kube.delete(path, grace=0 if "/pods/" in path else None)
            pods = [path for path in made if "/pods/" in path]
            for path in pods:
                self.cluster.delete_object(path)
        return {row: said.get(row, "it was not refused") for row in wanted}

    def delete(self, handles: Sequence[Handle]) -> None:
        pods = [h for h in handles if isinstance(h, KubernetesPod)]
        if pods:
            self.cluster.delete_pods(pods)
        for handle in handles:
            if not isinstance(handle, KubernetesPod):
                with contextlib.suppress(MultinetError):
                    handle.delete()
        # Which address was the last one stays on the node; a kept cluster would go on from there.
        stores = [f"/var/lib/cni/networks/{h.name}" for h in handles if isinstance(h, Network)]
        for node in self.cluster.nodes if stores else ():
            node.exec(["rm", "-rf", *stores], check=True)


def _with_policy(body: Manifest) -> Manifest:
    """The image is on the nodes: nothing is pulled."""
    for container in body.get("spec", {}).get("containers", ()):
        container.setdefault("imagePullPolicy", "IfNotPresent")
    return body


def _alias(selector: Mapping[str, str]) -> str:
    """The node that the seed's own pods select, without its cluster's name."""
    return selector["kubernetes.io/hostname"].removeprefix("multus-cluster-")
