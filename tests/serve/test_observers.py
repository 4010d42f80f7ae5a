"""Observers see what happens, cost nothing where they do not look, and harm nobody."""

import logging
import sys

import pytest
from landline.serve.observers import Closed, Delivered, Observer, Observers, Opened

WHAT = {
    "opened": Opened("10.0.0.1", "sse", "channel=a"),
    "closed": Closed("10.0.0.1", "sse", "channel=a", 1.5, 3, "gone"),
    "polled": 304,
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

    def polled(self, status: int) -> None:
        self.seen.append(status)

    def delivered(self, what: Delivered) -> None:
        self.seen.append(what)

    def refused(self, code: str) -> None:
        self.seen.append(code)


class Failing(Observer):
    """Fails at every poll."""

    calls = 0

    def polled(self, status: int) -> None:
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
            observers.polled(200)
    assert curious.seen == [200, 200, 200]
    assert failing.calls == 3
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_deliveries_are_wanted_by_who_overrides_them() -> None:
    assert Observers(Curious()).wants_deliveries
