"""Reader functions are asked in a real request of the app, through either door; what is not a yes is none (WIRE §9)."""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask, Response, abort, g, got_request_exception, make_response, redirect, request, session
from flask.sessions import SecureCookieSessionInterface
from flask_landline import Landline
from flask_login import LoginManager, UserMixin, login_required, login_user
from landline.protocol.reply import Reply
from landline.protocol.request import Request
from landline.serve.offers import ALL
from landline.serve.subscription import Subscription
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.apps import App


@pytest.fixture
def room(app: App) -> App:
    """Return an app with rooms that nobody may read yet."""
    app.flask.secret_key = "key"
    app.live.channel("news")
    app.live.channel("room/<int:room_id>").reader(lambda **_: False)
    return app


def reader(app: App, function: Callable[..., Any]) -> None:
    next(channel for channel in app.live.channels if "room" in channel.rule).reader(function)


def second_door(app: App, query: str, **headers: str) -> tuple[int, bytes]:
    """Ask as the listener does, which has no WSGI environment."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    endpoints = app.flask.wsgi_app._endpoints  # type: ignore[attr-defined]
    reply: Reply | Subscription = endpoints.handle(Request("GET", "/landline/poll", query, names, "127.0.0.9"), ALL)
    assert isinstance(reply, Reply)
    return int(reply.status[:3]), reply.body


def session_cookie(flask: Flask, **values: Any) -> str:
    signer = SecureCookieSessionInterface().get_signing_serializer(flask)
    assert signer is not None
    return f"session={signer.dumps(values)}"


# What a function says.


def note(seen: list[Any], what: Any) -> bool:
    seen.append(what)
    return True


def raising(error: Exception) -> Any:
    raise error


@pytest.mark.parametrize(
    ("function", "status"),
    [
        (lambda **_: True, 200),
        (lambda **_: False, 403),
        (lambda **_: abort(401), 401),
        (lambda **_: abort(403), 403),
        (lambda **_: abort(404), 403),  # get_or_404: a room that is not there is one that nobody may read
        (lambda **_: abort(Response("no", 403)), 403),
        (lambda **_: redirect("/login"), 401),
        (lambda **_: make_response("no", 403), 403),
    ],
)
def test_verdict(function: Callable[..., Any], status: int, room: App, caplog) -> None:
    reader(room, function)
    assert room.poll("room/1").status == status
    assert second_door(room, "channel=room/1")[0] == status
    assert caplog.records == []


@pytest.mark.parametrize(
    "function",
    [
        lambda **_: None,
        lambda **_: 1,
        lambda **_: "yes",
        lambda **_: Response("welcome"),
        lambda **_: ("welcome", 200),
        lambda **_: abort(429),
        lambda **_: abort(500),
        lambda **_: abort(503),
        lambda room_id: {}[room_id],
        lambda wrong_name: wrong_name,
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_function_that_does_not_answer_opens_nothing_and_is_logged(
    function: Callable[..., Any], debug: bool, room: App, caplog
) -> None:
    """Also in debug mode, where Flask hands errors on."""
    room.flask.debug = debug
    reader(room, function)
    room.live.publish("room/1", "secret")
    answer = room.poll("room/1", cursor="start")
    assert (answer.status, answer.json["code"], answer.headers["Retry-After"]) == (503, "app-failed", "2")
    assert second_door(room, "channel=room/1&cursor=start")[0] == 503
    assert len(caplog.records) == 2
    assert "room/1" in caplog.text or "room_id" in caplog.text
    assert "secret" not in str(answer.body)


def test_all_or_nothing_and_the_refused_are_named(room: App) -> None:
    verdicts = {1: True, 2: False, 3: True, 4: False}
    reader(room, lambda room_id: verdicts[room_id])
    names = [f"room/{number}" for number in (4, 1, 2)]
    answer = room.poll(*names, "news")
    assert (answer.status, answer.json["code"], answer.json["channels"]) == (403, "not-allowed", ["room/4", "room/2"])
    assert room.poll("room/1", "news", "room/3").status == 200


def test_login_is_asked_for_if_it_may_help_with_one_of_them(room: App) -> None:
    reader(room, lambda room_id: abort(401) if room_id == 2 else False)
    assert room.poll("room/1", "room/2").status == 401


def test_function_gets_the_rules_parts_and_is_returned(room: App) -> None:
    got: list[dict[str, Any]] = []
    channel = room.live.channel("file/<path:name>/<float:version>")

    @channel.reader
    def may_read(**parts: Any) -> bool:
        got.append(parts)
        return True

    assert room.poll("file/a/b/1.5").status == 200
    assert got == [{"name": "a/b", "version": 1.5}]
    assert may_read(name="x", version=1.0) is True


def test_function_may_be_async(room: App) -> None:
    """Flask's own needs an extra; an app may have another."""

    def ensure_sync(f: Callable[..., Any]) -> Callable[..., Any]:
        return (lambda **parts: asyncio.run(f(**parts))) if asyncio.iscoroutinefunction(f) else f

    room.flask.ensure_sync = ensure_sync  # type: ignore[method-assign, assignment]

    async def may_read(room_id: int) -> bool:
        await asyncio.sleep(0)
        return room_id == 1

    reader(room, may_read)
    assert [room.poll(name).status for name in ("room/1", "room/2")] == [200, 403]


