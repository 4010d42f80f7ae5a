"""The extension object: apps, contexts, publishing from anywhere, template globals."""

import gc
import json
import logging
import multiprocessing
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app, render_template_string
from flask_landline import Channel, Event, Landline, LogError, UsageError
from landline.logs.memory import MemoryLog
from landline.testing import Clock, in_child, in_threads
from landline.times import Times

from tests.apps import App
from tests.processes import until

# Publishing.


def test_publish_returns_the_stored_event(app: App) -> None:
    orders = app.live.channel("orders")
    event = orders.publish({"id": 7})
    assert isinstance(orders, Channel)
    assert (event.channel, event.data, event.offset) == ("orders", {"id": 7}, 1)
    assert app.runtime.log.read(0, 10) == [event]


def test_publish_by_parts_and_by_name_are_the_same(app: App) -> None:
    room = app.live.channel("room/<int:room_id>")
    assert room.publish(1, room_id=3).channel == "room/3"
    assert app.live.publish("room/3", 2).channel == "room/3"


def test_channels_retention_is_kept(app: App) -> None:
    room = app.live.channel("room/<int:room_id>", keep=2, keep_for=None)
    for number in range(10):
        room.publish(number, room_id=3)
        room.publish(number, room_id=4)
    kept = app.runtime.log.read(0, 100, ["room/3"])
    assert [event.data for event in kept] == [8, 9]


@pytest.mark.parametrize(
    "value", [float("nan"), {1}, object(), "x" * 65536, [float("inf")]], ids=["nan", "set", "object", "large", "inf"]
)
def test_value_that_is_refused_leaves_nothing_behind(value: object, app: App) -> None:
    app.live.channel("orders").publish(1)
    with pytest.raises(UsageError):
        app.live.publish("orders", value)
    assert [event.data for event in app.runtime.log.read(0, 10)] == [1]
    assert [info.kept for info in app.runtime.log.channels()] == [1]


def test_largest_value_is_configured(make_app) -> None:
    app = make_app(max_event=10)
    app.live.channel("orders")
    app.live.publish("orders", "x" * 8)
    with pytest.raises(UsageError, match="LANDLINE_MAX_EVENT is 10"):
        app.live.publish("orders", "x" * 9)


def test_undeclared_channel_is_refused_with_the_nearest(app: App) -> None:
    app.live.channel("orders")
    with pytest.raises(UsageError, match="Did you mean 'orders'"):
        app.live.publish("ordres", 1)
    assert app.runtime.log.channels() == []


def test_events_past_their_time_are_trimmed_by_publishing(make_app) -> None:
    """A little at a time, at each publish, until nothing is left to trim; then not for a minute."""
    clock, monotonic = Clock(), Clock()
    app = make_app(times=Times(clock=monotonic, wall=clock))
    app.live.channel("orders", keep=None, keep_for=10.0)
    app.live.channel("other")
    for number in range(1200):
        app.live.publish("orders", number)
    clock.advance(11.0)
    monotonic.advance(61.0)
    kept = []
    for _ in range(5):
        app.live.publish("other", 1)
        kept.append(len(app.runtime.log.read(0, 5000, ["orders"])))
    assert kept == [700, 200, 0, 0, 0]
    app.live.publish("orders", 1)
    clock.advance(11.0)
    app.live.publish("other", 1)
    assert len(app.runtime.log.read(0, 10, ["orders"])) == 1
    monotonic.advance(61.0)
    app.live.publish("other", 1)
    assert app.runtime.log.read(0, 10, ["orders"]) == []


def test_trimming_that_fails_does_not_fail_the_publish(app: App, monkeypatch, caplog) -> None:
    def fail(limit: int = 500) -> int:
        raise LogError("locked")

    app.live.channel("orders")
    monkeypatch.setattr(app.runtime.log, "trim", fail)
    assert app.live.publish("orders", 1).offset == 1
    assert "were not trimmed. locked" in caplog.text


# From where.


def test_publish_works_inside_a_request(app: App) -> None:
    orders = app.live.channel("orders")
    app.flask.add_url_rule("/", "buy", lambda: json.dumps(orders.publish(1).offset))
    assert app.ask("", path="/").body == b"1"


def test_publish_works_in_a_bare_thread_of_a_process_with_one_app(app: App) -> None:
    orders = app.live.channel("orders")
    events = in_threads(*[lambda: orders.publish(1)] * 4)
    assert sorted(event.offset for event in events) == [1, 2, 3, 4]


def test_publish_works_in_a_forked_child(make_app) -> None:
    """As multiprocessing, Celery's prefork pool and a preloading gunicorn fork."""
    app = make_app(log="sqlite:")
    orders = app.live.channel("orders")
    orders.publish(1)
    assert in_child(lambda: orders.publish(2).offset) == 3
    child = multiprocessing.get_context("fork").Process(target=orders.publish, args=(3,))
    child.start()
    child.join(30.0)
    assert child.exitcode == 0
    assert app.poll("orders", cursor="start").data == [1, 2, 3]


