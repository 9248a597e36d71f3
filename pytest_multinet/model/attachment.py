"""Network selections: the pod annotation that attaches networks.

Follows NPWG multi-net-spec v1.3, section 4, and where it differs Multus 4.1.0.  Messages
hold the text that Multus, a plugin or kubelet would show, since that is what users search
for, and then what it means.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Any, NoReturn, cast

from pytest_multinet.model.fields import FieldError, FieldPath, dotted, field_error, json_type
from pytest_multinet.model.go_json import read_json, within
from pytest_multinet.model.names import (
    ADDRESS_RULE,
    INTERFACE_NAME_RULE,
    LABEL_RULE,
    MAC_RULE,
    SUBDOMAIN_RULE,
    colons,
    is_cidr,
    is_interface_name,
    is_ip,
    is_label,
    is_subdomain,
    mac_digits,
    nearest,
)

NETWORKS_ANNOTATION = "k8s.v1.cni.cncf.io/networks"
NETWORK_STATUS_ANNOTATION = "k8s.v1.cni.cncf.io/network-status"
DEFAULT_NETWORK_ANNOTATION = "v1.multus-cni.io/default-network"

# The annotation's keys, folded, with the attribute that each sets.
_KEYS = {
    "name": "name",
    "namespace": "namespace",
    "interface": "interface",
    "interfacerequest": "interfaceRequest",
    "ips": "ips",
    "mac": "mac",
    "infiniband-guid": "infiniband-guid",
    "portmappings": "portMappings",
    "bandwidth": "bandwidth",
    "deviceid": "deviceID",
    "default-route": "default-route",
    "cni-args": "cni-args",
    "ipam-claim-reference": "ipam-claim-reference",
}
# Keys that are often written, and the ones that Multus knows.
_MEANT = {
    "gateway": "default-route",
    "gateways": "default-route",
    "defaultroute": "default-route",
    "default_route": "default-route",
    "default-routes": "default-route",
    "route": "default-route",
    "ip": "ips",
    "address": "ips",
    "addresses": "ips",
    "ipaddress": "ips",
    "macaddress": "mac",
    "hwaddr": "mac",
    "ifname": "interface",
    "interfacename": "interface",
    "guid": "infiniband-guid",
    "infinibandguid": "infiniband-guid",
    "ports": "portMappings",
    "port-mappings": "portMappings",
    "cniargs": "cni-args",
    "args": "cni-args",
    "network": "name",
    "ns": "namespace",
}
_LIST_FORM = "pod Network Attachment Selection Annotation JSON format"
_MAX_BURST = 8 * 0xFFFFFFFF  # bandwidth plugin: under 4 GB


class AnnotationWarning(UserWarning):
    """Something in an annotation that Multus ignores without a word."""


@dataclass(frozen=True, slots=True)
class PortMapping:
    """A port of the node that leads to the pod (capability ``portMappings``).

    Attributes:
        host_port: port on the node.
        container_port: port in the pod.
        protocol: ``tcp``, ``udp`` or ``sctp``.
        host_ip: the node's address it is bound to, ``None``: all.
    """

    host_port: int
    container_port: int
    protocol: str = "tcp"
    host_ip: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the annotation."""
        data: dict[str, Any] = {
            "hostPort": self.host_port,
            "containerPort": self.container_port,
            "protocol": self.protocol,
        }
        if self.host_ip is not None:
            data["hostIP"] = self.host_ip
        return data


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Limits of traffic (capability ``bandwidth``): rates in bits/s, bursts in bits; 0: none."""

    ingress_rate: int = 0
    ingress_burst: int = 0
    egress_rate: int = 0
    egress_burst: int = 0

    def to_dict(self) -> dict[str, int]:
        """The JSON object of the annotation."""
        return {
            "ingressRate": self.ingress_rate,
            "ingressBurst": self.ingress_burst,
            "egressRate": self.egress_rate,
            "egressBurst": self.egress_burst,
        }


@dataclass(frozen=True, slots=True)
class NetworkSelection:
    """One network that a pod asks to be attached to.

    Attributes:
        name, namespace: of the NetworkAttachmentDefinition.
        interface: name of the interface in the pod; ``None``: ``net<index>``.
        ips: addresses as written, with prefix length.
        mac: hardware address, lower case with colons.
        infiniband_guid: GUID, lower case with colons.
        port_mappings: ports of the node that lead here.
        bandwidth: limits of traffic.
        default_route: gateways of the pod's default route; ``None``: the cluster's default
            route stays, ``()``: as in the annotation ``[]``, no default route at all.
        cni_args: merged into ``args.cni`` of each plugin.
        device_id: device for plugins that take one.
        ipam_claim_reference: name of an IPAMClaim (carried, not used by Multus 4.1).
    """

    name: str
    namespace: str = "default"
    interface: str | None = None
    ips: tuple[str, ...] = ()
    mac: str | None = None
    infiniband_guid: str | None = None
    port_mappings: tuple[PortMapping, ...] = ()
    bandwidth: Bandwidth | None = None
    default_route: tuple[str, ...] | None = None
    cni_args: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)
    device_id: str | None = None
    ipam_claim_reference: str | None = None

    def to_dict(self, pod_namespace: str | None = None) -> dict[str, Any]:
        """The JSON object of the annotation, with only what is set.

        Args:
            pod_namespace: of the pod; the selection's own is left out where it is equal.
        """
        data: dict[str, Any] = {"name": self.name}
        if self.namespace != pod_namespace:
            data["namespace"] = self.namespace
        if self.interface is not None:
            data["interface"] = self.interface
        if self.ips:
            data["ips"] = list(self.ips)
        if self.mac is not None:
            data["mac"] = self.mac
        if self.infiniband_guid is not None:
            data["infiniband-guid"] = self.infiniband_guid
        if self.port_mappings:
            data["portMappings"] = [mapping.to_dict() for mapping in self.port_mappings]
        if self.bandwidth is not None:
            data["bandwidth"] = self.bandwidth.to_dict()
        if self.default_route is not None:
            data["default-route"] = list(self.default_route)
        if self.cni_args:
            data["cni-args"] = dict(self.cni_args)
        if self.device_id is not None:
            data["deviceID"] = self.device_id
        if self.ipam_claim_reference is not None:
            data["ipam-claim-reference"] = self.ipam_claim_reference
        return data


def parse_networks(
    annotation: str,
    namespace: str,
    *,
    error: FieldError | None = None,
    default_interface: str = "eth0",
    bare_addresses: bool = False,
) -> tuple[NetworkSelection, ...]:
    """Read the annotation ``k8s.v1.cni.cncf.io/networks``, short form or JSON.

    Args:
        annotation: its text; empty means no networks.
        namespace: of the pod, where a selection names none.
        error: makes errors; paths start at the list of selections.
        default_interface: name of the default network's interface.
        bare_addresses: take addresses without prefix length.  host-local takes them, static
            (the plugin to which one gives addresses) does not.

    Returns:
        One selection per network, in the order Multus attaches them.

    Raises:
        ManifestError: Multus, a plugin or the kernel would refuse it.
    """
    if annotation == "":
        return ()
    make = error or field_error("networks")
    selections, ignored = _parse(annotation, namespace, make, bare_addresses)
    check_interface_names(selections, error=make, default_interface=default_interface)
    check_gateways(selections, error=make)
    _warn_of(ignored, within(make, annotation))
    return selections


def parse_default_network(text: str, *, error: FieldError | None = None) -> NetworkSelection:
    """Read the annotation ``v1.multus-cni.io/default-network``: exactly one network.

    A name without namespace is looked up in kube-system, where Multus is.

    Raises:
        ManifestError: none or several networks, or one that Multus would refuse.
    """
    make = error or field_error("default-network")
    if text == "":
        message = 'parsePodNetworkAnnotation: pod annotation does not have "network" as key'
        raise make(f"{message}: it is empty", (), text, "the name of one network")
    selections, ignored = _parse(text, "kube-system", make, bare=True)
    if len(selections) != 1:
        message = "no default network is specified"
        if selections:
            message = f"more than one default network is specified: {text}"
        raise make(message, (), text, "the name of one network")
    check_gateways(selections, error=make)
    _warn_of(ignored, within(make, text))
    return selections[0]


def dump_networks(selections: Iterable[NetworkSelection], namespace: str) -> str:
    """The annotation's text for ``selections`` in a pod of ``namespace`` (JSON form)."""
    return json.dumps([selection.to_dict(namespace) for selection in selections])


