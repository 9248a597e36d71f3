"""loopback: sets lo up (reference plugin: main/loopback)."""

from __future__ import annotations

from ipaddress import ip_address

from pytest_multinet.cni.addresses import Cidr
from pytest_multinet.cni.native import links
from pytest_multinet.cni.native.conf import Conf
from pytest_multinet.cni.native.plugin import Call, Plugin, quoted, words
from pytest_multinet.cni.result import IPConfig, Result, ResultInterface
from pytest_multinet.errors import CniError, NetlinkError
from pytest_multinet.net import decode, requests

_LO = "lo"


class Loopback(Plugin):
    """Works on ``lo``, whatever interface is asked for."""

    def add(self, call: Call) -> Result:
        """Set lo up; tell its first address of each family."""
        Conf(self.conf.raw, prefix="failed to parse network config: ").dns()
        rtnl = call.sandbox.namespace.rtnl
        index = self._set(call, up=True)
        held = decode.addresses(rtnl, index).get(index, [])
        ips: list[IPConfig] = []
        for family in (4, 6):
            for position, address in enumerate(a for a in held if a.version == family):
                if not address.is_loopback:
                    raise CniError(
                        "loopback interface found with non-loopback address "
                        f"{quoted(str(address.ip))}"
                    )
                if position == 0:
                    ip = ip_address(address.ip.packed)
                    ips.append(IPConfig(Cidr(ip, address.network.prefixlen), None, 0))
        if call.prev_result is not None:
            return call.prev_result
        if call.cni_version in ("0.1.0", "0.2.0"):  # the real plugin's cannot be read by libcni
            return Result(call.cni_version)
        interface = ResultInterface(_LO, "00:00:00:00:00:00", call.sandbox.path)
        return Result(interfaces=(interface,), ips=tuple(ips))

    def check(self, call: Call) -> None:
        """Lo is up."""
        link = links.need(call.sandbox.namespace.rtnl, _LO)
        if not link.flags & links.UP:
            raise CniError("loopback interface is down")

    def delete(self, call: Call) -> None:
        """Set lo down."""
        if call.sandbox.namespace.fd >= 0:
            self._set(call, up=False)

    def _set(self, call: Call, *, up: bool) -> int:
        rtnl = call.sandbox.namespace.rtnl
        index = links.need(rtnl, _LO).index
        try:
            rtnl.execute(requests.set_link(index, up=up))
        except NetlinkError as error:
            raise CniError(words(error)) from error
        return index
