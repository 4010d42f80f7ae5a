"""Growth: what a poll and a delivery cost as the log, its channels, and the readers of other channels become many."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask
from flask_landline import Landline

from bench.jobs.fanout import grow
from bench.load import Readers
from bench.logs import long_log
from bench.peers import landline
from bench.peers.peer import Server
from bench.processes import cpu, wait_until_quiet
from bench.results import Results
from bench.session import Session

LENGTHS = (10, 1_000, 100_000, 10_000_000)
CHANNELS = (1, 100, 10_000, 100_000)
OTHERS = (0, 100, 1_000, 10_000)
POLLS = 2_000
NAME = "Landline"
REMEMBERED, ANEW, DELIVERY = "a poll, the same again", "a poll, worked out anew", "a delivery"
METRICS = {"µs of processor": "{:.2f}"}


def case(of: str, count: int) -> str:
    """Return the name of a case."""
    return f"{count:,} {of}"


class Point(NamedTuple):
    """How much of everything there is."""

    of: str
    number: int
    log: Path
    others: int = 0

    @property
    def name(self) -> str:
        """Name of the case."""
        return case(self.of, self.number)


def run(session: Session) -> list[Results]:
    """Measure at each point in turns, by processor time: other processes do not count."""
    results = Results("growth", "what things cost as others grow in number", METRICS)
    points = list(_points(session))
    with ExitStack() as stack:
        polls = {point: stack.enter_context(_polling(point)) for point in points if not point.others}
        for point in session.turns(polls, lambda point: f"polls, {point.name}"):
            for name, poll in polls[point].items():
                results.add(name, point.name, **{"µs of processor": poll(session.sized(POLLS, 200))})
    readers, events = session.sized((1_000, 20), (50, 3))
    # One row at a time: forty thousand connections at once would measure the kernel's memory.
    for of in dict.fromkeys(point.of for point in points):
        with ExitStack() as stack:
            servers = {}
            for point in [point for point in points if point.of == of]:
                session.tell(f"deliveries, {point.name}: starting")
                servers[point] = stack.enter_context(_holding(session, point, readers))
            for point in session.turns(servers, lambda point: f"deliveries, {point.name}"):
                server, held = servers[point]
                cost = _deliver(server, held, events) / readers
                results.add(DELIVERY, point.name, **{"µs of processor": cost})
    return [results]


def _points(session: Session) -> Iterator[Point]:
    for length in session.sized(LENGTHS, LENGTHS[:3]):
        session.tell(f"a log of {length:,} events")
        yield Point("events in the log", length, long_log(length))
    for channels in session.sized(CHANNELS, CHANNELS[:3]):
        session.tell(f"a log of {channels:,} channels")
        yield Point("channels", channels, long_log(max(channels, 10), channels))
    for others in session.sized(OTHERS, OTHERS[:2]):
        yield Point("readers of other channels", others, long_log(10), others)


@contextmanager
def _polling(point: Point) -> Iterator[dict[str, Callable[[int], float]]]:
    """Give functions that measure a poll, without a server."""
    app = Flask(__name__)
    app.config["LANDLINE_LOG"] = f"sqlite:///{point.log}"
    live = Landline(app)
    live.channel("orders", keep=None, keep_for=None)
    cursor = live.cursor()
    yield {
        REMEMBERED: lambda polls: _ask(app, [f"channel=orders&cursor={cursor}"] * polls),
        ANEW: lambda polls: _ask(app, [f"channel=orders&cursor={cursor}&wait=0.0{n}" for n in range(polls)]),
    }
    app.extensions["landline"].close()


def _ask(app: Flask, queries: list[str]) -> float:
    """Return the microseconds of a poll."""
    environs = [_environ(query) for query in queries]
    begin = time.process_time()
    for environ in environs:
        app.wsgi_app(environ, _start_response)
    return (time.process_time() - begin) / len(queries) * 1e6


def _environ(query: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/landline/poll",
        "QUERY_STRING": query,
        "wsgi.multithread": False,
    }


def _start_response(status: str, *_: Any) -> Any:
    assert status == "200 OK", status


@contextmanager
def _holding(session: Session, point: Point, count: int) -> Iterator[tuple[Server, Readers]]:
    """Hold readers of `orders`, and others of channels of their own each, without keepalives in between."""
    config: dict[str, Any] = {"LANDLINE_KEEPALIVE": 3600, "LANDLINE_MAX_HELD": 20_000}
    with session.folder() as folder:
        # A copy: what is published would make the log of ten longer, and wake whoever else reads it.
        shutil.copyfile(point.log, folder / "landline.db")
        with landline.start(folder, **config) as server, _subscribed(server, point, count) as readers:
            yield server, readers


@contextmanager
def _subscribed(server: Server, point: Point, count: int) -> Iterator[Readers]:
    with server.readers("sse") as readers:
        aside = landline.readings("room/{i}", "now")["sse"]
        with Readers(server.port, aside, server.publish, server.port) as others:
            if point.others:
                others.open(point.others)
                wait_until_quiet(server.pids)
            grow(readers, server, count)
            yield readers


def _deliver(server: Server, readers: Readers, events: int) -> float:
    """Return the microseconds of processor time that an event costs."""
    before = cpu(server.pids)
    for _ in range(events):
        readers.round()
    wait_until_quiet(server.pids)
    return (cpu(server.pids) - before) / events * 1e6
