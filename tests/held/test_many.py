"""Very many readers on one worker with four threads: all are told, and the app answers as if they were not there."""

import http.client
import re
import resource
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.held.servers import GTHREAD, Server, ask, descriptors, serve
from tests.processes import until

MANY = (1_000, 5_000)
"""Readers for each change, and at night."""
SPARE = 400
"""Descriptors that a process needs beside its readers' connections."""
AT_ONCE = 100
"""Requests under way while the readers come: a burst must fit into what the kernel queues."""


def affordable(count: int) -> int:
    """Return how many readers the limit on descriptors allows, at the server and here; 80 % of it the server takes."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return count if hard == resource.RLIM_INFINITY else min(count, int(hard * 0.8) - SPARE)


@pytest.fixture(params=[MANY[0], pytest.param(MANY[1], marks=pytest.mark.night)])
def many(request: pytest.FixtureRequest) -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = affordable(request.param)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the server inherits it
    yield count
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Crowd:
    """Bare connections that all read the same stream; each is read only when something has come."""

    def __init__(self, stack: ExitStack, server: Server, count: int, cursor: str) -> None:
        self._selector = stack.enter_context(closing(selectors.DefaultSelector()))
        self._told: dict[socket.socket, bytes] = {}
        request = f"GET /landline/events?channel=news&cursor={cursor} HTTP/1.1\r\nHost: here\r\n\r\n".encode()
        while len(self._told) < count:
            for _ in range(min(AT_ONCE, count - len(self._told))):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
                connection.sendall(request)
                connection.setblocking(False)
                self._selector.register(connection, selectors.EVENT_READ)
                self._told[connection] = b""
            self.read_until(rb'"advice"[^\n]*\nid: [^\n]+\n\n')

    def read_until(self, pattern: bytes, patience: float = 30.0) -> float:
        """Read until each has been told what matches; return how many seconds it took."""
        begun = time.monotonic()
        form = re.compile(pattern)
        missing = {connection for connection, told in self._told.items() if not form.search(told)}
        while missing:
            assert time.monotonic() - begun < patience, f"{len(missing)} of {len(self._told)} were not told {pattern!r}"
            for key, _ in self._selector.select(1.0):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                data = connection.recv(65536)
                assert data, "a line was closed"
                self._told[connection] += data
                if form.search(self._told[connection]):
                    missing.discard(connection)
        return time.monotonic() - begun

    def offsets(self) -> set[tuple[int, ...]]:
        """Return what the readers were told: one entry, if all were told the same."""
        return {tuple(map(int, re.findall(rb"event: news\n.*\nid: \w+-(\d+)\n", told))) for told in self._told.values()}


@pytest.mark.slow
def test_thousands_are_told_while_the_app_answers(many: int, tmp_path: Path) -> None:
    config = {"LANDLINE_KEEPALIVE": 5.0}
    with serve(GTHREAD, tmp_path, config) as server, ExitStack() as stack:
        worker = server.worker()
        crowd = Crowd(stack, server, many, server.cursor())
        assert server.facts()["held"] == many
        assert descriptors(worker) >= many
        threads = [name for name in server.facts()["threads"] if not name.startswith("landline")]
        assert len(threads) <= 5, threads  # gunicorn's main thread and its four
        app = stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)))
        published = [offset for n in range(3) for offset in server.publish(n)]
        answers = []
        for _ in range(20):
            begun = time.monotonic()
            app.request("GET", "/plain")
            assert app.getresponse().read() == b"plain"
            answers.append(time.monotonic() - begun)
        crowd.read_until(rb"-%d\n\n" % published[-1])
        assert crowd.offsets() == {tuple(published)}
        assert sorted(answers)[len(answers) // 2] < 0.5, answers
        # Everybody's sign of life comes with the same turn of one timer.
        crowd.read_until(rb'(?s)-%d\n\n.*"advice"' % published[-1])
        assert "Traceback" not in server.process.stderr


@pytest.mark.slow
def test_thousands_that_leave_leave_nothing(many: int, tmp_path: Path) -> None:
    with serve(GTHREAD, tmp_path) as server:
        worker, cursor = server.worker(), server.cursor()
        with ExitStack() as stack:
            Crowd(stack, server, 50, cursor)
        until(lambda: server.facts()["held"] == 0, 10, "that nothing is held")
        before = descriptors(worker)
        with ExitStack() as stack:
            Crowd(stack, server, many // 5, cursor)
            assert descriptors(worker) >= many // 5
        until(lambda: server.facts()["held"] == 0, 20, "that nothing is held")
        until(lambda: descriptors(worker) <= before, 20, "the descriptors")


def test_no_more_than_the_budget_are_held(tmp_path: Path) -> None:
    """Whoever comes then is told to poll, and whoever leaves makes room."""
    with serve(GTHREAD, tmp_path, {"LANDLINE_MAX_HELD": 20}) as server:
        cursor = server.cursor()
        with ExitStack() as stack:
            crowd = Crowd(stack, server, 20, cursor)
            advice = ask(f"{server.base}/landline/poll?channel=news&cursor={cursor}&wait=5").json["advice"]
            assert (advice["transports"], advice["hold"]) == (["poll"], 0)
            with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as late:
                late.request("GET", "/landline/events?channel=news")
                answer = late.getresponse()
                assert answer.status == 503
                assert int(answer.headers["Retry-After"]) > 0
            (offset,) = server.publish("on")
            crowd.read_until(rb"-%d\n\n" % offset)
        until(lambda: server.facts()["held"] == 0, 10, "that nothing is held")
        with ExitStack() as stack:
            Crowd(stack, server, 20, cursor)
