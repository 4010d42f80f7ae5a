"""The second door, byte by byte: what a proxy or a client may send it, and what it is offered for it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.held.servers import COMMANDS, GTHREAD, ask, serve
from tests.processes import free_port, until


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Return the ports of a listener and of the WSGI server that it belongs to."""
    port = free_port()
    folder: Path = tmp_path_factory.mktemp("listener")
    with serve(GTHREAD, folder, {"LANDLINE_LISTEN": f"127.0.0.1:{port}"}) as server:
        server.facts()  # the first request opens the door

        def is_open() -> bool:
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", port)) == 0

        until(is_open, 10, "the listener")
        yield port, server.port


@pytest.fixture
def port(ports: tuple[int, int]) -> int:
    return ports[0]


@pytest.fixture
def wsgi(ports: tuple[int, int]) -> int:
    return ports[1]


def test_door_stays_closed_where_threads_are_greenlets(tmp_path: Path) -> None:
    """Its loop would stop all greenlets of the process, and with them the app's own pages."""
    port = free_port()
    with serve(COMMANDS["gevent"], tmp_path, {"LANDLINE_LISTEN": f"127.0.0.1:{port}"}) as server:
        for _ in range(3):
            assert ask(f"{server.base}/plain").status == 200
            assert ask(f"{server.base}/landline/poll?channel=news").status == 200
        assert server.process.stderr.count(f"LANDLINE_LISTEN=127.0.0.1:{port} stays closed") == 1
        with socket.socket() as sock:
            assert sock.connect_ex(("127.0.0.1", port)) != 0


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
        "GET /landline/poll?channel=grüße HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        b"GET /landline/poll?channel=news HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
    ],
    ids=["not HTTP", "not encoded", "too large"],
)
def test_what_cannot_be_read_is_refused_with_a_problem(port: int, request_bytes: bytes) -> None:
    answer = exchange(port, request_bytes)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert body(answer)["code"] == "bad-request"
    assert ask(f"http://127.0.0.1:{port}/landline/poll?channel=news").status == 200


POLL = "GET /landline/poll?channel=news HTTP/"
AGAIN = POLL + "1.1\r\nHost: x\r\n\r\n"
NO_BODY = "Requests have no body here."
ONE_HOST = "Have it sent once"


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ("1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n", NO_BODY),
        ("1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", NO_BODY),
        ("1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", NO_BODY),
        ("1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", NO_BODY),
        ("1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", NO_BODY),
        ("1.1\r\n\r\n", "no Host"),
        ("1.1\r\nHost: x\r\nHost: y\r\n\r\n", ONE_HOST),
        ("1.1\r\nHost: x\r\nHost: x\r\n\r\n", ONE_HOST),
        ("1.0\r\nHost: x\r\nHost: y\r\n\r\n", ONE_HOST),
        ("1.1\r\nHost: x/y\r\n\r\n", ONE_HOST),
        ("1.1\r\nHost: a b\r\n\r\n", ONE_HOST),
    ],
)
def test_request_of_doubtful_end_or_host_is_refused_and_ends_its_connection(port: int, head: str, why: str) -> None:
    """RFC 9112 §3.2 and §6.1; what comes behind it is not read: it may be the rest of a body."""
    answer = exchange(port, (POLL + head + AGAIN).encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in answer
    assert body(answer)["code"] == "bad-request"
    assert why in str(body(answer)["detail"])


@pytest.mark.parametrize(
    "head",
    [
        "1.1\r\nHost: x\r\nContent-Length: 0\r\n",
        "1.1\r\nHost:\r\n",
        "1.1\r\nHost: [::1]:8000\r\n",
        "1.1\r\nHost: xn--bcher-kva.example.:443\r\n",
        "1.0\r\n",
    ],
)
def test_request_without_body_and_with_one_host_is_answered(port: int, head: str) -> None:
    answer = exchange(port, (POLL + head + "Connection: close\r\n\r\n").encode())
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_trailer_opens_no_closed_channel(port: int) -> None:
    """A proxy that cuts a header out of heads alone lets it pass behind the body (RFC 9110 §6.5.1)."""
    asked = "GET /landline/poll?channel=private/a HTTP/1.1\r\nHost: x\r\n"
    refused = exchange(port, (asked + "Connection: close\r\n\r\n").encode())
    allowed = exchange(port, (asked + "Connection: close\r\nCookie: who=me\r\n\r\n").encode())
    assert refused.startswith(b"HTTP/1.1 403 ")
    assert allowed.startswith(b"HTTP/1.1 200 ")
    trailer = "Transfer-Encoding: chunked\r\n\r\n0\r\nCookie: who=me\r\n\r\n"
    assert exchange(port, (asked + trailer).encode()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/landline/%70oll?channel=news", 200),
        ("/%6cand%6Cine/poll?channel=%6eews", 200),
        ("http://elsewhere.example/landline/poll?channel=news", 200),
        ("HTTPS://elsewhere.example:8443/landline/%70oll?channel=news", 200),
        ("http://elsewhere.example/", 404),
        ("http://elsewhere.example?channel=news", 404),
        ("/landline/poll%3Fchannel=news", 404),
        ("/landline%2Fpoll?channel=news", 200),
        ("//landline/poll?channel=news", 404),
    ],
)
def test_target_means_here_what_it_means_through_wsgi(port: int, wsgi: int, target: str, status: int) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    found = [exchange(door, request).split(b" ", 2)[1] for door in (port, wsgi)]
    assert found == [str(status).encode()] * 2


@pytest.mark.parametrize("host", ["me:secret@x", "", "a b", "[::1", "x:y"])
def test_target_on_no_host_is_refused(port: int, host: str) -> None:
    answer = exchange(port, f"GET http://{host}/landline/poll?channel=news HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(("host", "opens"), [("page.example", True), ("other.example", False)])
def test_target_says_which_host_is_meant(port: int, host: str, opens: bool) -> None:
    """A socket is for pages of the request's host, and a target's host counts before Host (RFC 9112 §3.2.2)."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(
            f"GET http://{host}/landline/ws?channel=news HTTP/1.1\r\nHost: page.example\r\n"
            "Origin: http://page.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        while b"\r\n" not in answer:
            answer += sock.recv(65536)
    assert answer.startswith(b"HTTP/1.1 101 " if opens else b"HTTP/1.1 403 ")


def test_connect_ends_the_connection(port: int) -> None:
    """Behind it comes another protocol, which must not be read as requests."""
    answer = exchange(port, ("CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n" + AGAIN).encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("asked", ["poll?channel=news&wait=0.3", "events?channel=news"])
def test_what_is_held_asks_to_be_passed_on_as_it_comes(ports: tuple[int, int], asked: str) -> None:
    """RFC 10036, through both doors; a poll that is answered at once has nothing to ask for."""
    for port in ports:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(f"GET /landline/{asked} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(65536)
        assert b"\r\nIncremental: ?1\r\n" in head
        assert b"\r\nIncremental:" not in exchange(port, (AGAIN[:-2] + "Connection: close\r\n\r\n").encode())


def test_polyfill_comes_back_with_a_parameter(ports: tuple[int, int]) -> None:
    """The most used polyfill of `EventSource` has no header for its last id."""
    for port in ports:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(b"GET /landline/events?channel=news&lastEventId=00000000-7 HTTP/1.1\r\nHost: x\r\n\r\n")
            said = b""
            while b'"reset"' not in said:  # its position is of another life of the log
                part = sock.recv(65536)
                assert part, said
                said += part
