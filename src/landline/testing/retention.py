"""The contract of trimming."""

from __future__ import annotations

import pytest

from ..cursor import Cursor
from ..logs.base import ChannelInfo, Log, Retention
from .fixtures import FOR_EVER, LogFixtures
from .tools import Clock


class RetentionContract(LogFixtures):
    """As much is kept as was promised, and what is gone is known to be."""

    @pytest.mark.parametrize("keep", [1, 2, 9, 10, 11, 50])
    def test_keep_holds_the_newest_and_at_most_a_tenth_more(self, log: Log, keep: int) -> None:
        given = []
        for number in range(3 * keep + 5):
            given.append(log.append("a", str(number), Retention(keep, None)))
            kept = log.read(0, 1000, ["a"])
            assert min(len(given), keep) <= len(kept) <= keep + keep // 10
            assert kept == given[-len(kept) :]
            gone = given[: -len(kept)]
            assert log.floor(["a"]).get("a", 0) == (gone[-1].offset if gone else 0)
            assert log.channels() == [ChannelInfo("a", len(kept), kept[0].offset, kept[-1].offset)]

    def test_keep_is_each_channels_own(self, log: Log) -> None:
        events = [log.append("b", str(number), FOR_EVER) for number in range(5)]
        for number in range(20):
            log.append("a", str(number), Retention(2, None))
        assert log.read(0, 100, ["b"]) == events
        assert len(log.read(0, 100, ["a"])) == 2
        assert log.floor(["b"]).get("b", 0) == 0

    def test_without_limits_everything_is_kept(self, log: Log, clock: Clock) -> None:
        for number in range(1200):
            log.append("a", str(number), FOR_EVER)
        clock.advance(1e9)
        assert log.trim() == 0
        assert len(log.read(0, 2000)) == 1200
        assert log.floor(["a"]).get("a", 0) == 0

    def test_keep_lowered_is_reached_by_further_appends(self, log: Log) -> None:
        """Cutting back may take several appends, never leaves a hole, and never goes below `keep`."""
        given = [log.append("a", str(number), FOR_EVER) for number in range(1200)]
        kept = given
        for number in range(20):
            given.append(log.append("a", str(number), Retention(10, None)))
            kept = log.read(0, 2000, ["a"])
            assert kept == given[-len(kept) :]
            assert log.floor(["a"])["a"] == given[-len(kept) - 1].offset
            assert len(kept) >= 10
        assert len(kept) <= 11

    def test_keep_for_removes_what_is_past_it_when_trimmed(self, log: Log, clock: Clock) -> None:
        old = log.append("a", "1", Retention(None, 10.0))
        clock.advance(5.0)
        new = log.append("a", "2", Retention(None, 10.0))
        clock.advance(4.999)
        assert log.trim() == 0
        assert log.read(0, 10) == [old, new]
        clock.advance(0.002)
        assert log.trim() == 1
        assert log.read(0, 10) == log.read(0, 10, ["a"]) == [new]
        assert log.floor(["a"]) == {"a": old.offset}
        assert log.channels() == [ChannelInfo("a", 1, new.offset, new.offset)]
        clock.advance(10.0)
        assert log.trim() == 1
        assert log.floor(["a"]) == {"a": new.offset}
        assert log.channels() == [ChannelInfo("a", 0, None, None)]
        assert log.newest("a") is None
        assert log.trim() == 0

    def test_expired_events_do_not_hide_those_of_another_channel(self, log: Log, clock: Clock) -> None:
        """Two channels with different `keep_for` in one reading (nchan's multiplexed expiry)."""
        first = log.append("short", "1", Retention(None, 1.0))
        long = [log.append("long", "2", Retention(None, 100.0)), log.append("long", "3", FOR_EVER)]
        log.append("short", "4", Retention(None, 1.0))
        clock.advance(2.0)
        assert log.trim() == 2
        assert log.read(0, 10) == log.read(0, 10, ["short", "long"]) == long
        assert log.floor(["short", "long"])["short"] > first.offset
        assert log.floor(["long"]).get("long", 0) == 0

    def test_events_expire_by_their_own_time_not_by_their_order(self, log: Log, clock: Clock) -> None:
        """A channel whose `keep_for` was lowered: the younger event goes first, and the floor says so."""
        old = log.append("a", "1", Retention(None, 100.0))
        young = log.append("a", "2", Retention(None, 1.0))
        clock.advance(2.0)
        assert log.trim() == 1
        assert log.read(0, 10, ["a"]) == [old]
        assert log.floor(["a"]) == {"a": young.offset}
        clock.advance(100.0)
        assert log.trim() == 1
        assert log.floor(["a"]) == {"a": young.offset}

    def test_trim_removes_no_more_than_its_limit(self, log: Log, clock: Clock) -> None:
        for number in range(25):
            log.append("a", str(number), Retention(None, 1.0))
        clock.advance(2.0)
        assert [log.trim(limit=10) for _ in range(4)] == [10, 10, 5, 0]

    def test_event_past_both_limits_is_removed_once(self, log: Log, clock: Clock) -> None:
        for number in range(5):
            log.append("a", str(number), Retention(2, 1.0))
        clock.advance(2.0)
        assert log.trim() == 2
        assert log.channels()[0].kept == 0

    def test_lost_names_the_channels_that_lost_an_event_after_an_offset(self, log: Log, clock: Clock) -> None:
        log.append("whole", "1", FOR_EVER)
        short = log.append("short", "2", Retention(None, 1.0))
        assert log.lost(0) == {}
        one = [log.append("one", "3", Retention(1, None)) for _ in range(3)]
        assert log.lost(0) == {"one": one[1].offset}
        assert log.lost(one[1].offset - 1) == {"one": one[1].offset}
        assert log.lost(one[1].offset) == {}
        clock.advance(2.0)
        log.trim()
        assert log.lost(0) == {"one": one[1].offset, "short": short.offset}
        assert log.lost(short.offset) == {"one": one[1].offset}
        log.append("whole", "4", FOR_EVER)
        assert log.lost(one[2].offset) == {}

    def test_offsets_are_not_given_again_after_trimming(self, log: Log, clock: Clock) -> None:
        last = [log.append("a", str(number), Retention(None, 1.0)) for number in range(3)][-1]
        clock.advance(2.0)
        assert log.trim() == 3
        assert log.tail() == Cursor(log.epoch, last.offset)
        assert log.append("a", "4").offset > last.offset
