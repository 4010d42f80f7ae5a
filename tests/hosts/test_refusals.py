"""Every refusal of WIRE §10, through both doors: status, document, headers. One table, walked twice."""

import http.client
import json
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, NamedTuple

import pytest
from flask import abort
from flask_landline import LogError
from landline.protocol.problem import KINDS

from tests.apps import PREFIX, App
from tests.processes import free_port, until

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class Refused(NamedTuple):
    """One way to be refused, and what the answer must say."""

    code: str
    status: int
    query: str
    words: tuple[str, ...]
    """What `detail` must hold: the value that was wrong, and the remedy."""
    path: str = "poll"
    method: str = "GET"
    headers: Mapping[str, str] = {}
    fields: Mapping[str, Any] = {}
    told: Mapping[str, str] = {}
    """Headers of the answer."""


TABLE = [
    Refused("bad-request", 400, "channel=orders&chanel=x", ("'chanel'", "Did you mean 'channel'?")),
    Refused("bad-request", 400, "channel=orders&curser=now", ("'curser'", "Did you mean 'cursor'?")),
    Refused("bad-request", 400, "channel=orders&xyzzy=1", ("'xyzzy'", "Known are channel, cursor, wait, grant")),
    Refused("bad-request", 400, "channel=orders&wait=1", ("'wait'", "Known are"), path="events"),
    Refused("bad-request", 400, "channel=orders&nonc=1", ("'nonc'", "Did you mean 'nonce'?"), path="ws"),
    Refused("bad-request", 400, "channel=orders&wait=soon", ("'soon'", "wait=20")),
    Refused("bad-request", 400, "channel=orders&channel=orders", ("'orders'", "Ask once")),
    Refused("bad-request", 400, "channel=orders&nonce=%00", (r"'\x00'", "printable"), path="events"),
    Refused("bad-request", 400, "channel=%ff", ("UTF-8", "Encode")),
    Refused("bad-request", 400, "channel=orders", ("GET",), path="ws", method="HEAD"),
    Refused("bad-cursor", 400, "channel=orders&cursor=1042", ("'1042'", "k3f9a2zq-1042", "'now' or 'start'")),
    Refused("bad-cursor", 400, "channel=orders", ("'7'",), path="events", headers={"Last-Event-ID": "7"}),
    Refused("too-many-channels", 400, "", ("No channel", "?channel=orders")),
    Refused("too-many-channels", 400, "&".join(f"channel=room/{n}" for n in range(101)), ("101", "Ask in several")),
    Refused("unknown-channel", 404, "channel=Orders", ("'Orders'", "exactly"), fields={"channels": ["Orders"]}),
    Refused(
        "unknown-channel",
        404,
        "channel=orders&channel=n%C3%B6%0D%0AX:%20y&channel=room/x",
        (r"'n\xf6\r\nX: y'",),
        fields={"channels": ["nö\r\nX: y", "room/x"]},
    ),
    Refused("not-allowed", 403, "channel=secret", ("'secret'",), fields={"channels": ["secret"]}),
    Refused("not-allowed", 401, "channel=orders&channel=members", ("Log in",), fields={"channels": ["members"]}),
    Refused("method", 405, "channel=orders", ("'POST'", "Use GET"), method="POST", told={"Allow": "GET, HEAD"}),
    Refused("method", 405, "", ("'DELETE'",), path="events", method="DELETE", told={"Allow": "GET, HEAD"}),
    Refused("method", 405, "", ("'PUT'",), path="ws", method="PUT", told={"Allow": "GET, HEAD"}),
    Refused("busy", 503, "channel=orders", ("Poll instead",), path="events"),
    Refused("busy", 503, "channel=orders", ("Poll instead",), path="ws", headers=HANDSHAKE),
    Refused("slow-down", 429, "channel=orders", ("More than 1 requests a second", "Retry-After")),
    Refused("log-unavailable", 503, "channel=orders&cursor=start", ("the same cursor", "nothing is lost")),
    Refused("app-failed", 503, "channel=broken", ("function of the app", "the same cursor", "nothing is lost")),
]