# Where it is asked.


@pytest.mark.parametrize("path", ["poll", "events", "ws"])
def test_function_is_asked_in_a_request_of_the_app(path: str, room: App) -> None:
    """At the wire's own address, with the session, and with everything around it that a view has."""
    seen: list[Any] = []
    room.flask.before_request(lambda: setattr(g, "user", session.get("user")))

    @room.flask.after_request
    def after(response: Response) -> Response:
        seen.append("after")
        return response

    room.flask.teardown_request(lambda _: seen.append("teardown"))

    def may_read(room_id: int) -> bool:
        seen.append((g.user, request.path, request.method, request.endpoint, request.args["channel"]))
        return False

    reader(room, may_read)
    cookie = session_cookie(room.flask, user="ann")
    upgrade: dict[str, Any] = {"upgrade": "websocket", "connection": "Upgrade"} if path == "ws" else {}
    assert room.ask("channel=room/1", path=f"/landline/{path}", cookie=cookie, **upgrade).status == 403
    asked = ("ann", f"/landline/{path}", "GET", "landline.read", "room/1")
    assert seen == [asked, "after", "teardown"]


def test_second_door_has_the_same_request(room: App) -> None:
    seen: list[Any] = []

    def may_read(room_id: int) -> bool:
        seen.append((session.get("user"), request.url, request.remote_addr, request.headers.get("X-Real-Ip")))
        return True

    reader(room, may_read)
    cookie = session_cookie(room.flask, user="ann")
    assert second_door(room, "channel=room/1", host="here:81", cookie=cookie, x_real_ip="10.0.0.1")[0] == 200
    assert seen == [("ann", "http://here:81/landline/poll?channel=room/1", "127.0.0.9", "10.0.0.1")]


def test_second_door_drops_headers_that_would_pass_for_a_proxys(room: App) -> None:
    """WSGI cannot tell `X_Real_Ip` from `X-Real-Ip`, and the proxy overwrites but the one."""
    seen: list[Any] = []
    reader(room, lambda **_: note(seen, request.headers.get("X-Real-Ip")))
    endpoints = room.flask.wsgi_app._endpoints  # type: ignore[attr-defined]
    endpoints.handle(Request("GET", "/landline/poll", "channel=room/1", {"x_real_ip": "1.2.3.4"}, "127.0.0.9"), ALL)
    assert seen == [None]


@pytest.mark.parametrize("inside", [True, False])
def test_proxy_fix_has_fixed_what_the_function_sees(inside: bool, make_app: Callable[..., App]) -> None:
    """Whether it was put around the app before Landline was, or after; and through either door, once."""
    app = make_app()
    fixed: list[str] = []

    def fix(flask: Flask) -> None:
        proxy_fix = ProxyFix(flask.wsgi_app)

        def counted(environ: Any, start_response: Any) -> Any:
            fixed.append(environ["PATH_INFO"])
            return proxy_fix(environ, start_response)

        flask.wsgi_app = counted  # type: ignore[method-assign]

    if inside:
        app.flask = Flask(__name__)
        app.flask.config["LANDLINE_LOG"] = "memory:"
        fix(app.flask)
        app.live = Landline(app.flask)
        app.runtime = app.flask.extensions["landline"]
    middleware = app.flask.wsgi_app
    if not inside:
        fix(app.flask)
    app.flask.secret_key = "key"
    seen: list[Any] = []
    app.live.channel("room").reader(lambda: note(seen, (request.remote_addr, request.scheme)))
    forwarded: dict[str, Any] = {"x_forwarded_for": "198.51.100.7", "x_forwarded_proto": "https"}
    assert app.poll("room", **forwarded).status == 200
    endpoints = middleware._endpoints  # type: ignore[attr-defined]
    headers = {name.replace("_", "-"): value for name, value in forwarded.items()}
    endpoints.handle(Request("GET", "/landline/poll", "channel=room", headers, "127.0.0.1"), ALL)
    assert seen == [("198.51.100.7", "https")] * 2
    assert len(fixed) == 2


