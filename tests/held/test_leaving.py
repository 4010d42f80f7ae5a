"""A process that ends tells its readers: polls are answered, streams get a goodbye, sockets a close; then it is gone.

Whatever ends it: a signal, a reload, a worker's last request, Ctrl-C, the end of the program.
"""

import contextlib
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from tests.held.readers import READERS
from tests.held.servers import COMMANDS, GTHREAD, ROOT, Server, ask, environment, flask_run, gunicorn, serve, sockets
from tests.processes import Process, free_port, until

PROMPT = 8.0
"""Seconds within which a process must be gone: two of goodbyes, two that gunicorn waits for connections kept alive, and
a slow machine. With lines that keep it, it would be gunicorn's thirty."""
CONFIG = {"LANDLINE_HOLD": 60.0, "LANDLINE_KEEPALIVE": 60.0}
EACH = 3


class Held:
    """A request held over one transport, and in the end everything that came on it.

    It answers a close, as clients do, if it is `polite`; else it only listens.
    """

    def __init__(self, server: Server, transport: str, cursor: str, *, polite: bool = True) -> None:
        self.transport = transport
        self.data = b""
        self.ended = False
        self._polite = polite
        path = {"sse": "events?", "websocket": "ws?", "long-poll": "poll?wait=60&"}[transport]
        handshake = (
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
        self._socket = socket.create_connection(("127.0.0.1", server.port), 10)
        self._socket.settimeout(30)
        self._socket.sendall(
            f"GET /landline/{path}channel=news&cursor={cursor} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            f"{handshake if transport == 'websocket' else ''}\r\n".encode()
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._socket.recv(65536):
                self.data += data
                if self._polite and self.transport == "websocket" and data[-4:-2] == b"\x88\x02":
                    self._socket.sendall(b"\x88\x82\x00\x00\x00\x00" + data[-2:])
        self.ended = True
        if self._polite:
            self._socket.close()

    @property
    def body(self) -> bytes:
        """What came after the head, out of its chunks."""
        head, _, body = self.data.partition(b"\r\n\r\n")
        if b"chunked" not in head.lower():
            return body
        whole = b""
        while body:
            size, _, body = body.partition(b"\r\n")
            whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]
        return whole

    def check(self) -> float | None:
        """Find that it was ended as its transport wants it; return the pause it was told, if any."""
        assert self.ended, f"{self.transport} is still open: {self.data!r}"
        if self.transport == "long-poll":
            assert self.data.startswith(b"HTTP/1.1 200 OK\r\n"), self.data
            answer = json.loads(self.body)
            assert answer["data"] is None, answer
            return None
        if self.transport == "sse":
            last = self.body.rstrip(b"\n").rpartition(b"\n\n")[2].decode()
            block = re.fullmatch(r"retry: (\d+)\nevent: landline\ndata: (\{.*\})", last)
            assert block, self.data
            retry = json.loads(block[2])["goodbye"]["retry"]
            assert 0 < retry <= 60
            assert int(block[1]) == pytest.approx(retry * 1000, abs=1)
            return float(retry)
        close = re.search(rb"\x88.\x03\xe9([0-9.]+)$", self.data, re.DOTALL)  # 1001, and the pause in seconds
        assert close, self.data
        assert 0 < float(close[1]) <= 60
        return float(close[1])


@contextlib.contextmanager
def held(server: Server, transports: list[str], *, polite: bool = True) -> Iterator[list[Held]]:
    """Hold some requests over each transport; they are held when the block begins."""
    cursor = server.cursor()
    with contextlib.ExitStack() as stack:
        lines = [
            stack.enter_context(Held(server, name, cursor, polite=polite)) for name in transports for _ in range(EACH)
        ]
        until(lambda: server.facts()["held"] == len(lines), 10, "the held requests")
        yield lines


def until_all_ended(lines: list[Held]) -> None:
    with contextlib.suppress(TimeoutError):
        until(lambda: all(line.ended for line in lines), PROMPT, "the lines' end")
    pauses = {line.check() for line in lines} - {None}
    # Those who are sent away together do not come back together.
    assert len(pauses) > 1 or all(line.transport == "long-poll" for line in lines)


def connections(port: int) -> set[str]:
    """Return the established connections to a port, by inode."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"}


def gone(pid: int) -> bool:
    """Whether a worker has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


ALL = ["long-poll", "sse", "websocket"]


@contextlib.contextmanager
def serve_column(name: str, folder: Path) -> Iterator[Server]:
    if name != "listener":
        with serve(COMMANDS[name], folder, CONFIG) as server:
            yield server
        return
    port = free_port()
    with serve(GTHREAD, folder, CONFIG | {"LANDLINE_LISTEN": f"127.0.0.1:{port}"}) as server:
        server.facts()
        until(lambda: _accepts(port), 10, "the listener")
        yield Server(server.process, f"http://127.0.0.1:{port}", server.inner, server.env)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("column", ["sync", "gthread", "preload", "gevent", "listener"])
def test_sigterm_says_goodbye_and_the_server_is_gone(column: str, tmp_path: Path) -> None:
    transports = ALL if column != "gevent" else ["long-poll", "sse"]
    with serve_column(column, tmp_path) as server, held(server, transports) as lines:
        begun = time.monotonic()
        server.process.signal(signal.SIGTERM)
        until_all_ended(lines)
        assert server.process.wait(PROMPT) == 0
        assert time.monotonic() - begun < PROMPT
        assert "Traceback" not in server.process.stderr


def test_readers_that_never_close_do_not_keep_a_process(tmp_path: Path) -> None:
    with serve(GTHREAD, tmp_path, CONFIG) as server, held(server, ALL, polite=False) as lines:
        begun = time.monotonic()
        server.process.signal(signal.SIGTERM)
        until_all_ended(lines)
        assert server.process.wait(PROMPT) == 0
        assert time.monotonic() - begun < PROMPT


@pytest.mark.parametrize("column", ["sync", "gthread", "gevent"])
def test_reload_moves_readers_to_the_new_worker(column: str, tmp_path: Path) -> None:
    transports = ALL if column != "gevent" else ["long-poll", "sse"]
    with serve(COMMANDS[column], tmp_path, CONFIG) as server, held(server, transports) as lines:
        old = server.worker()
        server.process.signal(signal.SIGHUP)
        until_all_ended(lines)
        until(lambda: gone(old), PROMPT, "the old worker's end")
        assert server.worker() != old
        with READERS[transports[-1]](server.base) as reader:
            offsets = server.publish("on")
            assert [event.offset for event in reader.take(1)] == offsets


def test_worker_that_has_served_its_last_request_lets_its_readers_go(tmp_path: Path) -> None:
    command = gunicorn("--worker-class", "gthread", "--threads", "4", "--max-requests", "100")
    with serve(command, tmp_path, CONFIG) as server, held(server, ALL) as lines:
        old = server.worker()
        until(lambda: gone(old) or ask(f"{server.base}/plain").status != 200, 20, "the last request")
        until_all_ended(lines)
        until(lambda: server.worker() != old, PROMPT, "a new worker")


@pytest.mark.parametrize("arguments", [(), ("--debug",)], ids=["plain", "reloader"])
def test_ctrl_c_on_flask_run_says_goodbye(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with serve(flask_run(*arguments), tmp_path, CONFIG) as server, held(server, ALL) as lines:
        # A terminal's Ctrl-C reaches the reloader too, which gives the server a quarter of a second and then kills
        # it: enough on a machine that is not busy, which is not for a test to promise.
        os.kill(server.worker(), signal.SIGINT)
        until_all_ended(lines)
        server.process.wait(PROMPT)
        assert "Traceback" not in server.process.stderr


PROGRAM = """
import sys, threading
from tests.held.app import create_app
from werkzeug.serving import make_server

server = make_server("127.0.0.1", int(sys.argv[1]), create_app(), threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
while ask := sys.stdin.readline():
    pass
"""


def test_end_of_a_program_says_goodbye(tmp_path: Path) -> None:
    port = free_port()
    pipe = tmp_path / "stdin"
    os.mkfifo(pipe)
    command = ["bash", "-c", 'exec "$0" -c "$1" "$2" <"$3"', sys.executable, PROGRAM, str(port), str(pipe)]
    env = environment(tmp_path, CONFIG)
    with contextlib.ExitStack() as stack:
        process = Process(command, port=port, env=env, cwd=ROOT)
        # Opened by both at once, or by neither.
        opening: list[Any] = []
        opener = threading.Thread(target=lambda: opening.append(pipe.open("w")))
        opener.start()
        stack.enter_context(process)
        opener.join()
        server = Server(process, process.url, process.url, env)
        with held(server, ALL) as lines:
            opening[0].close()
            until_all_ended(lines)
            assert process.wait(PROMPT) == 0


def test_fork_does_not_keep_lines_open(tmp_path: Path) -> None:
    """A forked helper has a copy of every descriptor; a line must end when its process says so all the same."""
    with serve(GTHREAD, tmp_path, CONFIG) as server, held(server, ALL) as lines:
        worker = server.worker()
        until(lambda: len(sockets(worker) & connections(server.port)) == len(lines), 10, "the lines alone")
        before = sockets(worker) & connections(server.port)
        child = ask(f"{server.base}/fork", body="now").json["child"]
        until(lambda: not before & sockets(child), 10, "that the child lets go of them")
        assert before <= sockets(worker)
        with READERS["sse"](server.base) as more:
            offsets = server.publish("on")
            assert [event.offset for event in more.take(1)] == offsets
        # The polls are answered by now; what streams is open, and ends with the worker though the child lives on.
        server.process.signal(signal.SIGTERM)
        until(lambda: all(line.ended for line in lines), PROMPT, "the lines' end")
        for line in lines:
            if line.transport != "long-poll":
                line.check()
        assert not gone(child)
        assert server.process.wait(PROMPT) == 0


def test_a_new_line_in_a_forked_child_is_the_childs_own(tmp_path: Path) -> None:
    """With an app loaded before the fork, each worker starts a side loop of its own."""
    command = gunicorn("--worker-class", "gthread", "--threads", "2", "--preload", workers=2)
    with serve(command, tmp_path, CONFIG) as server, contextlib.ExitStack() as stack:
        pids: set[int] = set()
        until(lambda: pids.add(server.worker()) or len(pids) == 2, 20, "both workers")  # type: ignore[func-returns-value]
        cursor = server.cursor()
        readers = [stack.enter_context(READERS["sse"](server.base, cursor)) for _ in range(8)]
        offsets = server.publish(*range(5))
        for reader in readers:
            assert [event.offset for event in reader.take(5)] == offsets


def test_killed_process_is_survived_by_its_readers(tmp_path: Path) -> None:
    """SIGKILL says nothing to anybody; a reader's cursor is all it needs."""
    with serve(GTHREAD, tmp_path, CONFIG) as server, READERS["sse"](server.base) as reader:
        published = server.publish("before")
        assert [event.offset for event in reader.take(1)] == published
        worker = server.worker()
        os.kill(worker, signal.SIGKILL)
        with contextlib.suppress(httpx.TransportError, StopIteration):
            reader.more()
        until(lambda: gone(worker), PROMPT, "the worker's end")
        published = server.publish("after")
        with READERS["sse"](server.base, reader.cursor) as cached:
            assert [event.offset for event in cached.take(1)] == published


@pytest.mark.parametrize("transport", ALL)
def test_client_that_leaves_is_noticed_at_once(transport: str, tmp_path: Path) -> None:
    """Not only by the next sign of life, which here is a minute away and fails."""
    with serve(GTHREAD, tmp_path, CONFIG) as server:
        with held(server, [transport]):
            pass
        until(lambda: server.facts()["held"] == 0, 5, "that the clients are missed")
