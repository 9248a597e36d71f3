"""Kubernetes manifests: text, mapping or list in, documents out.

Reads YAML and JSON as ``kubectl`` does: by go-yaml's rules for plain scalars there are no
dates and no base-60 numbers, and ``1e3`` is a number (``y`` and ``n`` stay text, though).
Lines are not tracked while all is well: the text is composed a second time when an error
has to name one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pytest_multinet.errors import ManifestError
from pytest_multinet.model.fields import FieldPath, dotted, json_type
from pytest_multinet.model.names import nearest

if TYPE_CHECKING:
    _Composer = yaml.SafeLoader
elif hasattr(yaml, "CSafeLoader"):
    from yaml.cyaml import CParser as _Composer
else:  # PyYAML without libyaml
    from yaml.composer import Composer
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class _Composer(Reader, Scanner, Parser, Composer):
        def __init__(self, stream: str) -> None:
            Reader.__init__(self, stream)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)


Source = str | Mapping[str, Any] | Sequence[Mapping[str, Any]]

# A manifest is some ten levels deep; libyaml's composer overflows the C stack at 10,000s.
_MAX_DEPTH = 200
# What aliases may blow a document up to, in nodes.
_MAX_NODES = 200_000

_TAG = "tag:yaml.org,2002:"
_PLAIN = "?"  # a scalar without quotes: its type follows from its text
_STR = _TAG + "str"

_WORDS: Mapping[str, Any] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_NUMERIC = frozenset("+-.0123456789")
_INT = re.compile(
    r"[-+]?(?:0|[1-9][0-9]{0,999}|0[oO]?[0-7]+|0[xX][0-9a-fA-F]+|0[bB][01]+)"
).fullmatch
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?").fullmatch


class _Loader(_Composer):
    """Composes nodes; leaves the type of plain scalars to us, and bounds the depth."""

    depth = 0

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _STR
        return _TAG + ("map" if kind is MappingNode else "seq")

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _Refused("nested too deeply", None, None, f"at most {_MAX_DEPTH} levels")

    def ascend_resolver(self) -> None:
        self.depth -= 1


class _Refused(Exception):
    def __init__(
        self, message: str, node: Node | None, value: Any = None, expected: str | None = None
    ) -> None:
        self.message = message
        self.node = node
        self.value = value
        self.expected = expected
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object stands in a text.

    Attributes:
        text: the whole text.
        stream_index: place of its YAML document in the text, from 0.
        prefix: path of the object in that document (within a ``List``).
    """

    text: str
    stream_index: int = 0
    prefix: FieldPath = ()

    def line(self, path: FieldPath, offset: int | None) -> int | None:
        """The line of a field, counted from 1."""
        root = _compose(self.text, self.stream_index)
        if root is None:
            return None
        line, node = root.start_mark.line + 1, root
        for part in (*self.prefix, *path):
            step = _step(node, part)
            if step is None:
                break
            line, node = step
        if offset is not None and isinstance(node, ScalarNode):
            return _line_in_scalar(self.text, node, offset)
        return line


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One object of a manifest.

    Attributes:
        data: the object as plain dicts, lists, texts, numbers.
        source: file name, or a description such as ``<string>``.
        index: place among the documents that were loaded together, from 0.
        origin: where it stands in a text; ``None`` where it came as a mapping.
    """

    data: dict[str, Any]
    source: str = "<string>"
    index: int = 0
    origin: Origin | None = field(default=None, repr=False)

    @property
    def kind(self) -> str:
        """The kind, such as ``Pod``."""
        return self.data["kind"]

    @property
    def api_version(self) -> str:
        """The API version, such as ``k8s.cni.cncf.io/v1``; ``""`` where it is absent."""
        return self.data.get("apiVersion") or ""

    @property
    def name(self) -> str:
        """``metadata.name``; for a kind configuration its own ``name`` (kind's default: kind)."""
        if _is_kind_config(self.data):
            return self.data.get("name") or "kind"
        return self.data["metadata"]["name"]

    @property
    def namespace(self) -> str | None:
        """``metadata.namespace``, ``None`` where it is absent."""
        metadata = cast("Mapping[str, Any]", self.data.get("metadata") or {})
        return metadata.get("namespace") or None

    def line(self, path: FieldPath = (), *, offset: int | None = None) -> int | None:
        """The line of a field, counted from 1; ``None`` where there is no text.

        A path that goes on inside a text (an annotation's JSON) gives the line of the text,
        or with ``offset``, a place in that text, the line of that place.
        """
        return None if self.origin is None else self.origin.line(path, offset)

    def error(
        self,
        message: str,
        path: FieldPath = (),
        value: Any = None,
        expected: str | None = None,
        *,
        offset: int | None = None,
    ) -> ManifestError:
        """The error for a field of this document, with file, line, field, value, expected."""
        return ManifestError(
            message,
            source=self.source,
            line=self.line(path, offset=offset),
            field=dotted(path) or None,
            value=value,
            expected=expected,
        )


def load_documents(source: Source, *, name: str = "<string>") -> list[Document]:
    """The objects of a manifest, in order.

    Args:
        source: text (YAML, several documents, or JSON), a mapping, or a list of mappings.
        name: file name for messages.

    Empty documents are left out; a ``List`` is replaced by its items.

    Raises:
        ManifestError: the text cannot be read, or an object lacks kind or name.
    """
    documents: list[Document] = []
    if isinstance(source, str):
        for index, data in enumerate(_read(source, name)):
            if data is not None:
                _add(documents, data, name, Origin(source, index))
    else:
        for data in _given(source, name):
            _add(documents, data, name, None)
    return documents


def _given(source: Any, name: str) -> list[Any]:
    if isinstance(source, Mapping):
        return [source]
    if isinstance(source, Sequence) and not isinstance(source, (bytes, bytearray)):
        return list(cast("Sequence[Any]", source))
    raise ManifestError(
        f"a manifest cannot be of type {type(source).__name__}",
        source=name,
        expected="text (YAML or JSON), a mapping, or a list of mappings",
    )


def _add(documents: list[Document], data: Any, source: str, origin: Origin | None) -> None:
    """Append the object ``data``, or the items of a list."""
    if not isinstance(data, Mapping):
        expected = "an object with apiVersion, kind and metadata"
        if isinstance(data, list):
            expected += "; separate several by '---' lines, not by '- '"
        document = Document({}, source, len(documents), origin)
        raise document.error(f"a document is a {_type(data)}", (), data, expected)
    data = cast("Mapping[str, Any]", data)
    document = Document(dict(data), source, len(documents), origin)
    kind = _check_identity(document)
    if kind.endswith("List") and "items" in data:
        _add_items(documents, document)
        return
    if _is_kind_config(data):
        name: Any = data.get("name")
        if name is not None and not isinstance(name, str):
            raise document.error(f"name is a {_type(name)}", ("name",), name, "a string")
    else:
        _check_metadata(document)
    documents.append(document)


def _add_items(documents: list[Document], document: Document) -> None:
    """Append the items of a ``List``, or of a ``PodList`` and the like."""
    items: Any = document.data["items"]
    if items is not None and not isinstance(items, list):
        raise document.error(f"items is a {_type(items)}", ("items",), items, "a list of objects")
    kind, origin = document.kind, document.origin
    implied = {"apiVersion": document.api_version, "kind": kind[: -len("List")]}
    for index, item in enumerate(cast("list[Any]", items or [])):
        if isinstance(item, Mapping):
            item = cast("Mapping[str, Any]", item)
            if str(item.get("kind")).endswith("List"):
                path = ("items", index, "kind")
                raise document.error("a list in a list", path, item["kind"], "one object")
            if kind != "List":
                item = {**implied, **item}
        place = None
        if origin is not None:
            place = Origin(origin.text, origin.stream_index, ("items", index))
        _add(documents, item, document.source, place)


def _check_identity(document: Document) -> str:
    """The kind of a document; checks apiVersion and kind."""
    data = document.data
    kind: Any = data.get("kind")
    if kind is None or kind == "":
        near = None if "kind" in data else _near_key("kind", data)
        message = "kind is not set" + (f", but {near!r} is" if near else "")
        raise document.error(message, ("kind",), None, "the kind of object, such as Pod")
    if not isinstance(kind, str):
        raise document.error(f"kind is a {_type(kind)}", ("kind",), kind, "a string, such as Pod")
    version: Any = data.get("apiVersion")
    if version is not None and not isinstance(version, str):
        message = f"apiVersion is a {_type(version)}"
        raise document.error(message, ("apiVersion",), version, "a string, such as v1")
    return kind


def _check_metadata(document: Document) -> None:
    metadata: Any = document.data.get("metadata")
    if metadata is None:
        near = None if "metadata" in document.data else _near_key("metadata", document.data)
        message = "metadata is not set" + (f", but {near!r} is" if near else "")
        raise document.error(message, ("metadata",), None, "metadata with a name")
    if not isinstance(metadata, Mapping):
        message = f"metadata is a {_type(metadata)}"
        raise document.error(message, ("metadata",), metadata, "a mapping with a name")
    metadata = cast("Mapping[str, Any]", metadata)
    name: Any = metadata.get("name")
    if name is None or name == "":
        expected = "a name"
        if "generateName" in metadata:
            expected += "; generateName cannot be applied twice, so it is not taken"
        raise document.error("metadata.name is not set", ("metadata", "name"), None, expected)
    for key, value in (("name", name), ("namespace", metadata.get("namespace"))):
        if value is not None and not isinstance(value, str):
            message = f"metadata.{key} is a {_type(value)}"
            expected = "a string; put it in quotes" if _is_scalar(value) else "a string"
            raise document.error(message, ("metadata", key), value, expected)


def _is_kind_config(data: Mapping[str, Any]) -> bool:
    """Whether this is kind's own configuration, which has no metadata."""
    return str(data.get("apiVersion")).startswith("kind.x-k8s.io/")


def _near_key(key: str, data: Mapping[Any, Any]) -> str | None:
    return nearest(key, [k for k in data if isinstance(k, str)])


def _type(value: Any) -> str:
    words = {"object": "mapping", "array": "list", "bool": "truth value", "null": "null"}
    word = json_type(value)
    return words.get(word, word)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (bool, int, float))


