"""The extension object: apps, contexts, publishing from anywhere, template globals."""

import gc
import json
import multiprocessing
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app, render_template_string
from flask_landline import Channel, Event, Landline, LogError, UsageError
from flask_landline.logs.memory import MemoryLog
from flask_landline.testing import Clock, in_child, in_threads

from tests.apps import App

# Publishing.


def test_publish_returns_the_stored_event(app: App) -> None:
    orders = app.live.channel("orders")
    event = orders.publish({"id": 7})
    assert isinstance(orders, Channel)
    assert (event.channel, event.data, event.offset) == ("orders", {"id": 7}, 1)
    assert app.state.log.read(0, 10) == [event]


def test_publish_by_parts_and_by_name_are_the_same(app: App) -> None:
    room = app.live.channel("room/<int:room_id>")
    assert room.publish(1, room_id=3).channel == "room/3"
    assert app.live.publish("room/3", 2).channel == "room/3"


def test_channels_retention_is_kept(app: App) -> None:
    room = app.live.channel("room/<int:room_id>", keep=2, keep_for=None)
    for number in range(10):
        room.publish(number, room_id=3)
        room.publish(number, room_id=4)
    kept = app.state.log.read(0, 100, ["room/3"])
    assert [event.data for event in kept] == [8, 9]


@pytest.mark.parametrize(
    "value", [float("nan"), {1}, object(), "x" * 65536, [float("inf")]], ids=["nan", "set", "object", "large", "inf"]
)
def test_value_that_is_refused_leaves_nothing_behind(value: object, app: App) -> None:
    app.live.channel("orders").publish(1)
    with pytest.raises(UsageError):
        app.live.publish("orders", value)
    assert [event.data for event in app.state.log.read(0, 10)] == [1]
    assert [info.kept for info in app.state.log.channels()] == [1]


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
    assert app.state.log.channels() == []


def test_events_past_their_time_are_trimmed_by_publishing(make_app, monkeypatch) -> None:
    """A little at a time, at each publish, until nothing is left to trim; then not for a minute."""
    clock, monotonic = Clock(), Clock()
    monkeypatch.setattr("flask_landline.state.time.monotonic", monotonic)
    app = make_app(log=MemoryLog(clock=clock))
    app.live.channel("orders", keep=None, keep_for=10.0)
    app.live.channel("other")
    for number in range(1200):
        app.live.publish("orders", number)
    clock.advance(11.0)
    monotonic.advance(61.0)
    kept = []
    for _ in range(5):
        app.live.publish("other", 1)
        kept.append(len(app.state.log.read(0, 5000, ["orders"])))
    assert kept == [700, 200, 0, 0, 0]
    app.live.publish("orders", 1)
    clock.advance(11.0)
    app.live.publish("other", 1)
    assert len(app.state.log.read(0, 10, ["orders"])) == 1
    monotonic.advance(61.0)
    app.live.publish("other", 1)
    assert app.state.log.read(0, 10, ["orders"]) == []


def test_trimming_that_fails_does_not_fail_the_publish(app: App, monkeypatch, caplog) -> None:
    def fail(limit: int = 500) -> int:
        raise LogError("locked")

    app.live.channel("orders")
    monkeypatch.setattr(app.state.log, "trim", fail)
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
        with pytest.raises(UsageError, match=r"several apps\. .* 'with app\.app_context\(\)"):
            use()
    assert one.extensions["landline"].log.tail().offset == two.extensions["landline"].log.tail().offset == 0


def test_landline_without_an_app_says_what_to_call() -> None:
    live = Landline()
    live.channel("orders")
    with pytest.raises(UsageError, match=r"no app yet: call live\.init_app\(app\)"):
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


def test_nothing_of_the_app_is_kept(tmp_path: Path) -> None:
    """An app that is dropped goes away, as in a test suite that makes one for each test."""
    live = Landline()
    app = Flask(__name__, instance_path=str(tmp_path))
    app.config["LANDLINE_LOG"] = "memory:"
    live.init_app(app)
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None
    with pytest.raises(UsageError, match="no app yet"):
        live.cursor()


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
