"""Two apps on one log: what one guards, the other neither reads nor publishes to, and both are told apart.

The log is an SQLite file where processes matter, else a log in memory that two apps are given. Exhausted are who starts
first, and where a reader is when the other app begins to guard; the clock is passed in.
"""

import asyncio
import json
import logging
from typing import Any

import pytest
from flask import Flask
from flask_landline import Landline, LogError, UsageError
from landline.access.apps import KEEP, RENEW
from landline.logs.memory import MemoryLog
from landline.serve.runtime import Runtime
from landline.testing import Clock, in_threads
from landline.times import SYSTEM, Times

from tests.held.stage import Client, Stage

SECRET = "Ann's salary"


class Site:
    """An app of some name, with a log that others may have too."""

    def __init__(
        self, name: str, log: Any, rule: str = "events", *, closed: bool = False, times: Times = SYSTEM, **config: Any
    ) -> None:
        self.flask = Flask(name)
        self.flask.config.update(LANDLINE_LOG=log, SECRET_KEY="key", **config)
        self.live = Landline()
        self.live.times = times
        self.live.init_app(self.flask)
        self.channel = self.live.channel(rule)
        if closed:
            self.channel.reader(lambda **_: False)
        self.runtime: Runtime = self.flask.extensions["landline"]

    def poll(self, name: str = "events") -> Any:
        self.runtime.hub.invalidate()  # the 2 ms for which the log is not asked again
        return self.flask.test_client().get(f"/landline/poll?channel={name}&cursor=start")

    def said(self) -> list[dict[str, Any]]:
        return [event.data for event in self.runtime.log.read(0, 1000, ["landline"])]


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.mark.parametrize("first", ["admin", "public"])
def test_what_one_app_guards_the_other_neither_reads_nor_publishes_to(
    first: str, log: MemoryLog, caplog: pytest.LogCaptureFixture
) -> None:
    public, admin = Site("public", log), Site("admin", log, closed=True)
    if first == "public":
        assert public.poll().status_code == 200
    admin.channel.publish(SECRET)
    answer = public.poll()
    assert (answer.status_code, answer.json["code"]) == (503, "app-failed")
    assert answer.headers["Retry-After"] == "2"
    assert b"admin" not in answer.data
    assert b"salary" not in answer.data
    public.runtime.apps._look_due = 0.0
    with pytest.raises(UsageError, match="App 'public' has channel 'events' open, and app 'admin'"):
        public.channel.publish("anything")
    public.poll()
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1
    assert "App 'public' has channel 'events' open, and app 'admin'" in told[0].getMessage()
    assert "LANDLINE_LOG = 'sqlite:///public.db'" in told[0].getMessage()
    assert admin.poll().status_code == 403


@pytest.mark.parametrize(
    ("open_rule", "closed_rule", "is_same"),
    [
        ("room/<int:a>", "room/<b>", True),
        ("room/<a>", "room/<string(length=1):b>", True),
        ("room/<a>", "rooms/<a>", False),
        ("room/<a>", "room/<a>/x", False),
    ],
)
def test_rules_are_compared_without_names_and_converters(
    open_rule: str, closed_rule: str, is_same: bool, log: MemoryLog
) -> None:
    public, admin = Site("public", log, open_rule), Site("admin", log, closed_rule, closed=True)
    admin.runtime.apps.say()
    assert (public.poll("room/3").status_code == 503) == is_same


def test_channels_that_both_guard_and_others_are_read_as_ever(log: MemoryLog) -> None:
    public, admin = Site("public", log, closed=True), Site("admin", log, closed=True)
    public.live.channel("news")
    admin.channel.publish(SECRET)
    assert public.poll().status_code == 403
    assert public.poll("news").status_code == 200
    public.live.publish("news", 1)
    public.channel.publish(1)


@pytest.mark.parametrize("transport", ["sse", "websocket", "long-poll"])
@pytest.mark.parametrize("place", range(0, 40, 1))
def test_held_connection_ends_before_what_another_app_begins_to_guard(
    transport: str, place: int, log: MemoryLog
) -> None:
    """The other app starts at some place, and its wake-up comes when all else is at rest."""
    flask = Flask("public")
    flask.config.update(LANDLINE_LOG=log, LANDLINE_WINDOW_EVENTS=3)
    Landline(flask).channel("news")
    admin = Site("admin", log, "news", closed=True)

    class Guarding(Stage):
        def guard(self) -> None:
            self.published.append(admin.channel.publish(SECRET).offset)

    loop = asyncio.new_event_loop()
    try:
        with Guarding(flask, loop, {place: ["guard"], 10_000: ["wake"]}, here=False) as stage:
            stage.runtime.hub._clock = lambda: 0.0  # nothing is seen without a wake-up
            client = Client(stage, transport)
            client._told = lambda answer: None  # type: ignore[method-assign]  # noqa: ARG005
            client.ask()
            stage.rest()
            client.read()
            assert b"salary" not in client.raw
            assert not [held for held in stage.fanout.held if held.open]
    finally:
        loop.close()


