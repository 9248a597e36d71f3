"""Small manifests for the tests of this folder."""

from __future__ import annotations

import json
from typing import Any


def network(name: str = "lan", *plugins: dict[str, Any], **macvlan: Any) -> dict[str, Any]:
    """A NetworkAttachmentDefinition; by default macvlan on eth1 with static addresses."""
    default = {
        "type": "macvlan",
        "master": "eth1",
        "mode": "bridge",
        "capabilities": {"ips": True, "mac": True},
        "ipam": {"type": "static"},
        **macvlan,
    }
    config = {"cniVersion": "0.3.1", "name": name, "plugins": list(plugins) or [default]}
    return raw_network(name, json.dumps(config))


def raw_network(name: str, config: str) -> dict[str, Any]:
    """A NetworkAttachmentDefinition with this text as its configuration."""
    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name},
        "spec": {"config": config},
    }


def pod(
    name: str,
    *selections: dict[str, Any] | str,
    node: str = "worker",
    annotations: dict[str, str] | None = None,
    **container: Any,
) -> dict[str, Any]:
    """A pod; selections are objects of the annotation, or its whole text in short form."""
    metadata: dict[str, Any] = {"name": name, "annotations": dict(annotations or {})}
    if selections:
        short = isinstance(selections[0], str)
        text = ",".join(map(str, selections)) if short else json.dumps(selections)
        metadata["annotations"]["k8s.v1.cni.cncf.io/networks"] = text
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "nodeName": f"multus-cluster-{node}",
            "containers": [{"name": "main", "image": "nicolaka/netshoot", **container}],
        },
    }


def on(network: str, *ips: str, **more: Any) -> dict[str, Any]:
    """One object of the annotation: a network and the addresses to have on it."""
    return {"name": network, "ips": list(ips), **more}