def interface_names(selections: Sequence[NetworkSelection]) -> tuple[str, ...]:
    """The interface of each selection: as asked for, else ``net<index>``, from 1."""
    return tuple(s.interface or f"net{i}" for i, s in enumerate(selections, 1))


def check_interface_names(
    selections: Sequence[NetworkSelection],
    *,
    error: FieldError | None = None,
    default_interface: str = "eth0",
) -> None:
    """Raise where two interfaces of one pod would have the same name."""
    make = error or field_error("networks")
    taken = {"lo": "the loopback interface", default_interface: "the default network"}
    for index, name in enumerate(interface_names(selections)):
        if name in taken:
            message = (
                f"validateIfName: interface name {name} already exists: "
                f"it belongs to {taken[name]}"
            )
            expected = "another name; networks without one are called net1, net2, ..."
            raise make(message, (index, "interface"), name, expected)
        taken[name] = f'network {index + 1} of the annotation, "{selections[index].name}"'


def check_gateways(
    selections: Sequence[NetworkSelection], *, error: FieldError | None = None
) -> None:
    """Raise where one pod asks for two default routes of one family."""
    make = error or field_error("networks")
    seen: set[int] = set()
    for index, selection in enumerate(selections):
        for place, gateway in enumerate(selection.default_route or ()):
            version = _version(gateway)
            if version in seen:
                message = (
                    "multus does not support ECMP for default-route: "
                    f"a second IPv{version} gateway in one pod"
                )
                expected = "at most one IPv4 and one IPv6 gateway in all networks of a pod"
                raise make(message, (index, "default-route", place), gateway, expected)
            seen.add(version)


