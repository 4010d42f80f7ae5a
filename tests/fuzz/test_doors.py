"""Whole requests through both doors: nothing but the wire's own answers comes back, and nothing stays behind."""

import gc
import logging
import tracemalloc
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from flask import Flask

from tests.apps import App
from tests.fuzz.door import Door
from tests.fuzz.inputs import INPUTS, mutated
from tests.fuzz.targets import check_answer, seeds

COUNT = max(INPUTS // 4, 5000)
MOST_KEPT = 4 * 1024 * 1024
"""Bytes that a process may keep of strangers' requests: names and answers are remembered, a bounded number."""

Send = Callable[[Flask, bytes], None]


def through_wsgi(app: Flask, data: bytes) -> None:
    """Make a request of lines: method, path, query, and headers."""
    lines = [*data.decode("latin-1").split("\n"), "", "", ""]
    environ: dict[str, Any] = {
        "REQUEST_METHOD": lines[0],
        "SCRIPT_NAME": "",
        "PATH_INFO": lines[1],
        "QUERY_STRING": lines[2],
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for line in lines[3:]:
        name, colon, value = line.partition(":")
        if colon:
            environ["HTTP_" + name.upper().replace("-", "_")] = value.strip()
    begun: list[tuple[int, dict[str, str]]] = []

    def start_response(status: str, fields: list[tuple[str, str]], exc_info: object = None) -> Any:
        assert all(value.isprintable() for _, value in fields), fields
        begun.append((int(status[:3]), dict(fields)))

    result = app.wsgi_app(environ, start_response)
    content = b"".join(result)
    if hasattr(result, "close"):
        result.close()
    ((status, headers),) = begun
    if lines[1] in WIRE:
        check_answer(status, headers, content)
    else:
        assert status < 500


WIRE = ("/landline/poll", "/landline/events", "/landline/ws")
WSGI_SEEDS = [
    f"{method}\n{path}\n{query}\nHost: x\n{more}".encode()
    for method in ("GET", "HEAD", "POST")
    for path in (*WIRE, "/landline/openapi.json", "/landline/polll")
    for query, more in (
        ("channel=orders&cursor=now", "If-None-Match: W/\"k3f9a2zq-1\""),
        ("channel=room/7&cursor=k3f9a2zq-1&wait=0", "Origin: https://elsewhere.example"),
        ("channel=orders&nonce=abc", "Last-Event-ID: k3f9a2zq-7"),
        ("channel=orders", "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13"),
    )
]  # fmt: skip


def through_the_second_door(app: Flask, data: bytes) -> None:
    with Door(app) as door:
        for answer in door.exchange([data]):
            check_answer(answer.status, answer.headers, answer.body)


class Lines(logging.Handler):
    """Collects what is logged, as it would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.worst = logging.NOTSET
        self.origins = 0
        """Lines on origins that may not read, which are for the app's author."""

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))
        if record.getMessage().startswith("Pages of "):
            self.origins += 1
        else:
            self.worst = max(self.worst, record.levelno)


@pytest.fixture
def logged() -> Iterator[Lines]:
    """Return everything that is logged, by anybody and at any level."""
    lines, root = Lines(), logging.getLogger()
    level = root.level
    root.addHandler(lines)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(lines)
    root.setLevel(level)


@pytest.fixture
def orders(app: App) -> App:
    app.live.channel("orders")
    app.live.channel("room/<int:room_id>")
    app.live.publish("orders", {"id": 7})
    return app


DOORS = {
    "wsgi": (through_wsgi, WSGI_SEEDS),
    "listener": (through_the_second_door, [seed[1:].replace(b"=a", b"=orders") for seed in seeds("head")]),
}


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
def test_any_request_gets_an_answer_of_the_wire(door: str, orders: App, logged: Lines) -> None:
    """No other 5xx, no traceback, and no line in any log that is more than one line."""
    send, begin = DOORS[door]
    for data in mutated(begin, COUNT, seed=1):
        send(orders.flask, data)
    assert logged.worst < logging.WARNING, logged.texts
    assert 1 <= logged.origins <= 100
    assert [text for text in logged.texts if not text.isprintable()] == []


