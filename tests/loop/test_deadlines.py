"""Deadlines: served in time, once, and each for itself."""

import asyncio
import logging
from typing import Any

import pytest
from landline.loop.deadlines import TICK, Deadlines


class Loop:
    """An event loop whose time is set by the test."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Any]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Any) -> asyncio.TimerHandle:
        timer = (when, callback)
        self.timers.append(timer)

        class Handle:
            def cancel(handle) -> None:  # noqa: N805
                if timer in self.timers:
                    self.timers.remove(timer)

        return Handle()  # type: ignore[return-value]

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            timer = min(due, key=lambda each: each[0])
            self.timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[1]()
        self.now = end


@pytest.fixture
def loop() -> Loop:
    return Loop()


def wheel_of(loop: Loop, serve: Any) -> Deadlines[str]:
    return Deadlines(loop, serve)  # type: ignore[arg-type]


def test_things_are_served_once_and_in_time_by_one_timer(loop: Loop) -> None:
    served: list[tuple[str, float]] = []
    deadlines = wheel_of(loop, lambda item, now: served.append((item, now)))
    for item, when in (("late", 3.0), ("early", 1.0), ("early too", 1.0 - TICK / 2)):
        deadlines.add(item, when)
        assert len(loop.timers) == 1
    loop.advance(10)
    assert served == [("early", 1.0), ("early too", 1.0), ("late", 3.0)]
    assert loop.timers == []


def test_what_is_early_may_be_added_again_while_it_is_served(loop: Loop) -> None:
    served: list[float] = []

    def serve(item: str, now: float) -> None:
        served.append(now)
        if len(served) < 3:
            deadlines.add(item, now + 1)

    deadlines = wheel_of(loop, serve)
    deadlines.add("line", 1.0)
    loop.advance(10)
    assert served == [1.0, 2.0, 3.0]


def test_one_failure_ends_nobody_elses_deadline(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    served: list[str] = []

    def serve(item: str, _now: float) -> None:
        if item == "bad":
            raise RuntimeError("bad luck")
        served.append(item)

    deadlines = wheel_of(loop, serve)
    for item, when in (("bad", 1.0), ("beside it", 1.0), ("after it", 2.0)):
        deadlines.add(item, when)
    with caplog.at_level(logging.ERROR, "flask_landline"):
        loop.advance(10)
    assert served == ["beside it", "after it"]
    assert "bad luck" in caplog.text


def test_lag_is_how_late_the_last_turn_was_or_the_next_one_is(loop: Loop) -> None:
    """A loop that is stuck never tells: so it is asked from outside, by another clock."""
    now = 0.0
    deadlines = Deadlines[str](loop, lambda item, now: deadlines.add(item, now + 10), clock=lambda: now)  # type: ignore[arg-type]
    assert deadlines.lag == 0
    deadlines.add("line", 1.0)
    assert deadlines.lag == 0
    now = 4.0
    assert deadlines.lag == 3
    loop.now = 4.0
    loop.advance(0)
    assert deadlines.lag == 3
    loop.advance(20)
    now = loop.now
    assert deadlines.lag == 0
