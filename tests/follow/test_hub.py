"""The hub: what readers are told of the log, and who is woken when."""

from typing import Any

import pytest
from flask_landline import Event, LogError
from landline.cursor import Cursor, Position, Word
from landline.follow.hub import FRESH, Hub
from landline.logs.registry import Log, Retention
from landline.reading import Reset
from landline.testing import Clock

from tests.spy_log import SpyLog, offsets, publish


@pytest.fixture
def log(spy_log: SpyLog) -> SpyLog:
    return spy_log


@pytest.mark.parametrize(
    ("channels", "position", "told", "cursor", "reason"),
    [
        ("a", Word.NOW, [], 6, None),
        ("a", Word.START, [1, 3, 5], 5, None),
        ("c", Word.START, [], 6, None),
        ("ab", Word.START, [1, 2, 3, 4, 5, 6], 6, None),
        ("a", 0, [1, 3, 5], 5, None),
        ("a", 1, [3, 5], 5, None),
        ("a", 5, [], 5, None),
        ("a", 6, [], 6, None),
        ("c", 2, [], 2, None),
        ("a", 7, [1, 3, 5], 5, "ahead"),
        ("c", 7, [], 6, "ahead"),
        ("a", Cursor("00000000", 3), [1, 3, 5], 5, "epoch"),
        ("c", Cursor("00000000", 3), [], 6, "epoch"),
        ("a", Cursor("00000000", 99), [1, 3, 5], 5, "epoch"),
    ],
)
@pytest.mark.parametrize("opened", ["before", "after"])
def test_reader_is_told_what_its_position_asks_for(
    channels: str, position: Position | int, told: list[int], cursor: int, reason: str | None, opened, make_hub, log
) -> None:
    """The same from the window of a hub that was there all the time, and of one that comes later."""
    hub = make_hub()
    if opened == "before":
        hub.tail()
    publish(log, "ababab")
    if isinstance(position, int):
        position = Cursor(log.epoch, position)
    reading = hub.read(list(channels), position)
    assert offsets(reading) == told
    assert reading.cursor == Cursor(log.epoch, cursor)
    assert reading.tail == Cursor(log.epoch, 6)
    assert reading.reset == (None if reason is None else Reset(tuple(channels), reason))
    assert not reading.more


def test_reader_inside_the_window_does_not_touch_the_events_of_the_log(hub: Hub, log: SpyLog) -> None:
    publish(log, "ab")
    hub.tail()
    log.asked.clear()
    for offset in range(3):
        hub.read(["a", "b"], Cursor(log.epoch, offset))
    assert set(log.asked) <= {"tail"}


@pytest.mark.parametrize("window", [1, 2, 3, 100])
def test_reader_behind_the_window_is_told_all_the_same(window: int, make_hub, log: SpyLog) -> None:
    hub = make_hub(window_events=window)
    hub.tail()
    publish(log, "abababab")
    for after in range(9):
        reading = hub.read(["a"], Cursor(log.epoch, after))
        assert offsets(reading) == [offset for offset in (1, 3, 5, 7) if offset > after]
        assert reading.reset is None


def test_idle_reader_keeps_its_cursor_and_is_moved_on_only_from_behind_the_window(make_hub, log: SpyLog) -> None:
    hub = make_hub(window_events=4)
    publish(log, "a")
    here = hub.read(["a"], Word.START).cursor
    publish(log, "bbbb")
    assert hub.read(["a"], here).cursor == here
    publish(log, "b")
    moved = hub.read(["a"], here)
    assert (moved.cursor, moved.has_news) == (Cursor(log.epoch, 6), False)


def test_pages_lead_through_everything(make_hub, log: SpyLog) -> None:
    """From the log and from the window alike, each answer says whether more is waiting."""
    hub = make_hub(window_events=50)
    publish(log, "ab" * 125)
    at, told, sizes = Cursor(log.epoch, 0), [], []
    while True:
        reading = hub.read(["a", "b"], at)
        told += offsets(reading)
        sizes.append((len(reading.events), reading.more))
        at = reading.cursor
        if not reading.more:
            break
    assert told == list(range(1, 251))
    assert sizes == [(100, True), (100, True), (50, False)]


