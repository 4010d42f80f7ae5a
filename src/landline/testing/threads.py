"""The contract among threads."""

from __future__ import annotations

import threading

from ..event import Event
from ..logs.base import Log, Retention
from .fixtures import FOR_EVER, LogFixtures, offsets_of
from .tools import PATIENCE, in_threads


class ThreadsContract(LogFixtures):
    """Everything may be called from any thread, and all see the same."""

    def test_concurrent_appends_get_distinct_offsets_in_each_threads_order(self, log: Log) -> None:
        """Each event is there when its append returns, and each thread's events stand in its own order."""

        def publish(name: str) -> list[int]:
            offsets = []
            for number in range(40):
                event = log.append(name, str(number), FOR_EVER)
                assert log.read(event.offset - 1, 1) == [event]
                assert log.tail().offset >= event.offset
                offsets.append(event.offset)
            return offsets

        names = "abcdefgh"
        given = in_threads(*(lambda name=name: publish(name) for name in names))
        assert all(offsets == sorted(offsets) for offsets in given)
        events = log.read(0, 1000)
        assert offsets_of(events) == sorted(offset for offsets in given for offset in offsets)
        for name, offsets in zip(names, given, strict=True):
            assert [(event.offset, event.data) for event in events if event.channel == name] == [
                (offset, number) for number, offset in enumerate(offsets)
            ]

    def test_reader_never_finds_an_event_at_or_below_what_it_saw(self, log: Log) -> None:
        """While others append, a reader that only ever asks for what comes next ends with all there is."""
        count = 100
        seen: list[Event] = []

        def publish() -> None:
            for number in range(count):
                log.append("a", str(number), FOR_EVER)

        def follow() -> None:
            at = 0
            while len(seen) < 3 * count:
                tail = log.tail()
                page = log.read(at, 7)
                assert not page or page[-1].offset <= log.tail().offset
                assert len(page) == 7 or not page or page[-1].offset >= tail.offset
                seen.extend(page)
                at = page[-1].offset if page else at

        in_threads(publish, publish, publish, follow)
        assert seen == log.read(0, 1000)

    def test_events_read_before_the_floor_are_complete_down_to_it(self, log: Log) -> None:
        """A reader that asks for the floor after reading notices every event that was trimmed under it."""
        given: list[Event] = []
        readings: list[tuple[list[Event], int]] = []
        done, looked = threading.Event(), threading.Event()

        def publish() -> None:
            try:
                for number in range(200):
                    event = log.append("a", str(number), Retention(keep=3, keep_for=None))
                    given.append(event)
                    if number == 20:  # a reader that has not begun by now begins among the appends that follow
                        assert looked.wait(PATIENCE)
            finally:
                done.set()

        def follow() -> None:
            while not done.is_set():
                events = log.read(0, 1000, ["a"])
                if events:
                    readings.append((events, log.floor(["a"]).get("a", 0)))
                    looked.set()

        in_threads(publish, follow)
        assert readings
        for events, floor in readings:
            wanted = [event for event in given if floor < event.offset <= events[-1].offset]
            assert [event for event in events if event.offset > floor] == wanted

    def test_closed_log_opens_anew_at_the_next_call(self, log: Log) -> None:
        event = log.append("a", "1")
        tail = log.tail()
        log.close()
        log.close()
        assert log.tail() == tail
        assert log.read(0, 10) == [event]
        log.close()
        assert log.append("a", "2").offset > event.offset
