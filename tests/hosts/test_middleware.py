"""Polls through WSGI, line by line of the wire's text: answers, pages, caches (WIRE §4)."""

import json
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest

from tests.apps import Answer, App


def told(answer: Answer) -> list[tuple[str, Any]]:
    return [(event["channel"], event["data"]) for event in answer.json["data"] or []]


# §4: the answer.


def test_first_poll_tells_nothing_but_where_to_go_on(orders: App) -> None:
    orders.live.publish("orders", 1)
    answer = orders.poll("orders")
    assert answer.status == 200
    assert answer.json == {
        "data": None,
        "cursor": orders.live.cursor(),
        "advice": {"interval": 2.0, "hold": 0.0, "transports": ["poll"]},
    }


def test_events_are_told_as_the_wire_has_them(orders: App) -> None:
    begin = orders.poll("orders").cursor
    event = orders.live.publish("orders", {"id": 7})
    answer = orders.poll("orders", cursor=begin)
    assert answer.json["data"] == [{"channel": "orders", "offset": event.offset, "at": event.at, "data": {"id": 7}}]
    assert answer.cursor == f"{orders.runtime.log.epoch}-{event.offset}"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert answer.headers["ETag"] == f'W/"{answer.cursor}"'


def test_one_poll_carries_many_channels_in_their_mutual_order(orders: App) -> None:
    for number, name in enumerate(["orders", "room/3", "weather", "orders", "room/4"]):
        orders.live.publish(name, number)
    answer = orders.poll("room/3", "orders", "weather", cursor="start")
    assert told(answer) == [("orders", 0), ("room/3", 1), ("weather", 2), ("orders", 3)]


def test_now_and_start_are_the_two_ends(orders: App) -> None:
    orders.live.publish("orders", 1)
    assert orders.poll("orders", cursor="now").data == []
    assert orders.poll("orders", cursor="start").data == [1]
    assert orders.poll("orders", cursor="now").cursor == orders.poll("orders").cursor


def test_reading_consumes_nothing(orders: App) -> None:
    begin = orders.poll("orders").cursor
    orders.live.publish("orders", 1)
    answers = [orders.poll("orders", cursor=begin).body for _ in range(3)]
    assert len(set(answers)) == 1
    after = orders.poll("orders", cursor=json.loads(answers[0])["cursor"])
    assert after.json["data"] is None


def test_cursor_stays_while_nothing_is_new_however_busy_the_others_are(orders: App) -> None:
    begin = orders.poll("orders").cursor
    for number in range(50):
        orders.live.publish("weather", number)
        answer = orders.poll("orders", cursor=begin)
        assert (answer.json["data"], answer.cursor) == (None, begin)


def test_reader_left_far_behind_is_moved_on(make_app: Callable[..., App]) -> None:
    app = make_app(window_events=3)
    app.live.channel("orders")
    app.live.channel("weather")
    begin = app.poll("orders").cursor
    for number in range(10):
        app.live.publish("weather", number)
    answer = app.poll("orders", cursor=begin)
    assert answer.json["data"] is None
    assert answer.cursor == app.live.cursor()
    app.live.publish("orders", "new")
    assert app.poll("orders", cursor=begin).data == app.poll("orders", cursor=answer.cursor).data == ["new"]


def test_idle_answer_is_remembered_no_longer_than_it_is_true(orders: App) -> None:
    """Asked twice, the same bytes; and after a publish, at once the news, also for `now`."""
    begin = orders.poll("orders").cursor
    assert orders.poll("orders", cursor=begin).body == orders.poll("orders", cursor=begin).body
    assert orders.poll("orders").body == orders.poll("orders").body
    event = orders.live.publish("orders", 1)
    assert orders.poll("orders", cursor=begin).data == [1]
    assert orders.poll("orders").cursor == f"{orders.runtime.log.epoch}-{event.offset}"
    assert orders.poll("weather", cursor=begin).json["data"] is None
    orders.live.publish("weather", 2)
    assert orders.poll("weather", cursor=begin).data == [2]