def test_position_is_covered_where_what_came_after_it_is_in_memory(make_hub, log: SpyLog) -> None:
    """A held poll asks this as its time runs out, and copies no event for it."""
    hub = make_hub(window_events=3)
    assert not hub.covers(Cursor(log.epoch, 0))  # it has not looked at the log yet
    publish(log, "abababab")
    tail = hub.tail()
    positions = [Cursor(log.epoch, offset) for offset in range(tail.offset + 3)] + [Cursor("00000000", tail.offset)]
    log.asked.clear()
    covered = [position for position in positions if hub.covers(position)]
    assert covered == [position for position in positions if hub.news(position) is not None]
    assert [position.offset for position in covered] == [5, 6, 7, 8]
    assert log.asked == []


# Trimmed.


@pytest.mark.parametrize(
    ("after", "told", "trimmed"),
    [(0, [9, 10], "a"), (1, [9, 10], "a"), (7, [9, 10], "a"), (8, [9, 10], ""), (9, [10], ""), (10, [], "")],
)
def test_trimmed_event_after_the_cursor_is_a_reset(after: int, told: list[int], trimmed: str, hub, log) -> None:
    """Channel `a` keeps two; offset 8 was the last to go. Channel `b` kept all, and is not named."""
    publish(log, "b")
    publish(log, "aaaaaaaaa", Retention(2, None))
    reading = hub.read(["b", "a"], Cursor(log.epoch, after))
    assert offsets(reading) == ([1, *told] if after == 0 else told)
    assert reading.reset == (Reset(("a",), "trimmed") if trimmed else None)
    assert hub.read(["b"], Cursor(log.epoch, 0)).reset is None


def test_from_the_start_is_no_reset(hub: Hub, log: SpyLog) -> None:
    publish(log, "aaaa", Retention(2, None))
    reading = hub.read(["a"], Word.START)
    assert (offsets(reading), reading.reset) == ([3, 4], None)


def test_window_that_saw_an_event_tells_it_though_it_is_trimmed(hub: Hub, log: SpyLog) -> None:
    for _ in range(4):
        publish(log, "a", Retention(2, None))
        hub.tail()
    assert [event.offset for event in log.read(0, 10)] == [3, 4]
    reading = hub.read(["a"], Cursor(log.epoch, 0))
    assert (offsets(reading), reading.reset) == ([1, 2, 3, 4], None)


def test_window_that_missed_an_event_says_so(hub: Hub, log: SpyLog) -> None:
    """Two were trimmed before this process looked: it cannot know them."""
    at = hub.tail()
    publish(log, "aaaa", Retention(2, None))
    reading = hub.read(["a"], at)
    assert (offsets(reading), reading.reset) == ([3, 4], Reset(("a",), "trimmed"))


def test_channel_that_loses_events_leaves_the_readers_of_all_others_to_the_window(hub: Hub, log: SpyLog) -> None:
    """One that keeps a single event, and is published to twice between two looks, is the log's business; alone."""
    at = hub.tail()
    for _ in range(3):
        publish(log, "b")
        publish(log, "aa", Retention(1, None))
    hub.invalidate()
    hub.tail()
    log.asked.clear()
    assert offsets(hub.read(["b", "c"], at)) == [1, 4, 7]
    assert (hub.read(["c"], at).cursor, hub.read(["c"], at).reset) == (at, None)
    news = hub.news(at)
    assert news is not None
    assert ([event.offset for event in news.events], news.lost, news.end) == ([1, 4, 7, 9], ["a"], hub.position())
    assert set(log.asked) <= {"tail"}
    reading = hub.read(["a"], at)
    assert (offsets(reading), reading.reset) == ([9], Reset(("a",), "trimmed"))
    assert "read" in log.asked
    later = hub.news(Cursor(log.epoch, 8))
    assert later is not None
    assert later.lost == []


def test_what_a_channel_loses_while_it_is_read_is_not_passed_over(hub: Hub, log: SpyLog, monkeypatch) -> None:
    """The floor is asked after the events were read, so it counts whatever was removed before they were."""
    publish(log, "ab")
    at = hub.tail()
    publish(log, "aaab", Retention(1, None))
    read = log.read

    def trimmed_between(*args: Any) -> list[Event]:
        found = read(*args)
        publish(log, "bb", Retention(1, None))
        return found

    monkeypatch.setattr(log, "read", trimmed_between)
    hub.invalidate()
    hub.tail()
    monkeypatch.undo()
    hub.invalidate()
    for names in ("a", "b", "ab"):
        assert hub.read(list(names), at).reset == Reset(tuple(names), "trimmed")


