"""Calls the plugins of a configuration list (CNI specification 1.1, section 3; libcni)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pytest_multinet.cni.host import Host, Sandbox
from pytest_multinet.cni.invoke import Invoker
from pytest_multinet.cni.native.plugin import Call
from pytest_multinet.cni.result import Result
from pytest_multinet.errors import CniError
from pytest_multinet.model.nad import NetworkConf, NetworkConfList

__all__ = ["Host", "Runtime", "Sandbox"]

_NONE: Mapping[str, Any] = MappingProxyType({})
_INCOMPATIBLE, _UNKNOWN_CONTAINER, _BAD_ENVIRONMENT, _BAD_CONFIG = 1, 3, 4, 7
_WITHOUT_CHECK = ("0.1.0", "0.2.0", "0.3.0", "0.3.1")
_IS_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]*").fullmatch


class Runtime:
    """Attaches pods of one node to networks, and takes them off again.

    Args:
        host: the node.
        real: use the binaries for every plugin type.
    """

    def __init__(self, host: Host, *, real: bool = False) -> None:
        self.host = host
        self._invoker = Invoker(host, real=real)
        self._results: dict[tuple[str, str, str], Result] = {}

    def add(
        self,
        network: NetworkConfList,
        sandbox: Sandbox,
        ifname: str,
        *,
        args: Mapping[str, str] = _NONE,
        runtime_config: Mapping[str, Any] = _NONE,
    ) -> Result:
        """ADD: each plugin in order, each with the result of the one before.

        A failure leaves what was done until then: the caller decides about DEL.

        Args:
            network: the configuration list.
            sandbox: the pod's namespace.
            ifname: name of the interface in the pod.
            args: CNI_ARGS.
            runtime_config: values by capability; a plugin gets those it declares.

        Raises:
            CniError: of the first plugin that failed; its ``plugin`` and ``command`` are set.
            NeedsCapability: a plugin needs its real binary, and that is not installed; or the
                kernel lacks what it takes.
        """
        result: Result | None = None
        for conf in network.plugins:
            result = self._plugin_add(network, conf, sandbox, ifname, args, runtime_config, result)
        assert result is not None  # noqa: S101 - a list has at least one plugin
        if result.cni_version != network.cni_version:
            result = replace(result, cni_version=network.cni_version)
        self._results[(network.name, sandbox.container_id, ifname)] = result
        return result

    def _plugin_add(
        self,
        network: NetworkConfList,
        conf: NetworkConf,
        sandbox: Sandbox,
        ifname: str,
        args: Mapping[str, str],
        runtime_config: Mapping[str, Any],
        prev_result: Result | None,
    ) -> Result:
        try:
            _validate(network.name, sandbox.container_id, ifname)
            call = self._call(network, conf, sandbox, ifname, args, runtime_config, prev_result)
            return self._invoker.add(conf.type, call)
        except CniError as error:
            error.plugin, error.command = conf.type, "ADD"
            raise

    def check(
        self,
        network: NetworkConfList,
        sandbox: Sandbox,
        ifname: str,
        *,
        args: Mapping[str, str] = _NONE,
        runtime_config: Mapping[str, Any] = _NONE,
    ) -> None:
        """CHECK: each plugin in order, each with the final result of ADD.

        Raises:
            CniError: the first difference, or the version (before 0.4.0) knows no CHECK.
            NeedsCapability: as for :meth:`add`.
        """
        if network.cni_version in _WITHOUT_CHECK:
            raise CniError(
                f'configuration version "{network.cni_version}" does not support the CHECK '
                "command",
                code=_INCOMPATIBLE,
            )
        if network.disable_check:
            return
        cached = self._results.get((network.name, sandbox.container_id, ifname))
        for conf in network.plugins:
            call = self._call(network, conf, sandbox, ifname, args, runtime_config, cached)
            try:
                self._invoker.check(conf.type, call)
            except CniError as error:
                error.plugin, error.command = conf.type, "CHECK"
                raise

    def delete(
        self,
        network: NetworkConfList,
        sandbox: Sandbox,
        ifname: str,
        *,
        args: Mapping[str, str] = _NONE,
        runtime_config: Mapping[str, Any] = _NONE,
    ) -> None:
        """DEL: each plugin in reverse, each with the final result of ADD, if that is known.

        Raises:
            CniError: of the first plugin that failed; those before it in the list were not
                called, and the result stays known.
            NeedsCapability: as for :meth:`add`.
        """
        key = (network.name, sandbox.container_id, ifname)
        cached = None if network.cni_version in _WITHOUT_CHECK else self._results.get(key)
        for conf in reversed(network.plugins):
            call = self._call(network, conf, sandbox, ifname, args, runtime_config, cached)
            try:
                self._invoker.delete(conf.type, call)
            except CniError as error:
                error.plugin, error.command = conf.type, "DEL"
                raise
        self._results.pop(key, None)

    def cached_result(self, network: str, container_id: str, ifname: str) -> Result | None:
        """The final result of an ADD that no DEL has followed."""
        return self._results.get((network, container_id, ifname))

    def _call(
        self,
        network: NetworkConfList,
        conf: NetworkConf,
        sandbox: Sandbox,
        ifname: str,
        args: Mapping[str, str],
        runtime_config: Mapping[str, Any],
        prev_result: Result | None,
    ) -> Call:
        taken = _NONE
        if runtime_config and conf.capabilities:
            taken = {k: v for k, v in runtime_config.items() if conf.capabilities.get(k)}
        return Call(
            self.host,
            sandbox,
            ifname,
            network.name,
            network.cni_version,
            conf,
            args,
            taken,
            prev_result,
            self._invoker,
        )


def _validate(network: str, container_id: str, ifname: str) -> None:
    """What libcni refuses before it runs a plugin."""
    if not container_id:
        raise CniError("missing containerID", code=_UNKNOWN_CONTAINER)
    if not _IS_NAME(container_id):
        message = "invalid characters in containerID"
        raise CniError(message, code=_BAD_ENVIRONMENT, details=container_id)
    if not _IS_NAME(network):
        message = "invalid characters found in network name"
        raise CniError(message, code=_BAD_CONFIG, details=network)
    if not ifname:
        raise CniError("interface name is empty", code=_BAD_ENVIRONMENT)
    if len(ifname.encode()) > 15:
        raise CniError(
            "interface name is too long",
            code=_BAD_ENVIRONMENT,
            details="interface name should be less than 16 characters",
        )
    if ifname in (".", ".."):
        raise CniError("interface name is . or ..", code=_BAD_ENVIRONMENT)
    if any(char in "/:" or char.isspace() for char in ifname):
        message = "interface name contains / or : or whitespace characters"
        raise CniError(message, code=_BAD_ENVIRONMENT)
