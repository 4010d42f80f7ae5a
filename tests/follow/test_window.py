"""The window: contiguous, bounded, by channel."""

from collections.abc import Iterable

import pytest
from flask_landline import Event
from hypothesis import given
from hypothesis import strategies as st
from landline.cursor import Cursor
from landline.follow.window import Window

LARGE = 10**9


def make(start: int = 0, max_events: int = LARGE, max_bytes: int = LARGE) -> Window:
    return Window(Cursor("k3f9a2zq", start), max_events=max_events, max_bytes=max_bytes)


def events(text: str, first: int = 1) -> list[Event]:
    """Name events by their channels; a space is an offset that is not there."""
    return [Event(name, first + index, 0.0, "1") for index, name in enumerate(text) if name != " "]


def offsets(found: Iterable[Event] | None) -> list[int] | None:
    return None if found is None else [event.offset for event in found]


def test_new_window_is_empty_at_its_start() -> None:
    window = make(7)
    assert (window.epoch, window.start, window.end) == ("k3f9a2zq", 7, 7)
    assert window.read(["a"], 7) == []
    assert window.since(7) == []


@pytest.mark.parametrize(
    ("channels", "after", "found"),
    [
        ("a", 0, [1, 3, 5]),
        ("a", 1, [3, 5]),
        ("a", 2, [3, 5]),
        ("a", 5, []),
        ("a", 6, []),
        ("b", 0, [2]),
        ("ab", 0, [1, 2, 3, 5]),
        ("ba", 1, [2, 3, 5]),
        ("cab", 0, [1, 2, 3, 4, 5, 6]),
        ("x", 0, []),
        ("", 0, []),
    ],
)
def test_read_returns_the_channels_events_after_an_offset_in_order(channels: str, after: int, found: list[int]) -> None:
    window = make()
    window.extend(events("abacac"))
    assert offsets(window.read(list(channels), after)) == found


def test_read_before_the_window_is_unknown() -> None:
    window = make(3)
    window.extend(events("a", 4))
    assert window.read(["a"], 2) is None
    assert window.since(2) is None
    assert offsets(window.read(["a"], 3)) == [4]
    assert offsets(window.since(3)) == [4]


def test_events_already_there_are_passed_over() -> None:
    window = make()
    window.extend(events("ab"))
    window.extend(events("abc"))
    assert offsets(window.since(0)) == [1, 2, 3]


def test_gap_begins_the_window_anew_behind_it() -> None:
    """An offset that does not follow may hide a trimmed event: what lies before cannot be proven complete."""
    window = make()
    window.extend(events("ab"))
    window.extend(events("a", 4))
    assert (window.start, window.end) == (3, 4)
    assert window.read(["a"], 2) is None
    assert offsets(window.read(["a", "b"], 3)) == [4]


def test_gap_within_one_extension_is_noticed() -> None:
    window = make()
    window.extend(events("ab ba a"))
    assert window.read(["a"], 5) is None
    assert offsets(window.read(["a"], 6)) == [7]


def test_skip_forgets_everything() -> None:
    window = make()
    window.extend(events("aaa"))
    window.skip(9)
    assert (window.start, window.end) == (9, 9)
    assert window.read(["a"], 8) is None
    assert window.read(["a"], 9) == []
    window.extend(events("a", 10))
    assert offsets(window.read(["a"], 9)) == [10]


def test_oldest_events_leave_first() -> None:
    window = make(max_events=3)
    window.extend(events("abcde"))
    assert (window.start, window.end) == (2, 5)
    assert window.read(["e"], 1) is None
    assert offsets(window.since(2)) == [3, 4, 5]
    assert window.read(["a"], 2) == []


def test_bytes_are_bounded_and_one_event_always_stays() -> None:
    window = make(max_bytes=10_000)
    large = Event("a", 1, 0.0, '"' + "x" * 20_000 + '"')
    window.extend([large])
    assert window.read(["a"], 0) == [large]
    window.extend(events("a" * 100, 2))
    assert window.start >= 1
    kept = window.since(window.start)
    assert kept is not None
    assert 10 < len(kept) < 30
    assert offsets(kept) == list(range(window.start + 1, 102))


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3)), max_size=40),
    st.integers(1, 8),
    st.sets(st.sampled_from("abcd"), max_size=4),
    st.integers(0, 90),
)
def test_window_never_leaves_anything_out(steps, max_events: int, channels: set[str], after: int) -> None:
    """Whatever gaps and sizes: what it answers is all there was after the offset, or that it does not know."""
    window, log, offset = make(max_events=max_events), [], 0
    for channel, step in steps:
        offset += step
        log.append(Event(channel, offset, 0.0, "1"))
        window.extend([log[-1]])
    found = window.read(channels, after)
    newer = [event for event in log if event.offset > after]
    if found is None:
        contiguous = [event.offset for event in newer] == list(range(after + 1, after + 1 + len(newer)))
        assert not contiguous or len(newer) > max_events
    else:
        assert found == [event for event in newer if event.channel in channels]
