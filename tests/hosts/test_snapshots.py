"""What a snapshot function sees: its reader's host, and nothing else of the reader (WIRE §8)."""

import contextvars
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import g, request, session
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.apps import Answer, App
from tests.doors import DOORS, listening, second_door, through
from tests.flask.test_reader_view import session_cookie
from tests.hosts.test_in_place import LONG, held
from tests.processes import until

READER = contextvars.ContextVar("reader", default="nobody")


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    app = listening(make_app, log="sqlite:")
    app.flask.secret_key = "key"
    return app


def of_its_host(app: App) -> None:
    """Declare a channel whose state another host's readers must not see."""
    app.live.channel("state").snapshot(lambda: f"of {request.host}")


def shown() -> list[Any]:
    seen = [request.url, request.method, dict(request.headers), request.remote_addr, dict(session), READER.get()]
    return [*seen, g.get("user")]


@pytest.mark.parametrize("cursor", ["now", "00000000-1"], ids=["newcomer", "reset"])
def test_snapshot_sees_its_readers_host_and_nothing_else_through_both_doors(cursor: str, app: App) -> None:
    app.live.channel("state").snapshot(shown)
    query = f"channel=state&cursor={cursor}"
    personal = {"cookie": session_cookie(app.flask, user="ann"), "authorization": "Basic eDp5", "x_user": "ann"}
    answers = [through(door, app)("poll", query, host="a.test", **personal) for door in DOORS]
    for answer in answers:
        assert answer.data == [["http://a.test/", "GET", {"Host": "a.test"}, None, {}, "nobody", None]]


def test_snapshot_sees_nothing_that_was_set_around_the_request(app: App) -> None:
    """By a middleware for its reader, or by whoever has an app context open already."""
    app.live.channel("state").snapshot(shown)

    def ask() -> Answer:
        READER.set("ann")
        with app.flask.test_request_context(headers={"Cookie": session_cookie(app.flask, user="ann")}):
            g.user = "ann"
            return app.poll("state")

    seen = contextvars.copy_context().run(ask).data[0]
    assert seen[4:] == [{}, "nobody", None]


@pytest.mark.parametrize("door", DOORS)
def test_each_host_gets_its_own_state(door: str, app: App) -> None:
    of_its_host(app)
    ask = through(door, app)
    for cursor in ("now", "00000000-1"):
        for host in ("a.test", "b.test", "a.test", "A.test:80"):
            answer = ask("poll", f"channel=state&cursor={cursor}", host=host)
            assert answer.data == [f"of {host.lower().removesuffix(':80')}"]


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("door", DOORS)
def test_host_is_the_one_that_the_app_believes(door: str, inside: bool, make_app: Callable[..., App]) -> None:
    app = make_behind_proxy(make_app, inside)
    app.live.channel("state").snapshot(lambda: request.host_url)
    forwarded = {"x_forwarded_host": "evil.test, a.test", "x_forwarded_proto": "https"}
    assert through(door, app)("poll", "channel=state", host="inner:8000", **forwarded).data == ["https://a.test/"]


def make_behind_proxy(make_app: Callable[..., App], inside: bool, **config: Any) -> App:
    """Return an app with a `ProxyFix` around it, wrapped before Landline or after."""
    if inside:
        return listening(make_app, prepare=_fix, **config)
    app = listening(make_app, **config)
    _fix(app.flask)
    return app


def _fix(flask: Any) -> None:
    flask.wsgi_app = ProxyFix(flask.wsgi_app, x_for=1, x_proto=1, x_host=1)


@pytest.mark.parametrize("door", DOORS)
def test_trusted_hops_do_not_decide_what_the_app_itself_would_not_believe(
    door: str, make_app: Callable[..., App]
) -> None:
    """It is asked at one host; what it is asked about must not be another's."""
    app = listening(make_app, trusted_hops=1)
    of_its_host(app)
    answer = through(door, app)("poll", "channel=state", host="a.test", x_forwarded_host="b.test")
    assert answer.data == ["of a.test"]


@pytest.mark.parametrize("door", DOORS)
def test_yes_for_one_host_is_none_for_another(door: str, app: App) -> None:
    """Its reader may send the first host's cookies along by hand, or there are none."""
    of_its_host(app)
    next(iter(app.live.channels)).reader(lambda: request.host == "a.test")
    ask = through(door, app)
    first = ask("poll", "channel=state", host="a.test", cookie="who=ann")
    query = f"channel=state&grant={first.json['grant']['token']}"
    for _ in range(2):  # the second time its signature is known as good
        cached = ask("poll", query, host="A.test:80", cookie="who=ann")
        assert (cached.status, "grant" in cached.json) == (200, False)
        assert ask("poll", query, host="b.test", cookie="who=ann").status == 403
    idle = f"{query}&cursor={first.cursor}"
    assert ask("poll", idle, host="a.test", cookie="who=ann").status == 200  # and remembered
    assert ask("poll", idle, host="b.test", cookie="who=ann").status == 403


def test_held_polls_get_the_state_of_their_hosts(app: App) -> None:
    of_its_host(app)
    query = f"channel=state&cursor={app.live.cursor()}&wait={LONG}"
    polls = [lambda host=host: app.ask(query, host=host, threads=True) for host in ("a.test", "b.test")]
    with held(app, *polls) as answers:
        Path(app.flask.instance_path, "landline.db").unlink()  # a reset, for everybody
    assert sorted(answer.data for answer in answers) == [["of a.test"], ["of b.test"]]


@contextmanager
def line(port: int, path: str, host: str) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", port), 10)) as sock:
        sock.sendall(f"GET /landline/{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        yield sock


def read_until(sock: socket.socket, words: str) -> str:
    got = ""
    while words not in got:
        part = sock.recv(4096)
        assert part, got
        got += part.decode()
    return got


@pytest.mark.parametrize("path", ["events?channel=state&cursor={}", "poll?channel=state&cursor={}&wait=20"])
def test_lines_of_one_channel_get_the_state_of_their_hosts(path: str, app: App) -> None:
    """Lines that read the same are sent the same bytes, but for this."""
    of_its_host(app)
    port, hosts = second_door(app), ("a.test", "b.test", "a.test:80")
    path = path.format(app.live.cursor())
    with line(port, path, hosts[0]) as one, line(port, path, hosts[1]) as two, line(port, path, hosts[2]) as three:
        until(lambda: app.flask.wsgi_app.sideloop._admitted == 3, 10, "three lines")  # type: ignore[attr-defined]
        Path(app.flask.instance_path, "landline.db").unlink()
        for sock, host in zip((one, two, three), ("a.test", "b.test", "a.test"), strict=True):
            assert f'"of {host}"' in read_until(sock, "of ")


def test_shared_caches_are_told_that_snapshots_differ_by_host(make_app: Callable[..., App]) -> None:
    """nginx's keep an answer by the upstream's name, unless it says what else it depends on."""
    app = make_app(shared_cache=3, origins=["https://app.example.org"])
    app.live.channel("news")
    of_its_host(app)
    varies = "Origin, Host, X-Forwarded-Host, X-Forwarded-Proto"
    for name, vary in (("state", varies), ("news", "Origin")):
        first = app.poll(name)
        cached = app.poll(name, cursor=first.cursor, if_none_match=first.headers["ETag"])
        assert [answer.headers.get_all("Vary") for answer in (first, cached)] == [[vary], [vary]]
        assert (first.status, cached.status) == (200, 304)
