"""Sources: asked once for everybody, only while somebody reads, and whatever they do, readers are answered."""

import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask_landline import LogError
from landline.channels.channel import Resolved
from landline.channels.sources import CALL_LEASE, LONGEST_PAUSE, Sources
from landline.logs.memory import MemoryLog
from landline.logs.sqlite.log import SQLiteLog
from landline.testing import Clock, in_threads
from landline.times import Times

from tests.apps import App


class Process:
    """The sources of one process, over a log that others share, with a clock of the test's."""

    def __init__(self, app: App, log: Any, clock: Clock) -> None:
        self.app = app
        self.sources = Sources(
            log, call=self.call, publish=self.publish, encode=app.runtime.encode, clock=lambda: clock() - 1e9
        )
        self.published: list[Any] = []
        self.log = log

    def call(self, function: Callable[..., Any], item: Resolved) -> Any:
        return function(**item.parts)

    def publish(self, name: str, value: Any) -> object:
        self.published.append(value)
        return self.log.append(name, self.app.runtime.encode(value))

    def ask(self, *names: str) -> float:
        return self.sources.run_due(self.app.runtime.resolve(names or ("weather",)))


@pytest.fixture
def processes(app: App, clock: Clock, tmp_path: Path) -> Iterator[list[Process]]:
    """Return three processes' worth of sources, all over one log."""
    logs = [SQLiteLog(tmp_path / "log.db", clock=clock) for _ in range(3)]
    yield [Process(app, log, clock) for log in logs]
    for log in logs:
        log.close()


@pytest.fixture
def process(app: App, clock: Clock) -> Process:
    return Process(app, MemoryLog(clock=clock), clock)


def source(app: App, rule: str = "weather", *, every: float = 2.0, only_changes: bool = False):
    """Declare a channel with a source; return its calls, and what it is to return next."""
    calls: list[dict[str, Any]] = []
    values: list[Any] = []

    @app.live.channel(rule).source(every=every, only_changes=only_changes)
    def new_data_available(**parts: Any) -> Any:
        calls.append(parts)
        value = values.pop(0) if values else None
        if isinstance(value, BaseException):
            raise value
        return value

    return calls, values


# When.


def test_source_is_asked_once_in_its_time_however_many_ask(app: App, process: Process, clock: Clock) -> None:
    calls, _ = source(app, every=2.0)
    for expected in (1, 2, 3):
        for _ in range(10):
            process.ask()
            clock.advance(0.19)
        clock.advance(0.101)
        assert len(calls) == expected


def test_source_is_asked_by_one_process_for_all(app: App, processes: list[Process], clock: Clock) -> None:
    calls, _ = source(app, every=2.0)
    for expected in (1, 2, 3):
        for _ in range(10):
            for process in processes:
                process.ask()
            clock.advance(0.19)
        clock.advance(0.101)
        assert len(calls) == expected


def test_threads_that_ask_at_once_call_once(app: App, processes: list[Process]) -> None:
    calls, _ = source(app)
    in_threads(*(process.ask for process in processes for _ in range(3)))
    assert len(calls) == 1


def test_other_process_takes_over_from_one_that_stopped_asking(
    app: App, processes: list[Process], clock: Clock
) -> None:
    calls, _ = source(app, every=2.0)
    first, second, _ = processes
    first.ask()
    second.ask()
    clock.advance(2.0)
    second.ask()
    assert len(calls) == 2