def endless(door: str, number: int) -> bytes:
    """Return a request as no other: a long name that nobody declared, a long query that is understood, and so on."""
    query = (
        f"channel={number}{'x' * 8000}",
        f"channel=orders&cursor=now&grant={number}{'y' * 8000}",
        f"channel=room/x{number}",
        f"channel=orders&cursor=k3f9a2zq-{number}",
    )[number % 4]
    if door == "wsgi":
        return f"GET\n/landline/poll\n{query}\nX-{number}: {'z' * 2000}".encode()
    return f"GET /landline/poll?{query} HTTP/1.1\r\nHost: x\r\nX-{number}: {'z' * 2000}\r\n\r\n".encode()


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
def test_requests_of_no_end_leave_a_bounded_memory(door: str, orders: App) -> None:
    """Counted by the allocator itself: a process's size says little about so little."""
    send, _ = DOORS[door]

    def kept() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start(1)
    try:
        for number in range(100):
            send(orders.flask, endless(door, number))
        before = kept()
        # As many answers as are remembered, but for a few: with one more they are all forgotten.
        for number in range(100, 100 + COUNT * 3 // 5):
            send(orders.flask, endless(door, number))
        assert kept() - before < MOST_KEPT
    finally:
        tracemalloc.stop()


def test_long_queries_are_answered_and_not_remembered(orders: App) -> None:
    """A thousand answers are remembered, by their queries, which a stranger may make as long as a URL can be."""
    remembered = orders.flask.wsgi_app._endpoints._answers  # type: ignore[attr-defined]
    assert orders.poll("orders", grant="x" * 8000).status == 200
    assert len(remembered) == 0
    assert orders.poll("orders", grant="x" * 80).status == 200
    assert len(remembered) == 1


GET = b"GET /landline/poll?channel=orders HTTP/1.1\r\nHost: here\r\n\r\n"
POST = b"POST /landline/poll HTTP/1.1\r\nHost: here\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "first",
    [
        POST + b"Content-Length: 4\r\n" + CHUNKED + b"0\r\n\r\n",
        POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
        POST + b"Content-Length: 4, 4\r\n\r\nbody",
        POST + b"Content-Length: +4\r\n\r\nbody",
        POST + b"Content-Length: 99999999999999999999999\r\n\r\nbody",
        POST + b"Content-Length : 4\r\n\r\nbody",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + CHUNKED + b"4\nbody\r\n0\r\n\r\n",
        POST + CHUNKED + b"fffffffffffffffff\r\n",
        GET.replace(b"\r\n", b"\n"),
        GET.replace(b"here", b"here\rX: y"),
        GET.replace(b"here", b"here\r\n folded"),
        GET.replace(b"here", b"here\0"),
        GET.replace(b"1.1", b"2.0"),
        GET.replace(b"1.1\r\n", b"1.0\r\nConnection: keep-alive\r\n" + CHUNKED[:-2]) + b"0\r\n\r\n",
    ],
)
def test_request_that_two_readers_would_end_elsewhere_is_refused(first: bytes, orders: App) -> None:
    """A proxy that sees one request where we see two hands one client's answer to the next (RFC 9112 §11.2)."""
    with Door(orders.flask) as door:
        (answer,) = door.exchange([first + GET])
    assert answer.status == 400
    assert "not HTTP/1.1" in answer.detail or "have no body here" in answer.detail


def test_body_is_no_request(orders: App) -> None:
    with Door(orders.flask) as door:
        answers = door.exchange([POST + b"Content-Length: %d\r\n\r\n" % len(GET) + GET + GET])
    assert [answer.status for answer in answers] == [400]
