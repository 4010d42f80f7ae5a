"""Published between reading and waiting: told at once, whatever the order of things (message_bus #59).

The threads of a held poll, of the hub's follower and of a publisher are run in every order with up to two switches.
No timer helps: who is not woken stays asleep, and the test says so.
"""

import json
import threading
from collections.abc import Callable, Collection
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask_landline import Event, Landline
from flask_landline import cli as cli_module
from flask_landline import hub as hub_module
from flask_landline.cursor import Cursor, Word
from flask_landline.logs.memory import MemoryLog
from flask_landline.wsgi import places as places_module
from werkzeug.test import EnvironBuilder, run_wsgi_app

from tests import schedules
from tests.schedules import Schedule, Stuck, every_order


class SteppedLog(MemoryLog):
    """A log in memory that lets others run before each operation."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        super().__init__()

    def append(self, *args: Any) -> Event:
        self.schedule.point()
        return super().append(*args)

    def read(self, after: int, limit: int, channels: Collection[str] | None = None) -> list[Event]:
        self.schedule.point()
        return super().read(after, limit, channels)

    def tail(self) -> Cursor:
        self.schedule.point()
        return super().tail()

    def wait(self, after: Cursor, timeout: float) -> bool:
        wakes = self._wakes
        self.schedule.point(lambda: self._tail != after or self._wakes != wakes)
        return self._tail != after


class Case:
    """One app whose threads a schedule runs."""

    def __init__(self, plan: list[str], patch: pytest.MonkeyPatch) -> None:
        self.schedule = Schedule(plan)
        self.log = SteppedLog(self.schedule)
        self.app = Flask(__name__)
        self.app.config["LANDLINE_LOG"] = self.log
        self.live = Landline(self.app)
        self.live.channel("orders")
        self.state = self.app.extensions["landline"]
        hub = self.state.hub
        hub._lock, hub._registry = schedules.Lock(self.schedule), schedules.Lock(self.schedule)
        self.state.apps._lock = schedules.Lock(self.schedule)
        hub._clock = lambda: 0.0  # time stands still: what was fresh once is fresh for ever
        patch.setattr(hub_module, "threading", SimpleNamespace(**{**vars(threading), "Thread": self._thread}))
        stepped = SimpleNamespace(**{**vars(threading), "Event": lambda: schedules.Event(self.schedule)})
        patch.setattr(places_module, "threading", stepped)
        patch.setattr(cli_module, "threading", stepped)
        self.threads: list[threading.Thread] = []
        self.told: list[object] = []

    def _thread(self, *, target: Callable[[], None], **_: object) -> threading.Thread:
        self.threads.append(self.schedule.spawn("follower", target))
        return self.threads[-1]

    def start(self, name: str, function: Callable[[], Any]) -> None:
        self.threads.append(self.schedule.spawn(name, function))
        self.threads[-1].start()

    def run(self) -> Schedule:
        try:
            self.schedule.run("reader")
        finally:
            for thread in self.threads:
                thread.join(schedules.PATIENCE)
        return self.schedule

    def poll(self) -> None:
        """Hold a poll until it is answered."""
        environ = EnvironBuilder(query_string={"channel": "orders", "cursor": "start", "wait": "20"}).get_environ()
        environ.update({"PATH_INFO": "/landline/poll", "wsgi.multithread": True})
        body = b"".join(run_wsgi_app(self.app.wsgi_app, environ)[0])
        self.told += json.loads(body)["data"] or []

    def tail(self) -> None:
        """Follow as the command line does, until there is something."""
        with ExitStack() as stack:
            readings = cli_module._follow(self.state, ("orders",), Word.START)
            stack.callback(readings.close)  # type: ignore[attr-defined]
            self.told.append(next(readings))

    def publish_here(self) -> None:
        self.live.publish("orders", 1)

    def publish_elsewhere(self) -> None:
        """Append as another process does: nobody here is told."""
        self.log.append("orders", "1")


def orders(reader: str, publisher: str, switches: int) -> int:
    """Run every order; return how many there were."""
    count = 0
    with pytest.MonkeyPatch.context() as patch:

        def run(plan: list[str]) -> Schedule:
            case = Case(plan, patch)
            case.start("reader", getattr(case, reader))
            case.start("publisher", getattr(case, publisher))
            schedule = case.run()
            assert len(case.told) == 1, f"told {case.told} after {' '.join(name for name, *_ in schedule.steps)}"
            return schedule

        for _ in every_order(run, switches):
            count += 1
    return count


@pytest.mark.parametrize(
    ("reader", "publisher", "switches"),
    [
        ("poll", "publish_here", 2),
        ("poll", "publish_elsewhere", 2),
        ("tail", "publish_here", 1),
        ("tail", "publish_elsewhere", 2),
    ],
)
def test_event_is_told_wherever_it_falls(reader: str, publisher: str, switches: int) -> None:
    assert orders(reader, publisher, switches) > 50


@pytest.mark.parametrize("reader", ["poll", "tail"])
def test_lost_wake_up_would_be_noticed(reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: with a follower that takes what it finds first for known, it does."""

    def follow(hub: Any) -> None:
        known = hub.tail()
        while hub._somebody_waits():
            hub._log.wait(known, 5.0)
            known = hub.tail()
            hub._wake_all()

    monkeypatch.setattr(hub_module.Hub, "_follow", follow)
    with pytest.raises(Stuck):
        orders(reader, "publish_elsewhere", switches=2)
