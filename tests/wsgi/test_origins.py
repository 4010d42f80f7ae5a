"""Pages of other origins: what of an answer a browser would show them, for each kind of answer there is."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.apps import App

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
    again = app.poll("news", cursor=first.cursor, if_none_match=first.headers["ETag"], origin=MINE)
    assert (again.status, again.headers["Access-Control-Allow-Origin"]) == (304, MINE)
    assert "Landline-Interval" in again.headers["Access-Control-Expose-Headers"]


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
