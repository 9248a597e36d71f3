"""static: addresses as written (reference plugin: ipam/static)."""

from __future__ import annotations

from pytest_multinet.cni.addresses import Cidr, IPAddress, parse_cidr, parse_ip
from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.plugin import Call, Plugin, load_args
from pytest_multinet.cni.result import IPConfig, Result
from pytest_multinet.errors import CniError
from pytest_multinet.model.nad import NetworkConf


class Static(Plugin):
    """IPAM without any allocation.

    Addresses come from the configuration and, behind them, from CNI_ARGS ``IP``; those of
    ``args.cni.ips``, and before all others those of the capability ``ips``, replace them.
    """

    def __init__(self, conf: NetworkConf) -> None:
        super().__init__(conf)
        self._read: _Written | None = None

    def add(self, call: Call) -> Result:
        """Tell the addresses."""
        written = self._load()
        ips = tuple(IPConfig(*found) for found in self._addresses(call, written))
        return Result(ips=ips, routes=written.routes, dns=written.dns)

    def check(self, call: Call) -> None:
        """Every configured address that is in the result has its gateway there."""
        wanted = self._addresses(call, self._load())
        if call.prev_result is None:
            raise CniError("Required prevResult missing")
        for address, gateway in wanted:
            for seen in call.prev_result.ips:
                if seen.address.ip == address.ip:
                    if gateway is None or gateway == seen.gateway:
                        break
                    raise CniError(
                        f"static: Failed to match addr {address.ip} on interface {call.ifname}"
                    )

    def delete(self, call: Call) -> None:
        """Nothing was allocated."""

    def _load(self) -> _Written:
        if self._read is None:  # not at once: DEL does not look at the configuration
            self._read = _Written(self.conf)
        return self._read

    def _addresses(self, call: Call, written: _Written) -> list[tuple[Cidr, IPAddress | None]]:
        capability = Conf(call.runtime_config, "", path="runtimeConfig", prefix="").texts("ips")
        if not written.present:
            raise CniError("IPAM config missing 'ipam' key")
        extra = _from_args(call) if call.args else []
        asked = _asked(written.args, capability)
        found: list[tuple[Cidr, IPAddress | None]] = [(cidr, None) for cidr in asked]
        if not asked:
            for text, gateway in written.addresses:
                found.append((_cidr(text, "the 'address' field is expected to be"), gateway))
            found += extra
        for family in (4, 6):
            if sum(a.version == family for a, _ in found) > 1 and call.cni_version < "0.3.0":
                raise CniError(
                    f"CNI version {call.cni_version} does not support more than 1 address "
                    "per family"
                )
        return found


class _Written:
    """What stands in a configuration."""

    def __init__(self, conf: NetworkConf) -> None:
        whole = Conf(conf.raw, "Net", prefix="")
        self.present = "ipam" in whole
        ipam = whole.child("ipam", "IPAMConfig")
        self.addresses = [
            (item.text("address"), item.ip("gateway"))
            for item in ipam.children("addresses", "Address", "main.Address")
        ]
        self.routes = ipam.routes()
        self.dns = ipam.dns()
        self.args = whole.child("args").child("cni", "IPAMArgs").texts("ips")


def _asked(args: list[str], capability: list[str]) -> list[Cidr]:
    asked: list[Cidr] = []
    for source in (args, capability):
        if not source:
            continue
        asked = [_cidr(text, "an entry in the 'ips' field is NOT") for text in source]
    return asked


def _from_args(call: Call) -> list[tuple[Cidr, IPAddress | None]]:
    args = load_args(call.args, ("IP", "GATEWAY"))
    found: list[tuple[Cidr, IPAddress | None]] = [
        (_cidr(item.strip(), "the 'ip' field is expected to be"), None)
        for item in (args["IP"].split(",") if args.get("IP") else ())
    ]
    for item in args["GATEWAY"].split(",") if args.get("GATEWAY") else ():
        gateway = _gateway(item)
        found = [(a, gateway if a.contains(gateway) else g) for a, g in found]
    return found


def _cidr(text: str, complaint: str) -> Cidr:
    try:
        return parse_cidr(text)
    except ValueError:
        raise CniError(
            f"{complaint} in CIDR notation, got: '{text}'",
            hint="an address needs its prefix length, such as 10.1.1.101/24",
        ) from None


def _gateway(text: str) -> IPAddress:
    try:
        return parse_ip(text.strip())
    except ValueError:
        raise CniError(f"invalid gateway address: {text}") from None
