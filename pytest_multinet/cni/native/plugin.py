"""What every native plugin is: one configuration, and the three verbs of the specification."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from pytest_multinet.cni.host import Host, Sandbox
from pytest_multinet.cni.result import Result
from pytest_multinet.errors import CniError, NetlinkError
from pytest_multinet.model.nad import NetworkConf


class Delegation(Protocol):
    """Calls another plugin with the same arguments (CNI specification 1.1, section 4)."""

    def add(self, plugin_type: str, call: Call) -> Result:
        """ADD; its result."""
        ...

    def check(self, plugin_type: str, call: Call) -> None:
        """CHECK."""
        ...

    def delete(self, plugin_type: str, call: Call) -> None:
        """DEL."""
        ...


@dataclass(slots=True)
class Call:
    """One call of a plugin: what the protocol hands over by environment and standard input.

    Attributes:
        host: the node.
        sandbox: the pod's namespace; ``ifname``: the interface asked for (CNI_IFNAME).
        network: name of the network; ``cni_version``: of its configuration.
        conf: the plugin's configuration.
        args: CNI_ARGS.
        runtime_config: values of the capabilities that the plugin declared.
        prev_result: ADD: the previous plugin's result; CHECK and DEL: the final one.
        delegation: calls another plugin, such as the IPAM plugin.
    """

    host: Host
    sandbox: Sandbox
    ifname: str
    network: str
    cni_version: str
    conf: NetworkConf
    args: Mapping[str, str]
    runtime_config: Mapping[str, Any]
    prev_result: Result | None
    delegation: Delegation

    @property
    def container_id(self) -> str:
        """CNI_CONTAINERID."""
        return self.sandbox.container_id


class Plugin(ABC):
    """One configuration of a plugin type; made once, called for every pod that uses it.

    Attributes:
        since: the oldest version of the specification that the plugin speaks.

    Raises:
        CniError: a value is of a type that the plugin cannot decode.
    """

    since: ClassVar[str] = "0.1.0"

    def __init__(self, conf: NetworkConf) -> None:
        self.conf = conf
        self.ipam_type = conf.ipam_type or ""

    @abstractmethod
    def add(self, call: Call) -> Result:
        """Set the interface up.

        Raises:
            CniError: with the reference plugin's message.
            NeedsCapability: the kernel lacks what it takes.
        """

    @abstractmethod
    def check(self, call: Call) -> None:
        """Compare what is with what ADD set up.

        Raises:
            CniError: the first difference.
        """

    @abstractmethod
    def delete(self, call: Call) -> None:
        """Take down what ADD set up; what is gone already is no error.

        Raises:
            CniError: with the reference plugin's message.
        """

    @classmethod
    def told_by(cls, command: str, message: str) -> str:
        """How ADD, CHECK or DEL say that the configuration cannot be decoded."""
        return message

    def beyond(self, call: Call) -> str | None:
        """What of this call only the real plugin can do, ``None`` where we can do it all.

        Such a call goes to the binary, and is a skip with a reason where there is none.
        """
        return None


def words(error: NetlinkError) -> str:
    """The kernel's refusal as a Go program says it, without the kernel's own explanation."""
    return os.strerror(error.errno).lower()


def quoted(text: str) -> str:
    """A name in double quotes."""
    return f'"{text}"'


def load_args(args: Mapping[str, str], known: tuple[str, ...]) -> dict[str, str]:
    """CNI_ARGS as a reference plugin reads them: the known keys.

    Raises:
        CniError: a pair cannot be read, or a key is unknown and ``IgnoreUnknown`` is not set.
    """
    out: dict[str, str] = {}
    unknown: list[str] = []
    ignore = False
    for key, value in args.items():
        if "=" in value or ";" in value or "=" in key or ";" in key:
            _refuse_pairs(args)
        if key == "IgnoreUnknown":
            lower = value.lower()
            if lower not in ("0", "1", "true", "false"):
                message = f"boolean unmarshal error: invalid input {lower}"
                raise CniError(f'ARGS: error parsing value of pair "{key}={value}": {message}')
            ignore = lower in ("1", "true")
        elif key in known:
            out[key] = value
        else:
            unknown.append(f"{key}={value}")
    if unknown and not ignore:
        shown = " ".join(map(quoted, unknown))
        raise CniError(f"ARGS: unknown args [{shown}]")
    return out


def _refuse_pairs(args: Mapping[str, str]) -> None:
    whole = ";".join(f"{key}={value}" for key, value in args.items())
    for pair in whole.split(";"):
        if pair.count("=") != 1:
            raise CniError(f"ARGS: invalid pair {quoted(pair)}")


_GROUPS = re.compile(r"[0-9a-f]{2}(([:-])[0-9a-f]{2}(\2[0-9a-f]{2})*)?").fullmatch
_DOTTED = re.compile(r"[0-9a-f]{4}(\.[0-9a-f]{4})+").fullmatch


def parse_mac(text: str) -> str:
    """A hardware address, lower case with colons (Go's ``net.ParseMAC``).

    Raises:
        ValueError: with Go's message.
    """
    lower = text.lower()
    digits = re.sub(r"[:.\-]", "", lower)
    if not (_GROUPS(lower) or _DOTTED(lower)) or len(digits) not in (12, 16, 40):
        raise ValueError(f"address {text}: invalid MAC address")
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))
