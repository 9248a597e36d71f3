"""Nodes and pods of the embedded backend: namespaces, and views in which programs run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from pytest_multinet.cluster.held_process import HeldProcess, View
from pytest_multinet.cluster.stack import NetworkStack, Node, Pod
from pytest_multinet.cni.binary import run_plugin
from pytest_multinet.cni.runtime import Sandbox
from pytest_multinet.errors import (
    ClusterError,
    ExecFailed,
    MultinetError,
    PodError,
    WaitTimeout,
)
from pytest_multinet.model.attachment import NETWORK_STATUS_ANNOTATION
from pytest_multinet.model.interface import ExecResult
from pytest_multinet.model.network_status import NetworkStatus, dump_network_status
from pytest_multinet.model.pod import Container, PodManifest
from pytest_multinet.multus.delegates import Delegate, attach, delegates_of, detach
from pytest_multinet.net import requests
from pytest_multinet.net.holder import HeldNamespace, HolderRefused
from pytest_multinet.probe.local import LocalProber

if TYPE_CHECKING:
    from pytest_multinet.cluster.embedded import EmbeddedCluster
    from pytest_multinet.cni.runtime import Runtime
    from pytest_multinet.model.nad import NetworkConfList

UNDERLAY = IPv4Network("172.18.0.0/16")
POD_NETWORK = IPv4Network("10.244.0.0/16")
_EARLY_END = 0.1  # s in which the end of a container's command is a failed start


class Stack:
    """What nodes and pods of this backend share: a namespace, and a view made when needed.

    Args:
        cluster: whose it is; ``hostname``: its UTS name; ``image``: what a root directory may
            stand for, ``None`` for nodes.
    """

    def __init__(
        self, cluster: EmbeddedCluster, namespace: HeldNamespace, hostname: str, image: str | None
    ) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.hostname = hostname
        self.image = image
        self.names: list[tuple[str, str]] = []  # of /etc/hosts: a pod knows itself alone
        self.processes: list[HeldProcess] = []
        self._view: View | None = None

    def view(self) -> View:
        """The stack's own mounts, host name and processes."""
        if self._view is None:
            root = self.cluster.config.image_roots.get(self.image) if self.image else None
            hosts = self.cluster.hosts_file(self)
            try:
                self.namespace.holder.view(self.namespace, self.hostname, hosts, root)
            except HolderRefused as error:
                raise ExecFailed(
                    f"{self.namespace.name}: cannot make its mounts: {error}"
                ) from error
            self._view = View(self.namespace, root, self.image)
        return self._view

    def close(self) -> None:
        """Close the descriptors of its processes, which end with the cluster."""
        for process in self.processes:
            process.close()


