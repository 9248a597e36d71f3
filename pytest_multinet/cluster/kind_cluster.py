"""A real cluster in Docker containers that this process owns, or shares with other workers."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_multinet.cluster import kind_config, kind_failure
from pytest_multinet.cluster.engine import Container, Engine
from pytest_multinet.cluster.images import NodeImages
from pytest_multinet.cluster.isolation import Isolation
from pytest_multinet.cluster.kind_boot import KIND_LABEL, Boot
from pytest_multinet.cluster.kind_link import KindLink
from pytest_multinet.cluster.kind_multus import KindMultus
from pytest_multinet.cluster.kind_node import KindNode
from pytest_multinet.cluster.kind_probers import PodProbers
from pytest_multinet.cluster.kind_program import KindProgram
from pytest_multinet.cluster.kubernetes import (
    KubernetesCluster,
    KubernetesNetwork,
    KubernetesPod,
    node_facts,
)
from pytest_multinet.cluster.multus import Multus
from pytest_multinet.cluster.network import NodeLink
from pytest_multinet.cluster.record import Record, RecordFolder
from pytest_multinet.cluster.rest import KubeApi
from pytest_multinet.cluster.sandboxes import can_look, kill_command, kill_containers
from pytest_multinet.cluster.share import Share, turn
from pytest_multinet.cluster.stack import Node
from pytest_multinet.cluster.stages import Stages
from pytest_multinet.errors import ClusterError, MultinetError, UsageError
from pytest_multinet.model.interface import ExecResult
from pytest_multinet.model.topology import ClusterConfig, LinkConfig
from pytest_multinet.probe.stack import Prober

_BRIDGE_SYSCTL = "bridge/bridge-nf-call-iptables"
_DEFAULT_CONFLIST = "/etc/cni/net.d/10-multinet.conflist"


class KindCluster(KubernetesCluster):
    """A kind cluster that this process owns.

    Attributes:
        engine: the Docker Engine that it runs in.
        record: what is written down about it.
        stages: where the time went.
    """

    backend = "kind"

    def __init__(
        self,
        config: ClusterConfig,
        engine: Engine,
        kind: KindProgram,
        folder: RecordFolder,
        record: Record,
        stages: Stages,
        *,
        direct: bool,
        share: Share | None = None,
    ) -> None:
        super().__init__(config)
        self.engine = engine
        self._share = share
        self.shared = share is not None
        self._isolation = Isolation(share.number) if share and share.isolated else None
        self.record = record
        self.timeline = stages
        self.progress = stages.progress
        self.attached = False
        self.joined = False
        self._kind = kind
        self._folder = folder
        self._direct = direct
        self._nodes: tuple[KindNode, ...] = ()
        self._multus: KindMultus | None = None
        self._images = NodeImages(engine, self, record.images, folder.folder)
        self._boot = Boot(config, engine, self.node_names, self._images, record, stages)
        self._leftovers: list[list[str]] = []
        self._probers = PodProbers(self.kind_node, direct=direct)
        self._started: dict[str, str] = {}
        self._writing = threading.RLock()
        self._closed = False

    # --- creation ---------------------------------------------------------------------------

    @property
    def stages(self) -> list[tuple[str, float]]:
        """(stage, seconds) in the order in which they ended."""
        return [(s.name, s.seconds) for s in self.timeline.done]

    @property
    def node_names(self) -> Sequence[str]:
        """Every node's name."""
        return kind_config.node_names(self.config)

    def kind(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run ``kind`` on this cluster."""
        return self._kind.run(*argv, "--name", self.name)

    def create(self, artifacts: Path | None) -> None:
        """Make the cluster; see :func:`open_cluster`."""
        spec = kind_config.specification(self.config)
        self.record.spec = json.loads(json.dumps(spec))
        self.record.digest = kind_config.digest(spec)
        self._write()
        architecture = self._architecture()
        self._boot.read_plugins(architecture)
        log = self._folder.folder / "kind.log"
        argv = ["create", "cluster", "--name", self.name, "--retain", "--wait", "0s"]
        argv += ["--kubeconfig", str(self._folder.kubeconfig), *self._config_arguments()]
        with self.timeline.stage("kind create cluster"):
            process = self._kind.start(*argv, kubeconfig=self._folder.kubeconfig, log=log)
            try:
                containers = self._boot.wait_for_nodes(process)
                self.record.nodes = {c.name: c.id for c in containers}
                self._write()
                if process.poll() is None:
                    self._boot.start()
                code = process.wait()
            except BaseException:
                _end(process)
                raise
            if code:
                self._fail(log.read_text(encoding="utf-8", errors="replace"), artifacts)
        os.chmod(self._folder.kubeconfig, 0o600)
        self._open_api()
        if self._share is not None:
            self._boot.settle()
        if self.config.disable_default_cni and self.config.default_cni is not None:
            self._install_default_network()
        self.record.state = "ready"
        self._write()
        if self._share is not None:
            self._let_others_in()

    def _let_others_in(self) -> None:
        """From now on other workers use the cluster too, and each sees what is its own."""
        self._write()
        self._folder.share()
        isolation = self._isolation
        if isolation is None:
            return
        isolation.note, isolation.of_workers = self._note_name, self._names_of_workers
        self.kube.isolation = isolation
        for node in self._nodes:
            node.isolation = isolation
        if isolation.suffix:
            self.kube.apply(isolation.namespace_manifest())
            self._await_account(self.namespace)

    def _note_name(self, name: str, worker: int) -> None:
        with self._writing:
            if self.record.names.get(name) != worker:
                self.record.names[name] = worker
                self._write()

    def _names_of_workers(self) -> Mapping[str, int]:
        record = self._folder.read()
        return {} if record is None else record.names

    def _architecture(self) -> str:
        image = kind_config.node_images(self.config)[0]
        if self.engine.image_id(image) is None:
            with self.timeline.stage(f"pull {image}"):
                try:
                    self.engine.pull(image)
                except MultinetError as error:
                    raise ClusterError(
                        f"the node image {image} is neither on this machine nor could it be "
                        f"pulled ({error}); is its name right (--multinet-node-image), and is "
                        "there a network? 'multinet bundle' is for machines without"
                    ) from error
        return self.engine.image_architecture(image)

    def _config_arguments(self) -> list[str]:
        if self.config.kind_config is not None:
            return kind_config.create_arguments(self.config)
        file = self._folder.folder / "kind.yaml"
        file.write_text(json.dumps(kind_config.generated(self.config)), encoding="utf-8")
        return ["--config", str(file)]

    def _fail(self, output: str, artifacts: Path | None) -> None:
        """Raise for a ``kind create`` that failed, with cause and logs."""
        why = kind_failure.cause(output)
        text = f"kind could not create cluster {self.name}: {kind_failure.failed_line(output)}"
        if why:
            text += f"\n  cause: {why}"
        taken = "already exist for a cluster" in output
        if artifacts is not None and not taken:
            kept = kind_failure.export_logs(self._kind, self.name, artifacts / f"kind-{self.name}")
            text += f"\n  the nodes' logs: {kept}" if kept else ""
        if not why:
            text += "\n  " + "\n  ".join(output.strip().splitlines()[-15:])
        raise ClusterError(text)

    def _open_api(self) -> None:
        self.kube = KubeApi(self._folder.kubeconfig)
        listed = self.kube.get("/api/v1/nodes")["items"]
        containers = {c.name: c for c in self.engine.containers(f"{KIND_LABEL}={self.name}")}
        self._take_nodes(listed, containers)

    def _take_nodes(
        self, listed: Sequence[Mapping[str, Any]], containers: Mapping[str, Container]
    ) -> None:
        nodes: list[KindNode] = []
        for item in listed:
            name, role, address = node_facts(item)
            if name in containers:
                nodes.append(
                    KindNode(
                        self.engine,
                        self.config,
                        containers[name],
                        role,
                        address,
                        direct=self._direct,
                    )
                )
        order = {name: position for position, name in enumerate(self.node_names)}
        nodes.sort(key=lambda n: order.get(n.name, len(order)))
        for node in nodes:
            node.cluster = self
        self._nodes = tuple(nodes)
        self.record.nodes = {n.name: n.container.id for n in nodes}
        self._started = {n.name: n.container.started for n in nodes}
        for node in nodes:
            self._prepare(node)

    def _prepare(self, node: KindNode) -> None:
        """What a node's fresh network namespace needs."""
        wanted = "1" if self.config.bridge_nf_call_iptables else "0"
        path = f"/proc/sys/net/{_BRIDGE_SYSCTL}"
        namespace = node.namespace
        if namespace is not None:
            try:
                if namespace.sysctl(_BRIDGE_SYSCTL) != wanted:
                    namespace.sysctl(_BRIDGE_SYSCTL, wanted)
            except MultinetError:
                return  # br_netfilter is not loaded: nothing to switch off
            return
        if node.run(["test", "-e", path]).returncode == 0:
            self.engine.exec(node.name, ["tee", path], input=wanted.encode(), timeout=10)

    def _install_default_network(self) -> None:
        """Put the user's own default network onto the nodes, and routes between them."""
        with self.timeline.stage("default network"):
            facts = {i["metadata"]["name"]: i for i in self._nodes_with_cidr()}
            for node in self._nodes:
                cidr = facts[node.name]["spec"]["podCIDR"]
                text = json.dumps(self.config.default_cni, indent=1)
                text = text.replace("{{PodCIDR}}", cidr).replace("{{Node}}", node.name)
                node.write(_DEFAULT_CONFLIST, text)
                for other in self._nodes:
                    if other is not node:
                        to = facts[other.name]["spec"]["podCIDR"]
                        route = ["ip", "route", "replace", to, "via", str(other.address)]
                        node.exec(route, check=True)

    def _nodes_with_cidr(self) -> list[dict[str, Any]]:
        for node in self._nodes:
            query = {"fieldSelector": f"metadata.name={node.name}"}
            self.await_object(
                "/api/v1/nodes",
                query,
                lambda n: bool(n["spec"].get("podCIDR")),
                what=f"the pod address range of node {node.name}",
            )
        return self.kube.get("/api/v1/nodes")["items"]

    # --- reuse ------------------------------------------------------------------------------

    def attach(self, there: Sequence[Container]) -> None:
        """Take a kept cluster over; what the former run made goes before anything is made."""
        self.attached = True
        self.kube = KubeApi(self._folder.kubeconfig)
        listed = self.kube.get("/api/v1/nodes")["items"]
        self._take_nodes(listed, {c.name: c for c in there})
        self.record.state = "ready"
        self._leftovers = list(reversed(self.record.objects))
        for entry in self._leftovers:
            self._delete_leftover(entry)
        if self._share is None:
            self._write()
            return
        self._finish_cleaning()
        self.record.names.clear()
        self._write()
        self.record.run, self.record.reused = self._share.run, True
        self._let_others_in()

    def join(self, there: Sequence[Container]) -> None:
        """Use a cluster that another worker of the run has made."""
        self.attached = self.joined = True
        self.kube = KubeApi(self._folder.kubeconfig)
        listed = self.kube.get("/api/v1/nodes")["items"]
        self._take_nodes(listed, {c.name: c for c in there})
        self._let_others_in()

    def _delete_leftover(self, entry: Sequence[str]) -> None:
        path = self._path_of(entry)
        if path is None:
            return
        if entry[1] == "Pod":
            self._delete_pod(path)
        else:
            self.kube.delete(path)

    def _path_of(self, entry: Sequence[str]) -> str | None:
        version, kind, namespace, name = entry
        metadata = {"name": name, "namespace": namespace}
        try:
            return self.kube.path_of({"apiVersion": version, "kind": kind, "metadata": metadata})
        except UsageError:
            return None  # its definition is gone, and it with that

    def _finish_cleaning(self) -> None:
        """Wait until what the former run made is gone."""
        if not self._leftovers:
            return
        with self.timeline.stage("remove the former run's objects"):
            self._remove([(e[2], e[3]) for e in self._leftovers if e[1] == "Pod"], wait=True)
            for entry in self._leftovers:
                path = self._path_of(entry)
                if path is not None and entry[1] != "Pod":
                    self.delete_object(path)
                if entry in self.record.objects:
                    self.record.objects.remove(entry)
        self._leftovers = []
        self._write()

    # --- protocol ---------------------------------------------------------------------------

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node: control plane first, then workers in order."""
        return self._nodes

    def kind_node(self, name: str) -> KindNode:
        """A node by full name."""
        return next(n for n in self._nodes if n.name == name)

    def before_pods(self) -> None:
        """Leftovers gone, restarted nodes noticed, links and Multus as they should be."""
        self._finish_cleaning()
        restarted = self._notice_restarts()
        for link in self.node_links:
            if isinstance(link, KindLink):
                link.ensure()
        if self._multus is not None and (restarted or can_look()):
            self._multus.settle(30.0 if restarted else 10.0)

    def multus_is_back(self) -> bool:
        """Whether Multus, which a pod has just missed, is usable again."""
        return self._multus is not None and self._multus.settle()

    def _notice_restarts(self) -> bool:
        """Whether a node container was started again since it was last looked at."""
        again = [n for n in self._nodes if n.restarted_since(self._started[n.name])]
        for node in again:
            self._started[node.name] = node.container.started
            self._prepare(node)
        return bool(again)

    def note_object(self, manifest: Mapping[str, Any]) -> None:
        """Write down that an object is about to be made."""
        metadata = manifest["metadata"]
        namespace = self.real_namespace(str(metadata.get("namespace") or self.namespace))
        entry = [manifest["apiVersion"], manifest["kind"], namespace, metadata["name"]]
        with self._writing:
            if entry not in self.record.objects:
                self.record.objects.append(entry)
                self._write()

    def load_image(self, *images: str) -> None:
        """Bring local images onto every node."""
        with self.timeline.stage(f"load {', '.join(images)}"):
            self._images.load(images)
        self._write()

    def present_images(self, images: Iterable[str], nodes: Sequence[str]) -> set[str]:
        """Which images are on all of the nodes; local ones are brought there first."""
        self._boot.await_pod_image()
        wanted = list(images)
        there = {i for i in wanted if self._images.everywhere(i, nodes)}
        bring = [i for i in wanted if i not in there and self._images.local(i) is not None]
        if bring:
            with self.timeline.stage(f"load {', '.join(bring)}"):
                self._images.load(bring, nodes)
            self._write()
        return there | set(bring)

    # --- probes -----------------------------------------------------------------------------

    def pod_prober(self, pod: KubernetesPod) -> Prober:
        """Sockets in the pod's namespace where it can be opened, else programs run inside it."""
        return self._probers.of(pod)

    def remote_prober(self, pod: KubernetesPod) -> Prober:
        """Programs in the pod; where its image has none, the node's, in the pod's namespace."""
        return self._probers.remote(pod)

    def kill_in_pod(self, pod: KubernetesPod, argv: Sequence[str]) -> None:
        """End a program that outlived its ``exec``; only beside Docker and as root."""
        if can_look():
            kill_command(pod.uid, argv)

    def hasten_end(self, uid: str) -> None:
        """End a deleted pod's containers at once: beside Docker, as root."""
        if can_look():
            kill_containers(uid)

    # --- links ------------------------------------------------------------------------------

    def _make_link(self, config: LinkConfig, ends: tuple[Node, Node]) -> NodeLink:
        nodes = (self.kind_node(ends[0].name), self.kind_node(ends[1].name))
        link = KindLink(self, config, nodes, self._isolation)
        with self.timeline.stage(f"link {config.name}"):
            link.make()
        for made in self.networks:  # one that names the link was applied before it
            if isinstance(made, KubernetesNetwork) and self._isolation is not None:
                self.kube.apply(made.definition.manifest())
        return link

    def link(
        self,
        a: str | Node,
        b: str | Node,
        name: str = "eth1",
        mtu: int = 1500,
        addresses: Sequence[str] = (),
    ) -> NodeLink:
        """A veth between two nodes; one that a node's restart has removed is remade."""
        self._notice_restarts()
        link = super().link(a, b, name, mtu, addresses)
        if isinstance(link, KindLink):
            link.ensure()
        return link

    def run_helper(self, argv: Sequence[str]) -> ExecResult:
        """Run a program in a privileged container of the node image."""
        image = self._nodes[0].container.image
        return self.engine.run_helper(image, argv, purpose=f"link of {self.name}")

    # --- Multus -----------------------------------------------------------------------------

    def install_multus(self) -> Multus:
        """Make Multus and the CNI plugins usable on every node; repeated: the same."""
        if self._multus is None:
            with turn(
                self._folder.root, self.name, self._share, self.timeline, "installs Multus on"
            ):
                if self._share is not None:
                    there = self._folder.read()
                    self.record.multus = there.multus if there is not None else {}
                self._multus = KindMultus(self)
                self._multus.make_usable()
                self.record.multus = {"version": self._multus.version, "mode": self._multus.mode}
                self._write()
        return self._multus

    def service_of_the_api(self) -> dict[str, Any]:
        """The service ``kubernetes``, which is in ``default`` whatever a worker calls so."""
        kube = KubeApi(self._folder.kubeconfig)
        try:
            return kube.get("/api/v1/namespaces/default/services/kubernetes")
        finally:
            kube.close()

    def await_multus_parts(self) -> None:
        """Wait for what Multus needs on the nodes: its image and the CNI plugins."""
        if self.attached:
            if self.record.plugins:
                return
            self._boot.read_plugins(self._architecture())  # the run that made it could not
            self._boot.start()
        with self.timeline.stage("wait for plugins and Multus image"):
            self._boot.await_multus_parts()

    def pause_image(self) -> str:
        """The image of pod sandboxes: it is on every node."""
        for name in sorted(self._images.on_node(self._nodes[0].name)):
            if "/pause:" in name:
                return name
        return self.config.pod_image

    # --- the end ----------------------------------------------------------------------------

    def how_to_reach(self) -> tuple[str, ...]:
        """Commands that reach a kept cluster, and the one that deletes it."""
        return (
            f"export KUBECONFIG={self._folder.kubeconfig}",
            "kubectl get pods -A -o wide",
            f"docker exec -it {self._nodes[-1].name if self._nodes else self.name} bash",
            f"multinet down  # or: kind delete cluster --name {self.name}",
        )

    def keep(self, id: str = "") -> dict[str, Any]:
        """Leave the cluster for the next run, and let go of it.

        Args:
            id: what the environment is called where it is listed; kind knows the cluster's name.

        Returns:
            What :func:`attach` needs to reach it.
        """
        resources = {"name": self.name, "state": str(self._folder.root), "id": id or self.name}
        if self._closed:
            return resources
        self._boot.finish()
        self.record.state = "kept"
        self._write()
        self._let_go()
        return resources

    def leave(self) -> None:
        """Let go of a shared cluster, which stays."""
        if not self._closed:
            self._boot.finish()
            self._let_go()

    def close(self) -> None:
        """Remove the cluster: nodes, their volumes, links, kubeconfig."""
        if self._closed:
            return
        if self._share is not None:
            self.leave()
            return
        try:
            self._boot.cancel()
            self._delete()
        finally:
            self._boot.finish()
            self._let_go()

    def abandon(self, why: BaseException) -> None:
        """Remove what creation had made, without hiding why it failed."""
        share, self._share = self._share, None
        try:
            self._boot.cancel()
            self._delete()
            if share is not None and isinstance(why, MultinetError):
                digest = self.record.digest
                failed = Record(self.name, "failed", digest, run=share.run, error=str(why))
                self._folder.write(failed)
        except MultinetError as error:
            self.progress(f"could not remove what was left of {self.name}: {error}")
        finally:
            self._boot.finish()
            self._let_go()

    def _delete(self) -> None:
        with self.timeline.stage("delete cluster"):
            run = self._kind.run(
                "delete", "cluster", "--name", self.name, kubeconfig=self._folder.kubeconfig
            )
        left = [] if run.returncode else self.engine.containers(f"{KIND_LABEL}={self.name}")
        if run.returncode or left:
            why = kind_failure.cause(run.stderr) or kind_failure.failed_line(run.stderr)
            raise ClusterError(
                f"cluster {self.name} could not be removed: {why}; the next run will try again, "
                f"or: multinet gc, or: kind delete cluster --name {self.name}"
            )
        self._folder.remove()

    def _let_go(self) -> None:
        self._closed = True
        self._probers.close()
        for node in self._nodes:
            node.close()
        if hasattr(self, "kube"):
            self.kube.close()
        self._folder.release()
        self.engine.close()

    def _write(self) -> None:
        with self._writing:
            self._folder.write(self.record)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End ``kind`` and wait for it, so that nothing appears after we removed everything."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