def _version(gateway: str) -> int:
    address = ip_address(gateway)
    mapped = isinstance(address, IPv6Address) and address.ipv4_mapped is not None
    return 4 if mapped else address.version  # Go's To4() counts ::ffff:10.0.0.1 as IPv4


# --- both forms -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ignored:
    """A key that Multus ignores, in the selection at ``index``."""

    key: str
    index: int
    network: Any


def _parse(
    text: Any, namespace: str, make: FieldError, bare: bool
) -> tuple[tuple[NetworkSelection, ...], list[_Ignored]]:
    """The selections in either form, and the keys that Multus ignores."""
    if not isinstance(text, str):
        raise make(f"the annotation is of type {json_type(text)}", (), text, "a string")
    ignored: list[_Ignored] = []
    selections: list[NetworkSelection] = []
    if any(char in text for char in '[{"'):
        make = within(make, text)
        for index, element in enumerate(_json_list(text, make)):
            known = _known(element, index, make, ignored)
            selections.append(_selection(known, namespace, index, make, bare))
    else:
        for index, item in enumerate(text.split(",")):
            selections.append(_short(item.strip(), namespace, index, text, make))
    return tuple(selections), ignored


def _short(item: str, namespace: str, index: int, text: str, make: FieldError) -> NetworkSelection:
    """One item of the short form, ``[namespace/]name[@interface]``."""
    path: FieldPath = (index,)
    form = "[namespace/]name[@interface], several with commas between, or a JSON list"
    failed = "parsePodNetworkAnnotation: parsePodNetworkObjectName: Invalid network object"
    parts = item.split("/")
    if len(parts) > 2:
        raise make(f"{failed} (failed at '/')", path, item, form)
    own = parts[0].strip() if len(parts) == 2 else ""
    name, *interfaces = (part.strip() for part in parts[-1].split("@"))
    if len(interfaces) > 1:
        raise make(f"{failed} (failed at '@')", path, item, form)
    for part in (own, name):
        if part and not is_label(part):
            message = (
                "parsePodNetworkAnnotation: parsePodNetworkObjectName: Failed to parse: one or "
                "more items did not match comma-delimited format (must consist of lower case "
                "alphanumeric characters). Must start and end with an alphanumeric character), "
                f"mismatch @ '{part}'"
            )
            raise make(message, path, item, f"{form}; a name is {LABEL_RULE}")
    interface = interfaces[0] if interfaces else ""
    if interface and not is_interface_name(interface):
        message = (
            "parsePodNetworkAnnotation: parsePodNetworkObjectName: Failed to parse interface "
            "name: must be less than 15 chars and not contain '/' or spaces. interface name "
            f"'{interface}'"
        )
        if len(interface) > 15:
            message += f' (cannot set "" interface name to "{interface}": '
            message += "numerical result out of range)"
        raise make(message, path, interface, INTERFACE_NAME_RULE)
    if not name:
        why = "the name is empty"
        if not item:
            why = "a comma too many makes an empty name" if "," in text else "it is blank"
        raise _not_found(name, own or namespace, why, path, text, form, make)
    return NetworkSelection(name, own or namespace, interface or None)


