"""The folder of CNI configuration files on a node, ``/etc/cni/net.d``.

Read as libcni 1.3 and Multus read it: files in the order of their names; a file in a folder that
bears a network's name adds a plugin to the end of that network's chain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from pytest_multinet.errors import ManifestError, UsageError
from pytest_multinet.model.fields import field_error
from pytest_multinet.model.nad import NetworkConfList, go_get, parse_network_config

FOLDER = "/etc/cni/net.d"
Content: TypeAlias = "str | Mapping[str, Any]"

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_IS_FILE = re.compile(rf"{_NAME}\.(conf|conflist|json)").fullmatch
_IS_LINK_OF_CHAIN = re.compile(rf"{_NAME}/{_NAME}\.conf").fullmatch
FILE_RULE = (
    "a name that ends with .conf, .conflist or .json, or <network>/<name>.conf for a plugin of "
    "that network's chain"
)


def check_conf_files(files: Mapping[str, Any]) -> None:
    """Refuse names that nothing would read, and Multus' own.

    Raises:
        UsageError: with the name and the rule.
    """
    for name, content in files.items():
        if not _IS_FILE(name) and not _IS_LINK_OF_CHAIN(name):
            raise UsageError(f"cni_conf holds a file {name!r}; expected {FILE_RULE}")
        if name.startswith("00-multus"):
            raise UsageError(f"cni_conf holds a file {name!r}; 00-multus* is Multus' own")
        if not isinstance(content, (str, Mapping)):
            raise UsageError(f"cni_conf: {name} is {content!r}; expected a mapping or JSON text")


class ConfDir:
    """The files of one node.

    Args:
        files: name below the folder to content, a mapping or JSON text.
    """

    def __init__(self, files: Mapping[str, Content]) -> None:
        self.files = dict(sorted(files.items()))
        self._read: dict[str, NetworkConfList] = {}

    def primary(self) -> NetworkConfList:
        """The cluster's default network: the first ``.conf`` or ``.conflist`` (Multus' "auto").

        Raises:
            ManifestError: there is none, or it is no configuration.
        """
        for name in self.files:
            if "/" not in name and name.endswith((".conf", ".conflist")):
                return self._load(name)
        raise ManifestError(f"could not find a plugin configuration in {FOLDER}")

    def named(self, network: str) -> NetworkConfList:
        """The configuration whose ``name`` is ``network``: for an empty ``spec``.

        Raises:
            ManifestError: none has it, or a file that was read on the way is broken.
        """
        for name in self.files:
            if "/" in name:
                continue
            found = self._load(name)
            if found.name == network:
                return found
        raise ManifestError(f"no network available in the name {network} in cni dir {FOLDER}")

    @property
    def networks(self) -> dict[str, str]:
        """The network of each file that can be read."""
        found: dict[str, str] = {}
        for name in self.files:
            if "/" not in name:
                try:
                    found[name] = self._load(name).name
                except ManifestError:
                    continue
        return found

    def _load(self, name: str) -> NetworkConfList:
        if name not in self._read:
            try:
                self._read[name] = self._chained(self._parse(name))
            except ManifestError as error:
                kind = "conflist" if name.endswith(".conflist") else "config"
                message = f"Error loading CNI {kind} file {FOLDER}/{name}: {error}"
                raise ManifestError(message) from error
        return self._read[name]

    def _parse(self, name: str) -> NetworkConfList:
        network = parse_network_config(self.files[name], error=field_error(name))
        if network.is_list != name.endswith(".conflist"):
            if network.is_list:
                raise ManifestError("no 'type'; perhaps this is a .conflist?")
            raise ManifestError("error parsing configuration list: no 'plugins' key")
        return network

    def _chained(self, network: NetworkConfList) -> NetworkConfList:
        """The list with the plugins of its folder (CNI specification 1.1, section 1)."""
        folder = f"{network.name}/"
        names = [name for name in self.files if name.startswith(folder)]
        if not names or not network.is_list or go_get(network.raw, "loadOnlyInlinedPlugins"):
            return network
        plugins: list[Any] = list(go_get(network.raw, "plugins"))
        for name in names:
            content = self.files[name]
            try:
                plugins.append(json.loads(content) if isinstance(content, str) else dict(content))
            except ValueError as error:
                raise ManifestError(f"{FOLDER}/{name} is not JSON: {error}") from error
        rest = {key: value for key, value in network.raw.items() if key.lower() != "plugins"}
        return parse_network_config({**rest, "plugins": plugins}, error=field_error(folder))
