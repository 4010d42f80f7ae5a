"""The contract among threads, logs over one store, and forked children."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ..cursor import Cursor
from ..event import Event
from ..logs.base import Log, Retention
from .fixtures import FOR_EVER, LogFixtures, offsets_of
from .tools import Clock, in_child, in_threads


class SharingContract(LogFixtures):
    """Everything may be called from anywhere, and everybody sees the same."""

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
        done = threading.Event()

        def publish() -> None:
            for number in range(200):
                event = log.append("a", str(number), Retention(keep=3, keep_for=None))
                given.append(event)
            done.set()

        def follow() -> None:
            while not done.is_set():
                events = log.read(0, 1000, ["a"])
                readings.append((events, log.floor(["a"]).get("a", 0)))

        in_threads(publish, follow)
        for events, floor in readings:
            if events:
                wanted = [event for event in given if floor < event.offset <= events[-1].offset]
                assert [event for event in events if event.offset > floor] == wanted

    def test_other_log_over_the_same_store_sees_everything(self, log: Log, other: Log) -> None:
        first = log.append("a", "1", Retention(keep=1))
        assert other.tail() == log.tail()
        second = other.append("a", "2", Retention(keep=1))
        assert log.tail() == other.tail() == Cursor(log.epoch, second.offset)
        assert log.read(0, 10) == other.read(0, 10) == [second]
        assert log.floor(["a"]) == other.floor(["a"]) == {"a": first.offset}
        assert log.newest("a") == second
        assert log.channels() == other.channels()

    def test_closed_log_opens_anew_at_the_next_call(self, log: Log) -> None:
        event = log.append("a", "1")
        tail = log.tail()
        log.close()
        log.close()
        assert log.tail() == tail
        assert log.read(0, 10) == [event]
        log.close()
        assert log.append("a", "2").offset > event.offset

    def test_store_outlives_the_log(self, log: Log, other: Log, make_log: Callable[[Clock], Log], clock: Clock) -> None:
        events = [log.append("a", str(number), Retention(2, None)) for number in range(5)]
        tail, floor = log.tail(), log.floor(["a"])
        log.close()
        other.close()
        later = make_log(clock)
        try:
            assert later.tail() == tail
            assert later.read(0, 10) == events[-2:]
            assert later.floor(["a"]) == floor
            assert later.append("a", "5").offset > tail.offset
        finally:
            later.close()

    def test_forked_child_reads_and_appends(self, log: Log) -> None:
        """A shared store is one for parent and child; a memory has a new, empty life in the child."""
        if not self.shared:
            pytest.skip("this log is one process's alone")
        first = log.append("a", "1")
        log.lease("x", 10.0, "parent")

        def child() -> list[Any]:
            seen = offsets_of(log.read(0, 10))
            return [log.epoch, seen, log.append("a", "2").offset, log.lease("x", 10.0, "child")]

        epoch, seen, offset, leased = in_child(child)
        assert (epoch, seen, leased) == (log.epoch, [first.offset], False)
        assert offset > first.offset
        assert offsets_of(log.read(0, 10)) == [first.offset, offset]

    def test_forked_childs_events_outlive_the_parents_log(self, log: Log) -> None:
        """The parent closes, as at its end, while the child goes on appending."""
        if not self.shared:
            pytest.skip("this log is one process's alone")
        log.append("a", "0")
        ready, closed = os.pipe(), os.pipe()

        def child() -> int:
            log.append("a", "1")
            os.write(ready[1], b"x")
            os.read(closed[0], 1)
            return [log.append("a", str(number)) for number in range(2, 7)][-1].offset

        def parent() -> None:
            os.read(ready[0], 1)
            log.close()
            os.write(closed[1], b"x")

        last, _ = in_threads(lambda: in_child(child), parent)
        assert log.tail().offset == last
        assert [event.data for event in log.read(0, 10)] == list(range(7))
        for end in (*ready, *closed):
            os.close(end)

    def test_child_forked_while_others_append_can_append_too(self, log: Log) -> None:
        """A thread of the parent is inside an append at nearly every moment; nothing of it may stay in the child."""
        forked = threading.Event()

        def publish() -> None:
            while not forked.is_set():
                log.append("a", "1")

        def fork() -> list[int]:
            try:
                return [in_child(lambda: log.append("b", "2").offset) for _ in range(5)]
            finally:
                forked.set()

        offsets = in_threads(publish, publish, fork)[2]
        assert len(set(offsets)) == (5 if self.shared else 1)

    def test_forked_child_of_a_memory_has_another_epoch(self, log: Log) -> None:
        if self.shared:
            pytest.skip("parent and child share the store")
        log.append("a", "1")
        log.lease("x", 10.0, "parent")
        epoch, offset, kept, leased = in_child(
            lambda: [log.epoch, log.tail().offset, len(log.read(0, 10)), log.lease("x", 10.0, "child")]
        )
        assert epoch != log.epoch
        assert (offset, kept, leased) == (0, 0, True)
        assert log.tail().offset == 1

    def test_lives_of_different_logs_have_different_names(self, make_log: Callable[[Clock], Log], clock: Clock) -> None:
        if self.shared:
            pytest.skip("one store has one life")
        logs = [make_log(clock) for _ in range(20)]
        assert len({log.epoch for log in logs}) == len(logs)