def _not_found(
    name: str,
    namespace: str,
    why: str,
    path: FieldPath,
    value: Any,
    expected: str,
    make: FieldError,
) -> Exception:
    message = (
        f"cannot find a network-attachment-definition ({name}) in namespace ({namespace}): {why}"
    )
    return make(message, path, value, expected)


# --- JSON form ------------------------------------------------------------------------------


def _json_list(text: str, make: FieldError) -> list[Any]:
    prefix = f"parsePodNetworkAnnotation: failed to parse {_LIST_FORM}"
    expected = 'a JSON list: [ { "name": "..." } ]'
    value = read_json(text, prefix, make, expected)
    if not isinstance(value, list):
        message = (
            f"{prefix}: json: cannot unmarshal {json_type(value)} into Go value of type "
            "[]*types.NetworkSelectionElement: it must be a list"
        )
        if isinstance(value, dict):
            message += ", put [ ] around the object"
        raise make(message, (), value, expected)
    return cast("list[Any]", value)


def _selection(
    known: Mapping[str, Any], namespace: str, index: int, make: FieldError, bare: bool
) -> NetworkSelection:
    """One element of the JSON form."""
    path: FieldPath = (index,)
    reader = _Element(known, path, make)
    name, own = reader.text("name"), reader.text("namespace")
    interface, older = reader.text("interface"), reader.text("interfaceRequest")
    ips = reader.texts("ips")
    mac, guid = reader.text("mac"), reader.text("infiniband-guid")
    mappings = _port_mappings(reader)
    bandwidth = _bandwidth(reader)
    device, claim = reader.text("deviceID"), reader.text("ipam-claim-reference")
    gateways = _gateways(reader)
    cni_args = reader.mapping("cni-args", "map[string]interface {}") or {}
    return NetworkSelection(
        name=_check_name(name, own, namespace, path, make),
        namespace=own or namespace,
        interface=_check_interface(interface or older, (*path, "interface"), make),
        ips=_check_ips(ips, (*path, "ips"), make, bare),
        mac=_check_mac(mac, (*path, "mac"), make),
        infiniband_guid=_check_guid(guid, (*path, "infiniband-guid"), make),
        port_mappings=mappings,
        bandwidth=bandwidth,
        default_route=gateways,
        cni_args=cni_args,
        device_id=device or None,
        ipam_claim_reference=claim or None,
    )


def _known(element: Any, index: int, make: FieldError, ignored: list[_Ignored]) -> dict[str, Any]:
    """The keys of an element that Multus knows, by their proper names."""
    if not isinstance(element, dict):
        message = (
            f"parsePodNetworkAnnotation: failed to parse {_LIST_FORM}: json: cannot unmarshal "
            f"{json_type(element)} into Go value of type types.NetworkSelectionElement"
        )
        raise make(message, (index,), element, 'an object such as { "name": "macvlan-conf" }')
    found: dict[str, Any] = {}
    for key, value in cast("dict[str, Any]", element).items():
        proper = _KEYS.get(key) or _KEYS.get(key.casefold())
        if proper is None:
            ignored.append(_Ignored(key, index, cast("dict[str, Any]", element).get("name")))
        elif proper == key or proper not in element:
            found[proper] = value
    return found


def _warn_of(ignored: Iterable[_Ignored], make: FieldError) -> None:
    for item in ignored:
        right = _MEANT.get(item.key.casefold()) or nearest(item.key, _KEYS.values())
        message = f'Multus ignores the key "{item.key}"'
        if isinstance(item.network, str):
            message += f' in the selection of network "{item.network}"'
        if right == "default-route":
            message += '; a default route is asked for by "default-route": ["<gateway>"]'
        elif right is not None:
            message += f'; the key is "{right}"'
        else:
            message += f"; it knows {', '.join(_KEYS.values())}"
        found = make(message, (item.index, item.key))
        file, line = found.source or "<annotation>", found.line or 1
        warnings.warn_explicit(message, AnnotationWarning, file, line, module=__name__)