def test_appends_that_were_rolled_back_cost_no_reader_anything(hub: Hub, log: SpyLog, monkeypatch) -> None:
    """A log of somebody else's may give offsets that no event ever has."""
    at = hub.tail()
    publish(log, "abab")
    for offset in (2, 4):
        log._remove(log._events[offset])
    log._floors.clear()  # as if they had never been given
    hub.invalidate()
    hub.tail()
    log.asked.clear()
    reading = hub.read(["a", "b"], at)
    assert (offsets(reading), reading.reset, reading.tail) == ([1, 3], None, Cursor(log.epoch, 4))
    assert set(log.asked) <= {"tail"}


def test_log_that_has_no_answer_of_its_own_says_what_was_lost(hub: Hub, log: SpyLog, monkeypatch) -> None:
    """One that was written before the question was: the answer is made of the others."""
    monkeypatch.setattr(SpyLog, "lost", Log.lost)
    at = hub.tail()
    publish(log, "b")
    publish(log, "aaa", Retention(1, None))
    hub.invalidate()
    assert hub.read(["a"], at).reset == Reset(("a",), "trimmed")
    assert hub.read(["b"], at).reset is None
    assert log.lost(2) == {"a": 3}


def test_process_that_had_no_readers_does_not_read_all_that_came_meanwhile(make_hub, log: SpyLog) -> None:
    hub = make_hub(window_events=10)
    at = hub.tail()
    publish(log, "ab" * 2000)
    log.asked.clear()
    hub.invalidate()
    assert hub.tail().offset == 4000
    assert log.asked.count("read") == 1
    assert hub.news(at) is None
    assert offsets(hub.read(["a"], at))[:3] == [1, 3, 5]
    assert offsets(hub.read(["a"], Cursor(log.epoch, 3990))) == [3991, 3993, 3995, 3997, 3999]


@pytest.mark.parametrize("count", [999, 1000, 1001, 2000, 2500])
def test_window_takes_what_is_new_whatever_it_is_read_in(count: int, make_hub, log: SpyLog) -> None:
    """The log is read a thousand events at a time, and a hole may stand anywhere."""
    hub = make_hub(window_events=5000)
    at = hub.tail()
    publish(log, "b")
    publish(log, "aa", Retention(1, None))
    publish(log, "b" * (count - 3))
    hub.invalidate()
    assert hub.position() == Cursor(log.epoch, count)
    news = hub.news(at)
    assert news is not None
    assert [event.offset for event in news.events] == [1, *range(3, count + 1)]
    assert news.lost == ["a"]
    assert hub.floor("a") == 2
    assert hub.floor("b") == 0


def test_channel_trimmed_to_nothing_is_a_reset_with_the_tail(hub: Hub, log: SpyLog) -> None:
    publish(log, "a", Retention(None, 0.5))
    publish(log, "b")
    log.trim()
    reading = hub.read(["a"], Cursor(log.epoch, 0))
    assert (offsets(reading), reading.reset, reading.cursor) == ([], Reset(("a",), "trimmed"), Cursor(log.epoch, 2))


def test_newest_events_trimmed_before_anybody_looked_are_passed_over(hub: Hub, log: SpyLog) -> None:
    """The log's end is where it is, though nothing is kept there."""
    publish(log, "aaa", Retention(None, 0.5))
    log.trim()
    assert hub.tail() == Cursor(log.epoch, 3)
    assert hub.read(["a"], Word.NOW).cursor == Cursor(log.epoch, 3)
    publish(log, "a")
    assert offsets(hub.read(["a"], Cursor(log.epoch, 3))) == [4]


def test_event_trimmed_between_reading_and_asking_for_the_floor_is_a_reset(make_hub, log: SpyLog) -> None:
    hub = make_hub(window_events=1)
    publish(log, "aaab")
    hub.tail()
    at = Cursor(log.epoch, 0)

    def trim() -> None:
        publish(log, "aaaaa", Retention(1, None))

    log.before["read"] = trim
    assert hub.read(["a"], at).reset == Reset(("a",), "trimmed")


@pytest.mark.parametrize("channels", [["a"], ["a", "b"]])
def test_what_is_past_its_time_is_asked_of_the_log(channels: list[str], make_hub, log: SpyLog, clock) -> None:
    hub = make_hub(keep_for=lambda name: 10.0 if name == "a" else None, wall=clock)
    begin = hub.tail()
    publish(log, "ab", Retention(None, 10.0))
    assert offsets(hub.read(channels, begin)) == list(range(1, 1 + len(channels)))
    clock.advance(log.read(0, 1)[0].at + 9.9 - clock())
    assert hub.peek(channels, begin, 2) is not None
    clock.advance(0.1)
    assert hub.peek(channels, begin, 2) is None
    assert hub.peek(["b"], begin, 2) is not None
    assert offsets(hub.read(channels, begin)) == list(range(1, 1 + len(channels)))  # nobody has trimmed it yet
    clock.advance(10.0)
    log.trim()
    reading = hub.read(channels, begin)
    assert (offsets(reading), reading.reset) == ([], Reset(tuple(channels), "trimmed"))
    assert offsets(hub.read(channels, Word.START)) == []
    assert hub.lasts([]) is None


