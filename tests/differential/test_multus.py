"""Our Multus against the real program: the same annotations, networks and plugins.

The real one (thin; ``MULTINET_DIFFERENTIAL_MULTUS`` names it) runs as the default network's plugin
on a node of its own cluster, and reads pods and networks from ``api_server.py``.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_multinet.cluster.embedded import EmbeddedCluster, EmbeddedPod, open_cluster
from pytest_multinet.errors import ManifestError, PodError
from pytest_multinet.model.topology import ClusterConfig
from tests.cni_site import CNI_PATH, version_of
from tests.differential.api_server import status_in
from tests.embedded.recorder import Recorder

MULTUS = os.environ.get("MULTINET_DIFFERENTIAL_MULTUS", "/opt/cni/bin/multus")
GENERATED = int(os.environ.get("MULTINET_DIFFERENTIAL_EXAMPLES", "40"))
NETWORKS, DEFAULT = "k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network"
STATUS = "k8s.v1.cni.cncf.io/network-status"
EVERYTHING = {
    "ips": ["10.1.1.5/24", "fd00::5/64"],
    "mac": "02:00:00:00:00:05",
    "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "udp"}],
    "bandwidth": {"ingressRate": 8000, "ingressBurst": 800, "egressRate": 9000, "egressBurst": 90},
    "infiniband-guid": "c2:11:22:33:44:55:66:77",
    "deviceID": "0000:03:02.0",
}
DECLARED = (
    *("ips", "mac", "portMappings", "bandwidth", "infinibandGUID", "deviceID"),
    *("CNIDeviceInfoFile", "ipRanges", "aliases", "dns"),
)
ROUTES = [{"dst": "0.0.0.0/0", "gw": "10.1.1.1"}, {"dst": "::/0", "gw": "fd00::1"}]
RESULT = {
    "interfaces": [
        {"name": "veth0"},
        {"name": "IFNAME", "mac": "02:00:00:00:00:01", "sandbox": "SANDBOX"},
        {"name": "extra0", "mac": "02:00:00:00:00:02", "sandbox": "SANDBOX"},
    ],
    "ips": [
        {"version": "4", "address": "10.1.1.5/24", "interface": 1},
        {"version": "6", "address": "fd00::5/64", "interface": 1},
        {"version": "4", "address": "10.1.2.5/24", "interface": 2},
        {"version": "4", "address": "10.1.3.5/24"},
    ],
    "routes": [*ROUTES, {"dst": "0.0.0.0/0"}, {"dst": "0.0.0.0/1", "gw": "10.1.1.2"}],
    "dns": {"nameservers": ["10.1.1.53"], "domain": "lan", "search": ["a.lan"]},
}
INFO = {"type": "pci", "version": "1.1.0", "pci": {"pci-address": "0000:03:02.0"}}
ONE = {"interfaces": [{"name": "IFNAME", "mac": "02:00:00:00:00:03", "sandbox": "SANDBOX"}]}


def recorded(**more: Any) -> dict[str, Any]:
    return {"type": "recorder", "capabilities": dict.fromkeys(DECLARED, True), **more}


def macvlan(**more: Any) -> dict[str, Any]:
    return {"type": "macvlan", "master": "eth1", "ipam": {"type": "static", **more}}


NADS: dict[str, dict[str, Any] | None] = {
    "default/all": {"plugins": [recorded()]},
    "default/plain": recorded(capabilities={}, args={"cni": {"a": 1, "b": {"c": True}}}),
    "default/chain": {
        "plugins": [recorded(capabilities={"ips": True}), recorded(capabilities={"mac": True})]
    },
    "default/told": {"plugins": [recorded(result=RESULT)]},
    "default/device": {"plugins": [recorded(result=ONE, deviceInfo=INFO)]},
    "default/fails": {"plugins": [recorded(fails=["ADD"])]},
    "default/lan": {"plugins": [macvlan(), {"type": "tuning", "capabilities": {"mac": True}}]},
    "default/routed": {"plugins": [macvlan(routes=ROUTES)]},
    "default/filed": None,
    "default/nofile": None,
    "infra/lan": {"plugins": [macvlan()]},
    "infra/all": {"plugins": [recorded()]},
    "kube-system/own": {"plugins": [macvlan(routes=ROUTES)]},
    "kube-system/seen": {"plugins": [recorded(result=ONE)]},
}
FILES = {"30-filed.conflist": {"cniVersion": "0.3.1", "name": "filed", "plugins": [recorded()]}}


def lan(name: str, number: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "ips": [f"10.1.1.{number}/24", f"fd00::{number}/64"], **more}


def chosen(**more: Any) -> str:
    return json.dumps([{"name": "own", "ips": ["10.1.1.9/24", "fd00::9/64"], **more}])


CASES: dict[str, dict[str, Any]] = {
    "none": {},
    "every capability": {NETWORKS: [{"name": "all", **EVERYTHING}]},
    "no capability": {NETWORKS: [{"name": "plain", **EVERYTHING}]},
    "a chain": {NETWORKS: [{"name": "chain", **EVERYTHING}]},
    "cni-args": {NETWORKS: [{"name": "plain", "cni-args": {"a": 2, "d": ["x"]}}]},
    "cni-args of a chain": {NETWORKS: [{"name": "chain", "cni-args": {"a": 2}}]},
    "several interfaces": {NETWORKS: "told"},
    "device information": {NETWORKS: [{"name": "device", "deviceID": "0000:03:02.0"}]},
    "short forms": {NETWORKS: " all , infra/all@x0,plain "},
    "names": {NETWORKS: [lan("lan", 5, interface="x0"), lan("lan", 6, mac="02:00:00:00:00:06")]},
    "another namespace": {NETWORKS: [lan("lan", 5, namespace="infra")]},
    "from a file": {NETWORKS: [{"name": "filed", **EVERYTHING}]},
    "no file": {NETWORKS: "nofile"},
    "no network": {NETWORKS: "absent"},
    "the second fails": {NETWORKS: "all,fails,plain"},
    "a network's own routes": {NETWORKS: [lan("routed", 5)]},
    "a gateway": {NETWORKS: [lan("lan", 5, **{"default-route": ["10.1.1.254"]})]},
    "both gateways": {NETWORKS: [lan("routed", 5, **{"default-route": ["10.1.1.9", "fd00::99"]})]},
    "gateways of two": {
        NETWORKS: [
            lan("routed", 5, **{"default-route": ["fd00::99"]}),
            lan("lan", 6, **{"default-route": ["10.1.1.254"]}),
        ]
    },
    "an IPv6 gateway alone": {NETWORKS: [lan("routed", 5, **{"default-route": ["fd00::99"]})]},
    "no gateway": {NETWORKS: [lan("routed", 5, **{"default-route": []})]},
    "a gateway out of reach": {NETWORKS: [lan("lan", 5, **{"default-route": ["192.168.9.1"]})]},
    "the first out of reach": {
        NETWORKS: [lan("lan", 5, **{"default-route": ["192.168.9.1", "fd00::99"]})]
    },
    "a default network": {DEFAULT: chosen()},
    "a default network by name": {DEFAULT: "seen"},
    "what it gets": {DEFAULT: json.dumps([{"name": "seen", **EVERYTHING, "interface": "wan0"}])},
    "its gateway": {DEFAULT: chosen(**{"default-route": ["10.1.1.254"]})},
    "its gateway, and a network": {
        DEFAULT: chosen(**{"default-route": ["10.1.1.254"]}),
        NETWORKS: [lan("routed", 5)],
    },
    "no gateway of it": {DEFAULT: chosen(**{"default-route": []})},
    "no gateway of it, and a network": {
        DEFAULT: chosen(**{"default-route": []}),
        NETWORKS: [lan("lan", 5)],
    },
    "a default network that is absent": {DEFAULT: "absent"},
    "a host port": {NETWORKS: "all,plain", "port": 8081},
    "a host port and a mapping": {NETWORKS: [{"name": "all", **EVERYTHING}], "port": 8081},
    "a host port, and a default network": {DEFAULT: "seen", "port": 8081},
    "isolated": {NETWORKS: "infra/all", "isolated": True},
    "isolated, of the global one": {NETWORKS: "default/all", "isolated": True, "in": "team"},
    "isolated, of its own": {NETWORKS: "infra/all", "isolated": True, "in": "infra"},
    "isolated, with a global one": {NETWORKS: "infra/all", "isolated": True, "global": ["infra"]},
    "isolated, the global one not named": {
        NETWORKS: "default/all",
        "isolated": True,
        "in": "team",
        "global": ["infra"],
    },
    "isolated, a default network": {DEFAULT: "seen", "isolated": True, "in": "team"},
}


def generated(seed: int) -> dict[str, Any]:
    """A pod with up to four networks and what may be asked of them, some of it refused."""
    choice = random.Random(seed)

    def often(chance: float) -> bool:
        return choice.random() < chance

    def selection(name: str, number: int) -> dict[str, Any]:
        space, _, short = name.partition("/")
        found: dict[str, Any] = {"name": short, "namespace": space}
        if short in ("lan", "routed", "own") or often(0.3):
            found["ips"] = [f"10.1.1.{number}/24", f"fd00::{number}/64"][: 1 + often(0.7)]
        if often(0.3):
            found["mac"] = f"02:00:00:00:00:{number:02x}"
        if often(0.3):
            found["interface"] = choice.choice(("x0", "y0", "net2", f"z{number}"))
        if often(0.25):
            gateways = ("10.1.1.254", "fd00::99", "192.168.9.1")
            found["default-route"] = choice.sample(gateways, choice.randrange(3))
        if often(0.3):
            found["cni-args"] = {"a": number, "e": {"f": None}}
        if often(0.3):
            wanted = ("deviceID", "bandwidth", "portMappings", "infiniband-guid")
            found |= {key: EVERYTHING[key] for key in choice.sample(wanted, 2)}
        return found

    usual = [n for n in NADS if not n.startswith("kube") and n not in ("default/nofile",)]
    names = choice.choices(usual, k=choice.randrange(5))
    case: dict[str, Any] = {NETWORKS: [selection(n, i) for i, n in enumerate(names, 11)]}
    if often(0.2):
        case[NETWORKS] = ",".join(choice.choices(usual, k=2))
    if often(0.25):
        own = choice.choice(("kube-system/own", "kube-system/seen", "default/all"))
        case[DEFAULT] = json.dumps([selection(own, 9)])
    if often(0.2):
        case |= {"isolated": True, "global": choice.choice((["default"], ["infra"]))}
    if often(0.2):
        case["port"] = 8081
    return case


CASES |= {f"generated {seed}": generated(seed) for seed in range(GENERATED)}


@pytest.fixture(scope="module")
def programs() -> list[Path]:
    """The real Multus and the real plugins."""
    if not Path(MULTUS).is_file():
        pytest.skip(f"there is no Multus at {MULTUS} (MULTINET_DIFFERENTIAL_MULTUS)")
    version = version_of("macvlan")
    if version is None:
        pytest.skip(f"the real CNI plugins are not in {CNI_PATH} (MULTINET_CNI_PLUGINS)")
    if tuple(map(int, version.split(".")[:2])) < (1, 5):
        pytest.skip(f"the real CNI plugins are of version {version}; 1.5 is matched")
    folders = [Path(folder) for folder in CNI_PATH.split(":") if Path(folder).is_dir()]
    return [Path(MULTUS), *(p for f in reversed(folders) for p in f.iterdir() if p.is_file())]


class Side:
    """A cluster with a pod that was attached by one of the two."""

    def __init__(self, folder: Path, programs: list[Path]) -> None:
        folder.mkdir()
        self.folder = folder
        self.plugins = folder / "plugins"
        self.plugins.mkdir()
        for program in programs:
            (self.plugins / program.name).unlink(missing_ok=True)
            (self.plugins / program.name).symlink_to(program)
        self.recorder = Recorder(self.plugins)
        self.error, self.early = "", False
        self.status: list[dict[str, Any]] = []
        self.pod: EmbeddedPod | None = None

    def start(self, cluster: EmbeddedCluster, manifest: dict[str, Any]) -> None:
        try:
            (self.pod,) = cluster.apply(manifest)
        except PodError as error:
            self.error = error.message
        except ManifestError as error:  # told before anything is made, and in more words
            self.error, self.early = str(error), True

    def picture(self) -> dict[str, Any]:
        """The pod's interfaces and routes, without what is random in them."""
        if self.pod is None:
            return {}
        interfaces = {
            i.name: (i.type, i.mtu, [str(a) for a in i.addresses if not a.ip.is_link_local])
            for i in self.pod.interfaces
        }
        routes = [str(r) for r in self.pod.routes if not r.destination.is_link_local]
        kept = [r for r in routes if not r.startswith("ff00::/8")]
        return {"interfaces": interfaces, "routes": sorted(kept)}

    def calls(self) -> list[dict[str, Any]]:
        """How the recorder was called, without what is random or each side's own."""
        return [self._plain(call) for call in self.recorder.calls]

    def _plain(self, call: dict[str, Any]) -> dict[str, Any]:
        call = json.loads(re.sub(r"/proc/\d+/fd/\d+", "NETNS", json.dumps(call)))
        env, conf = call["env"], call["conf"]
        before = conf.get("prevResult", {})
        if before.get("dns") == {}:  # versions of libcni differ in that
            del before["dns"]
        args = self.recorder.args(call)
        args["K8S_POD_UID"] = "UID"
        container, where = env.pop("CNI_CONTAINERID"), env.pop("CNI_PATH")
        assert str(self.plugins) in where
        text = json.dumps([env | {"CNI_ARGS": args}, conf]).replace(container, "CONTAINER")
        found = json.loads(text)
        return {"env": found[0], "conf": found[1]}