class Given(NamedTuple):
    """An answer, whichever door it came through."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Ask = Callable[[Refused], Given]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def orders(make_app: Callable[..., App], port: int) -> App:
    # No room for any line, so that whoever asks for one is refused; polls need none.
    app = make_app(max_held=0, held_threads=0, listen=f"127.0.0.1:{port}")
    app.flask.secret_key = "for tests"
    app.live.channel("orders")
    app.live.channel("room/<int:room_id>")
    app.live.channel("secret").reader(lambda: False)
    app.live.channel("members").reader(lambda: abort(401))
    app.live.channel("broken").reader(lambda: None)
    app.live.publish("orders", {"id": 7})
    return app


def through_wsgi(orders: App, port: int) -> Ask:
    def ask(row: Refused) -> Given:
        headers: dict[str, Any] = {name.replace("-", "_"): value for name, value in row.headers.items()}
        answer = orders.ask(row.query, method=row.method, path=f"{PREFIX}/{row.path}", **headers)
        return Given(answer.status, dict(answer.headers.items()), answer.body)

    return ask


def through_the_second_door(orders: App, port: int) -> Ask:
    orders.poll("orders")  # the first request opens it
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def is_open() -> bool:
        try:
            connection.connect()
        except ConnectionRefusedError:
            return False
        connection.close()
        return True

    until(is_open, 10, "the listener")

    def ask(row: Refused) -> Given:
        with closing(connection):
            connection.request(row.method, f"{PREFIX}/{row.path}?{row.query}", headers=dict(row.headers))
            answer = connection.getresponse()
            return Given(answer.status, dict(answer.getheaders()), answer.read())

    return ask


@pytest.fixture(params=[through_wsgi, through_the_second_door], ids=["wsgi", "listener"])
def ask(request: pytest.FixtureRequest, orders: App, port: int) -> Ask:
    made: Ask = request.param(orders, port)
    return made


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.code}-{row.path}-{row.words[0]}")
def test_refusal_says_what_with_which_value_and_what_to_do(
    row: Refused, ask: Ask, orders: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> object:
        raise LogError("The log /srv/secret.db was locked")

    if row.code == "log-unavailable":
        monkeypatch.setattr(orders.runtime.log, "tail", fail)
        orders.runtime.hub.invalidate()
    if row.code == "slow-down":
        monkeypatch.setattr(orders.flask.wsgi_app._endpoints.limits, "_rate", 1.0)  # type: ignore[attr-defined]
        for _ in range(10):  # as many at once are nothing unusual
            assert ask(row).status == 200
    given = ask(row)
    kind = KINDS[row.code]
    assert given.status == row.status
    assert given.headers["Content-Type"] == "application/problem+json"
    assert given.headers["Content-Length"] == str(len(given.body)) or row.method == "HEAD"
    assert given.headers["Cache-Control"] == "no-store"
    if kind.passes:
        assert int(given.headers["Retry-After"]) > 0
    else:
        assert "Retry-After" not in given.headers
    assert row.told.items() <= given.headers.items()
    if row.method != "HEAD":
        fields = json.loads(given.body)
        detail = fields.pop("detail")
        assert fields == {
            "type": f"urn:landline:problem:{row.code}",
            "title": kind.title,
            "status": row.status,
            "code": row.code,
            **row.fields,
        }
        for words in row.words:
            assert words in detail
        assert detail.isascii()
        assert detail.isprintable()
        assert detail.endswith((".", "?"))
    # What a client does wrong leaves no traceback; what the app's author has to mend does.
    assert [record for record in caplog.records if record.exc_info and row.code != "app-failed"] == []


def test_every_code_and_status_is_in_the_table() -> None:
    walked = {(row.code, row.status) for row in TABLE}
    assert walked == {(code, status) for code, kind in KINDS.items() for status in kind.statuses}


def test_second_door_tells_unknown_paths_the_known_ones(orders: App, port: int) -> None:
    given = through_the_second_door(orders, port)(Refused("", 404, "", (), path="polll"))
    assert (given.status, given.headers["Content-Type"]) == (404, "application/problem+json")
    assert "/landline/poll" in json.loads(given.body)["detail"]
