"""Our manifests of Multus, and what a configuration changes in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_multinet import ClusterConfig
from pytest_multinet.cluster import kind_config
from pytest_multinet.errors import NeedsCapability, UsageError
from pytest_multinet.multus import install


def daemon(documents: Any) -> dict[str, Any]:
    (found,) = (d.data for d in documents if d.kind == "ConfigMap")
    return json.loads(found["data"]["daemon-config.json"])


def arguments(documents: Any) -> list[str]:
    (found,) = (d.data for d in documents if d.kind == "DaemonSet")
    (container,) = found["spec"]["template"]["spec"]["containers"]
    return container["args"]


def test_namespace_isolation_goes_into_the_daemons_configuration() -> None:
    plain = install.manifest("thick")
    isolated = daemon(install.with_isolation(plain, ("default", "infra")))
    assert isolated == {
        **daemon(plain),
        "namespaceIsolation": True,
        "globalNamespaces": "default,infra",
    }
    assert "namespaceIsolation" not in daemon(plain)


def test_namespace_isolation_goes_into_the_thin_entry_points_arguments() -> None:
    plain = install.manifest("thin")
    added = arguments(install.with_isolation(plain, ("infra",)))[len(arguments(plain)) :]
    assert added == ["--namespace-isolation=true", "--global-namespaces=infra"]


def test_a_cluster_with_isolation_is_another_than_one_without() -> None:
    specs = [kind_config.specification(ClusterConfig(namespace_isolation=on)) for on in (0, 1)]
    assert specs[0] != specs[1]


def test_node_files_are_embeddeds_alone() -> None:
    config = ClusterConfig(cni_conf={"20-lan.conf": {"type": "dummy", "name": "lan"}})
    with pytest.raises(NeedsCapability, match=r"20-lan\.conf"):
        kind_config.specification(config)


def test_global_namespaces_are_names() -> None:
    with pytest.raises(UsageError, match="global_namespaces"):
        ClusterConfig(global_namespaces=("Not A Name",))
