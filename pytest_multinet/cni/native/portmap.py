"""portmap: ports of the node that lead to a pod (reference plugin: meta/portmap).

Without ``portMappings`` it does nothing but pass the result on, which is what every pod of a
kind cluster meets.  With them it writes iptables rules, and only the real plugin can.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.plugin import Call, Plugin
from pytest_multinet.cni.result import Result
from pytest_multinet.errors import CniError
from pytest_multinet.model.go_json import go_get
from pytest_multinet.model.nad import NetworkConf

_PREFIX = "failed to parse network configuration: "


class Portmap(Plugin):
    """The part that needs no packet filter."""

    def __init__(self, conf: NetworkConf) -> None:
        super().__init__(conf)
        read = Conf(conf.raw, "PortMapConf", prefix=_PREFIX)
        read.truth("snat")
        read.truth("masqAll")
        self._mark_bit = read.whole("markMasqBit", 13)
        self._both_marks = "markMasqBit" in read and "externalSetMarkChain" in read

    @classmethod
    def told_by(cls, command: str, message: str) -> str:
        """ADD and DEL put more before it than CHECK."""
        return message if command == "CHECK" else f"failed to parse config: {message}"

    def add(self, call: Call) -> Result:
        """Pass the previous result on."""
        try:
            self._verify(call.runtime_config)
        except CniError as error:
            raise CniError(f"failed to parse config: {error.msg}") from error
        if call.prev_result is None:
            raise CniError("must be called as chained plugin")
        return call.prev_result

    def check(self, call: Call) -> None:
        """There is a previous result."""
        self._verify(call.runtime_config)
        if call.prev_result is None:
            raise CniError("Required prevResult missing")

    def delete(self, call: Call) -> None:
        """Nothing is left to delete."""
        try:
            self._verify(call.runtime_config)
        except CniError as error:
            raise CniError(f"failed to parse config: {error.msg}") from error

    def beyond(self, call: Call) -> str | None:
        """Mappings need iptables or nftables, which only the real plugin drives."""
        return "portMappings" if go_get(call.runtime_config, "portMappings") else None

    def _verify(self, runtime_config: Mapping[str, Any]) -> None:
        if self._both_marks:
            raise CniError("Cannot specify externalSetMarkChain and markMasqBit")
        if not 0 <= self._mark_bit <= 31:
            raise CniError("MasqMarkBit must be between 0 and 31")
        for mapping in cast("list[Mapping[str, Any]]", go_get(runtime_config, "portMappings", [])):
            for key, name in (("containerPort", "container"), ("hostPort", "host")):
                port = go_get(mapping, key) or 0
                if port <= 0:
                    raise CniError(f"Invalid {name} port number: {port}")
