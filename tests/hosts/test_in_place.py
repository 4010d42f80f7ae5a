"""Polls held in threads of the server: answered at once when there is something, on time when there is not."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from flask_landline import LogError
from landline.hosts.wsgi import in_place as places_module
from landline.testing import in_threads

from tests.apps import Answer, App
from tests.processes import until

LONG = "20"
"""A wait that no test sits out: what is held for it is answered for another reason."""


def holding(app: App) -> int:
    """Return how many polls are held now."""
    wsgi_app: object = app.flask.wsgi_app
    held: int = wsgi_app._threads._held  # type: ignore[attr-defined]
    return held


@contextmanager
def held(app: App, *polls: Callable[[], Answer]) -> Iterator[list[Answer]]:
    """Make polls in threads; the block runs when all are held, and the answers are there after it."""
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda poll=poll: answers.append(poll())) for poll in polls]
    before = holding(app)
    for thread in threads:
        thread.start()
    until(lambda: holding(app) == before + len(polls), 10.0, "held polls")
    try:
        yield answers
    finally:
        for thread in threads:
            thread.join(10.0)
        assert not any(thread.is_alive() for thread in threads)


def test_held_poll_is_answered_at_a_publish(orders: App) -> None:
    begin = orders.poll("orders").cursor
    with held(orders, lambda: orders.poll("orders", cursor=begin, wait=LONG, threads=True)) as answers:
        orders.live.publish("orders", 1)
    assert answers[0].data == [1]
    assert answers[0].cursor == orders.live.cursor()
    assert holding(orders) == 0


def test_address_that_holds_as_many_as_it_may_is_answered_at_once(make_app: Callable[..., App]) -> None:
    """All come from one address here; what is held for it makes room when it ends."""
    app = make_app(held_threads=5, max_held_per_address=1)
    app.live.channel("orders")

    def poll() -> Answer:
        return app.poll("orders", cursor=app.live.cursor(), wait=LONG, threads=True)

    for number in range(2):
        with held(app, poll) as answers:
            assert poll().data == []
            assert holding(app) == 1
            app.live.publish("orders", number)
        assert answers[0].data == [number]


def test_held_poll_is_answered_at_an_append_by_another_process(make_app: Callable[..., App]) -> None:
    """Which tells nobody here; the follower finds it."""
    app = make_app(log="sqlite:")
    app.live.channel("orders")
    begin = app.poll("orders").cursor
    other = make_app(log="sqlite:")
    other.live.channel("orders")
    with held(app, lambda: app.poll("orders", cursor=begin, wait=LONG, threads=True)) as answers:
        other.live.publish("orders", 1)
    assert answers[0].data == [1]


def test_held_poll_of_a_newcomer_is_held_from_now(orders: App) -> None:
    """Without a cursor the first answer is the first event (message_bus: "polling on -1")."""
    with held(orders, lambda: orders.poll("orders", wait=LONG, threads=True)) as answers:
        orders.live.publish("orders", 1)
    assert answers[0].data == [1]


def test_events_of_other_channels_do_not_end_a_held_poll(orders: App) -> None:
    begin = orders.poll("orders").cursor
    with held(orders, lambda: orders.poll("orders", cursor=begin, wait=LONG, threads=True)) as answers:
        for number in range(20):
            orders.live.publish("weather", number)
        assert orders.poll("weather", cursor="start").data == list(range(20))
        assert answers == []
        orders.live.publish("orders", 1)
    assert answers[0].data == [1]


def test_two_held_polls_are_both_answered(orders: App) -> None:
    def poll() -> Answer:
        return orders.poll("orders", wait=LONG, threads=True)

    with held(orders, poll, poll) as answers:
        orders.live.publish("orders", 1)
    assert [answer.data for answer in answers] == [[1], [1]]


def test_held_poll_is_answered_when_its_time_is_up(orders: App) -> None:
    """Not an error, and the cursor stays: the reader asks the same again."""
    begin = orders.poll("orders").cursor
    began = time.monotonic()
    answer = orders.poll("orders", cursor=begin, wait="0.05", threads=True)
    assert 0.05 <= time.monotonic() - began < 5.0
    assert (answer.status, answer.json["data"], answer.cursor) == (200, None, begin)
    assert answer.json["advice"] == {"interval": 2.0, "hold": 20.0, "transports": ["long-poll", "poll"]}


def test_held_poll_ends_with_its_grant(make_app: Callable[..., App]) -> None:
    """Granted for a second, it is answered while one that waits for ten and came before is still held."""
    app = make_app(grant_age=1.0)
    app.flask.secret_key = "key"
    app.live.channel("orders")
    app.live.channel("room").reader(lambda: True)
    with held(app, lambda: app.poll("orders", wait="10", threads=True)):
        assert app.poll("room", wait=LONG, threads=True).json["grant"]
        assert holding(app) == 1
        app.live.publish("orders", 1)


def test_wait_is_capped_by_the_server(make_app: Callable[..., App]) -> None:
    app = make_app(hold=0.05)
    app.live.channel("orders")
    assert app.poll("orders", wait="999999", threads=True).json["data"] is None


def test_held_poll_with_an_etag_is_not_modified_when_its_time_is_up(orders: App) -> None:
    first = orders.poll("orders")
    more = {"cursor": first.cursor, "if_none_match": first.headers["ETag"]}
    assert orders.poll("orders", wait="0.01", threads=True, **more).status == 304


@pytest.mark.parametrize("query", ["cursor=start", "cursor=00000000-5", "cursor={epoch}-99"])
def test_poll_that_has_something_to_tell_is_not_held(query: str, orders: App) -> None:
    orders.live.publish("orders", 1)
    query = query.format(epoch=orders.runtime.log.epoch)
    assert orders.ask(f"channel=orders&wait={LONG}&{query}", threads=True).data == [1]


def test_newcomer_to_a_snapshot_is_not_held(orders: App) -> None:
    orders.live.channel("state").snapshot(lambda: "all")
    assert orders.poll("state", wait=LONG, threads=True).data == ["all"]


def test_more_than_the_budget_are_answered_at_once_with_advice(orders: App) -> None:
    """Two places by default; who comes next is told that polling works."""

    def poll() -> Answer:
        return orders.poll("orders", wait=LONG, threads=True)

    with held(orders, poll, poll):
        late = poll()
        assert (late.status, late.json["data"]) == (200, None)
        assert late.json["advice"] == {"interval": 2.0, "hold": 0.0, "transports": ["poll"]}
        orders.live.publish("orders", 1)
    assert orders.poll("orders", threads=True).json["advice"]["hold"] == 20.0


def test_budget_is_never_exceeded_by_those_who_come_together(make_app: Callable[..., App]) -> None:
    """All pass the first look at once; those who then find no place are answered at once, as short polls."""
    app = make_app(held_threads=3, hold=0.05)
    app.live.channel("orders")
    most: list[int] = []
    wait = places_module.BlockingHolds._long_poll

    def long_poll(places, *args):
        most.append(places._held)
        return wait(places, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places_module.BlockingHolds, "free", True)
        patch.setattr(places_module.BlockingHolds, "_long_poll", long_poll)
        answers = in_threads(*[lambda: app.poll("orders", wait="20", threads=True)] * 12)
    assert {(answer.status, answer.json["data"]) for answer in answers} == {(200, None)}
    assert 0 < max(most) <= 3
    assert holding(app) == 0


def test_access_log_has_a_line_for_a_poll_held_in_place(orders: App, caplog: pytest.LogCaptureFixture) -> None:
    begin = orders.poll("orders").cursor
    with caplog.at_level("INFO", "flask_landline.access"):
        with held(orders, lambda: orders.poll("orders", cursor=begin, wait=LONG, threads=True)):
            orders.live.publish("orders", 1)
        orders.poll("orders", cursor=begin)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "flask_landline.access"]
    assert re.fullmatch(rf"\S+ long-poll \?channel=orders&cursor={begin}&wait={LONG} \d+\.\ds 1 events, done", line)


def test_nothing_is_held_where_requests_come_one_at_a_time(orders: App) -> None:
    """The sync worker: a held request would stop the publisher it waits for."""
    answer = orders.poll("orders", wait=LONG, threads=False)
    assert (answer.json["data"], answer.json["advice"]["transports"]) == (None, ["poll"])


def test_source_is_asked_while_a_poll_is_held(orders: App) -> None:
    values = iter([None, None, "new"])
    orders.live.channel("sensor").source(every=0.02)(lambda: next(values, None))
    assert orders.poll("sensor", wait=LONG, threads=True).data == ["new"]


def test_log_that_fails_ends_a_held_poll_with_a_refusal(orders: App, monkeypatch, caplog) -> None:
    begin = orders.poll("orders").cursor
    tail = orders.runtime.log.tail

    def fail() -> None:
        raise LogError("out of order")

    with held(orders, lambda: orders.poll("orders", cursor=begin, wait="0.1", threads=True)) as answers:
        monkeypatch.setattr(orders.runtime.log, "tail", fail)
        orders.runtime.hub.invalidate()
    assert (answers[0].status, answers[0].json["code"]) == (503, "log-unavailable")
    monkeypatch.setattr(orders.runtime.log, "tail", tail)
    orders.runtime.hub.invalidate()
    assert orders.poll("orders", cursor=begin).status == 200
    assert holding(orders) == 0


def test_reset_during_a_hold_brings_the_snapshot(make_app: Callable[..., App], tmp_path) -> None:
    """The log's file is replaced while a poll is held."""
    app = make_app(log="sqlite:")
    app.live.channel("state").snapshot(lambda: "all")
    begin = app.live.cursor()
    with held(app, lambda: app.poll("state", cursor=begin, wait=LONG, threads=True)) as answers:
        (tmp_path / "instance" / "landline.db").unlink()
    assert answers[0].json["reset"] == {"channels": ["state"], "reason": "epoch"}
    assert answers[0].data == ["all"]
