"""The rules for names: Kubernetes objects, Linux interfaces, MAC and IP addresses.

Everything that reaches the kernel or a file path passes one of these first.  Each function
returns the value if it keeps the rule, else raises :class:`ManifestError` (or what the
given error maker makes).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address, ip_interface
from typing import Any

from pytest_multinet.model.fields import FieldError, FieldPath, field_error

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_IS_LABEL = re.compile(_LABEL).fullmatch
_IS_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*").fullmatch
_IS_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?").fullmatch
_IS_MAC = re.compile(
    r"[0-9a-f]{2}(:[0-9a-f]{2})*|[0-9a-f]{2}(-[0-9a-f]{2})*|[0-9a-f]{4}(\.[0-9a-f]{4})*",
    re.IGNORECASE | re.ASCII,
).fullmatch
_MAC_BYTES = (6, 8, 20)  # what Go's net.ParseMAC takes
# Bytes that dev_valid_name() of the kernel refuses (its isspace() takes 0xa0 too), control
# bytes, and '%', which makes the kernel take the name for a pattern (net%d -> net0).
_NOT_IN_INTERFACE = frozenset(b"/:% \xa0") | frozenset(range(0x20)) | {0x7F}

INTERFACE_NAME_RULE = "1 to 15 bytes without '/', ':', '%' or white space, and not '.' or '..'"
LABEL_RULE = "an RFC 1123 label: at most 63 of a-z, 0-9 and '-', not with '-' at either end"
SUBDOMAIN_RULE = (
    "an RFC 1123 subdomain: at most 253 of a-z, 0-9, '-' and '.', "
    "each part starting and ending with a letter or digit"
)
MAC_RULE = "a MAC address of 6 bytes, such as 02:00:00:00:00:01"
ADDRESS_RULE = "an address with prefix length, such as 10.1.1.101/24 or fd00::1/64"


def is_label(value: str) -> bool:
    """Whether ``value`` is an RFC 1123 label of at most 63 characters."""
    return len(value) <= 63 and _IS_LABEL(value) is not None


def is_subdomain(value: str) -> bool:
    """Whether ``value`` is an RFC 1123 subdomain of at most 253 characters."""
    return len(value) <= 253 and _IS_SUBDOMAIN(value) is not None


def is_interface_name(value: str) -> bool:
    """Whether Linux takes ``value`` as it stands for the name of an interface."""
    data = value.encode("utf-8", "surrogatepass")
    return 0 < len(data) <= 15 and value not in (".", "..") and not _NOT_IN_INTERFACE & set(data)


def validate_name(
    value: Any,
    *,
    what: str = "name",
    label: bool = False,
    path: FieldPath = (),
    error: FieldError | None = None,
) -> str:
    """Return the name of a Kubernetes object if the API server would take it.

    Args:
        value: the name.
        what: word for it in the message.
        label: ask for a label (namespaces, containers) instead of a subdomain.
        path: field that it stands in.
        error: makes the error.
    """
    if isinstance(value, str) and (is_label(value) if label else is_subdomain(value)):
        return value
    make = error or field_error(what)
    rule = LABEL_RULE if label else SUBDOMAIN_RULE
    raise make(f"{what} {_shown(value)} is not valid", path, value, rule)


def validate_interface_name(
    value: Any,
    *,
    what: str = "interface name",
    path: FieldPath = (),
    error: FieldError | None = None,
) -> str:
    """Return the name of an interface if Linux takes it (IFNAMSIZ; ``dev_valid_name``)."""
    if isinstance(value, str) and is_interface_name(value):
        return value
    make = error or field_error(what)
    raise make(f"{what} {_shown(value)} is not valid", path, value, INTERFACE_NAME_RULE)


def validate_mac(
    value: Any,
    *,
    what: str = "MAC address",
    path: FieldPath = (),
    error: FieldError | None = None,
) -> str:
    """Return a unicast Ethernet address in lower case with colons.

    Takes the notations of Go's ``net.ParseMAC``: ``02:00:..``, ``02-00-..``, ``0200.0000.0001``.
    """
    make = error or field_error(what)
    digits = mac_digits(value) if isinstance(value, str) else None
    if digits is None or len(digits) != 12:
        raise make(f"{what} {_shown(value)} is not valid", path, value, MAC_RULE)
    if int(digits[:2], 16) & 1 or not int(digits, 16):
        message = f"{what} {_shown(value)} is multicast or zero, the kernel sets neither"
        raise make(message, path, value, MAC_RULE + " (first byte even, not all zero)")
    return colons(digits)


def mac_digits(value: str) -> str | None:
    """The hexadecimal digits of a hardware address as Go parses it, or ``None``."""
    if not _IS_MAC(value):
        return None
    digits = value.lower().replace(":", "").replace("-", "").replace(".", "")
    return digits if len(digits) // 2 in _MAC_BYTES else None


def colons(digits: str) -> str:
    """Hexadecimal digits, two by two, with colons between."""
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))


def validate_interface_address(
    value: Any,
    *,
    what: str = "address",
    path: FieldPath = (),
    error: FieldError | None = None,
) -> str:
    """Return an address with prefix length (CIDR notation), such as ``10.1.1.1/24``."""
    if isinstance(value, str) and is_cidr(value):
        return value
    make = error or field_error(what)
    message = f"{what} {_shown(value)} is not valid"
    if isinstance(value, str) and is_ip(value):
        message = f"{what} {_shown(value)} has no prefix length"
    raise make(message, path, value, ADDRESS_RULE)


def is_ip(value: str) -> bool:
    """Whether Go's ``net.ParseIP`` takes ``value``."""
    try:
        ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def is_cidr(value: str) -> bool:
    """Whether Go's ``net.ParseCIDR`` takes ``value``: no zone, no netmask."""
    _, slash, length = value.partition("/")
    if not slash or not (length.isascii() and length.isdigit() and len(length) <= 8):
        return False
    try:
        ip_interface(value)
    except ValueError:
        return False
    return "%" not in value


def check_metadata_map(
    values: Iterable[tuple[str, str]], *, labels: bool, path: FieldPath, error: FieldError
) -> None:
    """Check the keys of labels or annotations, and the values of labels."""
    for key, value in values:
        prefix, slash, name = key.rpartition("/")
        if (slash and not is_subdomain(prefix)) or not _IS_QUALIFIED(name):
            expected = (
                "[prefix/]name: the prefix a DNS name, the name at most 63 of A-Z a-z 0-9 - _ ."
            )
            raise error(f"key {_shown(key)} is not valid", (*path, key), key, expected)
        if labels and value and not _IS_QUALIFIED(value):
            expected = (
                "at most 63 of A-Z a-z 0-9 - _ ., starting and ending with a letter or digit"
            )
            raise error(f"label value {_shown(value)} is not valid", (*path, key), value, expected)


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The one of ``choices`` that ``name`` was most likely meant to be, or ``None``."""
    from difflib import get_close_matches

    folded = {choice.casefold(): choice for choice in choices}
    found = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def _shown(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
