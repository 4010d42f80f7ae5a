"""What the app sets as cookies when it is asked who may read reaches the client: each transport, both doors."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import pytest
from flask import Response, abort, after_this_request
from flask_landline.wsgi import detach
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from werkzeug.serving import make_server

from tests.apps import App
from tests.processes import free_port, until

PATIENCE = 10.0
COOKIES = ["one=1; Path=/", "two=2; HttpOnly; Path=/"]
DOORS = ["wsgi", "listener"]
TRANSPORTS = ["poll", "long-poll", "sse", "websocket"]


class Got(NamedTuple):
    """What a client has at once: the head of its answer, and the first of what is told."""

    status: int
    headers: list[tuple[str, str]]
    first: dict[str, Any]

    @property
    def cookies(self) -> list[str]:
        return [value for name, value in self.headers if name.lower() == "set-cookie"]

    @property
    def cache_control(self) -> str | None:
        return dict(self.headers).get("Cache-Control")


class Site:
    """An app behind a server, with a second door."""

    def __init__(self, app: App, wsgi: int, listener: int) -> None:
        self.app = app
        self.sets = True
        self.asked = 0
        self.verdict: Callable[[], bool] = lambda: True
        self._ports = {"wsgi": wsgi, "listener": listener}
        app.flask.secret_key = "key"
        app.flask.before_request(self._before)
        app.live.channel("closed").reader(self._may_read)
        app.live.channel("open")
        app.live.channel("failing").snapshot(lambda: 1 / 0)

    def _before(self) -> None:
        if self.sets:

            @after_this_request
            def set_cookies(response: Response) -> Response:
                response.set_cookie("one", "1")
                response.set_cookie("two", "2", httponly=True)
                return response

    def _may_read(self) -> bool:
        self.asked += 1
        return self.verdict()

    def ask(self, door: str, transport: str, query: str = "channel=closed", **headers: str) -> Got:
        """Begin to read; a long poll waits for longer than the test does."""
        port = self._ports[door]
        if transport == "websocket":
            try:
                with connect(f"ws://127.0.0.1:{port}/landline/ws?{query}", additional_headers=headers) as socket:
                    assert socket.response is not None
                    first = json.loads(socket.recv(PATIENCE))
                    return Got(socket.response.status_code, list(socket.response.headers.raw_items()), first)
            except InvalidStatus as error:
                refused = error.response
                return Got(refused.status_code, list(refused.headers.raw_items()), json.loads(refused.body or b"{}"))
        path = "events" if transport == "sse" else "poll"
        query += "&wait=20" if transport == "long-poll" else ""
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
            connection.request("GET", f"/landline/{path}?{query}", headers=headers)
            answer = connection.getresponse()
            if answer.getheader("Content-Type") == "text/event-stream":
                while not (line := answer.readline()).startswith(b"data: "):
                    assert line
                first = json.loads(line.removeprefix(b"data: "))
                answer.close()
            else:
                first = json.loads(answer.read() or b"{}")
            return Got(answer.status, answer.getheaders(), first)


@pytest.fixture(scope="module", autouse=True)
def dead_socket() -> None:
    """Have the one socket made that a process keeps for good: it is no leak of the first test."""
    detach._dead.fileno()


@pytest.fixture
def site(make_app: Callable[..., App]) -> Iterator[Site]:
    listener = free_port()
    app = make_app(listen=f"127.0.0.1:{listener}")
    server = make_server("127.0.0.1", 0, app.flask, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site = Site(app, server.server_port, listener)

    def is_open() -> bool:
        try:
            return site.ask("listener", "poll", "channel=open").status == 200
        except ConnectionRefusedError:
            return False

    try:
        site.ask("wsgi", "poll", "channel=open")  # the first request opens the second door
        until(is_open, PATIENCE, "the second door")
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("door", DOORS)
def test_cookies_come_with_the_answer_and_no_grant_does(door: str, transport: str, site: Site) -> None:
    """A grant would be bound to the cookies from before. A held poll does not wait: the old cookies may be void."""
    got = site.ask(door, transport)
    assert got.status == (101 if transport == "websocket" else 200)
    assert got.cookies == COOKIES
    assert "grant" not in got.first
    if transport != "websocket":
        assert "no-store" in str(got.cache_control)
    # An app may set one with each answer: then who asks to be held is to wait by itself.
    assert ("long-poll" in got.first["advice"]["transports"]) == (transport != "long-poll")
    assert got.first["advice"]["interval"] > 0
    site.sets = False
    quiet = site.ask(door, "poll", f"channel=closed&cursor={got.first['cursor']}")
    assert quiet.cookies == []
    assert "grant" in quiet.first


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("verdict", "status"), [(lambda: False, 403), (lambda: abort(401), 401), (lambda: 1 / 0, 503)])
def test_cookies_come_with_a_refusal_too(
    door: str, transport: str, verdict: Callable[[], bool], status: int, site: Site
) -> None:
    """A session's old id is void, whatever the reader function says."""
    site.verdict = verdict
    got = site.ask(door, transport)
    assert (got.status, got.cookies) == (status, COOKIES)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("door", DOORS)