def test_process_that_dies_in_its_source_is_followed_by_another(
    app: App, processes: list[Process], clock: Clock
) -> None:
    """Its lease lasts as long as a call may take, then another process asks."""
    calls, values = source(app, every=2.0)
    values.append(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        processes[0].ask()
    clock.advance(CALL_LEASE - 0.001)
    processes[1].ask()
    assert len(calls) == 1
    clock.advance(0.51)
    processes[1].ask()
    assert len(calls) == 2


def test_slow_source_is_asked_no_more_often(app: App, process: Process, clock: Clock) -> None:
    """What a call took counts towards `every`."""
    calls = []

    @app.live.channel("weather").source(every=2.0)
    def new_data_available() -> None:
        calls.append(clock())
        clock.advance(1.5)

    for _ in range(40):
        process.ask()
        clock.advance(0.1)
    assert all(2.0 - 1e-6 < after - before < 2.2 for before, after in itertools.pairwise(calls))
    assert len(calls) > 5


def test_quick_source_is_asked_before_a_slow_one(app: App, process: Process, clock: Clock) -> None:
    """Whoever asks waits for both; what the quick one finds is there for all others meanwhile."""
    order: list[str] = []

    @app.live.channel("slow").source(every=0.2)
    def slow() -> None:
        order.append("slow")
        clock.advance(3.0)

    @app.live.channel("quick").source(every=0.2)
    def quick() -> None:
        order.append("quick")

    for _ in range(3):
        process.ask("slow", "quick")
        clock.advance(1.0)
    assert order[:2] == ["slow", "quick"]  # nothing is known of them
    assert order[2:] == ["quick", "slow"] * 2


def test_asking_tells_how_long_to_wait(app: App, process: Process, clock: Clock) -> None:
    source(app, every=2.0)
    assert process.ask() == pytest.approx(2.0)
    clock.advance(1.5)
    assert process.ask() == pytest.approx(0.5)
    clock.advance(0.499999)
    assert process.ask() == pytest.approx(0.01)


def test_channel_without_a_source_is_never_due(app: App, process: Process) -> None:
    app.live.channel("orders")
    assert process.ask("orders") == float("inf")


def test_soonest_source_of_a_request_counts(app: App, process: Process) -> None:
    source(app, "slow", every=60.0)
    source(app, "quick", every=3.0)
    app.live.channel("orders")
    assert process.ask("slow", "orders", "quick") == pytest.approx(3.0)


def test_each_concrete_channel_has_its_own_turn(app: App, process: Process) -> None:
    calls, _ = source(app, "room/<int:room_id>")
    process.ask("room/1", "room/2")
    process.ask("room/1", "room/3")
    assert calls == [{"room_id": 1}, {"room_id": 2}, {"room_id": 3}]


def test_turns_of_channels_nobody_reads_any_more_are_forgotten(app: App, process: Process, clock: Clock) -> None:
    calls, _ = source(app, "room/<int:room_id>")
    for number in range(3000):
        process.ask(f"room/{number}")
        if number % 500 == 499:
            clock.advance(3.0)
    assert len(calls) == 3000
    assert len(process.sources._turns) < 2500
    process.ask("room/2999")
    assert len(calls) == 3001


# What.


@pytest.mark.parametrize("value", [True, False, 0, "", [], {"t": 21.5}])
def test_value_is_published(value: object, app: App, process: Process) -> None:
    _, values = source(app)
    values.append(value)
    process.ask()
    assert process.published == [value]


def test_none_is_nothing_new(app: App, process: Process) -> None:
    source(app)
    process.ask()
    assert process.published == []


def test_equal_values_are_all_published_unless_only_changes(app: App, process: Process, clock: Clock) -> None:
    _, values = source(app)
    values += [1, 1, 1]
    for _ in range(3):
        process.ask()
        clock.advance(2.0)
    assert process.published == [1, 1, 1]


@pytest.mark.parametrize(
    ("values", "published"),
    [
        ([1, 1, 2, 2, 1], [1, 2, 1]),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], [{"a": 1, "b": 2}]),
        ([1, True], [1, True]),
        ([1, 1.0], [1, 1.0]),
        ([0, None, 0], [0]),
        (["1", 1], ["1", 1]),
        ([[], {}], [[], {}]),
    ],
)
def test_only_changes_leaves_out_what_equals_the_newest_event(values, published, app, processes, clock) -> None:
    """Also when another process asks next: the newest event of the log decides."""
    source(app, only_changes=True)[1].extend(values)
    for number in range(len(values)):
        processes[number % 3].ask()
        clock.advance(2.0)
    newest = [event.data for event in processes[0].log.read(0, 100)]
    assert [(type(value), value) for value in newest] == [(type(value), value) for value in published]


def test_event_published_by_hand_counts_as_the_newest(app: App, process: Process, clock: Clock) -> None:
    _, values = source(app, only_changes=True)
    values += [1, 1]
    process.ask()
    process.publish("weather", 2)
    clock.advance(2.0)
    process.ask()
    assert process.published == [1, 2, 1]


# When it fails.


@pytest.mark.parametrize("error", [ValueError("sensor unplugged"), RecursionError(), SystemError()])
def test_failing_source_is_logged_and_asked_ever_more_rarely(error, app, process, clock, caplog) -> None:
    calls, values = source(app, every=2.0)
    values += [error] * 8
    waits = [process.ask()]
    while len(calls) < 8:
        clock.advance(waits[-1] + 1e-6)
        waits.append(process.ask())
    assert waits == pytest.approx([4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE])
    assert all("'weather' failed" in record.message for record in caplog.records)
    clock.advance(waits[-1])
    values.append("back")
    assert process.ask() == pytest.approx(2.0)
    assert process.published == ["back"]
    clock.advance(2.0)
    values.append(error)
    assert process.ask() == pytest.approx(4.0)


