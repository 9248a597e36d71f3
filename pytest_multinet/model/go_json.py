"""JSON as Go's ``encoding/json`` reads it, with Go's error messages.

Multus and the CNI plugins are Go programs: they match keys without regard to case, refuse
``NaN``, and say ``invalid character 'n' looking for beginning of object key string``.
Users search for that text, so we say the same.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, cast

from pytest_multinet.errors import ManifestError
from pytest_multinet.model.fields import FieldError, FieldPath

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})[^"\\\x00-\x1f]*)*"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PARTIAL_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*')
_PARTIAL_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:(?<=[0-9])[eE][+-]?)?)?")
_LITERALS = {"t": "true", "f": "false", "n": "null"}

_ESCAPES = {
    7: r"\a",
    8: r"\b",
    9: r"\t",
    10: r"\n",
    11: r"\v",
    12: r"\f",
    13: r"\r",
    0x5C: r"\\",
}

_KEY = "looking for beginning of object key string"
_VALUE = "looking for beginning of value"


class GoJSONError(ValueError):
    """Text that Go would not read as JSON.

    Attributes:
        message: Go's message.
        offset: place in the text, in characters.
        hint: what is most likely meant, or ``""``.
    """

    def __init__(self, message: str, offset: int, hint: str = "") -> None:
        self.message = message
        self.offset = offset
        self.hint = hint
        super().__init__(message)


class _UnfitNumberError(Exception):
    """A number that fits no float64; carries its text."""


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _UnfitNumberError(text)
    return value


def _constant(text: str) -> float:
    raise ValueError(text)


_DECODER = json.JSONDecoder(parse_float=_float, parse_constant=_constant)
_decode, _decode_at = _DECODER.decode, _DECODER.raw_decode


def loads(text: str) -> Any:
    """The value that ``text`` stands for.

    Raises:
        GoJSONError: where Go's decoder would fail too, with its message.
    """
    try:
        value = _decode(text)
    except _UnfitNumberError as error:
        number = str(error)
        message = f"json: cannot unmarshal number {number} into Go value of type float64"
        raise GoJSONError(message, text.find(number)) from None
    except RecursionError:
        raise GoJSONError("exceeded max depth", 0, "the brackets are nested too deeply") from None
    except ValueError as error:
        # What Go's scanner takes and Python refuses is a number of thousands of digits.
        message = "json: cannot unmarshal number into Go value of type float64"
        raise _syntax_error(text) or GoJSONError(message, 0) from error
    if "\\u" in text or not text.isascii():
        return without_surrogates(value)
    return value


def go_get(mapping: Mapping[str, Any], key: str, default: Any = None) -> Any:
    """The value of ``key``; a key that differs only in case counts, an exact match wins."""
    if key in mapping:
        return mapping[key]
    folded = key.casefold()
    names = (name for name in mapping if name.casefold() == folded)
    return mapping.get(next(names, key), default)


def locate(text: str, path: FieldPath) -> int | None:
    """The place in JSON ``text`` of the value at ``path``, or of what should contain it."""
    at = _end(_SPACE, text, 0)
    try:
        for part in path:
            inner = _entry(text, at, part)
            if inner is None:
                return at
            at = inner
    except (ValueError, IndexError, RecursionError):
        return None
    return at


def _entry(text: str, at: int, part: str | int) -> int | None:
    """The place of one entry of the array or object at ``at``."""
    wanted = part.casefold() if isinstance(part, str) else part
    if text[at : at + 1] != ("[" if isinstance(wanted, int) else "{"):
        return None
    index = 0
    while text[at] in "[{,":
        at = _end(_SPACE, text, at + 1)
        key: Any = index
        if isinstance(wanted, str):
            key, at = _decode_at(text, at)
            key, at = key.casefold(), _end(_SPACE, text, _end(_SPACE, text, at) + 1)
        if key == wanted:
            return at
        at = _end(_SPACE, text, _decode_at(text, at)[1])
        index += 1
    return None


def within(error: FieldError, text: str) -> FieldError:
    """An error maker for what stands in JSON ``text``: finds the place of each path in it."""

    def make(
        message: str,
        path: FieldPath = (),
        value: Any = None,
        expected: str | None = None,
        *,
        offset: int | None = None,
    ) -> ManifestError:
        if offset is None:
            offset = locate(text, path)
        return error(message, path, value, expected, offset=offset)

    return make


def read_json(text: str, what: str, error: FieldError, expected: str) -> Any:
    """The value of JSON ``text``.

    Args:
        text: the text.
        what: put before Go's message, such as ``failed to unmarshal Spec.Config``.
        error: makes the error where ``text`` is not JSON.
        expected: what it should have been.
    """
    try:
        return loads(text)
    except GoJSONError as bad:
        message = f"{what}: {bad.message}" + (f": {bad.hint}" if bad.hint else "")
        near = text[max(0, bad.offset - 20) : bad.offset + 20]
        raise error(message, (), near, expected, offset=bad.offset) from None


def without_surrogates(value: Any) -> Any:
    """A JSON value with U+FFFD for half a surrogate pair; Python would keep it, and fail later."""
    if isinstance(value, str):
        if value.isascii():
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [without_surrogates(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {without_surrogates(k): without_surrogates(v) for k, v in items}
    return value


def _syntax_error(text: str) -> GoJSONError | None:
    """What Go's scanner says of ``text``, ``None`` if it finds nothing wrong."""
    stack: list[str] = []
    at = 0
    state = "value"  # value, value-or-end, key, key-or-end, colon, after
    while True:
        at = _end(_SPACE, text, at)
        if at == len(text):
            if state == "after" and not stack:
                return None
            return _ended(text)
        char = text[at]
        if state in ("value", "value-or-end"):
            if char == "]" and state == "value-or-end":
                stack.pop()
                state, at = "after", at + 1
            elif char in "[{":
                stack.append(char)
                state, at = ("value-or-end" if char == "[" else "key-or-end"), at + 1
            elif char == '"' or char in "-0123456789tfn":
                end, error = _scalar(text, at)
                if error:
                    return error
                state, at = "after", end
            else:
                return _invalid(text, at, _VALUE)
        elif state in ("key", "key-or-end"):
            if char == "}" and state == "key-or-end":
                stack.pop()
                state, at = "after", at + 1
            elif char == '"':
                end, error = _scalar(text, at)
                if error:
                    return error
                state, at = "colon", end
            else:
                return _invalid(text, at, _KEY)
        elif state == "colon":
            if char != ":":
                return _invalid(text, at, "after object key")
            state, at = "value", at + 1
        elif not stack:
            return _invalid(text, at, "after top-level value")
        else:
            opened = stack[-1]
            if char == ("]" if opened == "[" else "}"):
                stack.pop()
                at += 1
            elif char == ",":
                state, at = ("value" if opened == "[" else "key"), at + 1
            else:
                place = "array element" if opened == "[" else "object key:value pair"
                return _invalid(text, at, f"after {place}")


