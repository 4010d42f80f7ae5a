"""What a reader at some position is told: the rules (WIRE §4, §7)."""

import pytest
from flask_landline import Event
from landline.cursor import Cursor, Position, Word
from landline.reading import PAGE_BYTES, PAGE_EVENTS, Reading, Reset, compare, page

TAIL = Cursor("k3f9a2zq", 1042)


@pytest.mark.parametrize(
    ("position", "after", "reason"),
    [
        (Word.START, 0, None),
        (Cursor("k3f9a2zq", 0), 0, None),
        (Cursor("k3f9a2zq", 7), 7, None),
        (Cursor("k3f9a2zq", 1042), 1042, None),
        (Cursor("k3f9a2zq", 1043), 0, "ahead"),
        (Cursor("k3f9a2zr", 7), 0, "epoch"),
        (Cursor("k3f9a2zr", 1043), 0, "epoch"),
    ],
)
def test_position_is_held_against_the_log(position: Position, after: int, reason: str | None) -> None:
    reset = None if reason is None else Reset(("a", "b"), reason)
    assert compare(position, TAIL, ["a", "b"]) == (after, reset)


def make(sizes: list[int], letter: str = "x") -> list[Event]:
    """Make events whose payloads have these sizes in bytes, quotes included."""
    width = len(letter.encode())
    return [Event("a", 5 + n, 0.0, f'"{letter * ((size - 2) // width)}"') for n, size in enumerate(sizes)]


HERE = Cursor("k3f9a2zq", 4)
KIB = 1024


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([], 0),
        ([10], 1),
        ([10] * 100, 100),
        ([10] * 101, 100),
        ([10] * 500, 100),
        ([64 * KIB] * 3, 3),
        ([60 * KIB] * 6, 4),
        ([300 * KIB], 1),
        ([300 * KIB] * 2, 1),
        ([10, 300 * KIB], 1),
        ([10, 300 * KIB, 10], 1),
    ],
)
@pytest.mark.parametrize("letter", ["x", "é", "𝄞"])
def test_page_ends_at_a_hundred_events_or_256_kib(sizes: list[int], told: int, letter: str) -> None:
    """One event is always told, however large; the cursor is the last told, and `more` says whether to ask on."""
    events = make(sizes, letter)
    reading = page(list(events), HERE, TAIL, None, PAGE_EVENTS)
    assert reading.events == events[:told]
    assert reading.cursor == (Cursor("k3f9a2zq", events[told - 1].offset) if told else HERE)
    assert reading.more == (told < len(events))
    assert sum(len(event.payload.encode()) for event in reading.events) <= max(PAGE_BYTES, 300 * KIB)


def test_pages_follow_each_other_without_hole_or_overlap() -> None:
    rest = make([40 * KIB] * 20 + [10] * 300)
    told: list[Event] = []
    while rest:
        reading = page(rest, HERE, TAIL, None, PAGE_EVENTS)
        told += reading.events
        assert reading.cursor.offset == told[-1].offset
        rest = rest[len(reading.events) :]
        assert reading.more == bool(rest)
    assert told == make([40 * KIB] * 20 + [10] * 300)


def test_limit_may_be_smaller_than_a_page() -> None:
    reading = page(make([10] * 5), HERE, TAIL, None, 2)
    assert len(reading.events) == 2
    assert reading.more


@pytest.mark.parametrize(
    ("events", "reset", "news"),
    [([], None, False), (make([10]), None, True), ([], Reset(("a",), "trimmed"), True)],
)
def test_events_and_resets_are_news(events: list[Event], reset: Reset | None, news: bool) -> None:
    assert Reading(events, HERE, TAIL, reset=reset).has_news is news
