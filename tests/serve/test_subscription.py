"""One reader's progress, step by step, without I/O: what a host is asked to do, and in which order.

Each test is a conversation: what the generator yields, and what the host sends back or throws in.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from flask_landline import Event, LogError, Refusal
from landline.cursor import Cursor, Position, Word
from landline.reading import Reading, Reset
from landline.serve.subscription import (
    RETRY_PAUSE,
    Call,
    Check,
    Finish,
    Pause,
    Send,
    Services,
    Step,
    Terms,
    Wait,
    progress,
)
from landline.serve.waiting import drive
from landline.testing import Clock

HERE = Cursor("k3f9a2zq", 4)
THERE = Cursor("k3f9a2zq", 7)
NOTHING = Reading((), HERE, HERE)
NEWS = Reading([Event("news", 7, 0.0, "1", "k3f9a2zq")], THERE, THERE)
RESET = Reading((), THERE, THERE, reset=Reset(("news",), "trimmed"))
STATE = Event("news", 7, 0.0, '"all"', "k3f9a2zq", snapshot=True)
FULL = LogError("The disk is full.")
FAILED = Refusal("app-failed", 503, "A function failed.")


class Followed(NamedTuple):
    """What is followed; a held poll ends with the first thing that is sent."""

    ends: bool = False
    names: tuple[str, ...] = ("news",)
    items: tuple[Any, ...] = ()
    site: str = "http://a"


class Process:
    """A process that answers as a script says, and notes what it was asked."""

    def __init__(self, *readings: Reading | Exception, clock: Clock | None = None, due: float = math.inf) -> None:
        self.asked: list[object] = []
        self.clock = clock or Clock(0.0)
        self._readings = list(readings)
        self._due = due
        self.services = Services(self._read, self._snapshots, self._run_due, self.clock)

    def _read(self, names: Sequence[str], position: Position) -> Reading:
        self.asked.append(position)
        found = self._readings.pop(0) if self._readings else NOTHING
        if isinstance(found, Exception):
            raise found
        return found

    def _snapshots(self, items: object, reading: Reading, site: str) -> list[Event]:
        self.asked.append(("snapshots", site))
        return [STATE]

    def _run_due(self, items: object) -> float:
        return self._due


def steps(
    process: Process, *, ends: bool = False, terms: Terms | None = None, position: Position = HERE, may: bool = True
) -> list[Step]:
    """Carry out steps until one waits or finishes; return all that were yielded."""
    seen: list[Step] = []
    running = progress(Followed(ends), process.services, terms or Terms(sources=False), position)
    answer: Any = None
    error: Exception | None = None
    while True:
        step = running.send(answer) if error is None else running.throw(error)
        seen.append(step)
        answer = error = None
        try:
            if isinstance(step, Call):
                answer = step.function()
            elif isinstance(step, Check):
                answer = may
        except (LogError, Refusal) as raised:
            error = raised
        if isinstance(step, Finish):
            assert next(running, None) is None  # nothing comes after it
        if isinstance(step, (Wait, Finish)):
            return seen


def names(seen: list[Step]) -> str:
    return " ".join(type(step).__name__ for step in seen)


@pytest.mark.parametrize(
    ("readings", "ends", "expected"),
    [
        ([], False, "Call Check Wait"),
        ([NEWS], False, "Call Check Send Call Check Wait"),
        ([NEWS, NEWS], False, "Call Check Send Call Check Send Call Check Wait"),
        ([RESET], False, "Call Call Check Send Call Check Wait"),
        ([FULL], False, "Call Pause Call Check Wait"),
        ([FULL, FULL, NEWS], False, "Call Pause Call Pause Call Check Send Call Check Wait"),
        ([], True, "Call Check Wait"),
        ([NEWS], True, "Call Check Finish"),
        ([RESET], True, "Call Call Check Finish"),
        ([FULL], True, "Call Finish"),
    ],
)
def test_steps_come_in_their_order(readings: list[Reading | Exception], ends: bool, expected: str) -> None:
    assert names(steps(Process(*readings), ends=ends)) == expected


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("reading", [NOTHING, NEWS, RESET], ids=["nothing", "news", "reset"])
def test_nothing_that_was_read_is_handed_out_to_a_revoked_reader(reading: Reading, ends: bool) -> None:
    seen = steps(Process(reading), ends=ends, may=False)
    assert seen[-1] == Finish("revoked")
    assert not any(isinstance(step, Send) for step in seen)


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize(("reading", "at_end"), [(NOTHING, False), (NEWS, False), (RESET, True)])
def test_snapshots_are_checked_against_the_logs_end(reading: Reading, at_end: bool, ends: bool) -> None:
    checks = [step for step in steps(Process(reading), ends=ends) if isinstance(step, Check)]
    assert checks[0] == Check(at_end)


def test_snapshots_are_made_for_the_readers_site_and_sent_with_the_reset() -> None:
    process = Process(RESET)
    seen = steps(process)
    assert ("snapshots", "http://a") in process.asked
    assert Send(RESET, [STATE]) in seen


def test_position_moves_with_what_is_sent() -> None:
    process = Process(NEWS, FULL, NOTHING)
    steps(process)
    assert process.asked == [HERE, THERE, THERE]


def test_position_now_is_asked_for_once() -> None:
    """Else what comes between two looks would be passed over."""
    process = Process(Reading((), THERE, THERE), FULL)
    steps(process, position=Word.NOW)
    assert process.asked == [Word.NOW]
    running = progress(Followed(), process.services, Terms(sources=False), Word.NOW)
    assert isinstance(step := next(running), Call)
    assert running.send(Reading((), THERE, THERE)) == Check(False)
    assert step is not None
    assert isinstance(running.send(True), Wait)
    again = next(running)
    assert isinstance(again, Call)
    process.asked.clear()
    with pytest.raises(LogError):
        again.function()
    assert process.asked == [THERE]


@pytest.mark.parametrize(("ends", "why"), [(False, "failed"), (True, "failed")])
def test_function_of_the_app_that_fails_ends_it_with_the_reason(ends: bool, why: str) -> None:
    process = Process(RESET)

    def fail(*_: object) -> list[Event]:
        raise FAILED

    process.services = process.services._replace(snapshots=fail)
    assert steps(process, ends=ends)[-1] == Finish(why, error=FAILED)


def test_log_that_fails_pauses_a_stream_and_answers_a_poll() -> None:
    assert steps(Process(FULL))[1] == Pause(RETRY_PAUSE, FULL)
    assert steps(Process(FULL), ends=True)[-1] == Finish("failed", error=FULL)


@pytest.mark.parametrize(
    ("terms", "why"),
    [(Terms(ends=0.0, sources=False), "over"), (Terms(leaving=lambda: True, sources=False), "leaving")],
)
def test_log_that_fails_keeps_no_stream_beyond_its_time(terms: Terms, why: str) -> None:
    assert steps(Process(FULL), terms=terms)[-1] == Finish(why)


@pytest.mark.parametrize(
    ("terms", "due", "until"),
    [
        (Terms(sources=False), 1.0, math.inf),
        (Terms(), 1.0, 1.0),
        (Terms(keepalive=15.0), 20.0, 15.0),
        (Terms(ends=9.0, keepalive=15.0), 20.0, 9.0),
        (Terms(ends=9.0, keepalive=15.0), 3.0, 3.0),
    ],
)
def test_wait_ends_with_what_is_due_first(terms: Terms, due: float, until: float) -> None:
    step = steps(Process(due=due), terms=terms)[-1]
    assert isinstance(step, Wait)
    assert step.until == until


class Times(NamedTuple):
    """When what happens, by a clock that moves between two looks."""

    terms: Terms
    ends: bool
    moves: list[float]
    expected: str


@pytest.mark.parametrize(
    "times",
    [
        Times(Terms(keepalive=15.0), False, [14.9, 0.1], "Wait Wait Sign Wait"),
        Times(Terms(keepalive=15.0), False, [15.0, 15.0], "Wait Sign Wait Sign Wait"),
        Times(Terms(ends=20.0), True, [19.9, 0.1], "Wait Wait Finish"),
        Times(Terms(ends=20.0, keepalive=15.0), False, [15.0, 5.0], "Wait Sign Wait Finish"),
    ],
)
def test_keepalives_and_ends_come_at_their_times(times: Times) -> None:
    process = Process()
    running = progress(Followed(times.ends), process.services, times.terms, HERE)
    seen: list[str] = []
    moves = list(times.moves)

    def wait(_until: float) -> None:
        seen.append("Wait")
        if not moves:
            raise EOFError
        process.clock.advance(moves.pop(0))

    with suppress(EOFError):
        seen.extend(type(step).__name__ for step in drive(running, check=lambda _: True, wait=wait))
    assert " ".join(seen) == times.expected


@pytest.mark.parametrize(("ends", "reading"), [(False, NOTHING), (True, NOTHING), (False, NEWS)])
def test_process_that_ends_sends_its_readers_away(ends: bool, reading: Reading) -> None:
    finish = steps(Process(reading), ends=ends, terms=Terms(leaving=lambda: True))[-1]
    assert finish == Finish("leaving", reading)


def test_poll_that_has_news_is_answered_with_it_whatever_else_is_true() -> None:
    terms = Terms(ends=0.0, leaving=lambda: True)
    assert steps(Process(NEWS), ends=True, terms=terms)[-1] == Finish("answered", NEWS)


def test_sources_are_run_before_each_reading() -> None:
    process = Process()
    running = progress(Followed(), process.services, Terms(), HERE)
    first = next(running)
    assert isinstance(first, Call)
    assert first.function() == math.inf
    second = running.send(2.0)
    assert isinstance(second, Call)
    assert second.function() == NOTHING


@pytest.mark.parametrize("error", [FULL, FAILED])
def test_what_a_check_raises_is_the_subscriptions(error: Exception) -> None:
    def check(_at_end: bool) -> bool:
        raise error

    running = progress(Followed(ends=True), Process().services, Terms(sources=False), HERE)
    assert list(drive(running, check=check, wait=_never)) == [Finish("failed", error=error)]  # type: ignore[arg-type]


def test_driver_ends_with_the_finish_and_yields_what_is_to_be_sent() -> None:
    clock = Clock(0.0)
    process = Process(FULL, NEWS, clock=clock)
    waits: list[float] = []

    def wait(until: float) -> None:
        waits.append(until)
        clock.advance(until - clock())

    running = progress(Followed(), process.services, Terms(ends=5.0, sources=False), HERE)
    sent = list(drive(running, check=lambda _: True, wait=wait))
    assert sent == [Pause(RETRY_PAUSE, FULL), Send(NEWS), Finish("over", NOTHING)]
    assert waits == [5.0]
    assert next(running, None) is None


def _never(_until: float) -> None:
    raise AssertionError("nothing is waited for")
