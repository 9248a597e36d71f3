"""A corpus of malformed input: each is refused with our error, which says what and where.

Each entry is ``(what is wrong, input, part of the message, field)``.
"""

# ruff: noqa: E501 - the corpus is a table, one entry a line

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from pytest_multinet.errors import ManifestError
from pytest_multinet.model.attachment import parse_networks
from pytest_multinet.model.manifest import load_documents
from pytest_multinet.model.nad import NetworkAttachmentDefinition, parse_network_config
from pytest_multinet.model.pod import PodManifest

Entry = tuple[str, Any, str, "str | None"]
NETWORKS = "k8s.v1.cni.cncf.io/networks"
ANNOTATION = f"metadata.annotations[{NETWORKS}]"


def cases(corpus: list[Entry]) -> Any:
    return pytest.mark.parametrize(
        ("given", "message", "field"),
        [pytest.param(given, message, field, id=what) for what, given, message, field in corpus],
    )


def check(action: Callable[[], object], message: str, field: str | None) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        action()
    error = caught.value
    assert message in error.message
    assert error.field == field
    assert error.expected, "an error says what was expected"
    assert str(error)
    return error


# --- manifests as text ----------------------------------------------------------------------

TEXTS: list[Entry] = [
    ("unclosed flow sequence", "kind: [Pod", "not YAML", None),
    ("unclosed flow mapping", "kind: {a: b", "not YAML", None),
    ("unclosed double quote", 'kind: "Pod', "not YAML", None),
    ("unclosed single quote", "kind: 'Pod", "not YAML", None),
    ("tab as indentation", "metadata:\n\tname: a", "not YAML", None),
    ("key less indented than its siblings", "a:\n    b: 1\n  c: 2", "not YAML", None),
    ("list beside keys", "kind: Pod\n- name: a", "not YAML", None),
    ("colon in a plain text", "kind: Pod: x", "not YAML", None),
    ("text at a key's place", "kind: Pod\nname", "not YAML", None),
    ("percent at the start of a value", "kind: %x", "not YAML", None),
    ("at sign at the start of a value", "kind: @x", "not YAML", None),
    ("backtick at the start of a value", "kind: `x`", "not YAML", None),
    ("unknown escape", 'kind: "\\q"', "not YAML", None),
    ("alias without anchor", "kind: *nowhere", "not YAML", None),
    ("directive without document", "%YAML 1.1\nkind: Pod", "not YAML", None),
    ("NUL character", "kind: \0", "not YAML", None),
    ("bell character", "kind: '\a'", "not YAML", None),
    ("half a surrogate pair", "kind: \ud800", "Unicode", None),
    ("python tag", "kind: !!python/object/apply:os.system [ls]", "tag !!python", None),
    ("python name tag", "kind: !!python/name:os.system x", "tag !!python", None),
    ("private tag", "kind: !vault x", "tag !vault", None),
    ("tag on a mapping", "kind: Pod\nmetadata: !x {name: a}", "tag !x", None),
    ("tag on a list", "kind: Pod\nv: !!set [a]", "tag !!set", None),
    ("binary tag", "kind: !!binary aGk=", "tag !!binary", None),
    ("timestamp tag", "kind: !!timestamp 2024-01-01", "tag !!timestamp", None),
    ("int tag on a text", "kind: Pod\nv: !!int five", "not of type !!int", None),
    ("bool tag on a number", "kind: Pod\nv: !!bool 3", "not of type !!bool", None),
    ("int tag on a truth value", "kind: Pod\nv: !!int yes", "not of type !!int", None),
    ("key twice", "kind: Pod\nkind: Job", 'key "kind" stands twice', None),
    ("key twice below", "kind: Pod\nmetadata:\n  name: a\n  name: b", 'key "name"', None),
    ("key twice in a flow mapping", "kind: Pod\nv: {a: 1, a: 2}", 'key "a" stands', None),
    ("key twice as number and text", "kind: Pod\nv: {1: x, '1': y}", 'key "1" stands', None),
    ("list as key", "kind: Pod\n? [a, b]\n: c", "a key is a list", None),
    ("mapping as key", "kind: Pod\nv: {{a: b}: c}", "a key is a list or mapping", None),
    ("template not rendered", "kind: {{ .Kind }}", "a key is a list or mapping", None),
    ("empty key", "kind: Pod\n~: c", "a key is empty", None),
    ("merge of a text", "kind: Pod\nv: {<<: x}", "'<<' merges", None),
    ("merge of a list of texts", "kind: Pod\nv: {<<: [x]}", "'<<' merges", None),
    ("cycle", "kind: Pod\nv: &a {b: *a}", "contains it", None),
    ("tag behind an alias", "a: &a 1\nv: {b: *a, c: !x {}}", "tag !x", None),
    ("tag on a list behind an alias", "a: &a 1\nv: {b: *a, c: !x []}", "tag !x", None),
    ("too deep", "[" * 300, "nested too deeply", None),
    ("a text", "just some text", "a document is a string", None),
    ("a number", "42", "a document is a number", None),
    ("a truth value", "true", "a document is a truth value", None),
    ("a list", "- kind: Pod\n- kind: Pod", "a document is a list", None),
    ("second document is a text", "kind: K\nmetadata: {name: a}\n---\nx", "is a string", None),
    ("no kind", "apiVersion: v1\nmetadata: {name: a}", "kind is not set", "kind"),
    ("kind misspelt", "Kind: Pod\nmetadata: {name: a}", "kind is not set, but 'Kind'", "kind"),
    ("kind null", "kind:\nmetadata: {name: a}", "kind is not set", "kind"),
    ("kind empty", "kind: ''\nmetadata: {name: a}", "kind is not set", "kind"),
    ("kind a list", "kind: [Pod]\nmetadata: {name: a}", "kind is a list", "kind"),
    ("kind a number", "kind: 5\nmetadata: {name: a}", "kind is a number", "kind"),
    ("version a number", "apiVersion: 1\nkind: Pod", "apiVersion is a number", "apiVersion"),
    ("version a mapping", "apiVersion: {}\nkind: Pod", "apiVersion is a mapping", "apiVersion"),
    ("no metadata", "kind: Pod", "metadata is not set", "metadata"),
    ("metadata misspelt", "kind: Pod\nmetdata: {name: a}", "but 'metdata' is", "metadata"),
    ("metadata null", "kind: Pod\nmetadata:", "metadata is not set", "metadata"),
    ("metadata a text", "kind: Pod\nmetadata: a", "metadata is a string", "metadata"),
    ("metadata a list", "kind: Pod\nmetadata: [a]", "metadata is a list", "metadata"),
    ("metadata empty", "kind: Pod\nmetadata: {}", "name is not set", "metadata.name"),
    ("no name", "kind: Pod\nmetadata: {namespace: a}", "name is not set", "metadata.name"),
    ("name null", "kind: Pod\nmetadata: {name: }", "metadata.name is not set", "metadata.name"),
    ("name a number", "kind: Pod\nmetadata: {name: 5}", "name is a number", "metadata.name"),
    ("name yes", "kind: Pod\nmetadata: {name: yes}", "name is a truth value", "metadata.name"),
    ("name a list", "kind: Pod\nmetadata: {name: [a]}", "name is a list", "metadata.name"),
    (
        "name to be generated",
        "kind: Pod\nmetadata: {generateName: a-}",
        "metadata.name is not set",
        "metadata.name",
    ),
    (
        "namespace a number",
        "kind: Pod\nmetadata: {name: a, namespace: 1}",
        "namespace is a number",
        "metadata.namespace",
    ),
    ("items of a list a mapping", "kind: List\nitems: {}", "items is a mapping", "items"),
    ("item of a list a text", "kind: List\nitems: [a]", "a document is a string", None),
    ("item of a list null", "kind: List\nitems: [~]", "a document is a null", None),
    ("item of a list without kind", "kind: List\nitems: [{}]", "kind is not set", "kind"),
    (
        "list in a list",
        "kind: List\nitems: [{kind: List, items: []}]",
        "a list in a list",
        "items[0].kind",
    ),
    (
        "name of a kind configuration a list",
        "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: [a]",
        "name is a list",
        "name",
    ),
    ("JSON cut off", '{"kind": "Pod", "metadata": {"name": "a"}', "not YAML", None),
    ("JSON with a missing comma", '{"kind": "Pod" "metadata": {}}', "not YAML", None),
    ("JSON with a key twice", '{"kind": "Pod", "kind": "Pod"}', "stands twice", None),
    ("JSON list", '[{"kind": "Pod"}]', "a document is a list", None),
]