@pytest.mark.parametrize(
    ("instead", "status"),
    [
        (lambda: redirect("/login"), 401),
        (lambda: ("log in", 401), 401),
        (lambda: ("no", 403), 403),
        (lambda: ("not here", 404), 403),
        (lambda: "closed for today", 403),
        (lambda: ("", 204), 403),  # what our own view answers
        (lambda: ("slower", 429), 503),
        (lambda: ("down", 503), 503),
        (lambda: raising(ValueError("broken")), 503),
        (lambda: abort(403), 403),
    ],
)
def test_what_answers_before_the_function_is_a_refusal(instead: Callable[[], Any], status: int, room: App) -> None:
    reader(room, lambda **_: True)
    closed: list[bool] = []
    room.flask.before_request(lambda: instead() if closed else None)
    assert room.poll("room/1").status == 200
    closed.append(True)
    answer = room.poll("room/1", "news")
    assert answer.status == status
    assert answer.json.get("channels") == (["room/1"] if status < 500 else None)
    assert second_door(room, "channel=room/1")[0] == status
    assert room.poll("news").status == 200  # which nobody is asked about


def test_what_answers_after_the_function_may_refuse_too(room: App) -> None:
    reader(room, lambda **_: True)
    room.flask.after_request(lambda _: Response("no", 403))
    assert room.poll("room/1").status == 403


def test_error_handlers_of_the_app_decide_about_errors_of_the_function(room: App) -> None:
    class NotAMember(Exception):
        pass

    reader(room, lambda **_: raising(NotAMember()))
    answers = [("log in", 401), ("for members", 403), ("welcome", 200)]
    room.flask.register_error_handler(NotAMember, lambda _: answers.pop(0))
    assert [room.poll("room/1").status for _ in range(3)] == [401, 403, 403]


def test_error_of_the_function_is_reported_as_any_views_is(room: App) -> None:
    reported: list[BaseException] = []
    reader(room, lambda **_: raising(ValueError("broken")))

    def report(_: Flask, exception: BaseException) -> None:
        reported.append(exception)

    with got_request_exception.connected_to(report, room.flask):
        assert room.poll("room/1").status == 503
    assert [str(error) for error in reported] == ["broken"]
    assert "room/1" in reported[0].__notes__[0]


def test_answer_carries_nothing_of_what_the_app_answered(room: App) -> None:
    """A poll changes nothing, not even the session."""

    def may_read(room_id: int) -> bool:
        session["seen"] = room_id
        return True

    reader(room, may_read)
    answer = room.poll("room/1")
    assert "Set-Cookie" not in answer.headers
    assert answer.json["data"] is None


def test_view_is_nobodys_but_ours(room: App) -> None:
    """Who gets to it another way is told nothing."""
    called: list[int] = []
    reader(room, lambda room_id: note(called, room_id))
    room.flask.wsgi_app = room.flask.wsgi_app._wsgi_app  # type: ignore[method-assign, attr-defined]
    assert room.ask("channel=room/1", landline_visit="x").status == 404
    assert called == []


# Who reads.


class User(UserMixin):  # type: ignore[misc]
    def __init__(self, user_id: str) -> None:
        self.id = user_id


@pytest.fixture
def members(room: App) -> App:
    """Return an app with flask-login; members read, after they have logged in at /login."""
    manager = LoginManager(room.flask)
    manager.user_loader(User)
    manager.login_view = "login"
    manager.request_loader(lambda request: User("7") if request.headers.get("Authorization") == "Bearer 7" else None)

    @room.flask.route("/login")
    def login() -> str:
        login_user(User("7"), remember="remember" in request.args)
        return ""

    reader(room, login_required(lambda **_: True))
    return room