def conf_of(name: str) -> str:
    conf = NADS[name]
    short = name.partition("/")[2]
    return "" if conf is None else json.dumps({"cniVersion": "0.3.1", "name": short, **conf})


def networks() -> Iterator[dict[str, Any]]:
    for name in NADS:
        space, _, short = name.partition("/")
        yield {
            "apiVersion": "k8s.cni.cncf.io/v1",
            "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": short, "namespace": space},
            "spec": {"config": conf_of(name)} if conf_of(name) else {},
        }


def pod_of(case: dict[str, Any]) -> dict[str, Any]:
    annotations = {key: case[key] for key in (NETWORKS, DEFAULT) if key in case}
    if isinstance(annotations.get(NETWORKS), list):
        annotations[NETWORKS] = json.dumps(annotations[NETWORKS])
    container: dict[str, Any] = {"name": "main", "image": "netshoot"}
    if "port" in case:
        container["ports"] = [{"containerPort": 80, "hostPort": case["port"], "protocol": "UDP"}]
    space = case.get("in", "default")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod1", "namespace": space, "annotations": annotations},
        "spec": {
            "nodeName": "multus-cluster-worker",
            "containers": [container],
        },
    }


@pytest.fixture
def ours(case: dict[str, Any], tmp_path: Path, programs: list[Path]) -> Iterator[Side]:
    side = Side(tmp_path / "ours", programs)
    config = ClusterConfig(
        timeout=5,
        cni="real",
        cni_plugins=side.plugins,
        cni_conf=FILES,
        namespace_isolation="isolated" in case,
        global_namespaces=tuple(case.get("global", ("default",))),
    )
    with open_cluster(config) as cluster:
        cluster.link("worker", "worker2")
        cluster.apply(list(networks()))
        side.start(cluster, pod_of(case))
        if side.pod is not None:
            side.status = json.loads(side.pod.annotations[STATUS])
        yield side


