"""From published values to JSON text that every reader gets back as it was."""

import datetime as dt
import decimal
import json
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask_landline import UsageError
from hypothesis import given
from hypothesis import strategies as st
from landline.payload import MAX_DEPTH, encode


@dataclass
class Point:
    x: int


class Unserialisable:
    pass


APP = Flask(__name__)
app_dumps = APP.json.dumps


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def circular() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (None, None),
        (False, False),
        (0, 0),
        (2**80, 2**80),
        ("", ""),
        ("a\nb\r\u2028\x00", "a\nb\r\u2028\x00"),
        ([1, (2, 3)], [1, [2, 3]]),
        ({"b": 1, "a": {"ü": "𝄞"}}, {"a": {"ü": "𝄞"}, "b": 1}),
        ({1: 2}, {"1": 2}),
        (Point(1), {"x": 1}),
        (uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (decimal.Decimal("1.50"), "1.50"),
        (dt.date(2026, 11, 22), "Sun, 22 Nov 2026 00:00:00 GMT"),
        (1e308, 1e308),
        (-0.0, -0.0),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_value_is_encoded_by_the_apps_json_on_one_line(value: object, data: object) -> None:
    text = encode(value, app_dumps)
    assert json.loads(text) == data
    assert "\n" not in text
    assert "\r" not in text


@pytest.mark.parametrize("text", ['{"a": 1}\n', '\n{"a": 1}', '{"a": "\u2028\u2029\x85"}', '["\u2028"]'])
def test_what_any_client_may_take_for_a_line_break_is_taken_out(text: str) -> None:
    """Also at the end, and also what only Python's `splitlines` breaks at: some clients read streams with it."""
    assert encode(None, lambda _: text).splitlines() == [encode(None, lambda _: text)]
    assert json.loads(encode(None, lambda _: text)) == json.loads(text)


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_line_breaks_of_a_pretty_serialiser_are_taken_out(line_break: str) -> None:
    """An event stream ends a field at a line break."""
    text = encode({"a": [1, "x\ny"]}, lambda value: json.dumps(value, indent=2).replace("\n", line_break))
    assert json.loads(text) == {"a": [1, "x\ny"]}
    assert text.splitlines() == [text]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        ([{"x": float("-inf")}], "-Infinity"),
        (Unserialisable(), "Unserialisable"),
        ({"x": {1, 2}}, "set"),
        (b"bytes", "bytes"),
        ({(1, 2): 3}, "dict"),
        ({1: 1, "1": 2, None: 3}, "dict"),
        (circular(), "list"),
        (nested(100_000), "nested too deeply"),
        (10**5000, "int"),
    ],
    ids=lambda value: ascii(value)[:20] if isinstance(value, str) else "",
)
def test_value_that_json_does_not_have_is_refused_with_its_kind(value: object, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        encode(value, app_dumps)
    assert "published" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' twice"),
        ('[{"x": {"b\\u0000": 1, "b\\u0000": 1}}]', r"the key 'b\\x00' twice"),
        ("1e400", "1e400"),
        ("[-1e309]", "-1e309"),
        ("1" + "0" * 400, "1000"),
        ("-" + "9" * 309, "-999"),
        ("\ufeff{}", "BOM"),
        ('{"a": 1} {"b": 2}', "Extra data"),
        ("{'a': 1}", "double quotes"),
        ("", "Expecting value"),
        ('"\x00"', "control character"),
    ],
)
def test_text_that_readers_would_read_differently_is_refused(text: str, words: str) -> None:
    """As a serialiser of the app's own may write it."""
    with pytest.raises(UsageError, match=words):
        encode(None, lambda _: text)


@pytest.mark.parametrize("number", [2**53 + 1, 2**64, 10**308, 2**1023, -(2**1023)])
def test_large_integers_are_sent_digit_by_digit(number: int) -> None:
    assert encode(number, app_dumps) == str(number)


@pytest.mark.parametrize("brackets", ["[]", '{"": }'])
def test_depth_is_limited_before_any_readers_limit(brackets: str) -> None:
    begin, end = brackets[:-1], brackets[-1]

    def nest(depth: int) -> str:
        return begin * (depth - 1) + '["]]][[[\\"[[["]' + end * (depth - 1)

    assert encode(None, lambda _: nest(MAX_DEPTH)) == nest(MAX_DEPTH)
    with pytest.raises(UsageError, match="100 levels can be read everywhere"):
        encode(None, lambda _: nest(MAX_DEPTH + 1))


def test_breadth_is_not_depth() -> None:
    wide = [[["[" * 9]], {"{": {}}] * 500
    assert json.loads(encode(wide, app_dumps)) == wide


def test_text_that_is_no_text_is_refused() -> None:
    """Half of a surrogate pair, as from a badly decoded file name, is no character of UTF-8."""
    with pytest.raises(UsageError, match="surrogates not allowed"):
        encode("\ud800", lambda value: json.dumps(value, ensure_ascii=False))


@pytest.mark.parametrize("letter", ["x", "é", "𝄞"])
def test_size_is_counted_in_bytes(letter: str) -> None:
    def dumps(value: str) -> str:
        return json.dumps(value, ensure_ascii=False)

    width = len(letter.encode())
    value = letter * ((100 - 2) // width)
    size = len(dumps(value).encode())
    assert encode(value, dumps, max_bytes=size) == dumps(value)
    with pytest.raises(UsageError, match=f"{size} bytes .* LANDLINE_MAX_EVENT is {size - 1}.*raise the limit"):
        encode(value, dumps, max_bytes=size - 1)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_every_json_value_comes_back_as_it_was(value: object) -> None:
    text = encode(value, app_dumps)
    assert json.loads(text) == value
    assert not {"\n", "\r"} & set(text)