def log_in(app: App, query: str = "") -> dict[str, str]:
    answer = app.ask(query, path="/login")
    return {cookie.partition("=")[0]: cookie.partition(";")[0] for cookie in answer.headers.get_all("Set-Cookie") or ()}


def test_login_decorator_and_current_user_work_as_on_a_view(members: App) -> None:
    assert members.poll("room/1").status == 401
    assert members.poll("room/1", cookie=log_in(members)["session"]).status == 200


@pytest.mark.parametrize("by", ["session", "remember_token", "authorization"])
def test_user_of_flask_login_is_who_is_revoked(by: str, members: App) -> None:
    """Also one whom a cookie remembers or a header names, and who has no session."""
    more: dict[str, Any] = {"authorization": "Bearer 7"}
    if by != "authorization":
        more = {"cookie": log_in(members, "remember=1")[by]}
    grant = members.poll("room/1", **more).json["grant"]["token"]
    assert "grant" not in members.poll("room/1", grant=grant, **more).json
    members.live.revoke(8)
    assert "grant" not in members.poll("room/1", grant=grant, **more).json
    members.live.revoke(7)
    assert "grant" in members.poll("room/1", grant=grant, **more).json


def test_who_has_logged_out_is_asked_about_anew(members: App) -> None:
    cookie = log_in(members)["session"]
    grant = members.poll("room/1", cookie=cookie).json["grant"]["token"]
    assert members.poll("room/1", grant=grant).status == 401


@pytest.mark.parametrize("identity", [True, 1.5, ["ann"], object()])
def test_identity_that_is_none_opens_nothing(identity: object, make_app: Callable[..., App], caplog) -> None:
    app = make_app(identity=lambda: identity)
    app.flask.secret_key = "key"
    app.live.channel("room").reader(lambda: True)
    assert app.poll("room").status == 503
    assert "LANDLINE_IDENTITY" in caplog.text


def test_reader_may_be_nobody_in_particular(make_app: Callable[..., App]) -> None:
    """Revoking the channel is then what ends its grants."""
    app = make_app(identity=lambda: None)
    app.flask.secret_key = "key"
    app.live.channel("room").reader(lambda: True)
    grant = app.poll("room").json["grant"]["token"]
    app.live.revoke("None")
    assert "grant" not in app.poll("room", grant=grant).json
    app.live.revoke(channel="room")
    assert "grant" in app.poll("room", grant=grant).json


# How many are asked.


@pytest.mark.parametrize(
    ("refused", "asked", "named"),
    [
        (set(range(100)), 10, range(10)),
        (set(range(50, 100)), 60, range(50, 60)),
        (set(range(9)), 100, range(9)),
        (set(range(10)), 10, range(10)),
        ({*range(9), 99}, 100, [*range(9), 99]),
    ],
    ids=["all", "the second half", "nine", "ten", "the tenth at the end"],
)
def test_after_ten_refusals_nothing_more_is_asked(
    refused: set[int], asked: int, named: Iterable[int], room: App
) -> None:
    """The rest is refused unasked; those found decide the status, and are named."""
    seen: list[int] = []

    def may_read(room_id: int) -> bool:
        seen.append(room_id)
        return room_id not in refused

    reader(room, may_read)
    names = [f"room/{number}" for number in range(100)]
    query = urlencode([("channel", name) for name in names])
    for through_wsgi in (True, False):
        answer = json.loads(room.poll(*names).body if through_wsgi else second_door(room, query)[1])
        assert (answer["code"], answer["status"]) == ("not-allowed", 403)
        assert answer["channels"] == [f"room/{number}" for number in named]
        assert seen == list(range(asked))
        seen.clear()


def test_refusals_found_decide_the_status(room: App) -> None:
    """An eleventh that would say 401 is not asked."""
    reader(room, lambda room_id: abort(401) if room_id == 10 else False)
    assert room.poll(*[f"room/{number}" for number in range(11)]).status == 403
    assert room.poll(*[f"room/{number}" for number in range(1, 11)]).status == 401