@pytest.fixture
def theirs(case: dict[str, Any], tmp_path: Path, programs: list[Path]) -> Iterator[Side]:
    side = Side(tmp_path / "theirs", programs)
    folder = tmp_path / "theirs"
    for kind in ("pods", "networks", "files"):
        (folder / kind).mkdir()
    for file, content in FILES.items():
        (folder / "files" / file).write_text(json.dumps(content))
    (folder / "kubeconfig").write_text(json.dumps(_kubeconfig("http://127.0.0.1:6443")))
    for manifest in networks():
        _store(folder / "networks", manifest)
    manifest = pod_of(case)
    default = {
        "cniVersion": "0.3.1",
        "name": "multus-cni-network",
        "type": "multus",
        "kubeconfig": str(folder / "kubeconfig"),
        "clusterNetwork": str(folder / "default.conflist"),
        "binDir": str(side.plugins),
        "confDir": str(folder / "files"),
        "capabilities": {"portMappings": True},
        "namespaceIsolation": "isolated" in case,
        **({"globalNamespaces": ",".join(case["global"])} if "global" in case else {}),
    }
    config = ClusterConfig(
        timeout=5,
        cni="real",
        cni_plugins=side.plugins,
        default_cni={
            "cniVersion": "0.3.1",
            "name": "multus-cni-network",
            "plugins": [{k: v for k, v in default.items() if k not in ("cniVersion", "name")}],
        },
    )
    with open_cluster(config) as cluster:
        cluster.link("worker", "worker2")
        node = cluster.node("worker")
        kindnet = open_conf(cluster)
        (folder / "default.conflist").write_text(json.dumps(kindnet))
        server = Path(__file__).parent / "api_server.py"
        node.spawn([sys.executable, "-IS", str(server), str(folder), "6443"], ready=6443)
        bare = {**manifest, "metadata": {**manifest["metadata"], "annotations": {}}}
        # Its UID is made here and not known to the server: Multus minds that of static pods only.
        manifest["metadata"]["annotations"]["kubernetes.io/config.source"] = "file"
        _store(folder / "pods", manifest)
        side.start(cluster, bare)
        if side.pod is not None and (folder / "status").exists():
            side.status = json.loads(status_in((folder / "status").read_bytes()))
        yield side