def test_cookies_come_with_what_fails_after_the_app_said_yes(door: str, transport: str, site: Site) -> None:
    got = site.ask(door, transport, "channel=closed&channel=failing")
    assert (got.status, got.first["code"], got.cookies) == (503, "app-failed", COOKIES)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("door", DOORS)
def test_reader_who_is_revoked_while_cookies_are_set_comes_back_with_them(
    door: str, transport: str, site: Site
) -> None:
    """The app would be asked again at once; but what this request has is void, perhaps."""

    def revoke() -> bool:
        site.app.live.revoke(channel="closed")
        return True

    site.verdict = revoke
    got = site.ask(door, transport)
    assert (got.status, got.first["code"], got.cookies, site.asked) == (503, "busy", COOKIES, 1)


@pytest.mark.parametrize("door", DOORS)
def test_answer_with_cookies_is_never_304_and_never_remembered(door: str, site: Site) -> None:
    site.sets = False
    cursor = site.ask(door, "poll").first["cursor"]
    grant = site.ask(door, "poll", f"channel=closed&cursor={cursor}").first["grant"]["token"]
    site.sets = True
    for asked in range(3, 6):
        got = site.ask(door, "poll", f"channel=closed&cursor={cursor}", **{"If-None-Match": f'W/"{cursor}"'})
        assert (got.status, got.cookies, got.first["data"]) == (200, COOKIES, None)
        assert site.asked == asked
    for asked in range(6, 9):  # without a tag, as what is remembered is asked for
        assert site.ask(door, "poll", f"channel=closed&cursor={cursor}&grant=x").cookies == COOKIES
        assert site.asked == asked
    # Where nobody had to be asked there is no cookie: the grant speaks for the reader.
    known = site.ask(
        door, "poll", f"channel=closed&cursor={cursor}&grant={grant}", **{"If-None-Match": f'W/"{cursor}"'}
    )
    assert (known.status, known.cookies) == (304, [])


@pytest.mark.parametrize("door", DOORS)
def test_line_opened_with_a_cookie_lives_by_a_grant_of_its_own(door: str, site: Site) -> None:
    """The client was sent none; a revocation ends the line all the same."""
    port = site._ports[door]
    with connect(f"ws://127.0.0.1:{port}/landline/ws?channel=closed") as socket:
        assert "grant" not in json.loads(socket.recv(PATIENCE))
        site.app.live.publish("closed", 1)
        assert json.loads(socket.recv(PATIENCE))["data"][0]["data"] == 1
        site.app.live.revoke(channel="closed")
        for _ in socket:
            pass
        assert socket.close_code == 1001
