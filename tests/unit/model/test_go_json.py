"""JSON as Go reads it; the expected messages are those of Go's encoding/json."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_multinet.model.go_json import GoJSONError, go_get, loads, locate

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=15,
)


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        ("", "unexpected end of JSON input", 0),
        ("{", "unexpected end of JSON input", 1),
        ('{"a": [1, 2', "unexpected end of JSON input", 11),
        ('"abc', "unexpected end of JSON input", 4),
        ("not json", "invalid character 'o' in literal null (expecting 'u')", 1),
        ("{notjson}", "invalid character 'n' looking for beginning of object key string", 1),
        ("{'a': 1}", r"invalid character '\'' looking for beginning of object key string", 1),
        ('{"a": 1,}', "invalid character '}' looking for beginning of object key string", 8),
        ("[1,]", "invalid character ']' looking for beginning of value", 3),
        ('{"a":}', "invalid character '}' looking for beginning of value", 5),
        ("[1 2]", "invalid character '2' after array element", 3),
        ('{"a" 1}', "invalid character '1' after object key", 5),
        ('{"a":1 "b":2}', "invalid character '\"' after object key:value pair", 7),
        ("{} x", "invalid character 'x' after top-level value", 3),
        ("01", "invalid character '1' after top-level value", 1),
        ("-x", "invalid character 'x' in numeric literal", 1),
        ("1.x", "invalid character 'x' after decimal point in numeric literal", 2),
        ("1e+x", "invalid character 'x' in exponent of numeric literal", 3),
        ("-", "invalid character ' ' in numeric literal", 1),
        ("tru", "invalid character ' ' in literal true (expecting 'e')", 3),
        ('"a\nb"', r"invalid character '\n' in string literal", 2),
        ('"\x01"', r"invalid character '\x01' in string literal", 1),
        (r'"\x"', "invalid character 'x' in string escape code", 2),
        (r'"\u12g4"', r"invalid character 'g' in \u hexadecimal character escape", 5),
        ("NaN", "invalid character 'N' looking for beginning of value", 0),
        ("[-Infinity]", "invalid character 'I' in numeric literal", 2),
        ("é", "invalid character 'Ã' looking for beginning of value", 0),
        ("\ufeff{}", "invalid character 'ï' looking for beginning of value", 0),
        (
            "[1e999]",
            "json: cannot unmarshal number 1e999 into Go value of type float64",
            1,
        ),
        ("9" * 5000, "json: cannot unmarshal number into Go value of type float64", 0),
        ("[" * 100_000, "exceeded max depth", 0),
    ],
)
def test_the_message_is_the_one_of_go(text: str, message: str, offset: int) -> None:
    with pytest.raises(GoJSONError) as caught:
        loads(text)
    assert (caught.value.message, caught.value.offset) == (message, offset)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('{"a": 1,}', "no comma before }"),
        ("[1,]", "no comma before ]"),
        ("{'a': 1}", "double quotes"),
        ("{a: 1}", "keys stand in double quotes"),
        ('["a" "b"]', "a comma is missing"),
        ('{"a" 1}', "a colon is missing"),
        ("[[1]", "not closed"),
        ("[]]", "follows the JSON value"),
        ("  ", "empty"),
        ('["a\n"]', "line break"),
    ],
)
def test_the_hint_says_what_to_do(text: str, hint: str) -> None:
    with pytest.raises(GoJSONError) as caught:
        loads(text)
    assert hint in caught.value.hint


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_what_json_writes_is_read_back(value: object) -> None:
    assert loads(json.dumps(value)) == value


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='[]{}:,"\\0123456789.-+eEtrufalsn \n\té', max_size=30))
def test_any_text_is_a_value_or_an_error_with_a_place_in_it(text: str) -> None:
    place = 0
    try:
        loads(text)
    except GoJSONError as error:
        place = error.offset
    assert 0 <= place <= len(text)


@pytest.mark.parametrize("text", [r'"\ud800"', '"\ud800"'])
def test_half_a_surrogate_pair_is_replaced_as_go_does(text: str) -> None:
    assert loads(text) == "\ufffd"
    assert loads(f'{{"k": [{text}]}}') == {"k": ["\ufffd"]}


def test_a_surrogate_pair_is_one_character() -> None:
    assert loads(r'"\ud83d\ude00"') == "😀"


def test_keys_are_found_without_regard_to_case() -> None:
    assert go_get({"CNIVersion": "1.0.0"}, "cniVersion") == "1.0.0"


def test_an_exact_key_wins() -> None:
    assert go_get({"TYPE": "a", "type": "b", "Type": "c"}, "type") == "b"


def test_an_absent_key_gives_the_default() -> None:
    assert go_get({"a": 1}, "b") is None
    assert go_get({"a": 1}, "b", 2) == 2


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_every_value_is_located_where_it_stands(value: object) -> None:
    text = json.dumps(value, indent=1)

    def walk(item: object, path: tuple[str | int, ...]) -> None:
        at = locate(text, path)
        assert at is not None
        found = json.JSONDecoder().raw_decode(text, at)[0]
        assert found == item or _folds_together(path)
        if isinstance(item, dict):
            for key, inner in item.items():
                walk(inner, (*path, key))
        elif isinstance(item, list):
            for index, inner in enumerate(item):
                walk(inner, (*path, index))

    def _folds_together(path: tuple[str | int, ...]) -> bool:
        texts = [part for part in path if isinstance(part, str)]
        return any(text.casefold() != text for text in texts)

    walk(value, ())


def test_a_path_that_does_not_exist_is_located_at_what_should_contain_it() -> None:
    text = '[{"a": {"b": 1}}]'
    assert locate(text, (0, "a", "c")) == text.index('{"b"')
    assert locate(text, (3,)) == 0
    assert locate(text, ("x",)) == 0


def test_nothing_is_located_in_a_broken_text() -> None:
    assert locate("[1, oops, 2]", (2,)) is None
