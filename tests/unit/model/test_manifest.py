"""How manifests are read: YAML and JSON in, documents out, errors with their line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_multinet.errors import ManifestError, UsageError
from pytest_multinet.model.manifest import Document, load_documents
from pytest_multinet.model.nad import NetworkAttachmentDefinition
from pytest_multinet.model.pod import PodManifest

POD = """
apiVersion: v1
kind: Pod
metadata:
  name: p
  annotations:
    k8s.v1.cni.cncf.io/networks: '[{"name": "mv", "ips": ["10.1.1.101/24"]}]'
spec:
  containers: [{name: c, image: alpine}]
"""
SEED = Path(__file__).parents[2] / "data" / "seed"

TWO_PODS = """\
# a comment
apiVersion: v1
kind: Pod
metadata:
  name: first
---
---
apiVersion: v1
kind: Pod
metadata:
  name: second
  namespace: lab
spec:
  containers:
  - name: main
    image: alpine
    command:
    - sleep
    - infinity
"""


def seed(name: str) -> str:
    return (SEED / name).read_text(encoding="utf-8")


def one(text: str) -> dict[str, object]:
    (document,) = load_documents(f"kind: K\nmetadata: {{name: n}}\n{text}")
    return document.data


def refused(source: object, name: str = "x.yaml") -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        load_documents(source, name=name)  # type: ignore[arg-type]
    return caught.value


class TestDocuments:
    def test_each_document_of_a_stream_is_one_object_in_order(self) -> None:
        first, second = load_documents(TWO_PODS, name="pods.yaml")
        assert (first.kind, first.api_version, first.name) == ("Pod", "v1", "first")
        assert (second.name, second.source, second.index) == ("second", "pods.yaml", 1)

    def test_namespace_is_none_where_it_is_absent(self) -> None:
        first, second = load_documents(TWO_PODS)
        assert first.namespace is None
        assert second.namespace == "lab"

    def test_the_seed_manifests_load_verbatim(self) -> None:
        documents = load_documents(seed("nad.yaml")) + load_documents(seed("pod.yaml"))
        assert [(d.kind, d.name) for d in documents] == [
            ("NetworkAttachmentDefinition", "macvlan-conf"),
            ("Pod", "pod1"),
            ("Pod", "pod2"),
        ]

    def test_a_kind_configuration_has_no_metadata_and_its_own_name(self) -> None:
        (document,) = load_documents(seed("config-3node.yml"))
        assert document.name == "multus-cluster"
        assert document.namespace is None
        assert [node["role"] for node in document.data["nodes"]] == [
            "control-plane",
            "worker",
            "worker",
        ]

    def test_a_kind_configuration_without_name_is_called_kind(self) -> None:
        (document,) = load_documents("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4")
        assert document.name == "kind"

    @pytest.mark.parametrize("text", ["", "\n\n", "---\n---\n", "# only a comment\n", "null"])
    def test_empty_documents_are_left_out(self, text: str) -> None:
        assert load_documents(text) == []

    def test_a_mapping_is_one_document(self) -> None:
        data = {"kind": "Pod", "metadata": {"name": "p"}}
        (document,) = load_documents(data, name="<call>")
        assert document.data == data
        assert document.line() is None

    def test_a_list_of_mappings_is_one_document_each(self) -> None:
        source = [{"kind": "Pod", "metadata": {"name": n}} for n in "ab"]
        assert [d.name for d in load_documents(source)] == ["a", "b"]

    def test_a_list_object_is_replaced_by_its_items(self) -> None:
        text = "kind: List\napiVersion: v1\nitems:\n"
        text += "- {kind: Pod, metadata: {name: a}}\n- {kind: Job, metadata: {name: b}}\n"
        documents = load_documents(text)
        assert [(d.kind, d.name, d.index) for d in documents] == [("Pod", "a", 0), ("Job", "b", 1)]
        assert documents[1].line(("metadata", "name")) == 5

    def test_items_of_a_typed_list_inherit_kind_and_version(self) -> None:
        source = {"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "a"}}]}
        (document,) = load_documents(source)
        assert (document.kind, document.api_version) == ("Pod", "v1")

    def test_a_list_without_items_holds_nothing(self) -> None:
        assert load_documents({"kind": "List", "items": None}) == []

    def test_a_document_is_frozen(self) -> None:
        (document,) = load_documents({"kind": "Pod", "metadata": {"name": "p"}})
        with pytest.raises(AttributeError):
            document.index = 3  # type: ignore[misc]


class TestJson:
    def test_a_json_object_is_a_manifest(self) -> None:
        (document,) = load_documents('\n {"kind": "Pod",\n\t"metadata": {"name": "p"}}\n')
        assert document.name == "p"
        assert document.line(("metadata", "name")) == 3

    def test_json_objects_may_follow_one_another(self) -> None:
        text = '{"kind": "K", "metadata": {"name": "a"}}\n{"kind": "K", "metadata": {"name": "b"}}'
        first, second = load_documents(text)
        assert (first.name, second.name) == ("a", "b")
        assert second.error("x", ("metadata",)).line is None  # not YAML, so no lines

    def test_json_documents_may_stand_between_separators(self) -> None:
        text = '{"kind": "Pod", "metadata": {"name": "a"}}\n---\nkind: Pod\nmetadata: {name: b}'
        assert [d.name for d in load_documents(text)] == ["a", "b"]

    def test_a_duplicate_key_in_json_is_refused_with_its_line(self) -> None:
        error = refused('{"kind": "Pod",\n "kind": "Job", "metadata": {"name": "p"}}')
        assert "stands twice" in error.message
        assert error.line == 2


class TestScalars:
    """Plain scalars are what go-yaml, and so kubectl, takes them for."""

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("5", 5),
            ("-5", -5),
            ("+5", 5),
            ("0", 0),
            ("0x1F", 31),
            ("0o17", 15),
            ("017", 15),
            ("0b11", 3),
            ("1_000", 1000),
            ("08", 8.0),
            ("1.5", 1.5),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("yes", True),
            ("Off", False),
            ("true", True),
            ("~", None),
            ("null", None),
            ("", None),
        ],
    )
    def test_typed(self, text: str, value: object) -> None:
        found = one(f"v: {text}\n")["v"]
        assert found == value
        assert type(found) is type(value)

    @pytest.mark.parametrize(
        "text",
        [
            "2024-01-02",
            "2024-01-02T03:04:05Z",
            "22:22",
            "52:54:00:12:34:56",
            "1.2.3",
            "10.1.1.101/24",
            "=",
            "n",
            ".",
            "0x",
            "nullish",
            "yesterday",
            "100m",
            "1.5.1",
        ],
    )
    def test_stays_text(self, text: str) -> None:
        assert one(f"v: {text}\n")["v"] == text

    @pytest.mark.parametrize("text", ["'5'", '"5"', "!!str 5"])
    def test_quotes_and_str_tags_make_text(self, text: str) -> None:
        assert one(f"v: {text}\n")["v"] == "5"

    def test_core_tags_are_honoured(self) -> None:
        assert one("v: [!!int '5', !!float '1', !!bool 'yes', !!null '']\n")["v"] == [
            5,
            1,
            True,
            None,
        ]

    def test_infinity_and_nan_are_numbers(self) -> None:
        values = one("v: [.inf, -.inf, .nan]\n")["v"]
        assert str(values) == "[inf, -inf, nan]"

    def test_keys_that_are_numbers_or_truth_values_become_text(self) -> None:
        assert one("v: {1: a, true: b, 1.5: c}\n")["v"] == {"1": "a", "true": "b", "1.5": "c"}

    def test_a_number_of_many_digits_does_no_harm(self) -> None:
        assert one(f"v: {'9' * 5000}\n")["v"] == float("inf")


class TestAliases:
    def test_an_alias_repeats_its_anchor(self) -> None:
        data = one("a: &x {k: [1, 2]}\nb: *x\n")
        assert data["b"] == {"k": [1, 2]}

    def test_a_merge_key_brings_what_is_not_set(self) -> None:
        data = one("a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}\n")
        assert data["b"] == {"k": 1, "l": 3}

    def test_earlier_mappings_of_a_merge_win(self) -> None:
        data = one("a: &x {k: 1}\nb: &y {k: 2, l: 2}\nc: {<<: [*x, *y]}\n")
        assert data["c"] == {"k": 1, "l": 2}

    def test_a_cycle_is_refused(self) -> None:
        assert "contains it" in refused("kind: K\nv: &x [1, *x]\n").message

    def test_an_alias_bomb_is_refused(self) -> None:
        bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for n in range(1, 9):
            bomb += f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n"
        assert "blow" in refused(bomb).message

    def test_many_cheap_aliases_are_fine(self) -> None:
        data = one("a: &x 1\nb: [" + "*x," * 1000 + "]\n")
        assert data["b"] == [1] * 1000


class TestErrors:
    def test_an_error_names_file_line_field_value_and_what_was_expected(self) -> None:
        document = load_documents(TWO_PODS, name="pods.yaml")[1]
        error = document.error(
            "no such image", ("spec", "containers", 0, "image"), "alpine", "x:y"
        )
        assert str(error) == (
            "pods.yaml:16: no such image\n"
            "  field:    spec.containers[0].image\n"
            "  value:    'alpine'\n"
            "  expected: x:y"
        )

    @pytest.mark.parametrize(
        ("path", "line"),
        [
            ((), 8),
            (("metadata", "name"), 11),
            (("spec", "containers"), 14),
            (("spec", "containers", 0), 15),
            (("spec", "containers", 0, "command", 1), 19),
            (("spec", "containers", 0, "not-there"), 15),
            (("spec", "containers", 7), 14),
            (("spec", "not-there", "deeper"), 13),
        ],
    )
    def test_a_line_is_that_of_the_deepest_field_that_exists(
        self, path: tuple[str | int, ...], line: int
    ) -> None:
        assert load_documents(TWO_PODS)[1].line(path) == line

    def test_lines_are_counted_the_same_with_windows_line_ends(self) -> None:
        document = load_documents(TWO_PODS.replace("\n", "\r\n"))[1]
        assert document.line(("spec", "containers", 0, "image")) == 16

    def test_yaml_syntax_is_reported_with_its_line(self) -> None:
        error = refused("kind: Pod\nmetadata:\n  name: a\n bad: [1,\n")
        assert error.message.startswith("not YAML")
        assert error.source == "x.yaml"
        assert error.line is not None

    def test_a_tab_is_named(self) -> None:
        error = refused("kind: Pod\nmetadata:\n\tname: a\n")
        assert error.line == 3
        assert error.expected == "spaces for indentation, YAML takes no tabs"

    def test_a_manifest_error_is_a_usage_error(self) -> None:
        assert isinstance(refused("["), UsageError)

    @pytest.mark.parametrize("depth", [300, 20_000])
    @pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
    def test_deep_nesting_is_refused_and_crashes_nothing(self, opening: str, depth: int) -> None:
        assert isinstance(refused(opening * depth), ManifestError)

    def test_half_a_surrogate_pair_is_refused(self) -> None:
        assert "Unicode" in refused("kind: Pod\nmetadata: {name: '\ud800'}").message

    def test_a_control_character_is_refused(self) -> None:
        assert "not YAML" in refused("kind: \0").message


class TestLinesInTexts:
    """A JSON text in a scalar: the line of a place in it, in every style of scalar."""

    @pytest.mark.parametrize(
        "text",
        [
            "v: |\n  [1,\n   2, here]\n",
            "v: >\n  [1,\n   2, here]\n",
            "v: '[1,\n\n   2, here]'\n",
            'v: "[1,\n\n   2, here]"\n',
            "v: |-\n\n  [1, 2, here]\n",
        ],
    )
    def test_offset_in_a_scalar(self, text: str) -> None:
        (document,) = load_documents("kind: K\nmetadata: {name: n}\n" + text)
        offset = document.data["v"].index("here")
        assert document.line(("v",), offset=offset) == 5

    def test_quotes_that_are_doubled_count_once(self) -> None:
        (document,) = load_documents("kind: K\nmetadata: {name: n}\nv: 'it''s\n  it''s\n  here'\n")
        offset = document.data["v"].index("here")
        assert document.line(("v",), offset=offset) == 5

    def test_escapes_count_as_what_they_stand_for(self) -> None:
        text = 'kind: K\nmetadata: {name: n}\nv: "[\\"a\\",\\n\n  \\"b\\",\n  here]"\n'
        (document,) = load_documents(text)
        offset = document.data["v"].index("here")
        assert document.line(("v",), offset=offset) == 5

    def test_an_offset_past_the_end_gives_the_last_line(self) -> None:
        (document,) = load_documents("kind: K\nmetadata: {name: n}\nv: |\n  a\n  b\n")
        assert document.line(("v",), offset=10_000) == 5


def test_without_libyaml_the_same_documents_come_out() -> None:
    script = (
        "import sys, yaml\n"
        "del yaml.CSafeLoader\n"
        "from pytest_multinet.model.manifest import load_documents\n"
        "for path in sys.argv[1:]:\n"
        "    for d in load_documents(open(path).read(), name=path):\n"
        "        print(d.data, d.line(('metadata', 'name')))\n"
        "try:\n"
        "    load_documents('[' * 5000)\n"
        "except ValueError: pass\n"
        "except Exception as e: print(type(e).__name__, e.message)\n"
    )
    paths = [str(SEED / name) for name in ("nad.yaml", "pod.yaml")]
    result = subprocess.run(
        [sys.executable, "-c", script, *paths], capture_output=True, text=True, check=True
    )
    documents = [d for path in paths for d in load_documents(Path(path).read_text(), name=path)]
    expected = [f"{d.data} {d.line(('metadata', 'name'))}" for d in documents]
    assert result.stdout.splitlines()[:3] == expected
    assert "nested too deeply" in result.stdout


def test_a_document_may_be_made_by_hand() -> None:
    document = Document({"kind": "Pod", "metadata": {"name": "p"}}, "<spec>")
    assert str(document.error("bad", ("spec",))) == "<spec>: bad\n  field:    spec"


def test_no_line_is_looked_for_while_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("pytest_multinet.model.manifest._compose")
    (document,) = load_documents(seed("nad.yaml"))
    assert NetworkAttachmentDefinition.from_document(document).config
    assert PodManifest.from_document(load_documents(POD)[0]).networks
    with pytest.raises(NameError):
        document.error("an error needs a line")


def test_only_reading_manifests_imports_yaml() -> None:
    script = (
        "import sys, pytest_multinet.model.attachment, pytest_multinet.model.nad\n"
        "import pytest_multinet.model.pod, pytest_multinet.model.network_status\n"
        "sys.exit('yaml' in sys.modules or 'difflib' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
