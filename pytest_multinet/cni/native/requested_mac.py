"""The MAC address that a call asks for, beside the one of the configuration."""

from __future__ import annotations

from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.plugin import Call, load_args


def runtime_mac(call: Call, prefix: str = "failed to load netconf: ") -> str:
    """The runtime's (capability ``mac``), ``""``: none; ``prefix`` begins a refusal's message."""
    if not call.runtime_config:
        return ""
    return Conf(call.runtime_config, "", path="runtimeConfig", prefix=prefix).text("mac")


def args_mac(call: Call) -> str:
    """That of CNI_ARGS, ``""``: none."""
    return load_args(call.args, ("MAC",)).get("MAC", "") if call.args else ""


def requested_mac(call: Call, written: str) -> str:
    """The runtime's, else that of CNI_ARGS, else the ``written`` one.

    Raises:
        CniError: the runtime's is no text, or, looked at next, CNI_ARGS cannot be read.
    """
    runtime, asked = runtime_mac(call), args_mac(call)
    return runtime or asked or written
