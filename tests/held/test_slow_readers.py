"""Readers that do not read, or not as one would expect: they cost themselves something, and nobody else."""

import asyncio
import contextlib
import re
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_landline import Landline

from tests.held.readers import READERS, Events, Socket
from tests.held.servers import COMMANDS, GTHREAD, Server, ask, serve, sockets, wait_for_text
from tests.held.stage import Client, Stage
from tests.processes import until

PENDING = 64 * 1024
COUNT = 400
WORD = "x" * 40_000
"""400 of these are 16 MB: more than a socket's two buffers take, which are some 6 MB at their largest."""


@pytest.fixture(scope="module", params=["gthread", "werkzeug"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    config = {"LANDLINE_MAX_PENDING": PENDING, "LANDLINE_WINDOW_BYTES": 64 * 1024 * 1024}
    with serve(COMMANDS[request.param], tmp_path_factory.mktemp("log"), config) as server:
        yield server


@pytest.mark.parametrize("kind", [Events, Socket])
def test_reader_that_does_not_read_is_cut_and_comes_back(server: Server, kind: type[Events | Socket]) -> None:
    cursor = server.cursor()
    before = server.process.stderr.count(", slow")
    with kind(server.base, cursor) as fast, _stopped(kind, server, cursor) as slow:
        told: list[int] = []
        reading = threading.Thread(target=lambda: told.extend(event.offset for event in fast.take(COUNT, 30)))
        reading.start()
        published = [offset for _ in range(COUNT // 20) for offset in server.publish(*[WORD] * 20)]
        reading.join()
        assert told == published
        until(lambda: server.process.stderr.count(", slow") == before + 1, 10, "that the slow line is cut")
        late = [event.offset for event in _rest(slow)]
    assert late == published[: len(late)]
    assert len(late) < COUNT
    with kind(server.base, slow.cursor) as cached:
        late += [event.offset for event in cached.take(COUNT - len(late), 30)]
    assert late == published
    until(lambda: server.facts()["held"] == 0, 10, "that nothing is held")


@contextlib.contextmanager
def _stopped(kind: type[Events | Socket], server: Server, cursor: str) -> Iterator["_Stopped"]:
    with _Stopped(kind.name, server, cursor) as stopped:
        yield stopped


class _Stopped:
    """A bare connection: the libraries' own threads and buffers would read on."""

    def __init__(self, transport: str, server: Server, cursor: str) -> None:
        self.transport = transport
        self.cursor = cursor
        path = {"sse": "events", "websocket": "ws"}[transport]
        self.socket = socket.create_connection(("127.0.0.1", server.port), 10)
        handshake = (
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
        self.socket.sendall(
            f"GET /landline/{path}?channel=news&cursor={cursor} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            f"{handshake if transport == 'websocket' else ''}\r\n".encode()
        )
        until(lambda: b"\r\n\r\n" in self.socket.recv(4096, socket.MSG_PEEK), 10, "the answer's head")

    def __enter__(self) -> "_Stopped":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


class _Event:
    def __init__(self, offset: int) -> None:
        self.offset = offset


def _rest(stopped: _Stopped) -> list[_Event]:
    """Read what had been sent before the cut, and take the position from it."""
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while part := stopped.socket.recv(1 << 20):
            data += part
    if stopped.transport == "sse":
        found = [int(n) for n in re.findall(rb"event: news\ndata: [^\n]*\nid: \w+-(\d+)\n\n", data)]
    else:
        found = []
        data = data.partition(b"\r\n\r\n")[2]
        while len(data) >= 10:
            length, head = data[1], 2
            if length == 126:
                length, head = struct.unpack(">H", data[2:4])[0], 4
            elif length == 127:
                length, head = struct.unpack(">Q", data[2:10])[0], 10
            if len(data) < head + length:
                break
            found += [int(n) for n in re.findall(rb'"offset": (\d+)', data[head : head + length])]
            data = data[head + length :]
    if found:
        stopped.cursor = f"{stopped.cursor.partition('-')[0]}-{found[-1]}"
    return [_Event(offset) for offset in found]


def test_reader_that_stops_while_all_catch_up_holds_up_nobody(tmp_path: Path) -> None:
    """More was published than the window holds; the lines of the feed read on from the log, page by page."""
    app = Flask(__name__, instance_path=str(tmp_path))
    app.config.update(LANDLINE_LOG="memory:", LANDLINE_WINDOW_EVENTS=3)
    Landline(app).channel("news")
    loop = asyncio.new_event_loop()
    with contextlib.closing(loop), Stage(app, loop, {}, here=True) as stage:
        stopped, reading = Client(stage, "sse"), Client(stage, "sse")
        for client in (stopped, reading):
            client.ask()
        stage.turn()
        stage.fill(stopped)
        for _ in range(9):
            stage.publish()
        stage.wake()
        for client in (reading, stopped):
            until(lambda client=client: _has_all(stage, client), 10, "all events")  # type: ignore[misc]


def _has_all(stage: Stage, client: Client) -> bool:
    stage.turn(1)
    client.read()
    return client.offsets == stage.published


@pytest.fixture(scope="module")
def gthread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(GTHREAD, tmp_path_factory.mktemp("log"), {"LANDLINE_KEEPALIVE": 0.3}) as server:
        yield server


class Bare:
    """A connection on which anything may be said."""

    def __init__(self, server: Server, words: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), 10)
        self.socket.sendall(words.encode())
        self.data = b""

    def __enter__(self) -> "Bare":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def until(self, end: bytes) -> bytes:
        while end not in self.data:
            part = self.socket.recv(65536)
            assert part, self.data
            self.data += part
        return self.data

    def all(self) -> bytes:
        while part := self.socket.recv(65536):
            self.data += part
        return self.data


def test_http_1_0_client_is_streamed_to(gthread: Server) -> None:
    with Bare(gthread, "GET /landline/events?channel=news HTTP/1.0\r\n\r\n") as client:
        assert b"event: landline\n" in client.until(b"\n\n")
        (offset,) = gthread.publish("old")
        assert client.until(f"-{offset}\n\n".encode()).count(b"event: news") == 1


def test_http_1_0_client_is_answered_and_closed(gthread: Server) -> None:
    with Bare(gthread, f"GET /landline/poll?channel=news&wait=5&cursor={gthread.cursor()} HTTP/1.0\r\n\r\n") as client:
        until(lambda: gthread.facts()["held"] == 1, 10, "the held request")
        gthread.publish("old")
        answer = client.all()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"200 OK" in head.splitlines()[0]
    assert f"content-length: {len(body)}" in head.decode().lower()
    assert b'"old"' in body


@pytest.mark.parametrize("path", ["events", "poll"])
def test_head_is_answered_at_once_and_holds_nothing(gthread: Server, path: str) -> None:
    wait = f"&wait=5&cursor={gthread.cursor()}" if path == "poll" else ""
    request = f"HEAD /landline/{path}?channel=news{wait} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    with Bare(gthread, request) as client:
        head, _, body = client.all().partition(b"\r\n\r\n")
    assert b"200 OK" in head.splitlines()[0]
    assert {"events": b"text/event-stream", "poll": b"application/json"}[path] in head
    assert body == b""
    assert gthread.facts()["held"] == 0


def test_head_of_a_socket_is_refused(gthread: Server) -> None:
    request = "HEAD /landline/ws?channel=news HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    with Bare(gthread, request) as client:
        assert b" 400 " in client.all().splitlines()[0]


@pytest.mark.parametrize("path", ["events?channel=news", "poll?channel=news&wait=5"])
def test_get_with_a_body_is_held_like_any_other(gthread: Server, path: str) -> None:
    """The part of the body that comes later comes to the side loop, to which it means nothing."""
    words = f"GET /landline/{path} HTTP/1.1\r\nHost: here\r\nContent-Length: 2000\r\n\r\n{'x' * 700}"
    with Bare(gthread, words) as client:
        until(lambda: gthread.facts()["held"] == 1, 10, "the held request")
        client.socket.sendall(b"y" * 1300)
        gthread.publish("body")
        assert b'"body"' in client.until(b'"body"')
    until(lambda: gthread.facts()["held"] == 0, 10, "that nothing is held")


@pytest.mark.parametrize("path", ["events?channel=news", "poll?channel=news&wait=5"])
def test_client_already_gone_leaves_nothing(gthread: Server, path: str) -> None:
    worker = gthread.worker()
    before = sockets(worker)
    for _ in range(20):
        with Bare(gthread, f"GET /landline/{path} HTTP/1.1\r\nHost: here\r\n\r\n") as client:
            # Closing resets the connection: what is sent then fails, wherever the request has come to.
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: gthread.facts()["held"] == 0, 10, "that nothing is held")
    until(lambda: not sockets(worker) - before, 10, "the sockets' end")
    with READERS["sse"](gthread.base) as reader:
        offsets = gthread.publish("on")
        assert [event.offset for event in reader.take(1)] == offsets


def test_clients_without_a_sound_are_not_waited_for(gthread: Server) -> None:
    """Connections that say nothing are the server's to bear; they hold no line."""
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(Bare(gthread, "GET /landline/ev"))
        with READERS["sse"](gthread.base) as reader:
            gthread.publish("on")
            assert len(reader.take(1)) == 1
            assert gthread.facts()["held"] == 1


def test_one_line_is_logged_at_the_end_of_each_held_request(gthread: Server) -> None:
    def lines() -> list[str]:
        return [line for line in gthread.process.stderr.splitlines() if "flask_landline.access" in line]

    until(lambda: gthread.facts()["held"] == 0, 10, "that nothing is held")
    before = len(lines())
    cursor = gthread.cursor("other")
    for count, name in ((1, "sse"), (2, "websocket")):
        with READERS[name](gthread.base, cursor, "other") as reader:
            gthread.publish(1, channel="other")
            reader.take(count)
    query = f"channel=other&wait=0.3&cursor={gthread.cursor('other')}"
    assert ask(f"{gthread.base}/landline/poll?{query}").json["data"] is None
    until(lambda: len(lines()) == before + 3, 10, "three lines")
    form = r"flask_landline\.access INFO 127\.0\.0\.1 (\S+) \?(\S+) (\d+\.\d)s (\d) events, (\w+)"
    found = [re.fullmatch(form, line) for line in lines()[before:]]
    assert [match and (match[1], match[4], match[5]) for match in found] == [
        ("sse", "1", "gone"),
        ("websocket", "2", "gone"),
        ("long-poll", "0", "done"),
    ]
    poll = found[2]
    assert poll is not None
    assert poll[2] == query
    assert 0.3 <= float(poll[3]) < 1


def test_log_lines_cannot_be_forged(gthread: Server) -> None:
    """The query is the client's; what would end a line, or colour it, is spelled out."""
    forged = "channel=news&cursor=now%0D%0Aflask_landline.access%20INFO%20forged"
    with Bare(gthread, f"GET /landline/events?{forged} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n") as client:
        assert b" 400 " in client.all().splitlines()[0]
    words = "GET /landline/events?channel=news&nonce=a\x1b[31m\x85b\u2028c HTTP/1.1\r\nHost: here\r\n\r\n"
    with Bare(gthread, words) as client:
        client.until(b"\r\n")
    wait_for_text(lambda: gthread.process.stderr, "flask_landline.access")
    until(lambda: gthread.facts()["held"] == 0, 10, "that nothing is held")
    logged = gthread.process.stderr
    assert "INFO forged" not in logged
    assert not re.search("[\x1b\x85\u2028]", logged)


STALLED: dict[str, tuple[dict[str, float], str]] = {
    "time": ({"LANDLINE_KEEPALIVE": 0.5}, "news"),
    "revocation": ({}, "private/ann"),
    "grant's end": ({"LANDLINE_GRANT_AGE": 3}, "private/ann"),
}


@pytest.mark.parametrize("why", STALLED)
def test_place_in_a_greenlet_is_lost_by_a_reader_that_does_not_read(why: str, tmp_path: Path) -> None:
    """gunicorn's gevent worker waits without end to send to it, and so would the place that it has."""
    config, channel = STALLED[why]
    with serve(COMMANDS["gevent"], tmp_path, config) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        request = f"GET /landline/events?channel={channel} HTTP/1.1\r\nHost: h\r\nCookie: who=ann\r\n\r\n"
        client.sendall(request.encode())
        until(lambda: server.facts()["held"] == 1, 10, "that it is held")
        for _ in range(10):
            server.publish(*[WORD] * 20, channel=channel)
        if why == "revocation":
            assert server.facts()["held"] == 1
            ask(f"{server.inner}/shut-out/ann?revoke=1", body="")
        until(lambda: server.facts()["held"] == 0, 20, "that its place is free")
        assert "Socket error processing request" not in server.process.stderr