def test_poll_in_another_process_sees_what_is_published_here(make_app) -> None:
    app = make_app(log="sqlite:")
    app.live.channel("orders")
    begin = app.live.cursor()

    def child() -> Any:
        return app.poll("orders", cursor=begin).data

    app.live.publish("orders", 1)
    assert in_child(child) == [1]


def two_apps(tmp_path: Path) -> tuple[Landline, Flask, Flask]:
    live = Landline()
    live.channel("orders")
    apps = [Flask(__name__, instance_path=str(tmp_path / name)) for name in ("one", "two")]
    for app in apps:
        app.config["LANDLINE_LOG"] = "memory:"
        live.init_app(app)
    return live, apps[0], apps[1]


def test_several_apps_have_a_log_each(tmp_path: Path) -> None:
    live, one, two = two_apps(tmp_path)
    with one.app_context():
        live.publish("orders", 1)
        cursor = live.cursor()
    with two.app_context():
        assert live.cursor().endswith("-0")
        live.publish("orders", 2)
        assert live.cursor() != cursor
    assert [event.data for event in one.extensions["landline"].log.read(0, 10)] == [1]
    assert [event.data for event in two.extensions["landline"].log.read(0, 10)] == [2]


def test_several_apps_need_a_context_to_say_which(tmp_path: Path) -> None:
    live, one, two = two_apps(tmp_path)
    for use in (lambda: live.publish("orders", 1), live.cursor):
        with pytest.raises(UsageError, match=r"several open apps \('.*', '.*'\)\. .* 'with app\.app_context\(\)"):
            use()
    assert one.extensions["landline"].log.tail().offset == two.extensions["landline"].log.tail().offset == 0


def test_landline_without_an_app_says_what_to_call() -> None:
    live = Landline()
    live.channel("orders")
    with pytest.raises(UsageError, match=r"no app that is open: call live\.init_app\(app\)"):
        live.publish("orders", 1)


def test_context_of_an_app_that_is_not_served_is_refused(app: App, tmp_path: Path) -> None:
    stranger = Flask("stranger", instance_path=str(tmp_path))
    app.live.channel("orders")
    with stranger.app_context(), pytest.raises(UsageError, match="does not serve app 'stranger'"):
        app.live.publish("orders", 1)


def test_other_landlines_app_is_refused(app: App) -> None:
    """Each object has its own channels."""
    other = Landline()
    other.channel("orders")
    with app.flask.app_context(), pytest.raises(UsageError, match="does not serve app"):
        other.publish("orders", 1)


def test_app_is_initialised_once(app: App) -> None:
    with pytest.raises(UsageError, match="has a Landline already"):
        Landline(app.flask)
    with pytest.raises(UsageError, match="has a Landline already"):
        app.live.init_app(app.flask)


# Which app is meant, where no context says it.


def make_flask(folder: Path, name: str = "shop", log: object = "memory:") -> Flask:
    app = Flask(name, instance_path=str(folder / name))
    app.config["LANDLINE_LOG"] = log
    return app


def test_only_app_is_meant_though_its_process_holds_it_nowhere_else(tmp_path: Path) -> None:
    """As in a worker that calls its factory for the set-up alone."""
    log = MemoryLog()
    live = Landline()
    live.channel("orders")
    live.init_app(make_flask(tmp_path, log=log))
    gc.collect()
    live.publish("orders", 1)
    assert [event.data for event in log.read(0, 10, ["orders"])] == [1]


@pytest.mark.parametrize("collected", [False, True], ids=["not collected", "collected"])
@pytest.mark.parametrize("count", [2, 7, 30])
def test_several_open_apps_are_an_error_each_time(count: int, collected: bool, tmp_path: Path) -> None:
    """Whether the apps are collected changes nothing: exhausted are both, and counts around what is kept."""
    live = Landline()
    live.channel("orders")
    for number in range(count):
        live.init_app(make_flask(tmp_path, f"shop{number}"))
    if collected:
        gc.collect()
    for use in (lambda: live.publish("orders", 1), live.cursor, lambda: live.revoke("x"), live.close):
        with pytest.raises(UsageError) as caught:
            use()
        told = str(caught.value)
        assert all(f"'shop{number}'" in told for number in range(min(count, 5)))
        assert (f"and {count - 5} more" in told) == (count > 5)
        assert "'with app.app_context(): …'" in told
        assert "'live.close(app)'" in told


