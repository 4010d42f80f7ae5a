"""What connections to the second door cost: descriptors, bytes sent early, and what is left of closed ones."""

import gc
import socket
import tracemalloc
from collections.abc import Callable
from contextlib import ExitStack, closing

import pytest
from landline.loop import thread

from tests.apps import App
from tests.doors import listening, second_door
from tests.processes import until

HELD_MOST = 32 * 1024
"""Bytes of a held connection whose channels' names alone are 20,000 characters."""
CLOSED_MOST = 4 * 1024
"""Bytes that may be left of a closed connection."""


def connect(port: int, stack: ExitStack) -> socket.socket:
    return stack.enter_context(closing(socket.create_connection(("127.0.0.1", port), 10)))


def poll(client: socket.socket, query: str = "channel=news") -> bytes:
    client.sendall(f"GET /landline/poll?{query} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    return client.recv(65536)


def is_closed(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(10) == b""
    except BlockingIOError:
        return False


def test_connections_leave_descriptors_to_the_app_and_those_that_rested_longest_are_closed(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread, "descriptors", lambda: 50.0)
    app = listening(make_app)
    app.live.channel("news")
    port = second_door(app)
    listener = app.flask.wsgi_app.listener  # type: ignore[attr-defined]
    with ExitStack() as stack:
        clients = [connect(port, stack) for _ in range(30)]
        for client in clients:
            assert poll(client).startswith(b"HTTP/1.1 200")

        def is_used_last() -> bool:
            assert poll(clients[0]).startswith(b"HTTP/1.1 200")
            times = sorted(one.rests_since for one in listener.connections)
            return bool(times[-1] > times[-2])  # the loop's clock has milliseconds

        until(is_used_last, 10, "that the first one has rested for less long than the others")
        for _ in range(15):
            newcomer = connect(port, stack)
            assert poll(newcomer).startswith(b"HTTP/1.1 200")
        assert any(is_closed(client) for client in clients[1:])
        assert poll(clients[0]).startswith(b"HTTP/1.1 200")
        assert len(listener.connections) <= 40
    app.runtime.close()


def test_bytes_sent_early_are_few_and_all_are_answered(make_app: Callable[..., App]) -> None:
    app = listening(make_app, hold=0.5)
    app.live.channel("news")
    port = second_door(app)
    listener = app.flask.wsgi_app.listener  # type: ignore[attr-defined]
    request = f"GET /landline/poll?channel=news HTTP/1.1\r\nHost: here\r\nX-Long: {'x' * 3000}\r\n\r\n".encode()
    with ExitStack() as stack:
        client = connect(port, stack)
        held = request.replace(b"channel=news", f"channel=news&wait=20&cursor={app.live.cursor()}".encode())
        client.sendall(held)
        until(lambda: any(one.held for one in listener.connections), 10, "that the poll is held")
        client.sendall(request * 8)
        until(lambda: max(len(one._early) for one in listener.connections) >= 4096, 10, "early bytes")
        assert max(len(one._early) for one in listener.connections) <= 2 * 4096
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 9:
            part = client.recv(65536)
            assert part
            answers += part
    app.runtime.close()


def test_of_a_held_requests_query_the_access_logs_part_is_kept(make_app: Callable[..., App]) -> None:
    app = listening(make_app)
    app.live.channel("room/<name>")
    port = second_door(app)
    sideloop = app.flask.wsgi_app.sideloop  # type: ignore[attr-defined]
    query = "&".join(f"channel=room/{'x' * 150}{number}" for number in range(100))
    with ExitStack() as stack:
        client = connect(port, stack)
        client.sendall(f"GET /landline/events?{query} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        until(lambda: sideloop.fanout is not None and sideloop.fanout.held, 10, "that it is held")
        (held,) = sideloop.fanout.held
        assert query.startswith(held.query)
        assert 400 < len(held.query) < 600
    app.runtime.close()


def test_held_connection_with_a_hundred_long_channels_of_its_own_is_small(make_app: Callable[..., App]) -> None:
    app = listening(make_app, keepalive=60.0)
    app.live.channel("room/<name>")
    port = second_door(app)

    def hold(numbers: range, stack: ExitStack) -> None:
        for number in numbers:
            names = [f"room/{number}-{channel}-".ljust(200, "x") for channel in range(100)]
            client = connect(port, stack)
            query = "&".join(f"channel={name}" for name in names)
            client.sendall(f"GET /landline/events?{query} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
            assert client.recv(65536).startswith(b"HTTP/1.1 200")

    tracemalloc.start()
    try:
        with ExitStack() as stack:
            hold(range(60), stack)  # the names that are remembered are as many as may be, from here on
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            hold(range(60, 180), stack)
            gc.collect()
            each = (tracemalloc.get_traced_memory()[0] - before) / 120
    finally:
        tracemalloc.stop()
    app.runtime.close()
    assert each < HELD_MOST, f"{each:.0f} bytes for each"


@pytest.mark.parametrize("ends", ["client leaves", "connection lingers"])
def test_closed_connection_leaves_little(ends: str, make_app: Callable[..., App]) -> None:
    """It stays among the deadlines for a minute, and without the collector's help its request must be gone."""
    app = listening(make_app)
    app.live.channel("news")
    port = second_door(app)
    listener = app.flask.wsgi_app.listener  # type: ignore[attr-defined]
    padding = "x" * 8000

    def use(count: int) -> None:
        with ExitStack() as stack:
            for _ in range(count):
                client = connect(port, stack)
                close = "Connection: close\r\n" if ends == "connection lingers" else ""
                request = f"GET /landline/poll?channel=news HTTP/1.1\r\nHost: here\r\n{close}X-Long: {padding}\r\n\r\n"
                client.sendall(request.encode())
                assert client.recv(65536).startswith(b"HTTP/1.1 200")
                if ends == "client leaves":
                    client.sendall(b"GET /landline/poll?channel=" + padding.encode())  # half of the next one
        until(lambda: not listener.connections, 10, "that all are closed")

    use(20)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        use(200)
        left = (tracemalloc.get_traced_memory()[0] - before) / 200
    finally:
        tracemalloc.stop()
        gc.enable()
    app.runtime.close()
    assert left < CLOSED_MOST, f"{left:.0f} bytes are left of each"