# --- text -----------------------------------------------------------------------------------


def _read(text: str, name: str) -> Iterable[Any]:
    """The documents of a YAML or JSON text, empty ones as ``None``."""
    if text.lstrip()[:1] == "{":
        values = _json_values(text)
        if values is not None:
            return values
    return _load(text, name)


def _json_values(text: str) -> list[Any] | None:
    """JSON objects, one after the other; ``None`` where the text is something else."""
    import json

    from pytest_multinet.model.go_json import without_surrogates

    decoder = json.JSONDecoder(object_pairs_hook=_unique)
    values: list[Any] = []
    at = len(text) - len(text.lstrip())
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            values.append(without_surrogates(value) if "\\u" in text else value)
            at += len(text[at:]) - len(text[at:].lstrip())
    except (ValueError, RecursionError):
        return None  # YAML is a superset, and its reader knows the line
    return values


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _load(text: str, name: str) -> Iterator[Any]:
    """The documents of a YAML text, empty ones as ``None``."""
    try:
        loader = _Loader(text)
        aliased = "*" in text and "&" in text
        while loader.check_node():
            node = loader.get_node()
            yield _Aliased().value(node) if aliased else _value(node)
    except _Refused as error:
        line = error.node.start_mark.line + 1 if error.node is not None else None
        raise ManifestError(
            error.message, source=name, line=line, value=error.value, expected=error.expected
        ) from None
    except yaml.YAMLError as error:
        raise _yaml_error(error, text, name) from error
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise ManifestError(
            "the text is not valid Unicode", source=name, line=line, expected="UTF-8 text"
        ) from error


