"""What clients are asked for under load, as they are told it (WIRE §4)."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from flask_landline import Refusal
from landline.loop import thread as sideloop
from landline.loop.deadlines import Deadlines
from landline.protocol.request import Request
from landline.serve.endpoints import Endpoints
from landline.serve.offers import ALL, POLL_ONLY
from landline.serve.pressure import STRETCH, Meter
from landline.serve.subscription import Subscription
from landline.testing import Clock

from tests.apps import App

MANY = 1_000_000


def wire_of(app: App) -> Endpoints:
    endpoints: Endpoints = app.flask.wsgi_app._endpoints  # type: ignore[attr-defined]
    return endpoints


@pytest.fixture
def meter(orders: App, clock: Clock) -> Meter:
    """Return the app's meter, whose clock stands still."""
    meter = wire_of(orders).meter
    meter._clock = clock
    meter.after_fork()
    return meter


def come(meter: Meter, clock: Clock, polls: int) -> None:
    """Let polls come in a second; the last of them decides."""
    meter._polls += polls - 1
    clock.advance(1.0)
    meter.count()


def test_answers_ask_for_more_time_when_more_is_asked_than_can_be_answered(
    orders: App, meter: Meter, clock: Clock
) -> None:
    first = orders.poll("orders")
    assert first.json["advice"]["interval"] == 2.0
    come(meter, clock, MANY)
    for _ in range(2):  # the second is the first one, remembered
        assert orders.poll("orders", cursor=first.cursor).json["advice"]["interval"] == STRETCH * 2.0
    short = orders.poll("orders", cursor=first.cursor, if_none_match=first.headers["ETag"])
    assert (short.status, short.headers["Landline-Interval"]) == (304, "60")


def test_remembered_answer_is_forgotten_when_another_advice_is_due(orders: App, meter: Meter, clock: Clock) -> None:
    cursor = orders.poll("orders").cursor
    told = []
    for polls in (1, MANY, 1, 1):
        orders.poll("orders", cursor=cursor)
        come(meter, clock, polls)
        told.append(orders.poll("orders", cursor=cursor).json["advice"]["interval"])
    assert told[0] < told[1]
    for _ in range(200):
        come(meter, clock, 1)
    assert orders.poll("orders", cursor=cursor).json["advice"]["interval"] == 2.0