def _scalar(text: str, at: int) -> tuple[int, GoJSONError | None]:
    """The end of the string, number or literal at ``at``, or what is wrong with it."""
    char = text[at]
    if char == '"':
        whole = _STRING.match(text, at)
        return (whole.end(), None) if whole else (at, _broken_string(text, at))
    if char in _LITERALS:
        return _literal(text, at, _LITERALS[char])
    whole = _NUMBER.match(text, at)
    partial = _end(_PARTIAL_NUMBER, text, at)
    if whole and whole.end() >= partial:
        return whole.end(), None
    last = text[partial - 1]
    if last == ".":
        return at, _invalid(text, partial, "after decimal point in numeric literal")
    if last == "-" and partial == at + 1:
        return at, _invalid(text, partial, "in numeric literal")
    return at, _invalid(text, partial, "in exponent of numeric literal")


def _literal(text: str, at: int, word: str) -> tuple[int, GoJSONError | None]:
    for index in range(1, len(word)):
        if text[at + index : at + index + 1] != word[index]:
            where = f"in literal {word} (expecting {_quoted(word[index])})"
            return at, _invalid(text, at + index, where)
    return at + len(word), None


def _broken_string(text: str, at: int) -> GoJSONError:
    end = _end(_PARTIAL_STRING, text, at)
    if end == len(text):
        return _ended(text)
    if text[end] != "\\":
        return _invalid(text, end, "in string literal")
    if text[end + 1 : end + 2] != "u":
        return _invalid(text, end + 1, "in string escape code")
    bad = end + 2
    while bad < len(text) and text[bad] in "0123456789abcdefABCDEF":
        bad += 1
    return _invalid(text, bad, "in \\u hexadecimal character escape")


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _ended(text: str) -> GoJSONError:
    hint = "a bracket, brace or quote is not closed" if text.strip() else "the text is empty"
    return GoJSONError("unexpected end of JSON input", len(text), hint)


def _invalid(text: str, at: int, where: str) -> GoJSONError:
    char = text[at] if at < len(text) else " "  # Go's scanner feeds itself a space at the end
    hint = ""
    if where in (_KEY, _VALUE) and char in "]}":
        hint = f"JSON takes no comma before {char}" if where == _KEY or char == "]" else ""
    elif where in (_KEY, _VALUE) and char == "'":
        hint = "JSON strings stand in double quotes"
    elif where == _KEY:
        hint = "object keys stand in double quotes"
    elif where == "after top-level value":
        hint = "something follows the JSON value"
    elif where == "after object key":
        hint = "a colon is missing before it"
    elif where.startswith("after ") and char in '"{[':
        hint = "a comma is missing before it"
    elif where == "in string literal":
        hint = "a quote is not closed, or a line break stands inside a string"
    return GoJSONError(f"invalid character {_quoted(char)} {where}", at, hint)


def _quoted(char: str) -> str:
    """A character as Go's scanner shows it; it sees bytes, not characters."""
    if char == "'":
        return r"'\''"
    byte = char.encode("utf-8", "replace")[0]
    shown = _ESCAPES.get(byte)
    if shown is None and (byte < 0x20 or byte == 0x7F):
        shown = f"\\x{byte:02x}"
    if shown is None and (0x80 <= byte <= 0xA0 or byte == 0xAD):
        shown = f"\\u{byte:04x}"
    return f"'{shown or chr(byte)}'"