class _Element:
    """Typed access to one JSON object; a wrong type gives the message of Go's decoder."""

    def __init__(
        self,
        data: Mapping[str, Any],
        path: FieldPath,
        make: FieldError,
        struct: str = "NetworkSelectionElement",
        outer: str = "",
    ) -> None:
        self.data = data
        self.path = path
        self.make = make
        self.struct = struct
        self.outer = outer

    def text(self, key: str) -> str:
        """A text, ``""`` where it is absent or null."""
        value = self.data.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.wrong(key, value, "string", (key,), "a string in double quotes")
        return value

    def number(self, key: str) -> int:
        """A whole number, 0 where it is absent or null."""
        value = self.data.get(key)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >> 63:
            self.wrong(key, value, "int", (key,), "a whole number without quotes")
        return value

    def texts(self, key: str, item_type: str = "string") -> tuple[str, ...]:
        """A list of texts, empty where it is absent or null."""
        values = self.list(key, f"[]{item_type}") or []
        for place, value in enumerate(values):
            if value is not None and not isinstance(value, str):
                self.wrong(key, value, item_type, (key, place), "a string in double quotes")
        return tuple(value or "" for value in values)

    def list(self, key: str, go_type: str) -> list[Any] | None:
        """A list, ``None`` where it is absent or null."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, list):
            expected = "a list, in [ ]"
            if isinstance(value, str):
                expected = f"a list of strings: [ {json.dumps(value)[:60]} ]"
            self.wrong(key, value, go_type, (key,), expected)
        return cast("list[Any] | None", value)

    def mapping(self, key: str, go_type: str) -> dict[str, Any] | None:
        """An object, ``None`` where it is absent or null."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, dict):
            self.wrong(key, value, go_type, (key,), "an object, in { }")
        return cast("dict[str, Any] | None", value)

    def wrong(self, key: str, value: Any, go_type: str, at: FieldPath, expected: str) -> NoReturn:
        """Raise what Go's decoder says of a value of the wrong type."""
        kind = json_type(value)
        if kind == "number":
            kind = f"number {json.dumps(value)}"[:60] if go_type == "int" else kind
        field_name = f"{self.outer}.{key}" if self.outer else key
        message = (
            f"parsePodNetworkAnnotation: failed to parse {_LIST_FORM}: json: cannot unmarshal "
            f"{kind} into Go struct field {self.struct}.{field_name} of type {go_type}: "
            f"{dotted(at)} is not {expected.split(':')[0].split(',')[0]}"
        )
        raise self.make(message, (*self.path, *at), value, expected)


def _port_mappings(reader: _Element) -> tuple[PortMapping, ...]:
    found: list[PortMapping] = []
    for place, item in enumerate(reader.list("portMappings", "[]*types.PortMapEntry") or []):
        at: FieldPath = ("portMappings", place)
        if not isinstance(item, dict):
            reader.wrong("portMappings", item, "types.PortMapEntry", at, "an object, in { }")
        keys = ("hostPort", "containerPort", "protocol", "hostIP")
        data = _folded(cast("dict[str, Any]", item), keys)
        path = (*reader.path, *at)
        entry = _Element(data, path, reader.make, "PortMapEntry", "portMappings")
        ports = [entry.number("hostPort"), entry.number("containerPort")]
        for key, word, port in zip(keys, ("host", "container"), ports, strict=False):
            if not 1 <= port <= 65535:
                message = f"Invalid {word} port number: {port}"
                raise reader.make(message, (*path, key), port, "a port, 1 to 65535")
        protocol = entry.text("protocol").lower() or "tcp"
        if protocol not in ("tcp", "udp", "sctp"):
            message = f'unknown protocol "{protocol}" of a port mapping'
            raise reader.make(message, (*path, "protocol"), protocol, "tcp, udp or sctp")
        host_ip = entry.text("hostIP")
        if host_ip and not is_ip(host_ip):
            message = f"Invalid host IP: {host_ip}"
            raise reader.make(message, (*path, "hostIP"), host_ip, "an IP address")
        found.append(PortMapping(ports[0], ports[1], protocol, host_ip or None))
    return tuple(found)


def _bandwidth(reader: _Element) -> Bandwidth | None:
    data = reader.mapping("bandwidth", "types.BandwidthEntry")
    if data is None:
        return None
    keys = ("ingressRate", "ingressBurst", "egressRate", "egressBurst")
    path = (*reader.path, "bandwidth")
    entry = _Element(_folded(data, keys), path, reader.make, "BandwidthEntry", "bandwidth")
    values = [entry.number(key) for key in keys]
    for rate_key, rate, burst in ((keys[0], *values[:2]), (keys[2], *values[2:])):
        message = None
        if rate < 0 or burst < 0:
            message = "rate and burst must be a positive integer"
        elif rate and not burst:
            message = "if rate is set, burst must also be set"
        elif burst and not rate:
            message = "if burst is set, rate must also be set"
        elif burst >= _MAX_BURST:
            message = "burst cannot be more than 4GB"
        if message:
            expected = "rate in bits per second and burst in bits, both above 0 or both absent"
            raise reader.make(message, (*path, rate_key), rate, expected)
    return Bandwidth(*values)


