"""Polls that are refused, and what is none of the middleware's business (WIRE §10)."""

import logging
from collections.abc import Callable
from http.client import responses
from urllib.parse import quote

import pytest
from flask import Flask
from flask_landline import LogError
from landline.cursor import Cursor

from tests.apps import App


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "too-many-channels"),
        ("channel=orders&channel=orders", 400, "bad-request"),
        ("channel=orders&chanel=x", 400, "bad-request"),
        ("channel=orders&wait=soon", 400, "bad-request"),
        ("channel=orders&cursor=5", 400, "bad-cursor"),
        ("channel=orders&cursor=" + "1-" * 255, 400, "bad-cursor"),
        ("&".join(f"channel=room/{n}" for n in range(101)), 400, "too-many-channels"),
        ("channel=Orders", 404, "unknown-channel"),
        ("channel=room/007", 404, "unknown-channel"),
        ("channel=landline", 404, "unknown-channel"),
        ("channel=%00", 404, "unknown-channel"),
        ("channel=%ff", 400, "bad-request"),
        ("channel=\xff", 400, "bad-request"),
        ("channel=orders%0d%0aSet-Cookie:%20a=b", 404, "unknown-channel"),
        ("channel=orders&%0d%0aX:y=1", 400, "bad-request"),
        ("channel=room/" + "9" * 5000, 404, "unknown-channel"),
        ("channel=" + quote("𝄞" * 300), 404, "unknown-channel"),
        ("x" * 1_000_000, 400, "bad-request"),
        ("channel=orders&" * 70_000, 400, "bad-request"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_refusal_is_a_problem_document(query: str, status: int, code: str, orders: App, caplog) -> None:
    answer = orders.ask(query)
    assert (answer.status, answer.json["code"], answer.json["status"]) == (status, code, status)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert len(answer.body) < 2000 + len(query)
    assert len(answer.body) < 10_000
    assert "Set-Cookie" not in answer.headers
    assert caplog.records == []


def test_unknown_channels_are_all_named_and_nothing_is_read(orders: App) -> None:
    answer = orders.poll("orders", "ordres", "room/x")
    assert (answer.status, answer.json["channels"]) == (404, ["ordres", "room/x"])


def test_all_hundred_channels_are_served(orders: App) -> None:
    names = [f"room/{number}" for number in range(100)]
    for name in names:
        orders.live.publish(name, name)
    assert orders.poll(*names, cursor="start").data == names


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "BREW"])
def test_other_methods_are_refused(method: str, orders: App) -> None:
    answer = orders.ask("channel=orders", method=method)
    assert (answer.status, answer.json["code"]) == (405, "method")
    assert answer.headers["Allow"] == "GET, HEAD"


def test_log_that_cannot_be_read_is_told_and_recovered_from(orders: App, monkeypatch, caplog) -> None:
    def fail(*_: object) -> Cursor:
        raise LogError("The log /srv/secret/landline.db is locked")

    first = orders.poll("orders")
    with monkeypatch.context() as patch:
        patch.setattr(orders.runtime.log, "tail", fail)
        orders.runtime.hub.invalidate()
        for more in ({}, {"if_none_match": first.headers["ETag"]}, {"wait": "5"}):
            answer = orders.poll("orders", cursor=first.cursor, threads=True, **more)
            assert (answer.status, answer.json["code"]) == (503, "log-unavailable")
            assert answer.headers["Retry-After"] == "2"
            assert "secret" not in answer.body.decode()
    assert orders.poll("orders", cursor=first.cursor).status == 200


@pytest.mark.parametrize("path", ["/poll", "/landlines/poll", "/Landline/poll", "/landline", "/landline/"])
def test_paths_outside_the_prefix_are_the_apps(path: str, orders: App) -> None:
    orders.flask.add_url_rule("/<path:rest>", "all", lambda rest: f"the app's {rest}")
    assert orders.ask("channel=orders", path=path).body.startswith((b"the app's", b"<!doctype html>"))


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize("path", ["/poll/", "/polll", "/Poll", "/a/b", "/poll\r", "/%s"])
def test_unknown_paths_under_the_prefix_are_told_the_known_ones(path: str, method: str, orders: App) -> None:
    answer = orders.ask("channel=orders", path=f"/landline{path}", method=method)
    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    if method != "HEAD":
        assert answer.json["type"] == "about:blank"
        assert answer.json["detail"].isprintable()
        assert "/landline/poll" in answer.json["detail"]


@pytest.mark.parametrize("path", ["/landline", "/landline/", "/landline/mine", "/landline/my/<int:number>"])
def test_apps_own_routes_under_the_prefix_are_served(path: str, orders: App) -> None:
    orders.flask.add_url_rule(path, "mine", lambda number=7: f"the app's own, {number}")
    assert orders.ask("", path=path.replace("<int:number>", "7")).body == b"the app's own, 7"


@pytest.mark.parametrize("path", ["landline.js", "landline-htmx.js", "landline-status.d.ts", "openapi.json"])
def test_pages_refuse_other_methods_as_the_wire_does(path: str, orders: App) -> None:
    answer = orders.ask("", path=f"/landline/{path}", method="POST")
    assert (answer.status, answer.json["code"]) == (405, "method")
    assert answer.headers["Allow"] == "GET, HEAD"


def test_prefix_is_configured(make_app: Callable[..., App]) -> None:
    app = make_app(prefix="/live/line")
    app.live.channel("orders")
    assert app.ask("channel=orders", path="/live/line/poll").status == 200
    assert app.ask("channel=orders").status == 404


def test_poll_does_not_pass_through_the_app(orders: App) -> None:
    """No `before_request`, no session, no error handler: an idle poll costs no trip through Flask."""
    called: list[str] = []
    orders.flask.before_request(lambda: called.append("before"))

    @orders.flask.errorhandler(404)
    def handler(_: object) -> str:
        called.append("handler")
        return "mine"

    orders.poll("orders")
    assert orders.poll("nothing").json["code"] == "unknown-channel"
    assert called == []


def test_names_in_utf_8_are_understood_encoded_and_raw(app: App) -> None:
    """A shell's curl sends the bytes as they were typed; WSGI shows them as Latin-1."""
    app.live.channel("grüße")
    app.live.publish("grüße", 1)
    assert app.ask("channel=gr%C3%BC%C3%9Fe&cursor=start").data == [1]
    assert app.ask("channel=grüße&cursor=start".encode().decode("latin-1")).data == [1]


@pytest.mark.parametrize("kind", ["ValueError", "KeyError", "RuntimeError"])
def test_nothing_a_client_sends_ends_in_a_traceback(kind: str, app: App, caplog) -> None:
    """Not even with a converter of the app's that fails on it."""
    from werkzeug.routing import BaseConverter, ValidationError

    class Odd(BaseConverter):
        def to_python(self, value: str) -> str:
            raise ValidationError if kind == "ValueError" else ValueError(value)

    app.live.channels._map.converters["odd"] = Odd
    app.live.channel("x/<odd:y>")
    caplog.set_level(logging.INFO)
    assert app.poll("x/1\r\n2").status == 404
    assert app.poll("x/1").status == 404


def test_every_status_is_a_known_one(orders: App) -> None:
    for query in ("channel=orders", "", "channel=x", "channel=orders&cursor=5"):
        assert orders.ask(query).status in responses


def test_app_without_channels_serves_its_pages() -> None:
    """The middleware takes nothing from an app that does not use it."""
    app = Flask(__name__)
    app.add_url_rule("/", "index", lambda: "hello")
    from flask_landline import Landline

    Landline(app)
    assert app.test_client().get("/").text == "hello"
    app.extensions["landline"].close()
