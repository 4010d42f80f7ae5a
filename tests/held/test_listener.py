"""The second door, byte by byte: what a proxy or a client may send it, and what it is offered for it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.held.servers import GTHREAD, ask, serve
from tests.processes import free_port, until


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Return the port of a listener."""
    port = free_port()
    folder: Path = tmp_path_factory.mktemp("listener")
    with serve(GTHREAD, folder, {"LANDLINE_LISTEN": f"127.0.0.1:{port}"}) as server:
        server.facts()  # the first request opens the door

        def is_open() -> bool:
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", port)) == 0

        until(is_open, 10, "the listener")
        yield port


def exchange(port: int, request: bytes) -> bytes:
    """Send bytes and return all that comes until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def body(answer: bytes) -> dict[str, object]:
    fields: dict[str, object] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return fields


@pytest.mark.parametrize(("version", "has_socket"), [(b"1.0", False), (b"1.1", True)])
def test_socket_is_offered_only_where_there_is_upgrade(port: int, version: bytes, has_socket: bool) -> None:
    """nginx speaks HTTP/1.0 to its upstream unless told otherwise (RFC 9110 §7.8)."""
    request = b"GET /landline/poll?channel=news HTTP/%b\r\nHost: x\r\nConnection: close\r\n\r\n" % version
    advice = body(exchange(port, request))["advice"]
    assert isinstance(advice, dict)
    assert ("websocket" in advice["transports"]) is has_socket
    assert "sse" in advice["transports"]


def test_requests_sent_together_are_answered_in_their_order(port: int) -> None:
    first = b"GET /landline/poll?channel=news&wait=0.3 HTTP/1.1\r\nHost: x\r\n\r\n"
    second = b"GET /elsewhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = exchange(port, first + second)
    assert [answer.find(b"200 OK"), answer.find(b"404 Not Found")] == sorted(
        [answer.find(b"200 OK"), answer.find(b"404 Not Found")]
    )
    assert answer.count(b"HTTP/1.1 ") == 2


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01 hello TLS\r\n\r\n",
        "GET /landline/poll?channel=grüße HTTP/1.1\r\n\r\n".encode(),
        b"GET /landline/poll?channel=news HTTP/1.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
    ],
    ids=["not HTTP", "not encoded", "too large"],
)
def test_what_cannot_be_read_is_refused_with_a_problem(port: int, request_bytes: bytes) -> None:
    answer = exchange(port, request_bytes)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert body(answer)["code"] == "bad-request"
    assert ask(f"http://127.0.0.1:{port}/landline/poll?channel=news").status == 200