def _folded(data: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The entries of ``data`` that are among ``keys``, without regard to case."""
    proper = {key.casefold(): key for key in keys}
    found: dict[str, Any] = {}
    for key, value in data.items():
        name = proper.get(key.casefold())
        if name is not None and (name == key or name not in data):
            found[name] = value
    return found


def _gateways(reader: _Element) -> tuple[str, ...] | None:
    if reader.list("default-route", "[]net.IP") is None:
        return None
    gateways = reader.texts("default-route", "net.IP")
    for place, gateway in enumerate(gateways):
        if not is_ip(gateway):
            message = (
                f"parsePodNetworkAnnotation: failed to parse {_LIST_FORM}: "
                f"invalid IP address: {gateway}"
            )
            expected = "the address of a gateway, such as 10.1.1.1"
            if "/" in gateway:
                expected += ", without prefix length"
            path = (*reader.path, "default-route", place)
            raise reader.make(message, path, gateway, expected)
    return gateways


def _check_name(name: str, own: str, namespace: str, path: FieldPath, make: FieldError) -> str:
    looked_up = own or namespace
    if own and not is_label(own):
        why = f'"{own}" is not the name of a namespace'
        raise _not_found(name, own, why, (*path, "namespace"), own, LABEL_RULE, make)
    if is_subdomain(name):
        return name
    path = (*path, "name")
    if not name:
        why, expected = "the name is empty", "the name of a NetworkAttachmentDefinition"
    elif "/" in name:
        why = 'a "name" in JSON holds no namespace, that is a key of its own'
        space, _, rest = name.partition("/")
        expected = f'"name": {json.dumps(rest)}, "namespace": {json.dumps(space)}'
    elif "@" in name:
        why = 'a "name" in JSON holds no interface, that is a key of its own'
        rest, _, interface = name.partition("@")
        expected = f'"name": {json.dumps(rest)}, "interface": {json.dumps(interface)}'
    else:
        why, expected = "no object can have that name", SUBDOMAIN_RULE
    raise _not_found(name, looked_up, why, path, name, expected, make)


def _check_interface(value: str, path: FieldPath, make: FieldError) -> str | None:
    if not value:
        return None
    if is_interface_name(value):
        return value
    if len(value.encode("utf-8", "surrogatepass")) > 15:
        message = (
            f'cannot set "" interface name to "{value}": numerical result out of range: '
            "the name is too long"
        )
    else:
        message = f'interface name contains / or : or whitespace characters: "{value}"'
    raise make(message, path, value, INTERFACE_NAME_RULE)


def _check_ips(
    ips: tuple[str, ...], path: FieldPath, make: FieldError, bare: bool
) -> tuple[str, ...]:
    for place, ip in enumerate(ips):
        if is_cidr(ip):
            continue
        if "/" in ip:
            message = f'failed to parse CIDR "{ip}": invalid CIDR address: {ip}'
        elif not is_ip(ip):
            message = f'failed to parse IP address "{ip}"'
        elif bare:
            continue
        else:
            message = (
                f"the 'ip' field is expected to be in CIDR notation, got: '{ip}': "
                "the prefix length is missing"
            )
        raise make(message, (*path, place), ip, ADDRESS_RULE)
    return ips


def _check_mac(value: str, path: FieldPath, make: FieldError) -> str | None:
    if not value:
        return None
    digits = mac_digits(value)
    if digits is None:
        message = f"parsePodNetworkAnnotation: failed to mac: address {value}: invalid MAC address"
        raise make(message, path, value, MAC_RULE)
    if len(digits) != 12:
        message = f"failed to mac: address {value} has {len(digits) // 2} bytes, Ethernet takes 6"
        raise make(message, path, value, MAC_RULE)
    if int(digits[:2], 16) & 1 or not int(digits, 16):
        message = (
            "failed to create macvlan: cannot assign requested address: "
            f"{value} is a multicast address or zero"
        )
        raise make(message, path, value, MAC_RULE + " (first byte even, not all zero)")
    return colons(digits)


def _check_guid(value: str, path: FieldPath, make: FieldError) -> str | None:
    if not value:
        return None
    digits = mac_digits(value)
    if digits is None:
        message = (
            "parsePodNetworkAnnotation: failed to validate infiniband GUID: "
            f"address {value}: invalid MAC address"
        )
        raise make(message, path, value, "8 bytes, such as c2:11:22:33:44:55:66:77")
    return colons(digits)
