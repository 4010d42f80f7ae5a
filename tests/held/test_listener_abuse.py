"""The second door among clients that mean no good, or whose wires do not: too slow, half there, gone at once."""

import re
import selectors
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.held.servers import GTHREAD, Server, ask, descriptors, serve
from tests.processes import free_port, until

HEAD_WITHIN = 1.0
"""Seconds in which a request must be whole, here; in production it is ten."""
PACE = HEAD_WITHIN / 10
"""Seconds between two bytes of a slow sender: in production that is one a second."""
AT_ONCE = 50
OPENED = (2_000, 10_000)
"""For each change, which finds descriptors and places that stay; and at night, which finds a kilobyte each."""
MOST_KEPT = 6 * 1024
"""Kilobytes that a process may be larger after ten thousand connections than after the ten thousand before, which
have filled the allocator's pools. One that stays is a kilobyte at least, closed as it is."""

REQUEST = b"GET /landline/poll?channel=news HTTP/1.1\r\nHost: here\r\n\r\n"


class Door:
    """A server's second door."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.port = port
        self.worker = server.worker()

    def open(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def descriptors(self) -> int:
        return descriptors(self.worker)

    def kilobytes(self) -> int:
        """Return the process's memory, its share of what is shared included."""
        (found,) = re.findall(r"^Pss: +(\d+) kB", Path(f"/proc/{self.worker}/smaps_rollup").read_text(), re.MULTILINE)
        return int(found)

    def poll(self) -> int:
        return ask(f"http://127.0.0.1:{self.port}/landline/poll?channel=news").status


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    port = free_port()
    # What a line leaves behind is forgotten when it would have been due: here that is soon.
    config = {"LANDLINE_LISTEN": f"127.0.0.1:{port}", "LANDLINE_KEEPALIVE": 1.0, "LANDLINE_HOLD": 1.0}
    with serve(GTHREAD, tmp_path_factory.mktemp("door"), config, HELD_HEAD_WITHIN=str(HEAD_WITHIN)) as server:
        found = Door(server, port)

        def is_open() -> bool:
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", port)) == 0

        until(is_open, 10, "the second door")
        assert found.poll() == 200
        yield found
        assert "Traceback" not in server.process.stderr


def ended(sock: socket.socket) -> bool:
    """Wait until the other side closes, without a word."""
    try:
        return sock.recv(65536) == b""
    except ConnectionResetError:
        return True


def test_slow_sender_is_not_waited_for(door: Door) -> None:
    """A byte a second keeps a connection for as long as it likes, where each byte is counted as a sign of life."""
    with closing(door.open()) as slow:
        sent = 0
        readable = selectors.DefaultSelector()
        readable.register(slow, selectors.EVENT_READ)
        for byte in REQUEST * 10:
            if readable.select(PACE):
                break
            slow.send(bytes([byte]))
            sent += 1
        readable.close()
        assert ended(slow)
    assert 0 < sent < len(REQUEST)
    assert door.poll() == 200


@pytest.mark.parametrize("said", [b"", REQUEST[:-2], REQUEST[:20], b"\r\n", REQUEST[:-2] + b"X: " + b"y" * 3000])
def test_silence_ends_a_connection_that_has_not_asked(said: bytes, door: Door) -> None:
    with closing(door.open()) as silent:
        silent.sendall(said)
        assert ended(silent)


def test_many_slow_senders_keep_nobody_else_waiting(door: Door) -> None:
    before = door.descriptors()
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(door.open())) for _ in range(300)]
        for sock in slow:
            sock.sendall(REQUEST[:30])
        assert door.poll() == 200
        assert all(ended(sock) for sock in slow)
        # Their ends are still open here; the server's are not.
        until(lambda: door.descriptors() <= before, 20, "the descriptors")


def reset(sock: socket.socket) -> None:
    """Close without the usual good-bye: the other side gets RST, as from a host that has restarted."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def half_close(sock: socket.socket) -> None:
    """Say that nothing more will come, and be gone before that is looked at."""
    sock.shutdown(socket.SHUT_WR)
    sock.close()


SOCKET_REQUEST = (
    b"GET /landline/ws?channel=news HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
VISITS: list[tuple[bytes, Callable[[socket.socket], None]]] = [
    (said, leave)
    for said in (
        b"",
        REQUEST,
        REQUEST[:-3],
        REQUEST * 5,
        REQUEST.replace(b"news", b"news&wait=20"),
        REQUEST.replace(b"poll", b"events"),
        SOCKET_REQUEST,
        SOCKET_REQUEST + b"\x89\x80\x00\x00\x00\x00",
        b"\x16\x03\x01 no HTTP\r\n\r\n",
        b"POST /landline/poll HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf",
    )
    for leave in (socket.socket.close, reset, half_close)
]


def visit(door: Door, count: int) -> None:
    """Open connections and leave them, in every way by turns, many at once."""
    for begin in range(0, count, AT_ONCE):
        visits = [VISITS[number % len(VISITS)] for number in range(begin, begin + AT_ONCE)]
        opened = [(door.open(), said, leave) for said, leave in visits]
        for sock, said, _ in opened:
            sock.sendall(said)
        if begin % (4 * AT_ONCE) == 0:
            assert door.poll() == 200  # by then what was said is read, and some of it held
        for sock, _, leave in opened:
            leave(sock)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("opened", [OPENED[0], pytest.param(OPENED[1], marks=pytest.mark.night)])
def test_thousands_of_connections_leave_nothing(opened: int, door: Door) -> None:
    """Descriptors, memory and places are as before, whichever way they came and went."""

    def settle() -> None:
        until(lambda: door.server.facts()["held"] == 0, 20, "that nothing is held")

    idle = door.descriptors()
    for _ in range(3):  # what the allocator takes for its own comes in steps
        visit(door, opened)
        settle()
    until(lambda: door.descriptors() <= idle + 2, 20, "the descriptors")
    before, size = door.descriptors(), door.kilobytes()
    visit(door, opened)
    settle()
    until(lambda: door.descriptors() <= before, 20, "the descriptors")
    until(lambda: door.kilobytes() < size + MOST_KEPT, 20, "the memory")
    assert door.poll() == 200


def test_more_requests_ahead_than_anybody_needs_are_refused(door: Door) -> None:
    """Each would be parsed and kept while the first is held."""
    with closing(door.open()) as eager:
        eager.sendall(REQUEST.replace(b"news", b"news&wait=1") * 40)
        answer = b"".join(iter(lambda: eager.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"More than 16 requests at once. Wait for answers in between." in answer