def test_answer_made_while_the_advice_changes_is_nobody_elses(
    orders: App, meter: Meter, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking the advice up and remembering the answer, another thread forgets all answers."""
    cursor = orders.poll("orders").cursor
    endpoints = wire_of(orders)
    read = endpoints._read

    def meanwhile(*arguments: object) -> object:
        come(meter, clock, MANY)
        return read(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(endpoints, "_read", meanwhile)
        assert orders.poll("orders", cursor=cursor).json["advice"]["interval"] == 2.0
    assert orders.poll("orders", cursor=cursor).json["advice"]["interval"] == STRETCH * 2.0


def test_idle_polls_are_counted_and_so_are_all_others(orders: App, meter: Meter) -> None:
    cursor = orders.poll("orders").cursor
    before = meter._polls
    for _ in range(10):
        orders.poll("orders", cursor=cursor)
    orders.poll("orders", cursor="start")
    orders.ask("channel=orders", path="/landline/events")
    assert meter._polls == before + 12


REFUSED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("channel=nothing", {}),
    ("channel=orders&chanel=x", {}),
    ("channel=orders&cursor=7", {}),
    ("", {}),
    ("channel=orders", {"method": "POST"}),
    ("channel=orders", {"sec_fetch_dest": "embed"}),
    ("channel=secret", {}),
)


def test_a_thousand_refused_requests_a_second_change_nobodys_interval(
    make_app: Callable[..., App], clock: Clock
) -> None:
    """The dimension is the kind of refusal; the rate is fixed at a thousand a second, beside one poll that counts."""
    app = make_app(poll_capacity=50)
    app.flask.secret_key = "key"
    app.live.channel("orders")
    app.live.channel("secret").reader(lambda: False)
    meter = wire_of(app).meter
    meter._clock = clock
    meter.after_fork()
    refused = 0
    for second in range(len(REFUSED)):
        query, more = REFUSED[second]
        for _ in range(1000):
            refused += app.ask(query, **more).status // 100 == 4
        clock.advance(1.0)
        assert app.poll("orders").json["advice"]["interval"] == 2.0
        clock.advance(1.0)
        assert app.poll("orders").json["advice"]["interval"] == 2.0
    assert refused == 1000 * len(REFUSED)


def test_those_refused_for_their_number_change_nobodys_interval(make_app: Callable[..., App], clock: Clock) -> None:
    app = make_app(poll_capacity=50, max_polls_per_address=1)
    app.live.channel("orders")
    meter = wire_of(app).meter
    meter._clock = clock
    meter.after_fork()
    statuses = Counter(app.ask("channel=orders", remote="192.0.2.1").status for _ in range(1000))
    assert statuses[429] >= 900
    clock.advance(1.0)
    for _ in range(2):
        answer = app.ask("channel=orders", remote="192.0.2.2")
        assert answer.json["advice"]["interval"] == 2.0
        clock.advance(1.0)


def test_full_process_offers_polls_alone_until_there_is_room(orders: App, meter: Meter, clock: Clock) -> None:
    """Not to the next one that comes when a line ends: a hundred would try for its place."""
    endpoints = wire_of(orders)
    both, taken = ["long-poll", "poll"], 0.0

    def observe() -> tuple[float, float]:
        return taken, 0.0

    meter.observe = observe
    for taken, offer in ((0.95, both), (1.0, ["poll"]), (0.95, ["poll"]), (0.85, both)):  # noqa: B007
        come(meter, clock, 1)
        advice = orders.poll("orders", threads=True).json["advice"]
        assert advice["transports"] == offer
        assert (advice["hold"] > 0) == (len(offer) > 1)
        # Lines that are held are not told to leave.
        assert endpoints.advice(ALL).transports == ALL


def test_meter_looks_at_what_is_held(orders: App) -> None:
    middleware = orders.flask.wsgi_app
    assert wire_of(orders).meter.observe() == (0.0, 0.0)
    middleware.sideloop._admitted = 5000  # type: ignore[attr-defined]
    assert wire_of(orders).meter.observe() == (0.5, 0.0)
    middleware._greenlets._held = 7000  # type: ignore[attr-defined]
    assert wire_of(orders).meter.observe() == (0.7, 0.0)


def test_meter_looks_at_how_late_the_side_loop_is(orders: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deadlines, "lag", 3.0)
    assert wire_of(orders).meter.observe() == (0.0, 0.0)  # there is none yet
    orders.flask.wsgi_app.sideloop.start()  # type: ignore[attr-defined]
    assert wire_of(orders).meter.observe() == (0.0, 3.0)


@pytest.mark.parametrize(
    ("descriptors", "max_held", "budget"), [(1000, 10_000, 800), (1000, 700, 700), (100_000, 0, 0)]
)
def test_descriptors_are_left_to_the_app(
    descriptors: int, max_held: int, budget: int, make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that holds all the sockets it may have can open no file any more."""
    monkeypatch.setattr(sideloop, "descriptors", lambda: float(descriptors))
    side = make_app(max_held=max_held).flask.wsgi_app.sideloop  # type: ignore[attr-defined]
    for _ in range(budget):
        side.admit("192.0.2.1")
    assert side.full
    assert side.taken == 1.0
    with pytest.raises(Refusal, match="as many requests as it may") as caught:
        side.admit("192.0.2.1")
    assert caught.value.code == "busy"


def test_holding_ends_where_it_saves_nothing(orders: App, meter: Meter, clock: Clock) -> None:
    come(meter, clock, MANY)
    advice = orders.poll("orders", threads=True).json["advice"]
    assert (advice["transports"], advice["hold"]) == (["poll"], 0)


def test_who_asks_to_be_held_under_pressure_is_held(orders: App, meter: Meter, clock: Clock) -> None:
    """A program that heeds no advice would ask again at once, and so keep the process under pressure."""
    cursor = orders.poll("orders").cursor
    come(meter, clock, MANY)
    request = Request("GET", "/landline/poll", f"channel=orders&cursor={cursor}&wait=20", {}, "127.0.0.1")
    held = wire_of(orders).handle(request, ALL)
    assert isinstance(held, Subscription)
    assert held.wait == 20
    assert wire_of(orders).advice(ALL).hold == 0


def test_poll_for_which_there_is_no_room_after_all_is_a_short_one(orders: App) -> None:
    """Somebody else took the last place between the offer and the holding; a stream is told so instead."""
    endpoints = wire_of(orders)
    refusal = endpoints.busy("There is no room.")
    cursor = orders.poll("orders").cursor
    replies = []
    for asked in (f"poll?channel=orders&cursor={cursor}&wait=20", f"events?channel=orders&cursor={cursor}"):
        path, _, query = asked.partition("?")
        held = endpoints.handle(Request("GET", f"/landline/{path}", query, {}, "127.0.0.1"), ALL)
        assert isinstance(held, Subscription)
        replies.append(endpoints.answer_now(held, refusal))
    assert [reply.status for reply in replies] == ["200 OK", "503 Service Unavailable"]
    answer = json.loads(replies[0].body)
    assert (answer["data"], answer["cursor"], answer["advice"]["transports"]) == (None, cursor, ["poll"])


def test_child_of_a_pressed_process_begins_anew(orders: App, meter: Meter, clock: Clock) -> None:
    come(meter, clock, MANY)
    meter.after_fork()
    assert orders.poll("orders").json["advice"]["interval"] == 2.0


def test_capacity_is_configured(make_app: Callable[..., App], clock: Clock) -> None:
    app = make_app(poll_capacity=None)
    app.live.channel("orders")
    meter = wire_of(app).meter
    meter._clock = clock
    meter.after_fork()
    come(meter, clock, MANY)
    assert app.poll("orders").json["advice"]["interval"] == 2.0


def test_those_who_were_refused_do_not_come_back_together(orders: App, meter: Meter) -> None:
    """The clock stands: three hundred in a moment are a load, and with it the interval grows."""
    waits = Counter[int]()
    for _ in range(300):
        answer = orders.ask("channel=orders", path="/landline/events")
        assert (answer.status, answer.json["code"]) == (503, "busy")
        waits[int(answer.headers["Retry-After"])] += 1
    assert set(waits) == set(range(3, 11))
    assert max(waits.values()) < 100


def test_those_who_were_refused_under_load_come_back_later(orders: App, meter: Meter, clock: Clock) -> None:
    come(meter, clock, MANY)
    answer = orders.ask("channel=orders", path="/landline/events")
    assert int(answer.headers["Retry-After"]) >= STRETCH * 2
    assert wire_of(orders).advice(POLL_ONLY).interval == STRETCH * 2
