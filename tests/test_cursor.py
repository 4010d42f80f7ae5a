"""Cursors: the table that the browser client reads too, and what no table can list."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from landline.cursor import MAX_OFFSET, Cursor, Word, parse_position

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "cursors.json").read_text())


@pytest.mark.parametrize("row", VECTORS["valid"], ids=lambda row: row["text"])
def test_cursor_is_read_and_written_back(row: dict[str, str]) -> None:
    cursor = parse_position(row["text"])
    assert cursor == Cursor(row["epoch"], int(row["offset"]))
    assert str(cursor) == row["text"]


@pytest.mark.parametrize("text", VECTORS["words"])
def test_words_are_read(text: str) -> None:
    assert parse_position(text) is Word(text)


@pytest.mark.parametrize("row", VECTORS["invalid"], ids=lambda row: f"{row['why']}: {row['text']!a}")
def test_other_text_is_refused(row: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="a cursor is what an earlier answer carried"):
        parse_position(row["text"])


@given(st.text())
def test_no_text_is_read_as_another_cursor(text: str) -> None:
    """What is accepted at all is written back as it came, so no two texts are one cursor."""
    try:
        position = parse_position(text)
    except ValueError:
        return
    assert (position.value if isinstance(position, Word) else str(position)) == text


@given(st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=8, max_size=8), st.integers(0, MAX_OFFSET))
def test_every_cursor_is_safe_in_urls_and_etags(epoch: str, offset: int) -> None:
    text = str(Cursor(epoch, offset))
    assert parse_position(text) == Cursor(epoch, offset)
    assert all(letter.isascii() and (letter.isalnum() or letter == "-") for letter in text)
