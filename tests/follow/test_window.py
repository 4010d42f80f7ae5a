"""The window: nothing is missing, but what it says; bounded; by channel."""

from collections.abc import Iterable, Mapping

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


def extend(window: Window, text: str, lost: Mapping[str, int] | None = None) -> None:
    """Have a window read on to the end of `text`."""
    first = window.end + 1
    window.extend(events(text, first), first + len(text) - 1, lost or {})


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
    extend(window, "abacac")
    assert offsets(window.read(list(channels), after)) == found


def test_read_before_the_window_is_unknown() -> None:
    window = make(3)
    extend(window, "a")
    assert window.read(["a"], 2) is None
    assert window.since(2) is None
    assert offsets(window.read(["a"], 3)) == [4]
    assert offsets(window.since(3)) == [4]


def test_offset_that_is_missing_keeps_the_window_whole_where_no_channel_lost_anything() -> None:
    """It was never given: an append was rolled back."""
    window = make()
    extend(window, "ab a ")
    assert (window.start, window.end) == (0, 5)
    assert offsets(window.read(["a", "b"], 0)) == [1, 2, 4]
    assert offsets(window.since(0)) == [1, 2, 4]
    assert window.lost(0) == []


def test_only_a_channel_that_lost_an_event_is_left_to_the_log() -> None:
    window = make()
    extend(window, "ab")
    extend(window, " ab", {"a": 3})
    assert (window.start, window.end) == (0, 5)
    assert offsets(window.read(["b"], 0)) == [2, 5]
    assert window.read(["c"], 0) == []
    for after, found in [(0, None), (2, None), (3, [4]), (4, [])]:
        assert offsets(window.read(["a"], after)) == found
        assert offsets(window.read(["b", "a"], after)) == (None if found is None else [*found, 5])
        assert window.lost(after) == (["a"] if found is None else [])


def test_what_was_lost_after_the_reading_counts_from_its_end() -> None:
    """The floor has risen above the end meanwhile: what is missing there, the next look finds missing."""
    window = make()
    extend(window, "a b", {"a": 7})
    assert offsets(window.read(["a"], 3)) == []
    extend(window, "bbb a", {"a": 7})
    assert window.read(["a"], 6) is None
    assert offsets(window.read(["a"], 7)) == [8]


def test_channels_that_lost_something_are_named_newest_first_until_the_window_has_left_it_behind() -> None:
    window = make(max_events=4)
    extend(window, "a b c ", {"c": 6, "a": 2, "b": 4})
    assert window.lost(0) == ["c", "b", "a"]
    assert window.lost(2) == ["c", "b"]
    extend(window, " a", {"a": 7})
    assert window.lost(0) == ["a", "c", "b"]
    extend(window, "xxx")
    assert (window.start, window.lost(0)) == (5, ["a", "c"])
    extend(window, "x")
    assert (window.start, window.lost(0)) == (8, [])


def test_channels_that_lost_something_are_bounded_like_events() -> None:
    """Nothing is kept of them, and yet they are many: the window begins behind the oldest."""
    window = make(max_events=3)
    extend(window, "a")
    extend(window, "     ", {name: 2 + index for index, name in enumerate("vwxyz")})
    assert (window.start, window.end, window.lost(0)) == (3, 6, ["z", "y", "x"])
    assert window.since(2) is None
    assert window.read(["a"], 0) is None
    assert window.read(["a"], 3) == []


def test_oldest_events_leave_first() -> None:
    window = make(max_events=3)
    extend(window, "abcde")
    assert (window.start, window.end) == (2, 5)
    assert window.read(["e"], 1) is None
    assert offsets(window.since(2)) == [3, 4, 5]
    assert window.read(["a"], 2) == []


def test_bytes_are_bounded_and_one_event_always_stays() -> None:
    window = make(max_bytes=10_000)
    large = Event("a", 1, 0.0, '"' + "x" * 20_000 + '"')
    window.extend([large], 1, {})
    assert window.read(["a"], 0) == [large]
    extend(window, "a" * 100)
    assert window.start >= 1
    kept = window.since(window.start)
    assert kept is not None
    assert 10 < len(kept) < 30
    assert offsets(kept) == list(range(window.start + 1, 102))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.sampled_from("abc")),
            st.tuples(st.just("trim"), st.sampled_from("abc")),
            st.tuples(st.just("roll back"), st.just("")),
            st.tuples(st.just("look"), st.just("")),
        ),
        max_size=40,
    ),
    st.integers(1, 8),
    st.sets(st.sampled_from("abcd"), max_size=4),
    st.integers(0, 40),
)
def test_window_leaves_nothing_out_unsaid(steps, max_events: int, channels: set[str], after: int) -> None:
    """Whatever is appended, removed and rolled back between two looks: what it answers is all there ever was after the
    offset. And it leaves to the log only what it has let go for want of room, or what was gone before it looked."""
    window, ever, kept, floors, tail, unseen = make(max_events=max_events), [], [], {}, 0, []
    for step, name in [*steps, ("look", "")]:
        if step == "append":
            tail += 1
            ever.append(Event(name, tail, 0.0, "1"))
            kept.append(ever[-1])
        elif step == "roll back":
            tail += 1
        elif step == "trim":
            gone = next((event for event in kept if event.channel == name), None)
            if gone is not None:
                kept.remove(gone)
                floors[name] = gone.offset
                unseen += [gone] if gone.offset > window.end else []
        else:
            begin = window.end
            found = [event for event in kept if event.offset > begin]
            lost = {name: floor for name, floor in floors.items() if floor > begin}
            window.extend(found, tail, lost)
    newer = [event for event in ever if event.offset > after]
    answer = window.read(channels, after)
    if answer is not None:
        assert answer == [event for event in newer if event.channel in channels]
    elif after >= window.start:
        assert any(event.channel in channels and event.offset > after for event in unseen)
    rest = window.since(after)
    if rest is not None:
        lost_now = window.lost(after)
        assert [e for e in rest if e.channel not in lost_now] == [e for e in newer if e.channel not in lost_now]