# Another life of the log.


@pytest.mark.parametrize(
    ("when", "window", "new"),
    [("tail", 100, ""), ("tail", 1, ""), ("read", 100, "a"), ("read", 1, ""), ("floor", 1, "")],
    ids=["before all", "before all, behind", "catching up", "reading behind", "before the floor"],
)
def test_log_replaced_while_it_is_read_is_a_reset(when: str, window: int, new: str, make_hub, log: SpyLog) -> None:
    """Wherever the change falls, no event of one life is told with a cursor of another."""
    hub = make_hub(window_events=window)
    publish(log, "aaa")
    old = hub.tail()
    publish(log, new)

    def replace() -> None:
        log.reborn()
        publish(log, "ba" * 3)

    hub.invalidate()
    log.before[when] = replace
    reading = hub.read(["a"], Cursor(old.epoch, 1))
    assert log.before == {}
    assert reading.reset == Reset(("a",), "epoch")
    assert offsets(reading) == [2, 4, 6]
    assert {event.epoch for event in reading.events} == {reading.cursor.epoch} == {log.epoch}


# How fresh.


def test_what_another_process_appends_is_seen_when_the_last_look_is_old(hub: Hub, log: SpyLog, clock: Clock) -> None:
    log.hasty = True
    at = hub.read(["a"], Word.NOW).cursor
    publish(log, "a")
    clock.advance(FRESH)
    assert offsets(hub.read(["a"], at)) == [1]


def test_what_this_process_appends_is_seen_at_once(hub: Hub, log: SpyLog) -> None:
    log.hasty = True
    at = hub.read(["a"], Word.NOW).cursor
    publish(log, "a")
    hub.invalidate()
    assert offsets(hub.read(["a"], at)) == [1]


def test_reader_that_was_told_more_elsewhere_is_not_ahead(hub: Hub, log: SpyLog) -> None:
    """It comes from another process, with a cursor that this one has not seen yet."""
    log.hasty = True
    hub.read(["a"], Word.NOW)
    publish(log, "aa")
    reading = hub.read(["a"], Cursor(log.epoch, 2))
    assert reading.reset is None
    assert not reading.has_news


def test_page_rendered_now_knows_what_is_there_now(hub: Hub, log: SpyLog) -> None:
    log.hasty = True
    hub.tail()
    publish(log, "a")
    assert hub.tail() == Cursor(log.epoch, 1)


def test_mark_is_the_same_until_something_is_new(hub: Hub, log: SpyLog, clock: Clock) -> None:
    def generation() -> object:
        clock.advance(1.0)
        return hub.generation()

    first = generation()
    assert generation() is first
    publish(log, "a")
    second = generation()
    assert second is not first
    assert generation() is second
    log.reborn()
    assert generation() is not second
    third = generation()
    publish(log, "a")
    log.reborn()
    publish(log, "a")
    assert generation() is not third


# When the log cannot be read.


def test_failing_log_is_told_and_recovered_from(hub: Hub, log: SpyLog, clock: Clock) -> None:
    publish(log, "a")
    at = hub.read(["a"], Word.START).cursor
    log.failing = True
    clock.advance(1.0)
    for use in (hub.tail, hub.generation, lambda: hub.read(["a"], at)):
        with pytest.raises(LogError, match="out of order"):
            use()
    log.failing = False
    publish(log, "a")
    assert offsets(hub.read(["a"], at)) == [2]


def test_reading_from_behind_the_window_ends_where_the_window_does(make_hub, log: SpyLog) -> None:
    """A grant is held against the revocations the hub knows, and a newer event may stand right behind another one."""
    publish(log, "aaaa")
    hub = make_hub(window_events=1)
    end = hub.tail()
    log.before["read"] = lambda: publish(log, "ra")
    reading = hub.read(("a",), Word.START)
    assert offsets(reading) == [1, 2, 3, 4]
    assert reading.cursor == end
    hub.invalidate()
    assert offsets(hub.read(("a",), reading.cursor)) == [6]
