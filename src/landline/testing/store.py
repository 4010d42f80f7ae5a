"""The contract among processes: logs over one store, and forked children."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..cursor import Cursor
from ..logs.base import Log, Retention
from .fixtures import LogFixtures, offsets_of
from .tools import PATIENCE, Clock, in_child, in_threads


class SharedStoreContract(LogFixtures):
    """All logs over one store are one, in whatever process."""

    @pytest.fixture
    def other(self, log: Log, make_log: Callable[[Clock], Log], clock: Clock) -> Iterator[Log]:
        """Return a second log over the same store, as another process would have it."""
        other = make_log(clock)
        yield other
        other.close()

    def test_other_log_over_the_same_store_sees_everything(self, log: Log, other: Log) -> None:
        first = log.append("a", "1", Retention(keep=1))
        assert other.tail() == log.tail()
        second = other.append("a", "2", Retention(keep=1))
        assert log.tail() == other.tail() == Cursor(log.epoch, second.offset)
        assert log.read(0, 10) == other.read(0, 10) == [second]
        assert log.floor(["a"]) == other.floor(["a"]) == {"a": first.offset}
        assert log.newest("a") == second
        assert log.channels() == other.channels()

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

    def test_wait_ends_at_an_append_by_another_log(self, log: Log, other: Log) -> None:
        tail = log.tail()
        assert in_threads(lambda: log.wait(tail, PATIENCE), lambda: other.append("a", "1"))[0] is True

    def test_lease_is_one_for_all_logs_over_the_store(self, log: Log, other: Log) -> None:
        assert log.lease("x", 10.0, "me") is True
        assert other.lease("x", 10.0, "you") is False
        assert other.lease("x", 0.0, "me") is True
        assert other.lease("x", 10.0, "you") is True

    def test_forked_child_reads_and_appends(self, log: Log) -> None:
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
        assert len(set(_forked_while_others_append(log))) == 5


class PrivateStoreContract(LogFixtures):
    """Each log is a life of its own, and so is that of a forked child."""

    def test_lives_of_different_logs_have_different_names(self, make_log: Callable[[Clock], Log], clock: Clock) -> None:
        logs = [make_log(clock) for _ in range(20)]
        assert len({log.epoch for log in logs}) == len(logs)

    def test_forked_child_begins_an_empty_life(self, log: Log) -> None:
        log.append("a", "1")
        log.lease("x", 10.0, "parent")
        epoch, offset, kept, leased = in_child(
            lambda: [log.epoch, log.tail().offset, len(log.read(0, 10)), log.lease("x", 10.0, "child")]
        )
        assert epoch != log.epoch
        assert (offset, kept, leased) == (0, 0, True)
        assert log.tail().offset == 1

    def test_child_forked_while_others_append_can_append_too(self, log: Log) -> None:
        assert _forked_while_others_append(log) == [1] * 5


def _forked_while_others_append(log: Log) -> list[int]:
    """Fork five children that append, while a thread of the parent is inside an append at nearly every moment.

    Nothing of that may stay in the child: a lock held, a transaction begun.
    """
    forked = threading.Event()
    begun = [threading.Event(), threading.Event()]

    def publish(own: threading.Event) -> None:
        while not forked.is_set():
            log.append("a", "1")
            own.set()

    def fork() -> list[int]:
        try:
            for own in begun:  # else the children could be forked before there is anything to fork amid
                assert own.wait(PATIENCE)
            return [in_child(lambda: log.append("b", "2").offset) for _ in range(5)]
        finally:
            forked.set()

    offsets: list[int] = in_threads(lambda: publish(begun[0]), lambda: publish(begun[1]), fork)[2]
    return offsets