def _yaml_error(error: yaml.YAMLError, text: str, name: str) -> ManifestError:
    if not isinstance(error, yaml.MarkedYAMLError):
        message = " ".join(str(error).split())
        return ManifestError(f"not YAML: {message}", source=name, expected="YAML or JSON text")
    mark = error.problem_mark or error.context_mark
    problem = error.problem or "it cannot be parsed"
    message = f"not YAML: {error.context}: {problem}" if error.context else f"not YAML: {problem}"
    lines = text.splitlines()
    row = min(mark.line, len(lines) - 1) if mark is not None and lines else None
    expected = "YAML or JSON text"
    if row is not None and "\t" in lines[row][: len(lines[row]) - len(lines[row].lstrip())]:
        expected = "spaces for indentation, YAML takes no tabs"
    elif "mapping values are not allowed" in problem:
        expected = "one 'key: value' a line; a text with ': ' in it stands in quotes"
    elif "did not find expected key" in problem or "<block end>" in problem:
        expected = "the same indentation for all keys of one mapping"
    elif "unexpected end of stream" in problem:
        expected = "a closing quote"
    line = row + 1 if row is not None else None
    value = lines[row].strip() if row is not None else None
    return ManifestError(message, source=name, line=line, value=value, expected=expected)


def _value(node: Any) -> Any:
    """The plain value of a node."""
    if isinstance(node, ScalarNode):
        return node.value if node.tag == _STR else _scalar(node)
    if isinstance(node, MappingNode):
        if node.tag != _TAG + "map":
            raise _bad_tag(node)
        return _mapping(node, _value)
    if node.tag != _TAG + "seq":
        raise _bad_tag(node)
    return [_value(item) for item in node.value]