def test_app_that_is_left_open_is_meant_again(tmp_path: Path) -> None:
    live = Landline()
    live.channel("orders")
    stays, goes = (make_flask(tmp_path, name) for name in ("stays", "goes"))
    live.init_app(stays)
    live.init_app(goes)
    live.close(goes)
    live.close(goes)
    gc.collect()
    live.publish("orders", 1)
    with stays.app_context():
        assert live.cursor().endswith("-1")
    live.close()
    with pytest.raises(UsageError, match="no app that is open"):
        live.publish("orders", 1)


@pytest.mark.parametrize("collected", [False, True], ids=["not collected", "collected"])
def test_one_left_of_many_is_the_same_whether_collected_or_not(collected: bool, tmp_path: Path) -> None:
    live = Landline()
    live.channel("orders")
    apps = [make_flask(tmp_path, f"shop{number}") for number in range(30)]
    for app in apps:
        live.init_app(app)
    for app in apps[1:]:
        live.close(app)
    del app, apps
    if collected:
        gc.collect()
    with pytest.raises(UsageError, match="the app 'shop0', once one of many"):
        live.publish("orders", 1)


def test_closing_ends_what_serves_an_app_and_another_ones_app_is_refused(
    make_app: Callable[..., App], tmp_path: Path
) -> None:
    app = make_app(hold=3600.0)
    app.live.channel("orders")
    with pytest.raises(UsageError, match="does not serve app 'stranger'"):
        app.live.close(make_flask(tmp_path, "stranger"))

    def close() -> None:
        until(lambda: bool(app.flask.wsgi_app._threads._held), 10.0, "a held poll")  # type: ignore[attr-defined]
        app.live.close(app.flask)

    # It would be held for longer than any thread of a test may take.
    held, _ = in_threads(lambda: app.poll("orders", wait="3600", threads=True), close)
    assert held.json["data"] is None
    with app.flask.app_context():
        assert app.live.publish("orders", 1).offset == 1  # a closed log opens anew


def test_hundreds_of_apps_that_are_never_closed_do_not_stay(tmp_path: Path) -> None:
    """As in a test suite that makes one for each test."""
    live = Landline()
    gone = []

    def serve(app: Flask) -> None:
        live.init_app(app)
        app.test_client().get("/landline/poll?channel=none")
        gone.append(weakref.ref(app))

    for number in range(100):
        serve(make_flask(tmp_path, f"shop{number}"))
    gc.collect()
    assert sum(reference() is not None for reference in gone) < 10


# What is fixed from the first request on.


@pytest.mark.parametrize("path", ["/", "/landline/poll?channel=orders", "/landline/landline.js", "/none"])
def test_channel_after_the_first_request_is_refused_like_a_late_route(path: str, tmp_path: Path) -> None:
    live = Landline()
    app = make_flask(tmp_path)
    live.init_app(app)
    orders = live.channel("orders")
    orders.snapshot(lambda: 1)
    with app.test_client().get(path):
        pass
    late = (
        lambda: live.channel("job-7"),
        lambda: orders.reader(lambda: True),
        lambda: orders.snapshot(lambda: 2),
        lambda: orders.source(1.0)(lambda: None),
    )
    for declare in late:
        with pytest.raises(UsageError, match=r"comes too late: .* live\.channel\('job/<job_id>'\)"):
            declare()
    assert orders.reader_function is None
    assert app.test_client().get("/landline/poll?channel=job-7").status_code == 404


def test_channel_declared_in_a_view_is_refused(app: App) -> None:
    app.flask.add_url_rule("/", "start", lambda: app.live.channel("job-7").rule)
    app.flask.testing = True
    with pytest.raises(UsageError, match=r"channel\('job-7'\) comes too late"):
        app.flask.test_client().get("/")


def test_channels_may_be_declared_again_once_the_app_is_closed(tmp_path: Path) -> None:
    live = Landline()
    app = make_flask(tmp_path)
    live.init_app(app)
    app.test_client().get("/")
    live.close(app)
    assert live.channel("orders").rule == "orders"


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_keys_set_after_init_app_are_named_once_at_the_first_request(tmp_path: Path, caplog) -> None:
    app = make_flask(tmp_path)
    app.config["LANDLINE_ORIGINS"] = origins = ["https://a.example"]
    app.config["LANDLINE_INTERVAL"] = 1.0
    Landline(app)
    app.config["LANDLINE_LOG"] = "sqlite:////srv/secret"
    app.config["LANDLINE_HODL"] = 1
    app.config["LANDLINE_INTERVAL"] = 1
    origins.append("https://b.example")
    assert warnings_of(caplog) == []
    for _ in range(3):
        app.test_client().get("/")
    (told,) = warnings_of(caplog)
    assert told.startswith("LANDLINE_HODL, LANDLINE_LOG, LANDLINE_ORIGINS: set or changed in app.config after")
    assert "before Landline(app) or init_app" in told
    assert "secret" not in told
    app.extensions["landline"].close()