@cases(TEXTS)
def test_malformed_text(given: str, message: str, field: str | None) -> None:
    error = check(lambda: load_documents(given, name="x.yaml"), message, field)
    assert error.source == "x.yaml"


@pytest.mark.parametrize("given", [None, 5, b"kind: Pod", {1, 2}, object()])
def test_what_is_no_manifest_at_all(given: Any) -> None:
    check(lambda: load_documents(given), "a manifest cannot be of type", None)


# --- pods -----------------------------------------------------------------------------------

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "lab", "labels": {}, "annotations": {}},
    "spec": {
        "containers": [
            {"name": "c", "image": "alpine", "command": ["sleep"], "args": ["inf"], "env": [{}]}
        ]
    },
}
POD["spec"]["containers"][0]["env"][0] = {"name": "A", "value": "1"}
DELETED = object()
PODS: list[Entry] = [
    ("another kind", (("kind",), "Job"), "Job p is not a Pod", "kind"),
    ("no version", (("apiVersion",), DELETED), "another apiVersion", "apiVersion"),
    ("another version", (("apiVersion",), "v2"), "another apiVersion", "apiVersion"),
    ("upper case name", (("metadata", "name"), "Pod1"), "pod name", "metadata.name"),
    ("name with an underscore", (("metadata", "name"), "a_b"), "pod name", "metadata.name"),
    ("name of 254 characters", (("metadata", "name"), "a" * 254), "pod name", "metadata.name"),
    ("path as name", (("metadata", "name"), "../x"), "pod name", "metadata.name"),
    ("namespace with a dot", (("metadata", "namespace"), "a.b"), "namespace", "metadata.namespace"),
    ("namespace too long", (("metadata", "namespace"), "a" * 64), "name", "metadata.namespace"),
    ("labels a list", (("metadata", "labels"), ["a"]), "of type array", "metadata.labels"),
    ("labels a text", (("metadata", "labels"), "a=b"), "of type string", "metadata.labels"),
    ("label a number", (("metadata", "labels", "a"), 1), "of type number", "metadata.labels.a"),
    ("label true", (("metadata", "labels", "a"), True), "of type bool", "metadata.labels.a"),
    ("label null", (("metadata", "labels", "a"), None), "of type null", "metadata.labels.a"),
    ("label with a space", (("metadata", "labels", "a"), "b c"), "value", "metadata.labels.a"),
    ("label too long", (("metadata", "labels", "a"), "x" * 64), "value", "metadata.labels.a"),
    ("label key with a space", (("metadata", "labels", "a b"), "c"), "key", "metadata.labels[a b]"),
    ("label key empty", (("metadata", "labels", ""), "c"), "key", "metadata.labels[]"),
    ("label prefix in upper case", (("metadata", "labels", "A/b"), ""), "key", "metadata.labels[A/b]"),
    ("label key a number", (("metadata", "labels", 5), "c"), "a key is", "metadata.labels.5"),
    ("annotations a list", (("metadata", "annotations"), []), "array", "metadata.annotations"),
    ("annotation a number", (("metadata", "annotations", "a"), 5), "number", "metadata.annotations.a"),
    ("annotation a list", (("metadata", "annotations", NETWORKS), [{"name": "a"}]), "array", ANNOTATION),
    ("annotation a mapping", (("metadata", "annotations", NETWORKS), {"name": "a"}), "object", ANNOTATION),
    ("annotation true", (("metadata", "annotations", NETWORKS), True), "bool", ANNOTATION),
    ("annotation key with a space", (("metadata", "annotations", "a b"), "c"), "key", "metadata.annotations[a b]"),
    ("no spec", (("spec",), DELETED), "no containers", "spec.containers"),
    ("spec a list", (("spec",), []), "spec is of type array", "spec"),
    ("spec a text", (("spec",), "x"), "spec is of type string", "spec"),
    ("no containers", (("spec", "containers"), DELETED), "no containers", "spec.containers"),
    ("containers null", (("spec", "containers"), None), "no containers", "spec.containers"),
    ("containers empty", (("spec", "containers"), []), "no containers", "spec.containers"),
    ("containers a mapping", (("spec", "containers"), {"name": "a"}), "object", "spec.containers"),
    ("containers misspelt", (("spec",), {"container": []}), "by 'container'", "spec.containers"),
    ("container a text", (("spec", "containers", 0), "alpine"), "string", "spec.containers[0]"),
    ("container null", (("spec", "containers", 0), None), "null", "spec.containers[0]"),
    ("container without name", (("spec", "containers", 0, "name"), DELETED), "no name", "spec.containers[0].name"),
    ("container name empty", (("spec", "containers", 0, "name"), ""), "no name", "spec.containers[0].name"),
    ("container name with a dot", (("spec", "containers", 0, "name"), "a.b"), "container name", "spec.containers[0].name"),
    ("container name a number", (("spec", "containers", 0, "name"), 1), "number", "spec.containers[0].name"),
    ("two containers of one name", (("spec", "containers"), [{"name": "a", "image": "i"}] * 2), 'have the name "a"', "spec.containers[1].name"),
    ("no image", (("spec", "containers", 0, "image"), DELETED), 'container "c" has no image', "spec.containers[0].image"),
    ("image empty", (("spec", "containers", 0, "image"), ""), "has no image", "spec.containers[0].image"),
    ("image a list", (("spec", "containers", 0, "image"), ["a"]), "of type array", "spec.containers[0].image"),
    ("image in upper case", (("spec", "containers", 0, "image"), "Alpine"), "not a reference", "spec.containers[0].image"),
    ("image with a space", (("spec", "containers", 0, "image"), "alpine latest"), "not a reference", "spec.containers[0].image"),
    ("image with a scheme", (("spec", "containers", 0, "image"), "https://x/alpine"), "not a reference", "spec.containers[0].image"),
    ("image with two tags", (("spec", "containers", 0, "image"), "a:b:c"), "not a reference", "spec.containers[0].image"),
    ("image with a short digest", (("spec", "containers", 0, "image"), "a@sha256:00"), "not a reference", "spec.containers[0].image"),
    ("command a text", (("spec", "containers", 0, "command"), "sleep inf"), "of type string", "spec.containers[0].command"),
    ("command a mapping", (("spec", "containers", 0, "command"), {}), "of type object", "spec.containers[0].command"),
    ("number in a command", (("spec", "containers", 0, "command"), ["sleep", 5]), "number", "spec.containers[0].command[1]"),
    ("null in a command", (("spec", "containers", 0, "command"), [None]), "null", "spec.containers[0].command[0]"),
    ("NUL in a command", (("spec", "containers", 0, "command"), ["a\0b"]), "NUL", "spec.containers[0].command[0]"),
    ("args a text", (("spec", "containers", 0, "args"), "-f x"), "of type string", "spec.containers[0].args"),
    ("truth value in args", (("spec", "containers", 0, "args"), [True]), "bool", "spec.containers[0].args[0]"),
    ("env a mapping", (("spec", "containers", 0, "env"), {"A": "1"}), "of type object", "spec.containers[0].env"),
    ("variable a text", (("spec", "containers", 0, "env", 0), "A=1"), "a variable is", "spec.containers[0].env[0]"),
    ("variable without name", (("spec", "containers", 0, "env", 0, "name"), DELETED), "no name", "spec.containers[0].env[0].name"),
    ("variable with =", (("spec", "containers", 0, "env", 0, "name"), "A=B"), "has = in it", "spec.containers[0].env[0].name"),
    ("value of a variable a number", (("spec", "containers", 0, "env", 0, "value"), 1), "number", "spec.containers[0].env[0].value"),
    ("security context a text", (("spec", "containers", 0, "securityContext"), "x"), "string", "spec.containers[0].securityContext"),
    ("privileged a text", (("spec", "containers", 0, "securityContext"), {"privileged": "true"}), "of type string", "spec.containers[0].securityContext.privileged"),
    ("pull policy misspelt", (("spec", "containers", 0, "imagePullPolicy"), "IfNotPresnt"), "did you mean IfNotPresent", "spec.containers[0].imagePullPolicy"),
    ("pull policy unknown", (("spec", "containers", 0, "imagePullPolicy"), "Sometimes"), "unknown imagePullPolicy", "spec.containers[0].imagePullPolicy"),
    ("node name a list", (("spec", "nodeName"), []), "of type array", "spec.nodeName"),
    ("node selector a text", (("spec", "nodeSelector"), "worker"), "of type string", "spec.nodeSelector"),
    ("node selector with a truth value", (("spec", "nodeSelector"), {"a": True}), "bool", "spec.nodeSelector.a"),
    ("host name with a dot", (("spec", "hostname"), "a.b"), "host name", "spec.hostname"),
    ("host name a number", (("spec", "hostname"), 1), "of type number", "spec.hostname"),
    ("address without prefix length", (("metadata", "annotations", NETWORKS), '[{"name": "a", "ips": ["10.0.0.1"]}]'), "CIDR notation", f"{ANNOTATION}[0].ips[0]"),
    ("trailing comma", (("metadata", "annotations", NETWORKS), "a,"), "()", f"{ANNOTATION}[1]"),
    ("two default networks", (("metadata", "annotations", "v1.multus-cni.io/default-network"), "a,b"), "more than one", "metadata.annotations[v1.multus-cni.io/default-network]"),
    ("default network without name", (("metadata", "annotations", "v1.multus-cni.io/default-network"), ""), "it is empty", "metadata.annotations[v1.multus-cni.io/default-network]"),
]  # fmt: skip


