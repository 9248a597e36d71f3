"""Nodes and pods of the embedded backend: namespaces, and views in which programs run."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from pytest_multinet.cluster.held_process import HeldProcess, View
from pytest_multinet.cluster.network import selections_of
from pytest_multinet.cluster.stack import NetworkStack, Node, Pod
from pytest_multinet.cni.binary import run_plugin
from pytest_multinet.cni.runtime import Sandbox
from pytest_multinet.errors import (
    ClusterError,
    ExecFailed,
    MultinetError,
    PodError,
    UsageError,
    WaitTimeout,
)
from pytest_multinet.model.attachment import (
    NETWORK_STATUS_ANNOTATION,
    NETWORKS_ANNOTATION,
    NetworkSelection,
    check_interface_names,
    dump_networks,
    interface_names,
)
from pytest_multinet.model.conf_dir import ConfDir
from pytest_multinet.model.interface import ExecResult
from pytest_multinet.model.network_status import NetworkStatus, dump_network_status
from pytest_multinet.model.pod import Container, PodManifest
from pytest_multinet.multus.delegates import (
    Attached,
    Delegate,
    attach,
    delegate_of,
    delegates_of,
    detach,
    given_by_kubelet,
)
from pytest_multinet.net import requests
from pytest_multinet.net.holder import HeldNamespace, HolderRefused
from pytest_multinet.probe.local import LocalProber

if TYPE_CHECKING:
    from pytest_multinet.cluster.embedded import EmbeddedCluster
    from pytest_multinet.cluster.network import Attachment

UNDERLAY = IPv4Network("172.18.0.0/16")
POD_NETWORK = IPv4Network("10.244.0.0/16")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as Go calls them
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
    """A node: a namespace with ``eth0`` on the underlay; the host of its pods' CNI plugins.

    Args:
        cluster: whose it is; ``number``: its place there.
        namespace: its network namespace.
        role: ``control-plane`` or ``worker``.
        own_labels: labels besides those that every node of its role has.
    """

    def __init__(
        self,
        cluster: EmbeddedCluster,
        namespace: HeldNamespace,
        role: str,
        number: int,
        own_labels: Mapping[str, str],
    ) -> None:
        self.name = namespace.name
        self.role = role
        machine = platform.machine()
        architecture = {"kubernetes.io/arch": _ARCHITECTURES.get(machine, machine)}
        self._labels = {**super().labels, **architecture, **own_labels}
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

    @property
    def labels(self) -> Mapping[str, str]:
        return self._labels

    @cached_property
    def conf_dir(self) -> ConfDir:
        """Its CNI configuration files."""
        return self._cluster.conf_dir(self)

    def read_file(self, path: str) -> str | None:
        """The text of a file in this node's view; ``None`` where it cannot be read."""
        found = self.exec(["cat", path])
        return found.stdout if found.returncode == 0 else None

    def remove_file(self, path: str) -> None:
        """Remove a file in this node's view; harmless where there is none."""
        self.exec(["rm", "-f", path])

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
        self.uid = str(uuid.uuid4())
        self.sandbox = Sandbox(
            os.urandom(32).hex(), namespace, f"/var/run/netns/cni-{os.urandom(8).hex()}"
        )
        image = manifest.containers[0].image if manifest.containers else None
        self.stack = Stack(cluster, namespace, manifest.hostname or manifest.name, image)
        self.delegates: list[Delegate] = []
        self._given: Mapping[str, Any] = {}
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

    @property
    def attached(self) -> Attached:
        """What Multus needs to know of this pod to attach it to a network, or to detach it."""
        runtime = self._cluster.runtime(self._host)
        return Attached(self.manifest, self.uid, self.sandbox, runtime, self._host, self._given)

    def set_up(self) -> None:
        """Attach every network, then start what the containers run.

        Raises:
            PodError: what Multus or a container reported; the attachments are undone.
        """
        rtnl = self.sandbox.namespace.rtnl
        rtnl.execute(requests.set_link(1, up=True, what="set lo up"))
        conf = self._cluster.multus_conf(self._host)
        self.delegates = delegates_of(self.manifest, conf)
        self._given = given_by_kubelet(self.manifest, conf)
        self._status = attach(self.attached, self.delegates)
        addresses = [ip for status in self._status if status.default for ip in status.ips]
        self.stack.names = [(str(ip), self.stack.hostname) for ip in addresses]
        self._cluster.hasten(self.sandbox.namespace, [d.interface for d in self.delegates])
        for container in self.manifest.containers:
            if not container.idle:
                self._start(container)

    def attach(self, *networks: Attachment) -> tuple[NetworkStatus, ...]:
        wanted = selections_of(networks, self.namespace)
        for selection in wanted:
            _check_hot(selection)
        before = len(self.manifest.networks)
        selections = _named([*self.manifest.networks, *wanted])
        default = next(d.interface for d in self.delegates if d.default)
        check_interface_names(selections, default_interface=default)
        conf = self._cluster.multus_conf(self._host)
        delegates = [
            delegate_of(self.manifest, selection, selection.interface or "", conf)
            for selection in selections[before:]
        ]
        status = attach(replace(self.attached, given={}), delegates)
        self._cluster.hasten(self.sandbox.namespace, [d.interface for d in delegates])
        self.delegates += delegates
        self._status += status
        self._annotate(selections)
        return status

    def detach(self, *interfaces: str) -> None:
        known = {d.interface: d for d in self.delegates if not d.default}
        for interface in interfaces:
            if interface not in known:
                raise UsageError(
                    f"{self.name} has no network attached as {interface!r}; it has "
                    f"{', '.join(known) or 'none'} besides its default network"
                )
        conf = self._cluster.multus_conf(self._host)
        delegates: list[Delegate] = []
        for interface in interfaces:
            # The controller names the network alone: of what was asked for, DEL is told nothing.
            namespace, _, name = known[interface].name.partition("/")
            plain = NetworkSelection(name, namespace)
            delegates.append(delegate_of(self.manifest, plain, interface, conf))
        errors = detach(replace(self.attached, given={}), delegates)
        self.delegates = [d for d in self.delegates if d.interface not in interfaces]
        self._status = tuple(s for s in self._status if s.interface not in interfaces)
        selections = _named(self.manifest.networks)
        self._annotate([s for s in selections if s.interface not in interfaces])
        if errors:
            raise PodError(
                f"failed to remove delegate: {'; '.join(map(str, errors))}",
                pod=f"{self.namespace}/{self.name}",
                node=self.node.name,
                reason="FailedRemovingInterface",
            )

    def _annotate(self, selections: Sequence[NetworkSelection]) -> None:
        """Change the annotation ``networks`` of the running pod."""
        text = dump_networks(selections, self.namespace)
        annotations = {**self.manifest.annotations, NETWORKS_ANNOTATION: text}
        networks = tuple(selections)
        self.manifest = replace(self.manifest, networks=networks, annotations=annotations)

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
        errors = detach(self.attached, self.delegates)
        self.sandbox.namespace.close()
        self.release()
        return errors

    def release(self) -> None:
        """Close every descriptor; what is left in the kernel goes with the namespace."""
        self.stack.close()
        self.sandbox.namespace.release()


def _named(selections: Sequence[NetworkSelection]) -> list[NetworkSelection]:
    """The selections with their interfaces: dynamic-networks-controller tells them apart by it."""
    names = interface_names(selections)
    return [replace(s, interface=name) for s, name in zip(selections, names, strict=True)]


def _check_hot(selection: NetworkSelection) -> None:
    """Refuse what dynamic-networks-controller 0.3 does not pass on to Multus."""
    taken = ("name", "namespace", "interface", "ips", "mac", "cni_args")
    plain = NetworkSelection("")
    given = [f.name for f in fields(selection) if f.name not in taken]
    lost = [name for name in given if getattr(selection, name) != getattr(plain, name)]
    if lost:
        raise UsageError(
            f"network {selection.name}: a network that is attached to a running pod takes ips, "
            f"mac, interface and cni_args; the controller would drop {', '.join(lost)}"
        )