def open_conf(cluster: EmbeddedCluster) -> dict[str, Any]:
    """kindnet's configuration on the first worker."""
    subnet = str(cluster.node("worker").pod_network)
    ipam = {
        "type": "host-local",
        "dataDir": "/run/cni-ipam-state",
        "routes": [{"dst": "0.0.0.0/0"}],
        "ranges": [[{"subnet": subnet}]],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "mtu": 1500, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return {"cniVersion": "0.3.1", "name": "kindnet", "plugins": plugins}


def _store(folder: Path, manifest: dict[str, Any]) -> None:
    metadata = manifest["metadata"]
    path = folder / f"{metadata['namespace']}.{metadata['name']}.json"
    path.write_text(json.dumps(manifest))


def _kubeconfig(server: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
        "current-context": "c",
    }


def _status(side: Side) -> list[dict[str, Any]]:
    """The network status, without the MAC addresses that are random."""
    chosen = re.compile(r"02:00:00:00:00:..")
    return [
        {**s, "mac": m if chosen.fullmatch(m := s.get("mac", "")) else "random"}
        for s in side.status
    ]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_both_do_the_same(case: dict[str, Any], ours: Side, theirs: Side) -> None:
    if ours.early and "validateIfName" in ours.error:
        return  # refused though the recorder, which makes no interfaces, would get away with it
    assert bool(ours.error) == bool(theirs.error), (ours.error, theirs.error)
    if ours.early:
        return
    if ours.error:
        told = theirs.error.replace(str(theirs.folder / "files"), "/etc/cni/net.d")
        assert _without_uid(ours.error) in _without_uid(told)
    assert ours.picture() == theirs.picture()
    assert _status(ours) == _status(theirs)
    seen = ours.calls()
    # A pod that fails is taken down by Multus, then by who runs Multus: twice, as ours is there.
    assert theirs.calls()[: len(seen)] == seen
    for side in (ours, theirs):
        if side.pod is not None:
            side.pod.delete()
            assert len(side.calls()) == 2 * len(seen)
    assert theirs.calls()[: len(ours.calls())] == ours.calls()


def _without_uid(text: str) -> str:
    return re.sub(r"/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=pod1)/(?=[:\]])", "", text)
