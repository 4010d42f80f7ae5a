"""Pages of other origins: what of an answer a browser would show them, for each kind of answer there is."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from landline.access.refused import FORGET_AFTER, MOST, RefusedOrigins
from landline.protocol.origins import Site
from landline.protocol.request import Request
from landline.testing import Clock

from tests.apps import App
from tests.doors import DOORS, listening, through
from tests.fuzz.door import Door
from tests.hosts.test_in_place import LONG, held
from tests.hosts.test_snapshots import make_behind_proxy

MINE = "https://app.example.org"


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    app = make_app(origins=[MINE])
    app.flask.secret_key = "key"
    app.live.channel("news")
    app.live.channel("room/<int:room_id>").reader(lambda room_id: room_id == 1)
    return app


@pytest.mark.parametrize(
    ("query", "more", "status"),
    [
        ("channel=news", {}, 200),
        ("channel=room/1", {}, 200),
        ("channel=room/2", {}, 403),
        ("channel=nothing", {}, 404),
        ("channel=news&x=1", {}, 400),
        ("channel=news", {"method": "POST"}, 405),
        ("channel=news", {"method": "OPTIONS", "access_control_request_method": "GET"}, 204),
    ],
)
def test_every_answer_may_be_read_by_a_listed_origin_alone(query: str, more: dict[str, str], status: int, app: App):
    for origin, allowed in ((MINE, MINE), ("https://evil.example", None)):
        answer = app.ask(query, origin=origin, **more)  # type: ignore[arg-type]
        assert answer.status == (405 if status == 204 and not allowed else status)
        assert answer.headers["Access-Control-Allow-Origin"] == allowed
        assert answer.headers["Access-Control-Allow-Credentials"] == ("true" if allowed else None)
        assert answer.headers["Vary"] == "Origin"


def test_not_modified_may_be_read_too(app: App) -> None:
    first = app.poll("news")
    cached = app.poll("news", cursor=first.cursor, if_none_match=first.headers["ETag"], origin=MINE)
    assert (cached.status, cached.headers["Access-Control-Allow-Origin"]) == (304, MINE)
    assert "Landline-Interval" in cached.headers["Access-Control-Expose-Headers"]


def test_answer_that_was_remembered_is_not_given_to_another_origin(app: App) -> None:
    cursor = app.poll("news").cursor
    for origin in (None, MINE, None, "https://evil.example", MINE):
        more: dict[str, Any] = {"origin": origin} if origin else {}
        answer = app.poll("news", cursor=cursor, **more)
        assert answer.headers["Access-Control-Allow-Origin"] == (MINE if origin == MINE else None)


def test_star_is_not_for_private_channels(make_app: Callable[..., App]) -> None:
    app = make_app(origins=["*"])
    app.flask.secret_key = "key"
    app.live.channel("news")
    app.live.channel("room").reader(lambda: True)
    assert app.poll("news", origin=MINE).headers["Access-Control-Allow-Origin"] == "*"
    assert app.poll("news").headers["Access-Control-Allow-Origin"] == "*"
    for names in (["room"], ["news", "room"]):
        assert "Access-Control-Allow-Origin" not in app.poll(*names, origin=MINE).headers


def test_held_answers_may_be_read_too(app: App) -> None:
    answer = app.poll("news", wait="0.01", threads=True, origin=MINE)
    assert answer.headers["Access-Control-Allow-Origin"] == MINE
    refused = app.ask("channel=news", path="/landline/events", origin=MINE)
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (503, MINE)


def test_socket_is_refused_to_pages_that_are_not_listed(app: App) -> None:
    """Browsers send cookies with its handshake, and let any page read what comes."""
    for origin, code in ((MINE, "busy"), ("https://evil.example", "not-allowed"), ("null", "not-allowed")):
        answer = app.ask("channel=room/1", path="/landline/ws", origin=origin)
        assert answer.json["code"] == code  # busy: this server can hold none
        assert ("LANDLINE_ORIGINS" in answer.json["detail"]) == (code == "not-allowed")


# Whose pages are the host's own.

PROXY = {"x_forwarded_host": "site.test", "x_forwarded_proto": "https"}


def may_open(ask: Callable[..., Any], origin: str, **headers: str) -> bool:
    """Whether a page may open a socket; there is no room for one, which is said to those alone who may."""
    code = ask("ws", origin=origin, **headers).json["code"]
    assert code in ("busy", "bad-request", "not-allowed")
    return bool(code != "not-allowed")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("origin", "host", "may"),
    [
        ("https://site.test", "site.test:443", True),
        ("http://site.test", "site.test:80", True),
        ("https://site.test", "site.test", True),
        ("https://site.test", "site.test:8443", False),
        ("https://other.test", "site.test", False),
    ],
)
def test_port_of_its_scheme_is_the_same_host(
    origin: str, host: str, may: bool, door: str, make_app: Callable[..., App]
) -> None:
    app = listening(make_app, max_held=0)
    app.live.channel("news")
    assert may_open(through(door, app), origin, host=host) is may


@pytest.mark.parametrize("inside", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("door", DOORS)
def test_host_behind_a_proxy_is_what_proxy_fix_believes(door: str, inside: bool, make_app: Callable[..., App]) -> None:
    app = make_behind_proxy(make_app, inside, max_held=0)
    app.live.channel("news")
    ask = through(door, app)
    assert may_open(ask, "https://site.test", host="inner:8000", **PROXY)
    assert may_open(ask, "https://site.test", host="inner:8000", **PROXY | {"x_forwarded_host": "site.test:443"})
    assert may_open(ask, "https://site.test", host="inner:8000", **PROXY | {"x_forwarded_host": "evil.test, site.test"})
    assert not may_open(ask, "https://evil.test", host="inner", **PROXY | {"x_forwarded_host": "evil.test, site.test"})
    assert not may_open(ask, "http://inner:8000", host="inner:8000", **PROXY)
    assert not may_open(ask, "http://site.test", host="inner:8000", **PROXY)  # a page that came in the clear
    assert may_open(ask, "https://site.test", host="site.test", x_forwarded_proto="wss")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("hops", "forwarded", "may"),
    [
        (None, "site.test", False),
        (0, "site.test", False),
        (1, "site.test", True),
        (1, "evil.test, site.test", True),
        (1, "site.test, evil.test", False),
        (2, "site.test, inner.test", True),
        (2, "site.test", False),  # one of the two said nothing
    ],
)
def test_host_behind_trusted_hops(
    hops: int | None, forwarded: str, may: bool, door: str, make_app: Callable[..., App]
) -> None:
    app = listening(make_app, max_held=0, trusted_hops=hops)
    app.live.channel("news")
    assert may_open(through(door, app), "https://site.test", host="inner:8000", x_forwarded_host=forwarded) is may


# Pages of other sites that only load what they cannot read (https://www.w3.org/TR/fetch-metadata/).


@pytest.fixture
def both(make_app: Callable[..., App]) -> App:
    app = listening(make_app, held_threads=2)
    app.flask.secret_key = "key"
    app.live.channel("news")
    app.live.channel("room/<int:room_id>").reader(lambda room_id: room_id == 1)
    return app


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("element", ["object", "embed"])
def test_element_that_shows_its_page_a_success_gets_none(element: str, door: str, both: App) -> None:
    """Whoever may read, whatever was remembered: all are the same to it."""
    ask = through(door, both)
    cursor = both.live.cursor()
    for name in ("news", "room/1", "room/2", "nothing"):
        for path in ("poll", "events", "ws"):
            answer = ask(path, f"channel={name}", sec_fetch_dest=element, sec_fetch_site="same-origin")
            assert (answer.status, answer.json["code"]) == (403, "not-allowed")
    query = f"channel=news&cursor={cursor}"
    for _ in range(2):
        assert ask("poll", query).status == 200
        assert ask("poll", query, sec_fetch_dest="empty").status == 200
        assert ask("poll", query, sec_fetch_dest=element).status == 403


CROSS = {"sec_fetch_site": "cross-site"}
EVIL = {"origin": "https://evil.test", **CROSS}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("origins", "headers", "channel", "may"),
    [
        ([], CROSS, "news", False),
        ([], EVIL, "news", False),
        ([MINE], EVIL, "news", False),
        ([MINE], {"origin": MINE, **CROSS}, "news", True),
        ([MINE], {"origin": MINE, **CROSS}, "room/1", True),
        (["*"], EVIL, "news", True),
        (["*"], {"origin": "null", **CROSS}, "news", True),
        (["*"], EVIL, "room/1", False),
        (["*"], CROSS, "news", False),  # it does not say whose it is, so it reads nothing
        ([], {"sec_fetch_site": "same-site"}, "news", True),
        ([], {"sec_fetch_site": "none"}, "news", True),
        ([], {"origin": "http://site.test", **CROSS}, "news", True),  # sent on by another site and back
    ],
)
def test_page_of_another_site_that_cannot_read_opens_no_line(
    origins: list[str], headers: dict[str, str], channel: str, may: bool, door: str, make_app: Callable[..., App]
) -> None:
    app = listening(make_app, max_held=0, held_threads=0, origins=origins)
    app.flask.secret_key = "key"
    app.live.channel("news")
    app.live.channel("room/1").reader(lambda: True)
    ask = through(door, app)
    for path in ("events", "ws"):
        code = ask(path, f"channel={channel}", host="site.test", **headers).json["code"]
        assert (code == "not-allowed") is not may
    assert ask("poll", f"channel={channel}", host="site.test", **headers).status == 200


@pytest.mark.parametrize("headers", [CROSS, EVIL])
def test_page_of_another_site_is_answered_at_once_though_the_same_poll_is_held(
    headers: dict[str, str], both: App, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "flask_landline.access")
    query = f"channel=news&cursor={both.live.cursor()}&wait={LONG}"
    with held(both, lambda: both.ask(query, threads=True)) as answers:  # and so remembered
        answer = both.ask(query, threads=True, **headers)
        assert (answer.status, answer.json["data"]) == (200, None)
        with held(both, lambda: both.ask(query, threads=True)) as others:  # which is not remembered
            both.live.publish("news", 1)
    assert answers[0].data == others[0].data == [1]
    lines = [record.getMessage() for record in caplog.records if record.name == "flask_landline.access"]
    assert len(lines) == 2


def test_second_door_does_not_know_a_foreign_poll_by_its_bytes(both: App) -> None:
    def request(*more: str) -> bytes:
        lines = [f"GET /landline/poll?channel=news&cursor={cursor}&wait=9 HTTP/1.1", "Host: site.test", *more]
        return "\r\n".join([*lines, "", ""]).encode()

    cursor = both.live.cursor()
    with Door(both.flask) as door:
        for more, body in (
            (["Sec-Fetch-Site: same-origin"], b"long-poll"),
            (["Sec-Fetch-Site: cross-site"], b'"data": null'),
            ([], b"long-poll"),
            (["Sec-Fetch-Dest: object"], b"not-allowed"),
        ) * 2:
            (answer,) = door.exchange([request(*more)])
            assert body in answer.body


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("origins", [[], [MINE], ["*"]])
def test_answers_are_for_pages_of_the_same_origin_where_none_is_listed(
    origins: list[str], door: str, make_app: Callable[..., App]
) -> None:
    """So that other pages cannot load them either, as an image or a script."""
    app = listening(make_app, held_threads=0, max_held=0, origins=origins)
    app.live.channel("news")
    ask, idle = through(door, app), f"channel=news&cursor={app.live.cursor()}"
    answers = [
        ask("poll"),
        ask("poll", idle),
        ask("poll", idle),
        ask("poll", idle, if_none_match=f'W/"{app.live.cursor()}"'),
        ask("poll", "channel=nothing"),
        ask("poll", "channel=news&x=1"),
        ask("poll", method="POST"),
        ask("poll", method="HEAD"),
        ask("events"),
        ask("events", method="HEAD"),
        ask("ws"),
        ask("ws", sec_fetch_dest="embed"),
    ]
    said = {answer.headers["Cross-Origin-Resource-Policy"] for answer in answers}
    assert said == ({None} if origins else {"same-origin"})
    assert {200, 304, 404, 400, 405, 503, 403} == {answer.status for answer in answers}


# Scripts.

SCRIPTS = ("landline.js", "landline-htmx.js", "landline-status.js", "landline.d.ts")


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_may_be_imported_by_those_who_may_read(name: str, make_app: Callable[..., App]) -> None:
    """Modules are fetched with CORS, unlike other scripts."""
    for origins, origin, shown in (
        ([MINE], MINE, MINE),
        ([MINE], "https://evil.test", None),
        ([MINE], None, None),
        (["*"], "https://any.test", "*"),
        (["*"], "null", "*"),
        (["*"], None, "*"),
        (["*", MINE], MINE, MINE),
        ([], MINE, None),
    ):
        app = make_app(origins=origins)
        asked: dict[str, Any] = {"origin": origin} if origin else {}
        for status in (200, 304):
            answer = app.ask("", path=f"/landline/{name}", **asked)
            assert answer.status == status
            assert answer.headers["Access-Control-Allow-Origin"] == shown
            assert answer.headers["Access-Control-Allow-Credentials"] == ("true" if shown == MINE else None)
            assert ("Origin" in (answer.headers["Vary"] or "")) is (MINE in origins)
            assert "Cross-Origin-Resource-Policy" not in answer.headers
            asked["if_none_match"] = answer.headers["ETag"]


# What the log says.


def test_refused_origin_is_logged_once_with_what_was_compared(app: App, caplog: pytest.LogCaptureFixture) -> None:
    for path in ("poll", "events", "ws", "poll"):
        for origin in (MINE, "https://evil.test", "https://other.test", "http://site.test:80"):
            app.ask(
                "channel=news", path=f"/landline/{path}", origin=origin, host="site.test", x_forwarded_host="x.test"
            )
    lines = [message for message in caplog.messages if "may not read" in message]
    assert len(lines) == 2
    for origin, line in zip(("https://evil.test", "https://other.test"), lines, strict=True):
        for words in (f"'{origin}'", "http://'site.test'", "'x.test'", f"['{MINE}']", "LANDLINE_TRUSTED_HOPS"):
            assert words in line


def test_star_says_that_it_is_for_public_channels(make_app: Callable[..., App], caplog) -> None:
    app = make_app(origins=["*"])
    app.flask.secret_key = "key"
    app.live.channel("news")
    app.live.channel("room").reader(lambda: True)
    for name in ("news", "room"):
        app.poll(name, origin="https://any.test")
    (line,) = [message for message in caplog.messages if "may not read" in message]
    assert "'*' is for public channels" in line


def test_log_is_not_filled_by_origins_that_are_made_up(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    refused = RefusedOrigins([MINE], clock=clock)
    request = Request("GET", "/landline/poll", "", {}, "-")
    for hour in (1, 2):
        for number in range(2 * MOST):
            refused.note(
                f"https://{number}.test\n\x1b[2J{'x' * 99_999}", Site("http", "site.test"), request, public=True
            )
        assert len(caplog.messages) == MOST * hour
        assert "no other one is logged" in caplog.messages[-1]
        clock.advance(FORGET_AFTER + 1)
    assert all(re.fullmatch(r"[ -~]{1,900}", message) for message in caplog.messages)
    assert sum(map(len, refused._seen)) < MOST * 400