# What is said in the log.


def test_start_says_name_and_guarded_rules_before_the_first_event(log: MemoryLog) -> None:
    admin = Site("admin", log, "room/<int:a>", closed=True)
    admin.channel.publish(1, a=3)
    first, second = log.read(0, 10)
    assert (first.channel, second.channel) == ("landline", "room/3")
    assert first.data["app"] == "admin"
    assert first.data["guarded"] == ["room/<>"]


def test_many_processes_that_start_together_say_it_once(tmp_path: Any) -> None:
    workers = [Site("shop", f"sqlite:///{tmp_path}/log.db", closed=True) for _ in range(8)]
    in_threads(*[worker.runtime.apps.say for worker in workers])
    assert len(workers[0].said()) == 1
    for worker in workers:
        worker.runtime.close()


def test_app_that_starts_again_and_again_fills_no_log(log: MemoryLog) -> None:
    sites = [Site("shop", log, closed=True) for _ in range(50)]
    for site in sites:
        log._leases.clear()  # each starts when the one before it is long gone
        site.channel.publish(1)
    assert len(sites[0].said()) == 1


def test_statement_is_renewed_each_day_and_forgotten_after_a_week(clock: Clock) -> None:
    log, seconds = MemoryLog(clock=clock), Clock()
    times = Times(clock=seconds, wall=clock)
    public, admin = Site("public", log, times=times), Site("admin", log, closed=True, times=times)
    admin.runtime.apps.say()
    since = admin.said()[0]["since"]
    for count in (2, 3):
        clock.advance(RENEW + 1)
        seconds.advance(RENEW + 1)
        admin.runtime.apps.say()
        admin.runtime.apps.say()
        assert [said["since"] for said in admin.said()] == [since] * count
    assert public.poll().status_code == 503
    clock.advance(KEEP + 1)
    seconds.advance(KEEP + 1)
    log.trim()
    public.runtime.apps._generation = None
    assert public.poll().status_code == 200


def test_reader_function_that_comes_or_goes_replaces_what_was_said(log: MemoryLog) -> None:
    public, admin = Site("public", log), Site("admin", log)
    admin.channel.publish(1)
    assert public.poll().status_code == 200
    admin.channel.reader(lambda: False)
    admin.channel.publish(2)
    assert public.poll().status_code == 503
    log._leases.clear()  # of the process that has ended; else five seconds later
    Site("admin", log).runtime.apps.say()  # the next start, without it
    assert public.poll().status_code == 200
    assert [said["guarded"] for said in admin.said() if said["app"] == "admin"] == [[], ["events"], []]


def test_log_of_one_process_alone_is_said_nothing() -> None:
    site = Site("shop", "memory:", closed=True)
    assert site.channel.publish(1).offset == 1
    assert site.poll().status_code == 403
    assert site.said() == []


def test_log_that_fails_is_told_and_tried_again(log: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site("shop", log, closed=True)
    seconds = site.runtime.apps._monotonic = Clock()

    def fail(*_: object) -> bool:
        raise LogError("out of order")

    monkeypatch.setattr(log, "lease", fail)
    site.channel.publish(1)
    assert site.said() == []
    monkeypatch.undo()
    seconds.advance(10)
    site.poll()
    assert len(site.said()) == 1


# Who is warned.


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "LANDLINE_LOG_APPS" in r.getMessage()]


def test_second_app_is_warned_once_with_the_remedy(log: MemoryLog, caplog: pytest.LogCaptureFixture) -> None:
    first, second = Site("shop", log, "a"), Site("admin", log, "b")
    for _ in range(3):
        first.poll("a")
        second.poll("b")
    (text,) = warnings(caplog)
    assert text.startswith("App 'admin' has the log of 'shop', and LANDLINE_LOG_APPS does not name it")
    assert "LANDLINE_LOG = 'sqlite:///admin.db'" in text
    assert "LANDLINE_LOG_APPS = ['shop', 'admin']" in text


@pytest.mark.parametrize(("named", "count"), [(["shop", "admin"], 0), (["shop"], 1), (["admin"], 0)])
def test_apps_that_are_named_are_not_warned(
    named: list[str], count: int, log: MemoryLog, caplog: pytest.LogCaptureFixture
) -> None:
    Site("shop", log, "a").poll("a")
    Site("admin", log, "b", LANDLINE_LOG_APPS=named).poll("b")
    assert len(warnings(caplog)) == count


@pytest.mark.parametrize("value", ["shop", [""], [1], {"shop"}])
def test_names_that_are_no_list_are_refused(value: object) -> None:
    with pytest.raises(UsageError, match=r"LANDLINE_LOG_APPS is .*give a list of the apps' names"):
        Site("shop", "memory:", LANDLINE_LOG_APPS=value)


def test_statement_is_json_that_no_client_can_ask_for(log: MemoryLog) -> None:
    site = Site("shop", log)
    site.channel.publish(1)
    assert json.loads(log.read(0, 1)[0].payload)["app"] == "shop"
    assert site.poll("landline").status_code == 404
