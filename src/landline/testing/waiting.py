"""The contract of waiting and of leases."""

from __future__ import annotations

import threading

import pytest

from ..cursor import Cursor
from ..logs.base import Log
from .fixtures import LogFixtures
from .tools import PATIENCE, Clock, in_threads


class WaitingContract(LogFixtures):
    """A wait ends when it should, and a lease has one holder."""

    def test_wait_returns_at_once_when_the_tail_is_another(self, log: Log) -> None:
        before = log.tail()
        log.append("a", "1")
        assert log.wait(before, PATIENCE) is True
        assert log.wait(Cursor("0" * 8, log.tail().offset), PATIENCE) is True

    @pytest.mark.parametrize("timeout", [0.0, 0.03])
    def test_wait_gives_up_after_its_timeout(self, log: Log, timeout: float) -> None:
        log.append("a", "1")
        assert log.wait(log.tail(), timeout) is False

    def test_wait_ends_at_an_append(self, log: Log) -> None:
        for number in range(5):
            tail = log.tail()
            assert in_threads(lambda tail=tail: log.wait(tail, PATIENCE), lambda n=number: log.append("a", str(n)))[0]  # type: ignore[misc]

    @pytest.mark.parametrize("ending", ["wake", "close"])
    def test_wake_and_close_end_a_wait(self, log: Log, ending: str) -> None:
        """Two threads wait for ever; a third ends waits until both have returned."""
        tail = log.tail()
        ended = [threading.Event(), threading.Event()]

        def wait(own: threading.Event) -> bool:
            try:
                return log.wait(tail, 10 * PATIENCE)
            finally:
                own.set()

        def end() -> None:
            # Again and again, for each: from outside a thread cannot see that the other's wait has begun.
            for own in ended:
                while not own.wait(0.005):
                    getattr(log, ending)()

        assert in_threads(lambda: wait(ended[0]), lambda: wait(ended[1]), end)[:2] == [False, False]

    # Leases.

    def test_lease_belongs_to_one_holder_until_it_expires(self, log: Log, clock: Clock) -> None:
        assert log.lease("x", 10.0, "me") is True
        assert log.lease("x", 10.0, "you") is False
        clock.advance(9.999)
        assert log.lease("x", 10.0, "you") is False
        clock.advance(0.002)
        assert log.lease("x", 10.0, "you") is True
        assert log.lease("x", 10.0, "me") is False

    def test_lease_is_extended_by_its_holder(self, log: Log, clock: Clock) -> None:
        assert log.lease("x", 10.0, "me") is True
        clock.advance(9.0)
        assert log.lease("x", 10.0, "me") is True
        clock.advance(9.0)
        assert log.lease("x", 10.0, "you") is False

    @pytest.mark.parametrize("asked", [0.5, 10.0, 600.0])
    def test_lease_from_a_clock_that_was_ahead_has_ended(self, log: Log, clock: Clock, asked: float) -> None:
        assert log.lease("x", asked, "me") is True
        clock.advance(-3600.0)  # set right
        assert log.lease("x", asked, "you") is True
        assert log.lease("x", asked, "me") is False
        clock.advance(asked + 0.001)
        assert log.lease("x", asked, "me") is True

    @pytest.mark.parametrize(("asked", "most"), [(0.5, 60.0), (10.0, 60.0), (600.0, 600.0)])
    def test_lease_may_be_longer_than_another_asks_for(self, log: Log, clock: Clock, asked: float, most: float) -> None:
        assert log.lease("x", most, "me") is True
        assert log.lease("x", asked, "you") is False
        clock.advance(most - 0.001)
        assert log.lease("x", asked, "you") is False
        clock.advance(0.002)
        assert log.lease("x", asked, "you") is True

    def test_lease_of_no_seconds_is_given_back(self, log: Log) -> None:
        assert log.lease("x", 10.0, "me") is True
        assert log.lease("x", 0.0, "me") is True
        assert log.lease("x", 10.0, "you") is True

    def test_leases_of_different_names_do_not_meet(self, log: Log) -> None:
        assert log.lease("x", 10.0, "me") is True
        assert log.lease("y", 10.0, "you") is True

    def test_lease_raced_for_is_won_by_one(self, log: Log) -> None:
        holders = "abcdefgh"
        for number in range(5):
            won = in_threads(*(lambda who=who, n=number: log.lease(f"x{n}", 10.0, who) for who in holders))
            assert won.count(True) == 1

    def test_lease_is_no_event(self, log: Log) -> None:
        log.append("a", "1")
        tail = log.tail()
        log.lease("x", 10.0, "me")
        assert log.tail() == tail
        assert log.wait(tail, 0.0) is False