def test_keys_set_after_init_app_are_named_to_a_worker_that_publishes(tmp_path: Path, caplog) -> None:
    app = make_flask(tmp_path)
    live = Landline(app)
    live.channel("orders")
    del app.config["LANDLINE_LOG"]
    for _ in range(2):
        live.publish("orders", 1)
    (told,) = warnings_of(caplog)
    assert told.startswith("LANDLINE_LOG: set or changed")


def test_keys_that_stay_are_not_spoken_of(tmp_path: Path, caplog) -> None:
    app = make_flask(tmp_path)
    app.config["LANDLINE_ORIGINS"] = ["https://a.example"]
    Landline(app)
    app.config["OTHER"] = 1
    app.test_client().get("/")
    assert warnings_of(caplog) == []


@pytest.mark.parametrize(
    ("log", "several", "count"), [("memory:", True, 1), ("memory:", False, 0), ("sqlite:", True, 0)]
)
def test_log_in_memory_of_several_processes_is_warned_of_once(
    log: str, several: bool, count: int, tmp_path: Path, caplog
) -> None:
    app = make_flask(tmp_path, log=log)
    Landline(app).channel("orders")
    for _ in range(3):
        app.test_client().get("/landline/poll?channel=orders", environ_overrides={"wsgi.multiprocess": several})
    told = warnings_of(caplog)
    assert len(told) == count
    assert all("LANDLINE_LOG is 'memory:'" in text and "'sqlite:'" in text for text in told)
    app.extensions["landline"].close()


def test_factory_made_app_serves_channels_declared_before_and_after(tmp_path: Path) -> None:
    live = Landline()
    live.channel("before")
    app = Flask(__name__, instance_path=str(tmp_path))
    app.config["LANDLINE_LOG"] = "memory:"
    live.init_app(app)
    live.channel("after")
    client = app.test_client()
    assert client.get("/landline/poll?channel=before&channel=after").status_code == 200
    app.extensions["landline"].close()


# Pages.


def test_script_tag_and_cursor_are_template_globals(app: App) -> None:
    app.live.channel("orders").publish(1)
    with app.flask.test_request_context():
        page = render_template_string("{{ landline_script() }} {{ landline_cursor() }}")
    assert page == f'<script type="module" src="/landline/landline.js"></script> {app.live.cursor()}'


def test_page_misses_nothing_from_its_rendering_on(app: App) -> None:
    orders = app.live.channel("orders")
    orders.publish(1)
    with app.flask.test_request_context():
        cursor = render_template_string("{{ landline_cursor() }}")
    orders.publish(2)
    assert app.poll("orders", cursor=cursor).data == [2]


def test_script_is_served_under_the_prefix_and_the_mount(make_app) -> None:
    app = make_app(prefix="/live/line")
    client = app.flask.test_client()
    with client.get("/live/line/landline.js") as response:
        assert response.status_code == 200
        assert response.mimetype == "text/javascript"
        etag = response.headers["ETag"]
    with client.get("/live/line/landline.js", headers={"If-None-Match": etag}) as response:
        assert response.status_code == 304
    with app.flask.test_request_context("/", base_url="http://localhost/mounted"):
        assert 'src="/mounted/live/line/landline.js"' in render_template_string("{{ landline_script() }}")


def test_static_folder_of_the_package_is_no_open_door(app: App) -> None:
    client = app.flask.test_client()
    for path in ("/landline/../__init__.py", "/landline/%2e%2e/__init__.py", "/landline/landline.js/..", "/landline/"):
        assert client.get(path).status_code == 404


# The source and snapshot of the app's own.


def test_functions_see_the_app_that_asks(tmp_path: Path) -> None:
    live, one, two = two_apps(tmp_path)
    one.name, two.name = "one", "two"
    live.channel("state").snapshot(lambda: current_app.name)
    for app in (one, two):
        events = app.test_client().get("/landline/poll?channel=state").get_json()["data"]
        assert [event["data"] for event in events] == [app.name]


def test_event_is_the_public_one(app: App) -> None:
    assert isinstance(app.live.channel("orders").publish(None), Event)


def test_many_threads_of_two_apps_do_not_meet(tmp_path: Path) -> None:
    live, one, two = two_apps(tmp_path)
    start = threading.Barrier(8)

    def publish(app: Flask) -> None:
        with app.app_context():
            start.wait(10.0)
            for _ in range(20):
                live.publish("orders", app.instance_path)

    in_threads(*[lambda: publish(one)] * 4, *[lambda: publish(two)] * 4)
    for app in (one, two):
        events = app.extensions["landline"].log.read(0, 1000)
        assert [event.data for event in events] == [app.instance_path] * 80
