"""Reads typed fields out of untyped data, and names the field in the error.

A field is known by its path, such as ``("spec", "containers", 0, "image")``.  Whoever
reads takes an error maker (:class:`FieldError`), so that the file and line come from the
document that the data stood in, where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, Protocol, cast

from pytest_multinet.errors import ManifestError

FieldPath = tuple[str | int, ...]


class FieldError(Protocol):
    """Makes (does not raise) the error for one field; ``Document.error`` is one."""

    def __call__(
        self,
        message: str,
        path: FieldPath = (),
        value: Any = None,
        expected: str | None = None,
        *,
        offset: int | None = None,
    ) -> ManifestError:
        """Make the error.

        Args:
            message: what is wrong.
            path: the field; it may go on inside a text, such as an annotation's JSON.
            value: the offending value.
            expected: what it should have been.
            offset: place in the text of the field, in characters, where it is known.
        """
        ...


def dotted(path: Iterable[str | int]) -> str:
    """A path as Kubernetes writes it: ``spec.containers[0].image``, ``metadata.labels[a/b]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("-", "").replace("_", "").isalnum():
            text += f".{part}" if text else part
        else:
            text += f"[{part}]"
    return text


def field_error(*root: str | int) -> FieldError:
    """An error maker for data that came from no document; paths start at ``root``."""

    def make(
        message: str,
        path: FieldPath = (),
        value: Any = None,
        expected: str | None = None,
        *,
        offset: int | None = None,
    ) -> ManifestError:
        del offset
        field = dotted((*root, *path)) or None
        return ManifestError(message, field=field, value=value, expected=expected)

    return make


def below(error: FieldError, *prefix: str | int) -> FieldError:
    """An error maker whose paths start at ``prefix`` within those of ``error``."""

    def make(
        message: str,
        path: FieldPath = (),
        value: Any = None,
        expected: str | None = None,
        *,
        offset: int | None = None,
    ) -> ManifestError:
        return error(message, (*prefix, *path), value, expected, offset=offset)

    return make


def check_keys(data: Mapping[Any, Any], path: FieldPath, error: FieldError) -> Mapping[str, Any]:
    """Return ``data`` if all its keys are texts; of YAML and JSON they always are."""
    for key in data:
        if not isinstance(key, str):
            raise error("a key is not a string", (*path, repr(key)), key, "a string as key")
    return data


def json_type(value: Any) -> str:
    """The JSON type of a value, in the words of Go's error messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Mapping) else "array"


def wrong_type(value: Any, path: FieldPath, error: FieldError, expected: str) -> NoReturn:
    """Raise: the value at ``path`` has the wrong type."""
    name = dotted(path) or "the value"
    raise error(f"{name} is of type {json_type(value)}", path, value, expected)


def read_str(data: Mapping[str, Any], key: str, path: FieldPath, error: FieldError) -> str | None:
    """The text at ``key``; ``None`` where it is absent or null."""
    value = data.get(key)
    if value is None or isinstance(value, str):
        return value
    expected = "a string"
    if isinstance(value, (bool, int, float)):
        expected = "a string; YAML reads this as another type unless it stands in quotes"
    wrong_type(value, (*path, key), error, expected)


def read_bool(data: Mapping[str, Any], key: str, path: FieldPath, error: FieldError) -> bool:
    """The truth value at ``key``; false where it is absent or null."""
    value = data.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        wrong_type(value, (*path, key), error, "true or false")
    return value


def read_mapping(
    data: Mapping[str, Any], key: str, path: FieldPath, error: FieldError
) -> Mapping[str, Any]:
    """The mapping at ``key``; empty where it is absent or null."""
    value = data.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        wrong_type(value, (*path, key), error, "a mapping")
    return check_keys(cast("Mapping[Any, Any]", value), (*path, key), error)


def read_list(data: Mapping[str, Any], key: str, path: FieldPath, error: FieldError) -> list[Any]:
    """The list at ``key``; empty where it is absent or null."""
    value = data.get(key)
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        wrong_type(value, (*path, key), error, "a list")
    return list(cast("list[Any]", value))


def read_strings(
    data: Mapping[str, Any], key: str, path: FieldPath, error: FieldError
) -> tuple[str, ...]:
    """The list of texts at ``key``; empty where it is absent or null."""
    values = read_list(data, key, path, error)
    for index, value in enumerate(values):
        if not isinstance(value, str):
            expected = "a list of strings; put numbers, true and false in quotes"
            wrong_type(value, (*path, key, index), error, expected)
    return tuple(values)


def read_string_map(
    data: Mapping[str, Any], key: str, path: FieldPath, error: FieldError
) -> dict[str, str]:
    """The mapping from text to text at ``key``; empty where it is absent or null."""
    values = read_mapping(data, key, path, error)
    for name, value in values.items():
        if not isinstance(value, str):
            expected = "a string; put numbers, true, false and JSON in quotes"
            wrong_type(value, (*path, key, name), error, expected)
    return dict(values)
