"""Addresses as CNI writes them, read as Go's ``net`` package reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

IPAddress: TypeAlias = "IPv4Address | IPv6Address"

_LENGTH = re.compile(r"[0-9]{1,7}").fullmatch


@dataclass(frozen=True, slots=True)
class Cidr:
    """An address with its prefix length, host bits kept: ``10.1.1.101/24``."""

    ip: IPAddress
    prefixlen: int

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.ip.version

    @property
    def network(self) -> Cidr:
        """The same prefix with its host bits cleared."""
        size = self.ip.max_prefixlen
        number = int(self.ip) >> (size - self.prefixlen) << (size - self.prefixlen)
        return Cidr(type(self.ip)(number), self.prefixlen)

    @property
    def mask(self) -> str:
        """The mask in hexadecimal, as Go prints it."""
        size = self.ip.max_prefixlen
        number = ((1 << self.prefixlen) - 1) << (size - self.prefixlen)
        return f"{number:0{size // 4}x}"

    def contains(self, ip: IPAddress) -> bool:
        """Whether ``ip`` lies in the prefix."""
        if ip.version != self.ip.version:
            return False
        shift = self.ip.max_prefixlen - self.prefixlen
        return int(ip) >> shift == int(self.ip) >> shift

    def __str__(self) -> str:
        return f"{self.ip}/{self.prefixlen}"


@lru_cache(4096)
def parse_ip(text: str) -> IPAddress:
    """An address without prefix length.

    Raises:
        ValueError: ``text`` is none; the message is Go's.
    """
    try:
        if "%" in text:
            raise ValueError(text)
        ip = ip_address(text)
    except ValueError:
        raise ValueError(f"invalid IP address: {text}") from None
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip


@lru_cache(4096)
def parse_cidr(text: str) -> Cidr:
    """An address with its prefix length in bits; a netmask is not taken.

    Raises:
        ValueError: ``text`` is none; the message is Go's.
    """
    head, slash, tail = text.partition("/")
    try:
        ip = parse_ip(head)
        if not slash or not _LENGTH(tail):
            raise ValueError(text)
        length = int(tail) - (96 if ip.version == 4 and ":" in head else 0)
        if not 0 <= length <= ip.max_prefixlen:
            raise ValueError(text)
    except ValueError:
        raise ValueError(f"invalid CIDR address: {text}") from None
    return Cidr(ip, length)
