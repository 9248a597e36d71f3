"""What is done for a kind cluster while its nodes boot: images and CNI plugins.

containerd answers long before the API server does, so this overlaps with kubeadm's phases.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pytest_multinet.cluster.engine import Container, Engine
from pytest_multinet.cluster.images import NodeImages, images_of
from pytest_multinet.cluster.plugins import Plugins, find_plugins, install_plugins
from pytest_multinet.cluster.record import Record
from pytest_multinet.cluster.sandboxes import answers_in_container
from pytest_multinet.cluster.stages import Stages
from pytest_multinet.errors import MultinetError
from pytest_multinet.model.topology import ClusterConfig
from pytest_multinet.multus import install

KIND_LABEL = "io.x-k8s.kind.cluster"


class Boot:
    """Work in the background from the first sign of life of the nodes on.

    Args:
        config: the cluster.
        engine: where its containers are.
        names: its nodes.
        images: the images on its nodes.
        record: what is written down about it.
        stages: where the time goes.
    """

    def __init__(
        self,
        config: ClusterConfig,
        engine: Engine,
        names: Sequence[str],
        images: NodeImages,
        record: Record,
        stages: Stages,
    ) -> None:
        self._config = config
        self._engine = engine
        self._names = names
        self._images = images
        self._record = record
        self._stages = stages
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="kind")
        self._reading: Future[Plugins] | None = None
        self._plugins: Future[None] | None = None
        self._multus_image: Future[None] | None = None
        self._pod_image: Future[None] | None = None

    def read_plugins(self, architecture: str) -> None:
        """Begin to read the CNI plugins, or to fetch them."""
        self._reading = self._pool.submit(find_plugins, self._config.cni_plugins, architecture)

    def wait_for_nodes(self, process: subprocess.Popen[bytes]) -> list[Container]:
        """Wait until every node's containerd answers, or ``kind`` has ended."""
        from tenacity import Retrying, retry_if_result, wait_fixed

        # Its deadline is kind's own: the wait ends with the process.
        waiting: Retrying = Retrying(
            retry=retry_if_result(lambda up: not up), wait=wait_fixed(0.25)
        )
        waiting(lambda: self._booted() or process.poll() is not None)
        return self._engine.containers(f"{KIND_LABEL}={self._config.name}")

    def _booted(self) -> bool:
        containers = self._engine.containers(f"{KIND_LABEL}={self._config.name}")
        if len(containers) < len(self._names) or not all(c.running for c in containers):
            return False
        return all(self._containerd_answers(c) for c in containers)

    def _containerd_answers(self, container: Container) -> bool:
        seen = answers_in_container(container.pid, container.id, "/run/containerd/containerd.sock")
        if seen is not None:
            return seen
        try:
            return self._engine.exec(container.name, ["ctr", "version"], timeout=5).returncode == 0
        except MultinetError:
            return False

    def start(self) -> None:
        """Bring plugins and images to the nodes, in the background."""
        self._plugins = self._pool.submit(self._put_plugins)
        self._multus_image = self._pool.submit(self._load_multus_image)
        self._pod_image = self._pool.submit(self._load_pod_image)

    def _put_plugins(self) -> None:
        if self._reading is None:
            return
        plugins = self._reading.result()
        with self._stages.stage("CNI plugins"), ThreadPoolExecutor(len(self._names)) as pool:
            jobs = [
                pool.submit(install_plugins, self._engine, name, plugins) for name in self._names
            ]
            for job in jobs:
                job.result()
        self._record.plugins = plugins.fingerprint

    def _load_multus_image(self) -> None:
        documents = install.manifest(self._config.multus_mode, self._config.multus_manifest)
        named = dict.fromkeys(image for d in documents for image in images_of(d.data))
        here = [image for image in named if self._images.local(image) is not None]
        if here:
            with self._stages.stage("load Multus image"):
                self._images.load(here)

    def _load_pod_image(self) -> None:
        if self._multus_image is not None:
            self._multus_image.result()  # Multus is needed first
        image = self._config.pod_image
        if self._images.local(image) is not None:
            workers = [name for name in self._names if "-control-plane" not in name]
            with self._stages.stage("load pod image"):
                self._images.load([image], workers or self._names)

    # --- waiting for it ---------------------------------------------------------------------

    def await_multus_parts(self) -> None:
        """Wait for what Multus needs on the nodes: the CNI plugins and its image."""
        for task in (self._plugins, self._multus_image):
            if task is not None:
                task.result()

    def await_pod_image(self) -> None:
        """Wait until the pod image is where pods run."""
        if self._pod_image is not None:
            self._pod_image.result()

    def settle(self) -> None:
        """Wait until all of it has ended; what failed is told to whom it concerns."""
        for task in self._tasks():
            task.exception()

    def cancel(self) -> None:
        """Start nothing more; what runs fails by itself once the nodes are gone."""
        for task in self._tasks():
            task.cancel()

    def finish(self) -> None:
        """Wait until nothing of this runs any more, whatever came of it."""
        for task in self._tasks():
            if not task.cancel():
                task.exception()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _tasks(self) -> list[Future[None]]:
        tasks = (self._pod_image, self._multus_image, self._plugins)
        return [task for task in tasks if task is not None]