class _RunsPrograms(NetworkStack):
    """How nodes and pods of this backend run programs: in the view of their stack."""

    stack: Stack

    def exec(
        self,
        argv: Sequence[str],
        *,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        check: bool = False,
    ) -> ExecResult:
        return self.stack.cluster.exec_in(self.stack, argv, input, env, timeout, check=check)

    def spawn(
        self,
        argv: Sequence[str],
        *,
        ready: str | int | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> HeldProcess:
        return self.stack.cluster.spawn_in(self.stack, argv, ready, env, timeout)


class EmbeddedNode(_RunsPrograms, Node):
    """A node: a namespace with ``eth0`` on the underlay; the host of its pods' CNI plugins."""

    def __init__(
        self, cluster: EmbeddedCluster, namespace: HeldNamespace, role: str, number: int
    ) -> None:
        self.name = namespace.name
        self.role = role
        self.number = number
        self.address = UNDERLAY[2 + number]
        self.patience = cluster.config.timeout
        self.namespace = namespace
        self.pod_network = IPv4Network((int(POD_NETWORK.network_address) + (number << 8), 24))
        self.state: dict[str, Any] = {}
        self.cluster_state = cluster.shared_state
        self.stack = Stack(cluster, namespace, self.name, None)
        self._prober = LocalProber(self.name, namespace, cluster.budget)
        self.cluster = self._cluster = cluster

    @property
    def prober(self) -> LocalProber:
        return self._prober

    @cached_property
    def default_network(self) -> NetworkConfList:
        """The configuration of the cluster's default network on this node."""
        return self._cluster.default_network(self)

    @property
    def cni_path(self) -> str:
        """The folders in which this node's runtime looks for plugins."""
        return self._cluster.cni_path.text

    def exec_plugin(
        self,
        plugin_type: str,
        env: Mapping[str, str],
        stdin: bytes,
        sandbox: HeldNamespace,
    ) -> tuple[int, bytes, bytes] | None:
        """Run a real CNI plugin in this node's view; ``None`` where there is none."""
        program = self._cluster.cni_path.find(plugin_type)
        if program is None:
            return None
        self.stack.view()
        return run_plugin(self.namespace, sandbox, program, env, stdin)


class EmbeddedPod(_RunsPrograms, Pod):
    """A pod: a namespace, its attachments, and the processes of its containers."""

    def __init__(
        self,
        cluster: EmbeddedCluster,
        manifest: PodManifest,
        node: EmbeddedNode,
        namespace: HeldNamespace,
    ) -> None:
        self.manifest = manifest
        self.name = manifest.name
        self.namespace = manifest.namespace
        self.patience = cluster.config.timeout
        self.node = self._host = node
        self.sandbox = Sandbox(
            os.urandom(32).hex(), namespace, f"/var/run/netns/cni-{os.urandom(8).hex()}"
        )
        image = manifest.containers[0].image if manifest.containers else None
        self.stack = Stack(cluster, namespace, manifest.hostname or manifest.name, image)
        self.delegates: list[Delegate] = []
        self.workload: Mapping[str, Any] | None = None
        self.containers: dict[str, HeldProcess] = {}
        self.cluster = self._cluster = cluster
        self._status: tuple[NetworkStatus, ...] = ()
        self._prober = LocalProber(self.name, namespace, cluster.budget)
        self._deleted = False

    @property
    def prober(self) -> LocalProber:
        return self._prober

    @property
    def network_status(self) -> tuple[NetworkStatus, ...]:
        return self._status

    @property
    def cni(self) -> tuple[Mapping[str, Any], ...]:
        """What each plugin list was asked and what it answered."""
        runtime, sandbox = self._cluster.runtime(self._host), self.sandbox.container_id
        found: list[Mapping[str, Any]] = []
        for d in self.delegates:
            result = runtime.cached_result(d.network.name, sandbox, d.interface)
            answer = None if result is None else result.to_dict()
            found.append({"interface": d.interface, "network": d.network.raw, "result": answer})
        return tuple(found)

    @property
    def owner(self) -> Mapping[str, Any] | None:
        return self.workload

    @property
    def annotations(self) -> Mapping[str, str]:
        status = {NETWORK_STATUS_ANNOTATION: dump_network_status(self._status)}
        return {**self.manifest.annotations, **status}

    def set_up(self, runtime: Runtime, on_node: Mapping[str, NetworkConfList]) -> None:
        """Attach every network, then start what the containers run.

        Raises:
            PodError: what Multus or a container reported; the attachments are undone.
        """
        rtnl = self.sandbox.namespace.rtnl
        rtnl.execute(requests.set_link(1, up=True, what="set lo up"))
        default = self._host.default_network
        lookup = self._cluster.definition
        self.delegates = delegates_of(self.manifest, default, lookup, on_node)
        self._status = attach(runtime, self.sandbox, self.manifest, self.delegates)
        addresses = self._status[0].ips
        self.stack.names = [(str(ip), self.stack.hostname) for ip in addresses]
        self._cluster.hasten(self.sandbox.namespace, [d.interface for d in self.delegates])
        for container in self.manifest.containers:
            if not container.idle:
                self._start(container)

    def _start(self, container: Container) -> None:
        argv = [*container.command, *container.args]
        try:
            process = HeldProcess(self.stack.view(), argv, container.env)
        except MultinetError as error:
            raise self._container_failed(container, str(error)) from error
        self.containers[container.name] = process
        self.stack.processes.append(process)
        try:
            code = process.wait(_EARLY_END)
        except WaitTimeout:
            return  # it runs, as it should
        policy = self.manifest.raw.get("spec", {}).get("restartPolicy", "Always")
        if policy == "Always" or (code and policy == "OnFailure"):
            said = process.output.strip() or "nothing"
            raise self._container_failed(
                container, f"{' '.join(argv)!r} exited at once with {code}; it wrote: {said}"
            )

    def _container_failed(self, container: Container, why: str) -> PodError:
        return PodError(
            f"container {container.name}: {why}",
            pod=f"{self.namespace}/{self.name}",
            reason="CrashLoopBackOff",
            hint="a container must keep running: use ['sleep', 'infinity'], or set "
            "restartPolicy: Never",
        )

    def logs(self, container: str | None = None) -> str:
        if container is None and self.manifest.containers:
            container = self.manifest.containers[0].name
        process = self.containers.get(container or "")
        return process.output if process is not None else ""

    def delete(self) -> None:
        if self._deleted:
            return
        self._deleted = True
        errors = self.tear_down()
        self._cluster.forget(self)
        if errors:
            raise ClusterError(
                f"pod {self.namespace}/{self.name} was deleted with errors: "
                + "; ".join(map(str, errors))
            )

    def tear_down(self) -> list[MultinetError]:
        """Stop the containers, DEL every attachment, give the namespace back."""
        for process in self.stack.processes:
            process.terminate(grace=0)
        runtime = self._cluster.runtime(self._host)
        errors = detach(runtime, self.sandbox, self.manifest, self.delegates)
        self.sandbox.namespace.close()
        self.release()
        return errors

    def release(self) -> None:
        """Close every descriptor; what is left in the kernel goes with the namespace."""
        self.stack.close()
        self.sandbox.namespace.release()
