"""Calls one plugin: a native class where there is one, else the real binary by the protocol.

This is the only seam between the runtime and the plugins; it is also how a plugin calls another
one, such as its IPAM plugin (CNI specification 1.1, sections 2 and 4).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from pytest_multinet.cni.binary import NETNS, NETNS_OF_CHECK
from pytest_multinet.cni.host import Host
from pytest_multinet.cni.native.plugin import Call, Plugin
from pytest_multinet.cni.native.registry import PROGRAMS, native
from pytest_multinet.cni.result import Result
from pytest_multinet.errors import CniError, NeedsCapability
from pytest_multinet.model.nad import NetworkConf

_INCOMPATIBLE, _DECODING, _BAD_CONFIG, _INTERNAL = 1, 6, 7, 999
_NATIVE_VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0")
_OLD = ("0.1.0", "0.2.0")
_MOST_CONFIGURATIONS = 512


class Invoker:
    """Calls plugins of one node.

    Args:
        host: the node.
        real: use the binaries for every plugin type.
    """

    def __init__(self, host: Host, *, real: bool = False) -> None:
        self.host = host
        self.real = real
        self._plugins: dict[int, tuple[NetworkConf, Plugin]] = {}

    def add(self, plugin_type: str, call: Call) -> Result:
        """ADD.

        Raises:
            CniError: the plugin failed, or there is none.
            NeedsCapability: it needs its real binary, and that is not installed.
        """
        plugin = self._native(plugin_type, call, "ADD")
        if plugin is None:
            return self._exec_add(plugin_type, call)
        result = plugin.add(call)
        if call.cni_version in _OLD and result.cni_version not in _OLD:
            # What such a result cannot say is lost on the way.
            return Result.from_dict(result.to_dict(call.cni_version))
        return result

    def check(self, plugin_type: str, call: Call) -> None:
        """CHECK; raises as :meth:`add`."""
        self._run(plugin_type, call, "CHECK", lambda plugin: plugin.check(call))

    def delete(self, plugin_type: str, call: Call) -> None:
        """DEL; raises as :meth:`add`."""
        self._run(plugin_type, call, "DEL", lambda plugin: plugin.delete(call))

    def _run(
        self, plugin_type: str, call: Call, command: str, run: Callable[[Plugin], None]
    ) -> None:
        plugin = self._native(plugin_type, call, command)
        if plugin is None:
            self._exec(plugin_type, call, command)
        else:
            run(plugin)

    def _native(self, plugin_type: str, call: Call, command: str) -> Plugin | None:
        """The native plugin that can carry out this call, ``None``: the binary has to."""
        if not plugin_type:
            raise CniError("no plugin name provided", hint="the configuration has no ipam.type")
        if self.real:
            return None
        key = id(call.conf) if plugin_type == call.conf.type else -id(call.conf)
        known = self._plugins.get(key)
        if known is not None and known[0] is call.conf:
            plugin = known[1]
        else:
            made = native(plugin_type)
            if made is None:
                return None
            _check_version(call.cni_version, command, made.since)
            if len(self._plugins) >= _MOST_CONFIGURATIONS:
                self._plugins.clear()
            try:
                plugin = made(call.conf)
            except CniError as error:
                error.msg = made.told_by(command, error.msg)
                raise
            self._plugins[key] = (call.conf, plugin)
        return plugin if plugin.beyond(call) is None else None

    # --- the binary -------------------------------------------------------------------------

    def _exec_add(self, plugin_type: str, call: Call) -> Result:
        stdout = self._exec(plugin_type, call, "ADD")
        try:
            data = json.loads(stdout)
        except ValueError as error:
            raise CniError(f"failed to unmarshal raw result: {error}", code=_DECODING) from error
        if not isinstance(data, dict):
            raise CniError(f"failed to unmarshal raw result: {stdout!r}", code=_DECODING)
        data = cast("dict[str, Any]", data)
        return _renamed(Result.from_dict(data, call.cni_version), call.sandbox.path)

    def _exec(self, plugin_type: str, call: Call, command: str) -> bytes:
        """Run a plugin's binary; its standard output.

        Raises:
            CniError: it is not there, or it failed.
            NeedsCapability: it is not there, and a native plugin does the rest of its work.
        """
        host = self.host
        netns = NETNS_OF_CHECK if command == "CHECK" else NETNS
        if call.sandbox.namespace.fd < 0:  # it has gone; DEL works without
            netns = ""
        env = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": call.container_id,
            "CNI_NETNS": netns,
            "CNI_IFNAME": call.ifname,
            "CNI_ARGS": ";".join(f"{key}={value}" for key, value in call.args.items()),
            "CNI_PATH": host.cni_path,
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        }
        stdin = json.dumps(_stdin(call, netns)).encode()
        ran = host.exec_plugin(plugin_type, env, stdin, call.sandbox.namespace)
        if ran is None:
            raise self._not_found(plugin_type, call)
        code, stdout, stderr = ran
        if code == 0:
            return stdout
        raise _failure(code, stdout, stderr)

    def _not_found(self, plugin_type: str, call: Call) -> CniError | NeedsCapability:
        folders = self.host.cni_path.split(":")
        made = None if self.real else native(plugin_type)
        needs = PROGRAMS.get(plugin_type) if made is None else made(call.conf).beyond(call)
        if needs is not None and not self.real:
            return NeedsCapability(
                "cni-plugins",
                f"{plugin_type} with {needs} (network {call.network}) needs the real plugin, "
                f"and {' and '.join(folders)} on node {self.host.name} has none: install the "
                "CNI plugins, or name their folder with --multinet-cni-plugins",
            )
        return CniError(
            f'failed to find plugin "{plugin_type}" in path [{" ".join(folders)}]',
            code=_BAD_CONFIG if plugin_type == call.conf.type else _INTERNAL,
            hint=f"node {self.host.name} has no such plugin: is the type of network "
            f"{call.network} spelt right?",
        )


def _stdin(call: Call, netns: str) -> dict[str, Any]:
    """The configuration as it goes to a binary."""
    replaced = {"name", "cniversion", "prevresult", "runtimeconfig"}
    data = {key: value for key, value in call.conf.raw.items() if key.lower() not in replaced}
    data["name"], data["cniVersion"] = call.network, call.cni_version
    if call.runtime_config:
        data["runtimeConfig"] = dict(call.runtime_config)
    if call.prev_result is not None:
        there = _renamed(call.prev_result, netns, call.sandbox.path)
        data["prevResult"] = there.to_dict(call.cni_version)
    return data


def _renamed(result: Result, path: str, old: str | None = None) -> Result:
    """A result whose interfaces in the sandbox show another path of it."""
    interfaces = tuple(
        replace(i, sandbox=path) if i.sandbox and old in (None, i.sandbox) else i
        for i in result.interfaces
    )
    return replace(result, interfaces=interfaces)


def _failure(code: int, stdout: bytes, stderr: bytes) -> CniError:
    """The error object of a plugin that failed (CNI specification, section 5: Error)."""
    said = stdout.decode(errors="replace")
    complaint = stderr.decode(errors="replace")
    if not said:
        if complaint:
            return CniError(f"netplugin failed: {json.dumps(complaint)}", code=0)
        return CniError(f"netplugin failed with no error message: exit status {code}", code=0)
    try:
        data: Any = json.loads(said)
        found = {key.lower(): value for key, value in data.items()}
        return CniError(
            str(found.get("msg", "")),
            code=int(found.get("code", 0)),
            details=str(found.get("details", "")),
            hint=complaint.strip() or None,
        )
    except (ValueError, TypeError, AttributeError) as error:
        return CniError(
            f"netplugin failed but error parsing its diagnostic message {json.dumps(said)}: "
            f"{error}",
            code=0,
        )


def _check_version(version: str, command: str, since: str) -> None:
    """The versions that the reference plugins 1.5.1 speak, some only from one on."""
    versions = _NATIVE_VERSIONS[_NATIVE_VERSIONS.index(since) :]
    if version not in versions:
        if command == "CHECK":
            raise CniError("plugin version does not allow CHECK", code=_INCOMPATIBLE)
        supported = " ".join(f'"{v}"' for v in versions)
        raise CniError(
            "incompatible CNI versions",
            code=_INCOMPATIBLE,
            details=f'config is "{version}", plugin supports [{supported}]',
        )