def _mapping(node: MappingNode, value: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    merged: dict[str, Any] | None = None
    for key_node, value_node in node.value:
        key = key_node.value if isinstance(key_node, ScalarNode) else None
        if key is None or key_node.tag != _STR:
            if key == "<<" and key_node.tag in (_PLAIN, _TAG + "merge"):
                merged = {**_merged(value_node, value), **(merged or {})}
                continue
            key = _key(key_node)
        if key in result:
            raise _Refused(f'the key "{key}" stands twice in one mapping', key_node, key, "one")
        result[key] = value(value_node)
    return result if merged is None else {**merged, **result}


def _key(node: Node) -> str:
    if not isinstance(node, ScalarNode):
        raise _Refused("a key is a list or mapping", node, None, "a string as key")
    value = _scalar(node)
    if value is None:
        raise _Refused("a key is empty", node, None, "a string as key")
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else node.value


def _merged(node: Node, value: Any) -> dict[str, Any]:
    """What a merge key (``<<``) brings; earlier mappings of a list win."""
    nodes = node.value if isinstance(node, SequenceNode) else [node]
    result: dict[str, Any] = {}
    for item in reversed(nodes):
        if not isinstance(item, MappingNode):
            raise _Refused("'<<' merges something else than a mapping", node, None, "a mapping")
        result.update(value(item))
    return result


def _scalar(node: ScalarNode) -> Any:
    text: str = node.value
    if node.tag == _PLAIN:
        return _typed(text)
    if node.tag == _STR:
        return text
    kind = node.tag[len(_TAG) :] if node.tag.startswith(_TAG) else ""
    if kind not in ("int", "float", "bool", "null"):
        raise _bad_tag(node)
    value = _typed(text)
    types = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}
    if not isinstance(value, types[kind]) or (
        kind in ("int", "float") and isinstance(value, bool)
    ):
        raise _Refused(f'"{text}" is not of type !!{kind}', node, text, f"a {kind}")
    return value


