"""Whether an answer came from the stack that was meant, and not from a twin of its address."""

from __future__ import annotations

from pytest_multinet.cluster.stack import NetworkStack, Pod, Target
from pytest_multinet.model.interface import IPAddress


def is_from(target: Target, source: NetworkStack, address: IPAddress, over: str | None) -> bool:
    """Whether an answer that ``source`` got from ``address`` is ``target``'s own.

    Two pods with one address answer for each other, and a pod that has the address itself
    answers to itself; either would let a broken network pass.  Costs one look at a neighbour
    entry where all is well.
    """
    if not isinstance(target, NetworkStack) or target is source:
        return True
    entry = source.prober.neighbour(address, over) if over else None
    if entry is not None and entry.mac is not None:
        status = target.network_status if isinstance(target, Pod) else ()
        if any(s.mac.lower() == entry.mac for s in status):
            return True
        if any(i.mac == entry.mac for i in target.interfaces):
            return True
        return not _has_twin(target, address)
    return all(a.ip != address for i in source.interfaces for a in i.addresses)


def is_mac_of(target: Target, address: IPAddress, mac: str | None) -> bool:
    """Whether the hardware address that answered is the target's, as far as that can be told."""
    if not isinstance(target, NetworkStack) or mac is None:
        return True
    if any(i.mac == mac for i in target.interfaces):
        return True
    return not _has_twin(target, address)


def _has_twin(target: NetworkStack, address: IPAddress) -> bool:
    """Whether another pod has the address: asked only when an unknown MAC address answered."""
    return any(
        pod is not target and any(address in status.ips for status in pod.network_status)
        for pod in target.cluster.pods()
        if isinstance(target, Pod)
    )
