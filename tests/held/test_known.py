"""The second door knows a poll again by its bytes, and takes nothing else for it."""

from collections.abc import Callable

import pytest
from landline.loop import listener, requests

from tests.apps import App
from tests.fuzz.door import Answer, Door

HEADERS = "Host: here\r\nUser-Agent: somebody's\r\n"


def poll(cursor: str, more: str = "", version: str = "1.1") -> bytes:
    return f"GET /landline/poll?channel=orders&cursor={cursor} HTTP/{version}\r\n{HEADERS}{more}\r\n".encode()


class Parsed:
    """Counts the requests that a door's connection has parsed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        complete = requests.RequestParser.on_message_complete

        def counted(this: requests.RequestParser) -> None:
            self.count += 1
            complete(this)

        monkeypatch.setattr(requests.RequestParser, "on_message_complete", counted)


@pytest.fixture
def orders(app: App) -> App:
    app.live.channel("orders")
    return app


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Parsed:
    return Parsed(monkeypatch)


def one(door: Door, *pieces: bytes) -> Answer:
    (answer,) = door.exchange(pieces)
    return answer


def test_poll_that_comes_again_is_parsed_once_and_answered_alike(orders: App, parsed: Parsed) -> None:
    request = poll(orders.live.cursor())
    with Door(orders.flask) as door:
        answers = [one(door, request) for _ in range(5)]
    assert parsed.count == 1
    assert all(answer == answers[0] for answer in answers)
    assert b'"data": null' in answers[0].body


def test_what_is_new_reaches_a_poll_that_is_known(orders: App, parsed: Parsed) -> None:
    request = poll(orders.live.cursor())
    with Door(orders.flask) as door:
        for _ in range(2):
            assert b'"data": null' in one(door, request).body
        orders.live.publish("orders", "news")
        for _ in range(2):
            assert b'"data": "news"' in one(door, request).body
        orders.live.publish("orders", "more")
        assert b'"data": "more"' in one(door, request).body
    assert parsed.count == 3  # the news were found out by asking in full, and then again


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_poll_in_two_pieces_is_read_as_one(cut: int, orders: App, parsed: Parsed) -> None:
    request = poll(orders.live.cursor())
    with Door(orders.flask) as door:
        for _ in range(2):
            assert one(door, request).status == 200
        assert one(door, request[:cut], request[cut:]).status == 200
        assert one(door, request).status == 200
    assert parsed.count == 2


def test_bytes_of_a_poll_within_another_request_are_not_one(orders: App) -> None:
    """A head that has not ended may hold whatever its sender likes (RFC 9112 §11.2)."""
    request = poll(orders.live.cursor())
    begun = b"GET /elsewhere HTTP/1.1\r\nHost: here\r\nX:"
    with Door(orders.flask) as door:
        for _ in range(2):
            assert one(door, request).status == 200
        assert [answer.status for answer in door.exchange([begun, request])] == [400]
    with Door(orders.flask) as door:
        assert one(door, request).status == 200
        assert [answer.status for answer in door.exchange([begun + b" y\r\n", request])] == [400]


def test_polls_sent_together_are_answered_each(orders: App) -> None:
    request = poll(orders.live.cursor())
    with Door(orders.flask) as door:
        assert one(door, request).status == 200
        for _ in range(2):
            assert len(door.exchange([request * 3])) == 3
        assert one(door, request).status == 200


@pytest.mark.parametrize(
    "other",
    ["Cookie: a=b\r\n", "If-None-Match: *\r\n", "Origin: https://elsewhere.example\r\n", "Connection: close\r\n"],
)
def test_another_header_is_another_request(other: str, orders: App) -> None:
    request, with_other = poll(orders.live.cursor()), poll(orders.live.cursor(), other)
    with Door(orders.flask) as door:
        expected = one(door, with_other)
    with Door(orders.flask) as door:
        poll_key = [one(door, request), one(door, request)][1]
        found = one(door, with_other)
    assert found == expected
    assert (found.headers["Connection"] == "close") is other.startswith("Connection")
    assert poll_key.headers["Connection"] == "keep-alive"


def test_old_version_is_not_offered_a_socket_by_a_new_ones_answer(orders: App) -> None:
    cursor = orders.live.cursor()
    with Door(orders.flask) as door:
        for _ in range(2):
            assert b'"websocket"' in one(door, poll(cursor)).body
            assert b'"websocket"' not in one(door, poll(cursor, "Connection: keep-alive\r\n", "1.0")).body


def test_known_polls_count_against_their_address(make_app: Callable[..., App]) -> None:
    app = make_app(max_polls_per_address=1.0)
    app.live.channel("orders")
    request = poll(app.live.cursor())
    with Door(app.flask) as door:
        statuses = [one(door, request).status for _ in range(12)]
    assert statuses == [200] * 10 + [429] * 2


def test_so_many_are_known_and_no_long_ones(orders: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "KNOWN", 3)
    cursor = orders.live.cursor()
    with Door(orders.flask) as door:
        known = door.listener.known
        for number in range(3):
            assert one(door, poll(cursor, f"X: {number}\r\n")).status == 200
        assert len(known) == 3
        assert one(door, poll(cursor, "X: 3\r\n")).status == 200
        assert len(known) == 1
        assert one(door, poll(cursor, f"X: {'y' * 3000}\r\n")).status == 200
        assert len(known) == 1


def test_poll_whose_bytes_will_not_come_again_is_not_known_and_answered_from_memory(
    orders: App, parsed: Parsed
) -> None:
    """A client that has noticed a cache sends another `_` each time: its polls are equal all the same."""
    cursor = orders.live.cursor()
    requests = [poll(f"{cursor}&_={number}") for number in range(5)]
    remembered = orders.flask.wsgi_app._endpoints._answers  # type: ignore[attr-defined]
    with Door(orders.flask) as door:
        answers = [one(door, request) for request in [*requests, requests[0]]]
        assert door.listener.known == {}
        assert len(remembered) == 1
        assert one(door, poll(cursor)) == answers[0]
        assert len(remembered) == 1
    assert parsed.count == 7
    assert all(answer == answers[0] for answer in answers)
