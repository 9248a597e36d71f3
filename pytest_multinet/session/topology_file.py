"""What ``multinet up FILE`` builds: a small YAML file, or a kind configuration.

Example::

    cluster: {name: lab, nodes: 3}
    links:
      - {name: eth1, a: worker, b: worker2, mtu: 9000}
    manifests: [macvlan.yaml, pods.yaml]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

from pytest_multinet.errors import ManifestError, UsageError
from pytest_multinet.model.topology import ClusterConfig, LinkConfig, Spec
from pytest_multinet.session.settings import nearest

_SECTIONS = ("cluster", "links", "manifests")
_PATHS = ("kind_config", "multus_manifest", "cni_plugins", "bundle")
_WITHOUT_DEFAULT: Mapping[str, type[Any]] = {"default_cni": dict, "kube_proxy_mode": str}
_S = TypeVar("_S", bound=Spec)


@dataclass(frozen=True)
class Topology:
    """A cluster, the links between its nodes, and what is applied to it.

    Attributes:
        cluster: its configuration.
        links: in order.
        manifests: files, in order.
    """

    cluster: ClusterConfig
    links: tuple[LinkConfig, ...] = ()
    manifests: tuple[Path, ...] = ()


def default_topology(base: ClusterConfig | None = None) -> Topology:
    """The cluster of the settings, its first two workers joined by ``eth1``."""
    return _joined(base or ClusterConfig())


def _joined(config: ClusterConfig) -> Topology:
    from pytest_multinet.cluster.kind_config import node_names

    workers = [name for name in node_names(config) if "-worker" in name]
    return Topology(config, (LinkConfig(),) if len(workers) > 1 else ())


def read_topology(path: Path, base: ClusterConfig | None = None) -> Topology:
    """Read a file; relative paths in it start at its folder.

    A kind configuration with two workers or more gets the link ``eth1`` between the first two.

    Args:
        path: the file.
        base: what holds where the file says nothing, as the settings have it.

    Raises:
        UsageError: it cannot be read.
        ManifestError: it says what cannot be.
    """
    base = base or ClusterConfig()
    data = _load(path)
    if data.get("kind") == "Cluster":
        return _joined(base.with_(kind_config=path.absolute()))
    _known(data, _SECTIONS, path, "")
    cluster: Any = data.get("cluster") or {}
    links = _list(data, "links", path)
    manifests = [_text(m, f"manifests[{i}]", path) for i, m in _numbered(data, "manifests", path)]
    found = Topology(
        _spec(base, cluster, path, "cluster"),
        tuple(_spec(LinkConfig(), link, path, f"links[{i}]") for i, link in enumerate(links)),
        tuple(path.absolute().parent / manifest for manifest in manifests),
    )
    for i, manifest in enumerate(found.manifests):
        if not manifest.is_file():
            raise _error(path, f"manifests[{i}]", str(manifest), "a file; there is none")
    return found


def _load(path: Path) -> Mapping[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ManifestError(f"not YAML: {error.problem}", source=str(path), line=line) from None
    except yaml.YAMLError as error:
        raise ManifestError(f"not YAML: {error}", source=str(path)) from None
    if not isinstance(data, dict):
        expected = f"a mapping with {', '.join(_SECTIONS)}, or a kind configuration"
        raise _error(path, "", data, expected)
    return cast("dict[str, Any]", data)


def _spec(base: _S, data: Any, path: Path, field: str) -> _S:
    """A configuration with other fields."""
    if not isinstance(data, dict):
        raise _error(path, field, data, "a mapping")
    given = cast("dict[str, Any]", data)
    _known(given, [f.name for f in fields(base)], path, f"{field}.")
    defaults = type(base)()
    values = {
        name: _value(name, value, getattr(defaults, name), path, f"{field}.{name}")
        for name, value in given.items()
    }
    try:
        return replace(base, **values)
    except UsageError as error:
        raise ManifestError(str(error), source=str(path), field=field) from None


def _value(name: str, value: Any, default: Any, path: Path, field: str) -> Any:
    """A field's value, of the type that its default has."""
    if name in _PATHS:
        return path.absolute().parent / _text(value, field, path)
    if isinstance(default, tuple):
        if not isinstance(value, list):
            raise _error(path, field, value, "a list of texts")
        return tuple(_text(v, field, path) for v in cast("list[Any]", value))
    kind = _WITHOUT_DEFAULT.get(name) or cast("type[Any]", type(default))
    found = float(value) if kind is float and type(value) is int else value
    if type(found) is not kind:
        words: dict[type[Any], str] = {
            dict: "a mapping",
            str: "a text",
            int: "a whole number",
            bool: "true or false",
        }
        raise _error(path, field, value, words.get(kind, "a number"))
    return found


def _known(data: Mapping[Any, Any], names: Any, path: Path, prefix: str) -> None:
    for name in data:
        if name not in names:
            near = nearest(str(name), names)
            meant = f"; did you mean {near}?" if near else ""
            expected = f"{', '.join(names)}{meant}"
            raise _error(path, f"{prefix}{name}", None, expected, "unknown field")


def _numbered(data: Mapping[str, Any], name: str, path: Path) -> enumerate[Any]:
    return enumerate(_list(data, name, path))


def _list(data: Mapping[str, Any], name: str, path: Path) -> list[Any]:
    value: Any = data.get(name) or []
    if not isinstance(value, list):
        raise _error(path, name, value, "a list")
    return cast("list[Any]", value)


def _text(value: Any, field: str, path: Path) -> str:
    if not isinstance(value, str) or not value:
        raise _error(path, field, value, "a text")
    return value


def _error(
    path: Path, field: str, value: Any, expected: str, message: str = "not a topology"
) -> ManifestError:
    return ManifestError(
        message, source=str(path), field=field or None, value=value, expected=expected
    )
