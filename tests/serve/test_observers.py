"""Observers see what happens, cost nothing where they do not look, and harm nobody."""

import logging
import sys
from collections.abc import Callable

import pytest
from landline.serve.observers import Closed, Delivered, Observer, Observers, Opened

from tests.apps import App
from tests.doors import listening, second_door
from tests.held.readers import PATIENCE, Events
from tests.processes import until

WHAT = {
    "opened": Opened("10.0.0.1", "sse", "channel=a"),
    "closed": Closed("10.0.0.1", "sse", "channel=a", 1.5, 3, "gone"),
    "polled": "304 Not Modified",
    "delivered": Delivered("sse", 2, 5000, 120),
    "refused": "busy",
}


class Curious(Observer):
    """Sees everything."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def opened(self, what: Opened) -> None:
        self.seen.append(what)

    def closed(self, what: Closed) -> None:
        self.seen.append(what)

    def polled(self, status: str) -> None:
        self.seen.append(status)

    def delivered(self, what: Delivered) -> None:
        self.seen.append(what)

    def refused(self, code: str) -> None:
        self.seen.append(code)


class Failing(Observer):
    """Fails at every poll."""

    calls = 0

    def polled(self, status: str) -> None:
        self.calls += 1
        raise ValueError("a full disk")


def test_each_observer_sees_everything_in_order() -> None:
    first, second = Curious(), Curious()
    observers = Observers(first)
    observers.add(second)
    for name, what in WHAT.items():
        getattr(observers, name)(what)
    assert first.seen == second.seen == list(WHAT.values())


@pytest.mark.parametrize("name", WHAT)
def test_observer_is_not_called_for_what_it_does_not_override(name: str) -> None:
    """A call of a function that does nothing would be paid at each of several thousand polls a second."""
    calls: list[object] = []
    sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_name) if event == "call" else None)
    try:
        getattr(Observers(Observer()), name)(WHAT[name])
    finally:
        sys.setprofile(None)
    assert calls.count(name) == 1  # the one of `Observers`


def test_observer_that_fails_is_logged_once_and_keeps_nothing_from_others(caplog: pytest.LogCaptureFixture) -> None:
    failing, curious = Failing(), Curious()
    observers = Observers(failing, curious)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            observers.polled("200 OK")
    assert curious.seen == ["200 OK"] * 3
    assert failing.calls == 3
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_deliveries_are_wanted_by_who_overrides_them() -> None:
    assert Observers(Curious()).wants_deliveries


# Where they look.


@pytest.fixture
def curious(app: App) -> Curious:
    app.live.channel("news")
    curious = Curious()
    app.runtime.observers.add(curious)
    return curious


def test_poll_is_observed_also_where_its_answer_was_made_before(app: App, curious: Curious) -> None:
    for _ in range(2):
        assert app.poll("news").status == 200
    assert curious.seen == ["200 OK"] * 2


def test_refusal_is_observed_by_its_code_and_is_no_poll(app: App, curious: Curious) -> None:
    assert app.poll("none").status == 404
    assert curious.seen == ["unknown-channel"]


def test_request_held_in_a_thread_is_observed_from_beginning_to_end(app: App, curious: Curious) -> None:
    cursor = app.live.cursor()
    held: list[object] = []

    class Publisher(Observer):
        def opened(self, what: Opened) -> None:
            held.append(what)
            app.live.publish("news", 1)

    app.runtime.observers.add(Publisher())
    assert app.ask(f"channel=news&cursor={cursor}&wait=20", threads=True).data == [1]
    opened, closed = curious.seen
    assert opened == held[0]
    assert isinstance(closed, Closed)
    assert (closed.transport, closed.sent, closed.reason) == ("long-poll", 1, "done")


def test_request_held_by_the_side_loop_is_observed_from_beginning_to_end(make_app: Callable[..., App]) -> None:
    app, curious = listening(make_app), Curious()
    app.live.channel("news")
    app.runtime.observers.add(curious)
    port = second_door(app)
    curious.seen.clear()
    with Events(f"http://127.0.0.1:{port}", None, "news") as reader:
        assert [type(what) for what in curious.seen] == [Opened]
        app.live.publish("news", 1)
        reader.take(1)
    until(lambda: len(curious.seen) > 1 and isinstance(curious.seen[-1], Closed), PATIENCE, "the end")
    _, delivered, closed = curious.seen
    assert isinstance(delivered, Delivered)
    assert delivered[:3] == ("sse", 1, 1)
    assert isinstance(closed, Closed)
    assert (closed.transport, closed.sent, closed.reason) == ("sse", 1, "gone")