@cases(PODS)
def test_malformed_pod(given: tuple[tuple[Any, ...], Any], message: str, field: str) -> None:
    path, value = given
    data = copy.deepcopy(POD)
    place: Any = data
    for part in path[:-1]:
        place = place[part]
    if value is DELETED:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    check(lambda: PodManifest.from_document(load_documents(data)[0]), message, field)


def test_the_pod_that_the_malformed_ones_are_made_of_is_well_formed() -> None:
    assert PodManifest.from_document(load_documents(POD)[0]).containers[0].idle


# --- network annotations --------------------------------------------------------------------

FORM = "parsePodNetworkAnnotation: failed to parse pod Network Attachment Selection Annotation"
GO = f"{FORM} JSON format: json: cannot unmarshal"
NOT_FOUND = "cannot find a network-attachment-definition"


def element(**keys: Any) -> str:
    return json.dumps([{"name": "a", **keys}])


ANNOTATIONS: list[Entry] = [
    ("trailing comma", "a,", f"{NOT_FOUND} () in namespace (default)", "networks[1]"),
    ("leading comma", ",a", f"{NOT_FOUND} () in namespace (default)", "networks[0]"),
    ("comma twice", "a,,b", f"{NOT_FOUND} ()", "networks[1]"),
    ("blank", "  ", f"{NOT_FOUND} ()", "networks[0]"),
    ("interface without name", "@net1", f"{NOT_FOUND} ()", "networks[0]"),
    ("namespace without name", "lab/", f"{NOT_FOUND} () in namespace (lab)", "networks[0]"),
    ("slash twice", "a/b/c", "Invalid network object (failed at '/')", "networks[0]"),
    ("at sign twice", "a@b@c", "Invalid network object (failed at '@')", "networks[0]"),
    ("upper case", "Macvlan", "mismatch @ 'Macvlan'", "networks[0]"),
    ("underscore", "mac_vlan", "did not match comma-delimited format", "networks[0]"),
    ("dot in the short form", "net.v1", "did not match comma-delimited format", "networks[0]"),
    ("hyphen at the end", "net-", "mismatch @ 'net-'", "networks[0]"),
    ("name of 64 characters", "a" * 64, "did not match", "networks[0]"),
    ("namespace in upper case", "Lab/a", "mismatch @ 'Lab'", "networks[0]"),
    ("semicolon", "a;b", "mismatch @ 'a;b'", "networks[0]"),
    ("line break between names", "a\nb", "did not match", "networks[0]"),
    ("interface of 16, short", "a@abcdefghijklmnop", "must be less than 15 chars", "networks[0]"),
    ("interface with a space, short", "a@b c", "Failed to parse interface name", "networks[0]"),
    ("interface with a slash, short", "a@b/c", "mismatch @ 'a@b'", "networks[0]"),
    ("interface with a colon, short", "a@b:c", "interface name 'b:c'", "networks[0]"),
    ("one interface twice", "a@x,b@x", "interface name x already exists", "networks[1].interface"),
    ("interface of the default network", "a@eth0", "eth0 already exists", "networks[0].interface"),
    ("an object", '{"name": "a"}', f"{GO} object into Go value of type []*types", "networks"),
    ("a JSON string", '"a"', f"{GO} string into Go value of type []*types", "networks"),
    ("single quotes", "[{'name': 'a'}]", "looking for beginning of object key", "networks"),
    ("no quotes", "[{name: a}]", "invalid character 'n' looking for", "networks"),
    ("comma before ]", '[{"name": "a"},]', "invalid character ']' looking for", "networks"),
    ("comma before }", '[{"name": "a",}]', "invalid character '}' looking for", "networks"),
    ("no comma between elements", '[{"name": "a"} {"name": "b"}]', "after array element", "networks"),
    ("list not closed", '[{"name": "a"}', "unexpected end of JSON input", "networks"),
    ("something after the list", "[] x", "after top-level value", "networks"),
    ("short form with brackets", "[a, b]", "looking for beginning of value", "networks"),
    ("python constants", '[{"name": None}]', "invalid character 'N' looking for", "networks"),
    ("comment", '[{"name": "a"}] # x', "invalid character '#'", "networks"),
    ("NaN", '[{"name": "a", "cni-args": {"x": NaN}}]', "invalid character 'N'", "networks"),
    ("number out of range", '[{"name": "a", "cni-args": {"x": 1e999}}]', "float64", "networks"),
    ("element a text", '["a"]', f"{GO} string into Go value", "networks[0]"),
    ("element null", "[null]", f"{GO} null into Go value", "networks[0]"),
    ("element a list", '[[{"name": "a"}]]', f"{GO} array into Go value", "networks[0]"),
    ("second element a number", '[{"name": "a"}, 5]', f"{GO} number into", "networks[1]"),
    ("no name", "[{}]", f"{NOT_FOUND} () in namespace (default)", "networks[0].name"),
    ("name empty", element(name=""), f"{NOT_FOUND} ()", "networks[0].name"),
    ("name null", element(name=None), f"{NOT_FOUND} ()", "networks[0].name"),
    ("name a number", element(name=1), "NetworkSelectionElement.name of type string", "networks[0].name"),
    ("name a list", element(name=["a"]), f"{GO} array into Go struct field", "networks[0].name"),
    ("namespace in the name", element(name="lab/mv"), f"{NOT_FOUND} (lab/mv) in namespace (default)", "networks[0].name"),
    ("interface in the name", element(name="mv@x"), f"{NOT_FOUND} (mv@x)", "networks[0].name"),
    ("name in upper case", element(name="MV"), f"{NOT_FOUND} (MV)", "networks[0].name"),
    ("name with a space", element(name=" a"), f"{NOT_FOUND} ( a)", "networks[0].name"),
    ("namespace not a name", element(namespace="A B"), "in namespace (A B)", "networks[0].namespace"),
    ("namespace a number", element(namespace=1), "namespace of type string", "networks[0].namespace"),
    ("interface of 16", element(interface="abcdefghijklmnop"), 'cannot set "" interface name to "abcdefghijklmnop": numerical result out of range', "networks[0].interface"),
    ("interface of 15 characters, 16 bytes", element(interface="abcdefghijklmnö"), "numerical result", "networks[0].interface"),
    ("interface with a slash", element(interface="a/b"), "interface name contains / or :", "networks[0].interface"),
    ("interface with a space", element(interface="a b"), "interface name contains", "networks[0].interface"),
    ("interface a dot", element(interface="."), "interface name contains", "networks[0].interface"),
    ("interface a pattern", element(interface="net%d"), "interface name contains", "networks[0].interface"),
    ("interface a number", element(interface=1), "interface of type string", "networks[0].interface"),
    ("older interface key of 16", element(interfaceRequest="x" * 16), "numerical result", "networks[0].interface"),
    ("ips a text", element(ips="10.0.0.1/24"), "json: cannot unmarshal string into Go struct field NetworkSelectionElement.ips of type []string", "networks[0].ips"),
    ("ips a mapping", element(ips={}), "NetworkSelectionElement.ips of type []string", "networks[0].ips"),
    ("ips of numbers", element(ips=[1]), "NetworkSelectionElement.ips of type string", "networks[0].ips[0]"),
    ("ips with null", element(ips=[None]), 'failed to parse IP address ""', "networks[0].ips[0]"),
    ("no prefix length", element(ips=["10.7.18.1"]), "the 'ip' field is expected to be in CIDR notation, got: '10.7.18.1'", "networks[0].ips[0]"),
    ("second without prefix length", element(ips=["10.0.0.1/8", "fd00::1"]), "CIDR notation, got: 'fd00::1'", "networks[0].ips[1]"),
    ("prefix length of 33", element(ips=["10.0.0.1/33"]), "invalid CIDR address: 10.0.0.1/33", "networks[0].ips[0]"),
    ("prefix length of 129", element(ips=["fd00::1/129"]), "invalid CIDR address", "networks[0].ips[0]"),
    ("netmask", element(ips=["10.0.0.1/255.0.0.0"]), "invalid CIDR address", "networks[0].ips[0]"),
    ("octet of 256", element(ips=["10.0.0.256/24"]), "invalid CIDR address", "networks[0].ips[0]"),
    ("leading zero", element(ips=["10.0.0.01/24"]), "invalid CIDR address", "networks[0].ips[0]"),
    ("zone", element(ips=["fe80::1%eth0/64"]), "invalid CIDR address", "networks[0].ips[0]"),
    ("a host name", element(ips=["pod1"]), 'failed to parse IP address "pod1"', "networks[0].ips[0]"),
    ("two addresses in one text", element(ips=["10.0.0.1/8,10.0.0.2/8"]), "invalid CIDR address", "networks[0].ips[0]"),
    ("mac not a mac", element(mac="zz"), "parsePodNetworkAnnotation: failed to mac: address zz: invalid MAC address", "networks[0].mac"),
    ("mac of 5 bytes", element(mac="02:00:00:00:00"), "invalid MAC address", "networks[0].mac"),
    ("mac of 8 bytes", element(mac="02:00:00:00:00:00:00:01"), "has 8 bytes", "networks[0].mac"),
    ("mac multicast", element(mac="01:00:5e:00:00:01"), "failed to create macvlan: cannot assign requested address", "networks[0].mac"),
    ("mac zero", element(mac="00:00:00:00:00:00"), "cannot assign requested address", "networks[0].mac"),
    ("mac a list", element(mac=["02:00:00:00:00:01"]), "mac of type string", "networks[0].mac"),
    ("guid not a guid", element(**{"infiniband-guid": "x"}), "failed to validate infiniband GUID: address x", "networks[0].infiniband-guid"),
    ("guid a number", element(**{"infiniband-guid": 1}), "infiniband-guid of type string", "networks[0].infiniband-guid"),
    ("default route a text", element(**{"default-route": "10.0.0.1"}), "default-route of type []net.IP", "networks[0].default-route"),
    ("default route of numbers", element(**{"default-route": [1]}), "of type net.IP", "networks[0].default-route[0]"),
    ("default route with prefix length", element(**{"default-route": ["10.0.0.1/24"]}), "invalid IP address: 10.0.0.1/24", "networks[0].default-route[0]"),
    ("default route to a name", element(**{"default-route": ["gw"]}), "invalid IP address: gw", "networks[0].default-route[0]"),
    ("default route empty text", element(**{"default-route": [""]}), "invalid IP address: ", "networks[0].default-route[0]"),
    ("two IPv4 gateways", element(**{"default-route": ["10.0.0.1", "10.0.0.2"]}), "multus does not support ECMP for default-route", "networks[0].default-route[1]"),
    ("two IPv6 gateways", element(**{"default-route": ["fd00::1", "fd00::2"]}), "does not support ECMP", "networks[0].default-route[1]"),
    ("port mappings an object", element(portMappings={}), "portMappings of type []*types.PortMapEntry", "networks[0].portMappings"),
    ("port mapping a number", element(portMappings=[80]), "portMappings of type types.PortMapEntry", "networks[0].portMappings[0]"),
    ("port a text", element(portMappings=[{"hostPort": "80", "containerPort": 80}]), "string into Go struct field PortMapEntry.portMappings.hostPort of type int", "networks[0].portMappings[0].hostPort"),
    ("port a fraction", element(portMappings=[{"hostPort": 80.5, "containerPort": 80}]), "number 80.5 into Go struct field", "networks[0].portMappings[0].hostPort"),
    ("no host port", element(portMappings=[{"containerPort": 80}]), "Invalid host port number: 0", "networks[0].portMappings[0].hostPort"),
    ("no container port", element(portMappings=[{"hostPort": 80}]), "Invalid container port number: 0", "networks[0].portMappings[0].containerPort"),
    ("port of 65536", element(portMappings=[{"hostPort": 65536, "containerPort": 80}]), "Invalid host port number: 65536", "networks[0].portMappings[0].hostPort"),
    ("unknown protocol", element(portMappings=[{"hostPort": 1, "containerPort": 1, "protocol": "icmp"}]), 'unknown protocol "icmp"', "networks[0].portMappings[0].protocol"),
    ("host address not one", element(portMappings=[{"hostPort": 1, "containerPort": 1, "hostIP": "x"}]), "Invalid host IP: x", "networks[0].portMappings[0].hostIP"),
    ("bandwidth a number", element(bandwidth=5), "bandwidth of type types.BandwidthEntry", "networks[0].bandwidth"),
    ("rate a text", element(bandwidth={"ingressRate": "1M"}), "BandwidthEntry.bandwidth.ingressRate of type int", "networks[0].bandwidth.ingressRate"),
    ("rate without burst", element(bandwidth={"ingressRate": 1}), "if rate is set, burst must also be set", "networks[0].bandwidth.ingressRate"),
    ("burst without rate", element(bandwidth={"egressBurst": 1}), "if burst is set, rate must also be set", "networks[0].bandwidth.egressRate"),
    ("negative rate", element(bandwidth={"egressRate": -1, "egressBurst": 1}), "must be a positive integer", "networks[0].bandwidth.egressRate"),
    ("burst over 4 GB", element(bandwidth={"egressRate": 1, "egressBurst": 2**40}), "burst cannot be more than 4GB", "networks[0].bandwidth.egressRate"),
    ("rate beyond 64 bits", element(bandwidth={"egressRate": 2**64, "egressBurst": 1}), "of type int", "networks[0].bandwidth.egressRate"),
    ("arguments a list", element(**{"cni-args": ["a=b"]}), "cni-args of type map[string]interface {}", "networks[0].cni-args"),
    ("arguments a text", element(**{"cni-args": "a=b"}), "cni-args of type map", "networks[0].cni-args"),
    ("device a number", element(deviceID=1), "deviceID of type string", "networks[0].deviceID"),
    ("claim a list", element(**{"ipam-claim-reference": []}), "ipam-claim-reference of type string", "networks[0].ipam-claim-reference"),
]  # fmt: skip


