"""Polls of readers whose position cannot be proven, and of newcomers: resets and snapshots (WIRE §7, §8)."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import abort
from landline.logs.memory import MemoryLog
from landline.testing import Clock

from tests.apps import Answer, App
from tests.processes import until


def told(answer: Answer) -> list[tuple[str, Any]]:
    return [(event["channel"], event["data"]) for event in answer.json["data"] or []]


# §7: reset.


def test_trimmed_events_are_a_reset_that_names_the_channels(app: App) -> None:
    app.live.channel("short", keep=2)
    app.live.channel("long")
    begin = app.poll("short", "long").cursor
    for number in range(5):
        app.live.publish("short", number)
        app.live.publish("long", number)
    answer = app.poll("short", "long", cursor=begin)
    assert answer.status == 200
    assert answer.json["reset"] == {"channels": ["short"], "reason": "trimmed"}
    assert told(answer) == [("long", 0), ("long", 1), ("long", 2), ("short", 3), ("long", 3), ("short", 4), ("long", 4)]
    assert "reset" not in app.poll("short", "long", cursor=answer.cursor).json
    assert "reset" not in app.poll("long", cursor=begin).json


def test_other_life_of_the_log_is_a_reset(orders: App) -> None:
    orders.live.publish("orders", 1)
    answer = orders.poll("orders", "weather", cursor="00000000-7")
    assert answer.json["reset"] == {"channels": ["orders", "weather"], "reason": "epoch"}
    assert answer.data == [1]
    assert answer.cursor == orders.live.cursor()


def test_cursor_past_the_end_is_a_reset(orders: App) -> None:
    orders.live.publish("orders", 1)
    answer = orders.poll("orders", cursor=f"{orders.runtime.log.epoch}-2")
    assert answer.json["reset"] == {"channels": ["orders"], "reason": "ahead"}
    assert answer.data == [1]


@pytest.mark.parametrize("name", ["orders", "room/3"])
def test_lost_position_is_a_reset_and_then_now(name: str, orders: App) -> None:
    """Of a page that was made while the log could not be read. Nothing that is kept follows, as for `now`."""
    orders.live.publish(name, 1)
    here = orders.live.cursor()
    for headers in ({}, {"if_none_match": f'W/"{here}"'}, {}):  # the third is remembered
        answer = orders.poll(name, "weather", cursor="", wait="20", threads=True, **headers)
        assert answer.status == 200
        assert answer.json["reset"] == {"channels": [name, "weather"], "reason": "unknown"}
        assert (answer.json["data"], answer.cursor) == (None, here)
    orders.live.publish(name, 2)
    later = orders.poll(name, "weather", cursor=here)
    assert later.data == [2]
    assert "reset" not in later.json


def test_lost_position_brings_snapshots_as_to_a_newcomer(app: App) -> None:
    app.live.channel("state").snapshot(lambda: "whole")
    app.live.publish("state", 1)
    answer = app.poll("state", cursor="")
    assert answer.json["reset"] == {"channels": ["state"], "reason": "unknown"}
    assert answer.data == ["whole"]


def test_reset_without_events_brings_a_position_to_go_on_from(orders: App) -> None:
    orders.live.publish("weather", 1)
    answer = orders.poll("orders", cursor="00000000-7")
    assert (answer.json["data"], answer.cursor) == (None, orders.live.cursor())
    assert "reset" not in orders.poll("orders", cursor=answer.cursor).json


def test_expired_events_are_a_reset(make_app: Callable[..., App]) -> None:
    clock = Clock()
    app = make_app(log=MemoryLog(clock=clock), window_events=1)
    app.live.channel("orders", keep_for=10.0)
    app.live.channel("weather")
    begin = app.live.cursor()
    app.live.publish("orders", 1)
    clock.advance(11.0)
    app.runtime.log.trim()
    app.live.publish("weather", 1)
    app.live.publish("weather", 2)
    answer = app.poll("orders", cursor=begin)
    assert answer.json["reset"] == {"channels": ["orders"], "reason": "trimmed"}
    assert answer.json["data"] is None


def test_events_past_their_time_are_not_given_from_memory(make_app: Callable[..., App]) -> None:
    """The window and the answers remembered still have them; the log, which has trimmed them, is asked."""
    app = make_app()
    app.live.channel("orders", keep_for=0.5)
    begin = app.live.cursor()
    app.live.publish("orders", 1)
    first = app.poll("orders", cursor=begin)
    assert first.data in ([1], [])
    until(lambda: app.runtime.log.trim() == 1, 10, "that the event is past its time")
    answer = app.poll("orders", cursor=begin)
    assert answer.json["data"] is None
    assert answer.json["reset"] == {"channels": ["orders"], "reason": "trimmed"}
    assert app.poll("orders", cursor="start").json["data"] is None


def test_more_than_is_kept_is_given_without_a_reset(app: App) -> None:
    """`keep` is the least that is given: `reset` is said only where something is missing."""
    app.live.channel("orders", keep=2)
    begin = app.live.cursor()
    for number in range(5):
        app.live.publish("orders", number)
        app.poll("orders")
    assert [event.payload for event in app.runtime.log.read(0, 10)] == ["3", "4"]
    answer = app.poll("orders", cursor=begin)
    assert answer.data == [0, 1, 2, 3, 4]
    assert "reset" not in answer.json


# §8: snapshot.


@pytest.fixture
def board(app: App) -> App:
    """Return an app with a channel whose state is the sum of what was published, and one without state."""
    app.live.channel("plain")
    total = app.live.channel("total/<name>", keep=2)

    @total.snapshot
    def add_up(name: str) -> dict[str, Any]:
        return {"name": name, "offset": app.runtime.log.tail().offset}

    return app


@pytest.mark.parametrize("cursor", [None, "now"])
def test_newcomer_gets_the_snapshot_ahead_of_everything(cursor: str | None, board: App) -> None:
    board.live.publish("total/a", 1)
    answer = board.poll("total/a", "plain", "total/b", cursor=cursor)
    assert told(answer) == [("total/a", {"name": "a", "offset": 1}), ("total/b", {"name": "b", "offset": 1})]
    assert [event["snapshot"] for event in answer.json["data"]] == [True, True]
    assert [event["offset"] for event in answer.json["data"]] == [1, 1]
    assert answer.cursor == f"{board.runtime.log.epoch}-1"


def test_reader_with_a_position_gets_no_snapshot(board: App) -> None:
    begin = board.poll("total/a").cursor
    board.live.publish("total/a", 1)
    assert board.poll("total/a", cursor=begin).data == [1]
    assert board.poll("total/a", cursor="start").data == [1]


def test_reset_brings_the_snapshots_of_the_channels_it_names(board: App) -> None:
    begin = board.poll("total/a").cursor
    for number in range(5):
        board.live.publish("total/a", number)
    board.live.publish("total/b", 5)
    answer = board.poll("total/b", "total/a", cursor=begin)
    assert answer.json["reset"]["channels"] == ["total/a"]
    assert told(answer) == [
        ("total/a", {"name": "a", "offset": 6}),
        ("total/a", 3),
        ("total/a", 4),
        ("total/b", 5),
    ]


def test_position_is_read_before_the_snapshot_function_runs(app: App) -> None:
    """What is published while it runs is in the next answer, and perhaps in the snapshot too; never in neither."""
    channel = app.live.channel("state")

    @channel.snapshot
    def runtime() -> str:
        channel.publish("meanwhile")
        return "state"

    answer = app.poll("state")
    assert answer.data == ["state"]
    assert answer.json["data"][0]["offset"] == 0
    assert app.poll("state", cursor=answer.cursor).data == ["meanwhile"]


@pytest.mark.parametrize("value", [None, 0, "", [], {"a": "x" * 100_000}])
def test_snapshot_may_be_any_value_of_any_size(value: object, app: App) -> None:
    app.live.channel("state").snapshot(lambda: value)
    assert app.poll("state").data == [value]


def raises_value_error() -> None:
    raise ValueError("the secret of the database")


@pytest.mark.parametrize(
    "function",
    [raises_value_error, lambda: 1 / 0, lambda: {1, 2}, lambda: float("nan"), lambda: abort(404), lambda x: x],
    ids=["error", "zero", "set", "nan", "abort", "arguments"],
)
@pytest.mark.parametrize("cursor", [None, "00000000-1"])
def test_snapshot_that_fails_is_503_and_nothing_else(function, cursor: str | None, app: App, caplog) -> None:
    """Never an empty state in its place: the reader would believe it. It keeps its position and asks again."""
    app.live.channel("state").snapshot(function)
    app.live.publish("state", 1)
    answer = app.poll("state", cursor=cursor)
    assert (answer.status, answer.json["code"]) == (503, "app-failed")
    assert answer.headers["Retry-After"] == "2"
    assert "secret" not in answer.body.decode()
    assert "The snapshot of channel 'state' failed" in caplog.text


def test_context_that_fails_around_the_snapshot_is_503_too(app: App, caplog) -> None:
    """As when a session's store is down, or a teardown function raises."""
    app.live.channel("state").snapshot(lambda: 1)

    @app.flask.teardown_request
    def teardown(_: object) -> None:
        raise ValueError("the secret of the session")

    answer = app.poll("state")
    assert (answer.status, answer.json["code"]) == (503, "app-failed")
    assert "secret" not in answer.body.decode()


def test_snapshot_is_asked_for_anew_each_time(app: App) -> None:
    values = iter([1, 2])
    app.live.channel("state").snapshot(lambda: next(values))
    assert (app.poll("state").data, app.poll("state").data) == ([1], [2])
