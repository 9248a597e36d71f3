"""What a scenario is made of: networks and pods, and a pod that is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_multinet.model.attachment import NETWORKS_ANNOTATION

Manifest = dict[str, Any]
MARK = "scenario"


@dataclass(frozen=True)
class Scenario:
    """What stands before a test looks.

    Attributes:
        documents: manifests; a pod names its node by alias.
        refused: manifests of which the last is a pod that cannot start.
        links: node links of its own, by name.
    """

    documents: tuple[Manifest, ...] = ()
    refused: tuple[Manifest, ...] = ()
    links: tuple[str, ...] = ()


def scenario(
    *documents: Manifest, refused: tuple[Manifest, ...] = (), links: tuple[str, ...] = ()
) -> pytest.MarkDecorator:
    """Marks a test with its scenario."""
    return getattr(pytest.mark, MARK)(Scenario(documents, refused, links))


def network(name: str, *plugins: Mapping[str, Any] | str) -> Manifest:
    """A NetworkAttachmentDefinition: a chain of plugins, or the text of a configuration."""
    if len(plugins) == 1 and isinstance(plugins[0], str):
        text = plugins[0]
    else:
        text = json.dumps({"cniVersion": "0.3.1", "name": name, "plugins": list(plugins)})
    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name},
        "spec": {"config": text},
    }


def macvlan(**more: Any) -> Manifest:
    """The plugin macvlan on the node link, with the addresses that the pod asks for."""
    return {
        "type": "macvlan",
        "master": "eth1",
        "capabilities": {"ips": True, "mac": True},
        "ipam": {"type": "static"},
        **more,
    }


def bridge(name: str, **more: Any) -> Manifest:
    """The plugin bridge, with the addresses that the pod asks for."""
    return {
        "type": "bridge",
        "bridge": name,
        "capabilities": {"ips": True, "mac": True},
        "ipam": {"type": "static"},
        **more,
    }


def host_local(subnet: str, **more: Any) -> Manifest:
    """Address management that hands out addresses of a subnet, in order."""
    return {"type": "host-local", "ranges": [[{"subnet": subnet}]], **more}


def on(network: str, *ips: str, **more: Any) -> Manifest:
    """One object of the annotation: a network and the addresses to have on it."""
    return {"name": network, **({"ips": list(ips)} if ips else {}), **more}


def pod(
    name: str,
    *selections: Manifest | str,
    node: str = "worker",
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """A pod; selections are objects of the annotation, or its text as it is."""
    noted = dict(annotations or {})
    if selections and isinstance(selections[0], str):
        noted[NETWORKS_ANNOTATION] = selections[0]
    elif selections:
        noted[NETWORKS_ANNOTATION] = json.dumps(selections)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": noted},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "command": ["sleep", "infinity"]}],
        },
    }