def test_source_that_ends_its_thread_is_asked_ever_more_rarely(app: App, process: Process, clock: Clock) -> None:
    """What `sys.exit()` ends is the business of the thread that calls; the next call keeps its pause all the same."""
    calls, values = source(app, every=2.0)
    for pause in (4, 8, 16):
        values.append(SystemExit("a library's"))
        with pytest.raises(SystemExit):
            process.ask()
        assert process.ask() == pytest.approx(pause)
        clock.advance(pause + 1e-6)
    assert len(calls) == 3
    assert process.ask() == pytest.approx(2.0)


def test_source_slower_than_the_longest_pause_keeps_its_own_pace(app: App, process: Process, caplog) -> None:
    _, values = source(app, every=300.0)
    values.append(ValueError())
    assert process.ask() == pytest.approx(300.0)


def test_source_that_fails_for_days_stays_harmless(app: App, process: Process, clock: Clock, caplog) -> None:
    """More failures than a doubled pause can hold."""
    _, values = source(app, every=2.0)
    values += [ValueError()] * 1100
    caplog.set_level(logging.CRITICAL)
    for _ in range(1100):
        clock.advance(process.ask() + 1e-6)
    assert process.ask() == pytest.approx(2.0)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
@pytest.mark.parametrize("only_changes", [False, True])
def test_value_that_cannot_be_published_is_a_failure_of_the_source(
    value, only_changes, app, process, clock, caplog
) -> None:
    _, values = source(app, only_changes=only_changes)
    values += [1, value]
    process.ask()
    clock.advance(2.0)
    assert process.ask() == pytest.approx(4.0)
    assert "published" in caplog.text


def test_log_that_fails_is_no_fault_of_the_source(
    app: App, process: Process, clock: Clock, monkeypatch, caplog
) -> None:
    calls, values = source(app)
    values += [1, 2]

    def fail(*_: object) -> None:
        raise LogError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(process.log, "lease", fail)
        assert process.ask() == pytest.approx(2.0)
    assert calls == []
    clock.advance(2.0)
    with monkeypatch.context() as patch:
        patch.setattr(process.log, "append", fail)
        process.ask()
    assert "was not asked. no room" in caplog.text
    clock.advance(CALL_LEASE)
    process.ask()
    assert process.published == [1, 2]
    assert len(calls) == 2


# Through polls.


def test_nobody_reading_means_nobody_asking(app: App) -> None:
    calls, _ = source(app)
    app.live.channel("orders")
    app.poll("orders")
    app.live.publish("weather", 1)
    assert calls == []


def test_poll_asks_and_gets_what_the_source_tells(app: App) -> None:
    """Also where no thread may run: the poll itself asks."""
    _, values = source(app)
    values.append({"t": 21.5})
    begin = app.live.cursor()
    assert app.poll("weather", cursor=begin).data == [{"t": 21.5}]


def test_poll_that_asks_the_same_as_ever_still_asks_the_source(make_app: Callable[..., App], clock: Clock) -> None:
    """An answer that was remembered would leave the source asleep."""
    app = make_app(times=Times(clock=clock, wall=clock))
    calls, values = source(app)
    values += [None, None, "new"]
    begin = app.live.cursor()
    answers = []
    for _ in range(4):
        answers.append(app.poll("weather", cursor=begin).data)
        clock.advance(2.001)
    assert answers == [[], [], ["new"], ["new"]]
    assert len(calls) == 4


def test_source_is_called_in_an_app_context(app: App) -> None:
    from flask import current_app

    seen = []

    @app.live.channel("weather").source(every=2.0)
    def new_data_available() -> None:
        seen.append(current_app.name)

    app.poll("weather")
    assert seen == [app.flask.name]


@pytest.mark.parametrize("kind", [ValueError, LookupError, ZeroDivisionError])
def test_failing_source_does_not_reach_readers(kind: type[Exception], app: App, caplog) -> None:
    _, values = source(app)
    values.append(kind("sensor unplugged"))
    answer = app.poll("weather")
    assert (answer.status, answer.json["data"]) == (200, None)
    assert "sensor unplugged" not in answer.body.decode()
    assert "sensor unplugged" in caplog.text
