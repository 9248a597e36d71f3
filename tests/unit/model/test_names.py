"""The rules for names and addresses."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_multinet.errors import ManifestError
from pytest_multinet.model.fields import dotted
from pytest_multinet.model.manifest import load_documents
from pytest_multinet.model.names import (
    nearest,
    validate_interface_address,
    validate_interface_name,
    validate_mac,
    validate_name,
)


@pytest.mark.parametrize("name", ["a", "pod1", "a-b", "0", "a.b-c.d", "a" * 253])
def test_object_names_are_subdomains(name: str) -> None:
    assert validate_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "A", "a_b", "-a", "a-", "a..b", ".a", "a.", "a/b", "a b", "ä", "a\n", "a" * 254, None, 5],
)
def test_other_object_names_are_refused(name: Any) -> None:
    with pytest.raises(ManifestError) as caught:
        validate_name(name, what="pod name")
    assert caught.value.message.startswith("pod name")
    assert "RFC 1123" in (caught.value.expected or "")


@pytest.mark.parametrize("name", ["a.b", "a" * 64])
def test_labels_have_no_dots_and_63_characters(name: str) -> None:
    assert validate_name(name) == name
    with pytest.raises(ManifestError, match="namespace"):
        validate_name(name, what="namespace", label=True)


@pytest.mark.parametrize(
    "name", ["net1", "eth0.100", "a" * 15, "Öö", "br-lan", "-", "wlan@0", "...", "_"]
)
def test_interface_names_are_what_the_kernel_takes(name: str) -> None:
    assert validate_interface_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "a:b", "a b", "a\tb", "a\n", "a" * 16, "ö" * 8, "net%d", "\0", "à", 1],
)
def test_other_interface_names_are_refused(name: Any) -> None:
    with pytest.raises(ManifestError) as caught:
        validate_interface_name(name)
    assert "1 to 15 bytes" in (caught.value.expected or "")


@pytest.mark.parametrize(
    "mac", ["02:00:00:00:00:0a", "02-00-00-00-00-0A", "0200.0000.000a", "02:00:00:00:00:0A"]
)
def test_mac_addresses_come_out_in_one_notation(mac: str) -> None:
    assert validate_mac(mac) == "02:00:00:00:00:0a"


@pytest.mark.parametrize(
    "mac",
    [
        "zz",
        "",
        "02:00:00:00:00",
        "02:00:00:00:00:0a:0b",
        "02:00:00:00:00:0a:0b:0c",
        "02:00:00-00:00:0a",
        "020000000001",
        " 02:00:00:00:00:0a",
        "2:0:0:0:0:a",
        None,
    ],
)
def test_other_mac_addresses_are_refused(mac: Any) -> None:
    with pytest.raises(ManifestError, match="is not valid"):
        validate_mac(mac)


@pytest.mark.parametrize("mac", ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"])
def test_an_interface_has_no_multicast_mac(mac: str) -> None:
    with pytest.raises(ManifestError, match="multicast or zero"):
        validate_mac(mac)


@pytest.mark.parametrize(
    "address", ["10.1.1.1/24", "fd00::1/64", "0.0.0.0/0", "::ffff:10.0.0.1/96"]
)
def test_interface_addresses_have_a_prefix_length(address: str) -> None:
    assert validate_interface_address(address) == address


def test_a_missing_prefix_length_is_said() -> None:
    with pytest.raises(ManifestError, match="has no prefix length"):
        validate_interface_address("10.1.1.1")


@pytest.mark.parametrize(
    "address",
    [
        "10.1.1.1/33",
        "10.1.1/24",
        "10.1.1.256/24",
        "fd00::1/129",
        "fe80::1%eth0/64",
        "10.1.1.1/255.255.255.0",
        "10.01.1.1/24",
        "10.1.1.1/-1",
        "10.1.1.1/",
        " 10.1.1.1/24",
        "10.1.1.1/24/24",
        "",
        3232235777,
    ],
)
def test_other_addresses_are_refused(address: Any) -> None:
    with pytest.raises(ManifestError, match="is not valid"):
        validate_interface_address(address)


def test_the_error_may_come_from_a_document() -> None:
    (document,) = load_documents("kind: K\nmetadata:\n  name: n\n  namespace: N\n", name="k.yaml")
    with pytest.raises(ManifestError) as caught:
        validate_name(
            "N",
            what="namespace",
            label=True,
            path=("metadata", "namespace"),
            error=document.error,
        )
    assert (caught.value.source, caught.value.line) == ("k.yaml", 4)
    assert caught.value.field == "metadata.namespace"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("spec",), "spec"),
        (("spec", "containers", 0, "image"), "spec.containers[0].image"),
        ((0, "mac"), "[0].mac"),
        (("metadata", "annotations", "a.b/c"), "metadata.annotations[a.b/c]"),
        (("default-route", 1), "default-route[1]"),
    ],
)
def test_fields_are_written_as_kubernetes_writes_them(
    path: tuple[str | int, ...], text: str
) -> None:
    assert dotted(path) == text


@pytest.mark.parametrize(
    ("name", "choice"),
    [("plugin", "plugins"), ("Config", "config"), ("confg", "config"), ("zzz", None), ("", None)],
)
def test_the_nearest_name_is_suggested_or_none(name: str, choice: str | None) -> None:
    assert nearest(name, ["config", "plugins", "name"]) == choice