def _typed(text: str) -> Any:
    """The value of a plain scalar, as go-yaml resolves it."""
    if not text or text[0] in "~.-+yYnNtTfFoO":
        word = _WORDS.get(text, text)
        if word is not text:
            return word
    if not text or text[0] not in _NUMERIC:
        return text
    digits = text.replace("_", "")
    if _INT(digits):
        return _int(digits)
    if _FLOAT(digits):
        return float(digits)
    return text


def _int(digits: str) -> int:
    sign = -1 if digits[0] == "-" else 1
    digits = digits.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1] in "01234567":
        return sign * int(digits, 8)
    return sign * int(digits, 0 if digits != "0" else 10)


def _bad_tag(node: Any) -> _Refused:
    tag: str = node.tag
    shown = "!!" + tag[len(_TAG) :] if tag.startswith(_TAG) else tag
    return _Refused(f"the tag {shown} is not allowed here", node, shown, "plain YAML without tags")


class _Aliased:
    """Values of a document with aliases: shared nodes once, cycles and explosions refused."""

    def __init__(self) -> None:
        self._values: dict[int, tuple[Any, int]] = {}
        self._open: set[int] = set()
        self._nodes = 0

    def value(self, node: Any) -> Any:
        if isinstance(node, ScalarNode):
            self._count(1, node)
            return _scalar(node)
        known = self._values.get(id(node))
        if known is not None:
            self._count(known[1], node)
            return known[0]
        if id(node) in self._open:
            raise _Refused("an alias refers to what contains it", node, None, "no cycle")
        self._open.add(id(node))
        before = self._nodes
        self._count(1, node)
        if isinstance(node, MappingNode):
            if node.tag != _TAG + "map":
                raise _bad_tag(node)
            value: Any = _mapping(node, self.value)
        else:
            if node.tag != _TAG + "seq":
                raise _bad_tag(node)
            value = [self.value(item) for item in node.value]
        self._open.discard(id(node))
        self._values[id(node)] = (value, self._nodes - before)
        return value

    def _count(self, nodes: int, node: Node) -> None:
        self._nodes += nodes
        if self._nodes > _MAX_NODES:
            raise _Refused("aliases blow the document up", node, None, f"under {_MAX_NODES} nodes")


# --- lines ----------------------------------------------------------------------------------


def _compose(text: str, stream_index: int) -> Node | None:
    """The node tree of one document, with marks."""
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if stream_index == 0:
                return node
            stream_index -= 1
    except (yaml.YAMLError, _Refused, UnicodeEncodeError):
        return None
    return None


def _step(node: Node, part: str | int) -> tuple[int, Node] | None:
    """One step down a path: the line of the entry, and its node."""
    if isinstance(node, MappingNode):
        for key_node, value_node in node.value:
            if isinstance(key_node, ScalarNode) and key_node.value == part:
                return key_node.start_mark.line + 1, value_node
    elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item.start_mark.line + 1, item
    return None


def _line_in_scalar(text: str, node: ScalarNode, offset: int) -> int:
    """The line of a place in a scalar's text.

    Folding changes white space only, so the place is found by counting what is not.
    """
    wanted = len("".join(node.value[:offset].split()))
    lines = text.splitlines()
    first, last = node.start_mark.line, min(node.end_mark.line, len(lines) - 1)
    for number in range(first, last + 1):
        line = lines[number]
        if number == first:
            line = "" if node.style in ("|", ">") else line[node.start_mark.column :].lstrip("'\"")
        if node.style == "'":
            line = line.replace("''", "'")
        elif node.style == '"':
            line = re.sub(r"\\(?:[ntr]|(.))", r"\1", line)
        count = len("".join(line.split()))
        if wanted < count:
            return number + 1
        wanted -= count
    return last + 1