@cases(ANNOTATIONS)
def test_malformed_annotation(given: str, message: str, field: str) -> None:
    check(lambda: parse_networks(given, "default"), message, field)


@pytest.mark.parametrize("given", [None, 5, ["a"], {"name": "a"}, b"a"])
def test_an_annotation_that_is_no_text(given: Any) -> None:
    check(lambda: parse_networks(given, "default"), "the annotation is of type", "networks")


# --- CNI configurations ---------------------------------------------------------------------

UNMARSHAL = "failed to unmarshal Spec.Config: "


def conf(**keys: Any) -> dict[str, Any]:
    return {"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "bridge"}], **keys}


def plugin(**keys: Any) -> dict[str, Any]:
    return conf(plugins=[{"type": "bridge", **keys}])


CONFIGS: list[Entry] = [
    ("not JSON", "{notjson", UNMARSHAL + "invalid character 'n' looking for beginning of object key string", "config"),
    ("empty text", "", UNMARSHAL + "unexpected end of JSON input", "config"),
    ("YAML instead of JSON", "cniVersion: 1.0.0\ntype: bridge", UNMARSHAL + "invalid character 'c'", "config"),
    ("comma at the end", '{"type": "bridge",}', UNMARSHAL + "invalid character '}'", "config"),
    ("comma missing", '{"type": "bridge" "name": "n"}', "after object key:value pair", "config"),
    ("brace missing", '{"type": "bridge"', UNMARSHAL + "unexpected end", "config"),
    ("line break in a string", '{"type": "bri\ndge"}', r"invalid character '\n' in string literal", "config"),
    ("text after it", '{"type": "bridge"} }', "after top-level value", "config"),
    ("a list", "[]", "cannot unmarshal array into Go value of type map[string]interface {}", "config"),
    ("a string", '"bridge"', "cannot unmarshal string into Go value", "config"),
    ("null", "null", "cannot unmarshal null into Go value", "config"),
    ("a number", "5", "cannot unmarshal number into Go value", "config"),
    ("too deep", "[" * 50_000, "exceeded max depth", "config"),
    ("version a number", conf(cniVersion=1.0), "cannot unmarshal number", "config.cniVersion"),
    ("version of two parts", conf(cniVersion="1.0"), "invalid version 1.0", "config.cniVersion"),
    ("version with a v", conf(cniVersion="v1.0.0"), "invalid version v1.0.0", "config.cniVersion"),
    ("version unknown", conf(cniVersion="0.5.0"), 'incompatible CNI versions; config is "0.5.0", plugin supports ["0.1.0" ', "config.cniVersion"),
    ("version of the future", conf(cniVersion="2.0.0"), "incompatible CNI versions", "config.cniVersion"),
    ("versions a text", conf(cniVersions="1.0.0"), "cniVersions is of type string", "config.cniVersions"),
    ("versions of numbers", conf(cniVersions=[1]), "not valid", "config.cniVersions[0]"),
    ("versions all of the future", conf(cniVersion=None, cniVersions=["9.0.0"]), "incompatible CNI versions", "config.cniVersions"),
    ("no name and none to fill in", conf(name=None), "error parsing configuration list: no name", "config.name"),
    ("name a number", conf(name=5), "cannot unmarshal number", "config.name"),
    ("name with a slash", conf(name="a/b"), "invalid characters found in network name", "config.name"),
    ("name with a space", conf(name="a b"), "invalid characters found in network name", "config.name"),
    ("name starting with a dot", conf(name="..x"), "invalid characters found", "config.name"),
    ("neither type nor plugins", {"name": "n"}, "delegate must have the 'type' or 'plugin' field", "config.plugins"),
    ("plugins misspelt", {"name": "n", "plugin": [{"type": "bridge"}]}, "did you mean plugins by 'plugin'?", "config.plugins"),
    ("plugins empty", conf(plugins=[]), "error parsing configuration list: no plugins in list", "config.plugins"),
    ("plugins an object", conf(plugins={"type": "bridge"}), "invalid 'plugins' type: object", "config.plugins"),
    ("plugins a text", conf(plugins="bridge"), "invalid 'plugins' type: string", "config.plugins"),
    ("plugin a text", conf(plugins=["bridge"]), "a plugin is of type string", "config.plugins[0]"),
    ("plugin null", conf(plugins=[{"type": "bridge"}, None]), "a plugin is of type null", "config.plugins[1]"),
    ("plugin without type", conf(plugins=[{"master": "eth1"}]), "a plugin delegate must have the 'type' field", "config.plugins[0].type"),
    ("second plugin without type", conf(plugins=[{"type": "bridge"}, {}]), "missing 'type'", "config.plugins[1].type"),
    ("type empty", plugin(type=""), "missing 'type'", "config.plugins[0].type"),
    ("type a number", plugin(type=5), "NetConf.type of type string", "config.plugins[0].type"),
    ("type a path", plugin(type="/opt/cni/bin/bridge"), "invalid plugin name: /opt", "config.plugins[0].type"),
    ("type climbs out", plugin(type="../../bin/sh"), "invalid plugin name", "config.plugins[0].type"),
    ("type two dots", plugin(type=".."), "invalid plugin name: ..", "config.plugins[0].type"),
    ("type with a space", plugin(type="bridge "), "invalid plugin name", "config.plugins[0].type"),
    ("type of a single plugin a list", {"name": "n", "type": ["bridge"]}, "NetConf.type", "config.type"),
    ("capabilities a list", plugin(capabilities=["ips"]), "capabilities is of type array", "config.plugins[0].capabilities"),
    ("capabilities a text", plugin(capabilities="ips"), "capabilities is of type string", "config.plugins[0].capabilities"),
    ("capability a text", plugin(capabilities={"ips": "true"}), "cannot unmarshal string into Go struct field NetConf.capabilities of type bool", "config.plugins[0].capabilities.ips"),
    ("capability a number", plugin(capabilities={"ips": 1}), "of type bool", "config.plugins[0].capabilities.ips"),
    ("ipam a text", plugin(ipam="static"), "ipam is of type string", "config.plugins[0].ipam"),
    ("ipam a list", plugin(ipam=[]), "ipam is of type array", "config.plugins[0].ipam"),
    ("ipam type a number", plugin(ipam={"type": 1}), "NetConf.type", "config.plugins[0].ipam.type"),
    ("ipam type a path", plugin(ipam={"type": "../x"}), "invalid plugin name", "config.plugins[0].ipam.type"),
    ("check switch a word", conf(disableCheck="maybe"), "invalid value for disableCheck", "config.disableCheck"),
    ("check switch a number", conf(disableCheck=1), "invalid value for disableCheck", "config.disableCheck"),
    ("a key that is no text", {**conf(), 5: 1}, "a key is not a string", "config.5"),
    ("a plugin's key that is no text", conf(plugins=[{5: 1}]), "a key is not a string", "config.plugins[0].5"),
    ("a capability that is no text", plugin(capabilities={5: True}), "a key is not a string", "config.plugins[0].capabilities.5"),
    ("no configuration at all", None, "cannot unmarshal null", "config"),
]  # fmt: skip


@cases(CONFIGS)
def test_malformed_configuration(given: Any, message: str, field: str) -> None:
    check(lambda: parse_network_config(given), message, field)


# --- NetworkAttachmentDefinitions -----------------------------------------------------------

NAD = """\
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: net
spec:
  config: '{"cniVersion": "1.0.0", "type": "bridge"}'
"""
NADS: list[Entry] = [
    ("another kind", ("kind: NetworkAttachmentDefinition", "kind: Pod"), "Pod net is not a", "kind"),
    ("no version", ("apiVersion: k8s.cni.cncf.io/v1\n", ""), "is not set", "apiVersion"),
    ("another version", ("io/v1\n", "io/v1beta1\n"), "has no NetworkAttach", "apiVersion"),
    ("another group", ("k8s.cni.cncf.io/v1", "v1"), "'v1' has no Network", "apiVersion"),
    ("name in upper case", ("name: net", "name: Net"), "network name", "metadata.name"),
    ("name with a slash", ("name: net", "name: a/b"), "network name", "metadata.name"),
    ("namespace not a label", ("  name: net", "  name: net\n  namespace: A"), "namespace", "metadata.namespace"),
    ("labels a list", ("  name: net", "  name: net\n  labels: [a]"), "array", "metadata.labels"),
    ("annotation a number", ("  name: net", "  name: net\n  annotations: {a: 1}"), "number", "metadata.annotations.a"),
    ("spec a text", ("spec:\n", "spec: x\nmore:\n"), "spec is of type string", "spec"),
    ("spec a list", ("spec:\n  config", "spec:\n- config"), "spec is of type array", "spec"),
    ("config misspelt", ("config:", "confg:"), 'unknown field "spec.confg"', "spec.confg"),
    ("config in upper case", ("config:", "Config:"), 'unknown field "spec.Config"', "spec.Config"),
    ("plugins in the spec", ("  config:", "  plugins: []\n  config:"), "unknown field", "spec.plugins"),
    ("config YAML, not text", ("'{\"cniVersion\": \"1.0.0\", \"type\": \"bridge\"}'", "{type: bridge}"), "spec.config is of type object", "spec.config"),
    ("config a number", ("'{\"cniVersion\": \"1.0.0\", \"type\": \"bridge\"}'", "5"), "spec.config is of type number", "spec.config"),
    ("config not JSON", ('"type"', "type"), UNMARSHAL + "invalid character 't'", "spec.config"),
    ("config version unknown", ('"1.0.0"', '"3.0.0"'), "incompatible CNI versions", "spec.config.cniVersion"),
    ("config without type", ('"type"', '"typ"'), "delegate must have the 'type'", "spec.config.plugins"),
    ("config type a path", ('"bridge"', '"bin/bridge"'), "invalid plugin name", "spec.config.type"),
]  # fmt: skip


@cases(NADS)
def test_malformed_definition(given: tuple[str, str], message: str, field: str) -> None:
    text = NAD.replace(*given)
    assert text != NAD

    def read() -> None:
        (document,) = load_documents(text, name="nad.yaml")
        NetworkAttachmentDefinition.from_document(document)

    error = check(read, message, field)
    assert error.source == "nad.yaml"
    assert error.line is not None


def test_the_corpus_is_large_and_has_no_entry_twice() -> None:
    corpora = (TEXTS, PODS, ANNOTATIONS, CONFIGS, NADS)
    entries = [(n, repr(given)) for n, corpus in enumerate(corpora) for _, given, *_ in corpus]
    assert len(set(entries)) == len(entries) >= 200