def test_news_for_many_are_read_once(orders: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right after an event all who were up to date ask the same."""
    begin = orders.poll("orders").cursor
    orders.live.publish("orders", "news")
    reads = Mock(wraps=orders.runtime.hub.read)
    monkeypatch.setattr(orders.runtime.hub, "read", reads)
    answers = [orders.poll("orders", cursor=begin) for _ in range(5)]
    assert [answer.data for answer in answers] == [["news"]] * 5
    assert reads.call_count == 1
    orders.live.publish("orders", "more")
    assert orders.poll("orders", cursor=begin).data == ["news", "more"]


def test_answer_remembered_for_one_server_is_not_given_to_another(orders: App) -> None:
    begin = orders.poll("orders").cursor
    assert orders.poll("orders", cursor=begin).json["advice"]["transports"] == ["poll"]
    assert orders.poll("orders", cursor=begin, threads=True).json["advice"]["transports"] == ["long-poll", "poll"]
    assert orders.poll("orders", cursor=begin).json["advice"]["hold"] == 0.0


# §4: paging.


def test_hundred_events_fit_in_one_answer_and_more_is_asked_for_at_once(orders: App) -> None:
    for number in range(250):
        orders.live.publish("orders", number)
    at, sizes, data = "start", [], []
    while True:
        answer = orders.poll("orders", cursor=at)
        at = answer.cursor
        data += answer.data
        sizes.append((len(answer.data), answer.json["advice"]["interval"]))
        if answer.json["advice"]["interval"]:
            break
    assert sizes == [(100, 0), (100, 0), (50, 2.0)]
    assert data == list(range(250))


def test_exactly_a_hundred_events_are_one_answer(orders: App) -> None:
    for number in range(100):
        orders.live.publish("orders", number)
    answer = orders.poll("orders", cursor="start")
    assert (len(answer.data), answer.json["advice"]["interval"]) == (100, 2.0)


@pytest.mark.parametrize("letter", ["x", "é"])
def test_256_kib_fit_in_one_answer(letter: str, make_app: Callable[..., App]) -> None:
    app = make_app(max_event=200_000)
    app.flask.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.live.channel("orders")
    for number in range(5):
        app.live.publish("orders", [number, letter * (100_000 // len(letter.encode()))])
    answer = app.poll("orders", cursor="start")
    assert [value[0] for value in answer.data] == [0, 1]
    assert len(answer.body) < 256 * 1024
    assert answer.json["advice"]["interval"] == 0


@pytest.mark.parametrize("size", [5, 1000, 65_000, 900_000])
def test_large_event_comes_whole(size: int, make_app: Callable[..., App]) -> None:
    app = make_app(max_event=1_000_000)
    app.live.channel("orders")
    app.live.publish("orders", "x" * size)
    app.live.publish("orders", "y")
    assert app.poll("orders", cursor="start").data[0] == "x" * size


def test_queue_of_large_events_comes_one_by_one(make_app: Callable[..., App]) -> None:
    """nchan's 30 messages of 2 MB: nothing is lost, and no answer holds two."""
    app = make_app(max_event=3_000_000, log="sqlite:", synchronous="NORMAL", window_bytes=5_000_000)
    app.live.channel("orders")
    for number in range(30):
        app.live.publish("orders", [number, "x" * 2_000_000])
    at, numbers = "start", []
    while True:
        answer = app.poll("orders", cursor=at)
        at = answer.cursor
        numbers.append([value[0] for value in answer.data])
        if answer.json["advice"]["interval"]:
            break
    assert numbers == [[number] for number in range(30)]


@pytest.mark.parametrize("value", [None, "", [], {}, 0, False])
def test_empty_values_are_events(value: object, orders: App) -> None:
    begin = orders.poll("orders").cursor
    orders.live.publish("orders", value)
    assert orders.poll("orders", cursor=begin).data == [value]


# §4: ETag, HEAD, caches.


def test_not_modified_while_nothing_is_new(orders: App) -> None:
    first = orders.poll("orders")
    answer = orders.poll("orders", cursor=first.cursor, if_none_match=first.headers["ETag"])
    assert (answer.status, answer.body) == (304, b"")
    assert (answer.headers["Landline-Interval"], answer.headers["Landline-Hold"]) == ("2", "0")
    assert answer.headers["ETag"] == first.headers["ETag"]
    assert "Content-Type" not in answer.headers
    orders.live.publish("orders", 1)
    assert orders.poll("orders", cursor=first.cursor, if_none_match=first.headers["ETag"]).data == [1]


@pytest.mark.parametrize("etag", ['W/"other"', "*", "", '"', "x" * 10_000, "\xff"])
def test_other_etag_is_answered_in_full(etag: str, orders: App) -> None:
    assert orders.poll("orders", if_none_match=etag).status == 200


def test_conditional_answer_is_not_given_to_others(orders: App) -> None:
    first = orders.poll("orders")
    assert orders.poll("orders", cursor=first.cursor, if_none_match=first.headers["ETag"]).status == 304
    assert orders.poll("orders", cursor=first.cursor).status == 200


@pytest.mark.parametrize("query", ["channel=orders", "channel=orders&cursor=start", "channel=nothing", ""])
def test_head_is_a_get_without_its_body(query: str, orders: App) -> None:
    orders.live.publish("orders", 1)
    get, head = orders.ask(query), orders.ask(query, method="HEAD")
    assert head.status == get.status
    assert head.body == b""
    assert head.headers.items() == get.headers.items()


def test_head_is_not_held(orders: App, monkeypatch) -> None:
    monkeypatch.delattr("landline.hosts.wsgi.in_place.BlockingHolds.hold")
    cursor = orders.poll("orders").cursor
    assert orders.ask(f"channel=orders&cursor={cursor}&wait=20", method="HEAD", threads=True).status == 200


def test_answers_are_not_stored_unless_the_app_says_so(orders: App) -> None:
    for query in ("channel=orders", "channel=orders&cursor=start", "channel=nothing"):
        assert orders.ask(query).headers["Cache-Control"] == "no-store"


def test_shared_cache_may_keep_answers_but_no_refusals(make_app: Callable[..., App]) -> None:
    app = make_app(shared_cache=3)
    app.live.channel("orders")
    first = app.poll("orders")
    assert first.headers["Cache-Control"] == "public, max-age=0, s-maxage=3"
    cached = app.poll("orders", cursor=first.cursor, if_none_match=first.headers["ETag"])
    assert (cached.status, cached.headers["Cache-Control"]) == (304, "public, max-age=0, s-maxage=3")
    assert app.poll("nothing").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("config", "threads", "hold", "transports"),
    [
        ({}, False, 0.0, ["poll"]),
        ({}, True, 20.0, ["long-poll", "poll"]),
        ({"hold": 5}, True, 5, ["long-poll", "poll"]),
        ({"hold": 0}, True, 0, ["poll"]),
        ({"held_threads": 0}, True, 0.0, ["poll"]),
        ({"interval": 0.25}, False, 0.0, ["poll"]),
    ],
)
def test_advice_never_offers_what_would_fail(
    config, threads: bool, hold: float, transports: list[str], make_app
) -> None:
    app = make_app(**config)
    app.live.channel("orders")
    advice = {"interval": config.get("interval", 2.0), "hold": hold, "transports": transports}
    assert app.poll("orders", threads=threads).json["advice"] == advice
