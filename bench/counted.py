"""What the smoke test counts: the same work with little and with much around it. Runs under callgrind; see smoke.py.

Nothing here looks at a clock: the hub is told before each poll that its knowledge is stale, so that it asks the log
each time and not each two milliseconds.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from flask_landline import Landline
from landline.times import Times

from bench.logs import long_log

FEW_EVENTS, MANY_EVENTS = 10, 100_000
MANY_CHANNELS = 10_000
READERS, MANY_OTHERS = 20, 1_000
POLLS, PUBLISHED, DELIVERED = 100, 50, 20
DATA = {"n": 42}
OPEN_WITHIN = 30.0
"""Seconds for what takes a moment, and a while under valgrind on a busy machine."""


def main() -> None:
    """Count everything, each under its name: what, a bar, around what."""
    count = _counter(Path(sys.argv[1]))
    folder = Path(sys.argv[2])
    for length in (FEW_EVENTS, MANY_EVENTS):
        _count_log(count, f"{length:,} events", long_log(length, folder=folder))
    for channels in (1, MANY_CHANNELS):
        _count_log(count, f"{channels:,} channels", long_log(MANY_CHANNELS, channels, folder=folder))
    for others in (0, MANY_OTHERS):
        _count_deliveries(count, f"{others:,} other readers", others=others)
    for events in (FEW_EVENTS, MANY_EVENTS // 10):
        _count_deliveries(count, f"{events:,} events", events=events)
    # Threads that still rest somewhere would be waited for; there is nothing left to save.
    os._exit(0)


def _counter(library: Path) -> Callable[[str, Callable[[], object]], None]:
    counting = ctypes.CDLL(str(library))

    def count(name: str, work: Callable[[], object]) -> None:
        work()  # once before: caches fill, code is specialised
        gc.collect()
        counting.begin_counting()
        work()
        counting.end_counting(name.encode())

    return count


def _count_log(count: Callable[[str, Callable[[], object]], None], around: str, log: Path) -> None:
    """Polls and publishing, beside a log of some size."""
    with _app(f"sqlite:///{log}") as (app, live):
        hub = app.extensions["landline"].hub
        cursor = live.cursor()
        query = f"channel=orders&cursor={cursor}"

        def polls(**headers: str) -> None:
            for _ in range(POLLS):
                hub.invalidate()
                _poll(app, query, **headers)

        def publish() -> None:
            for _ in range(PUBLISHED):
                live.publish("orders", DATA)

        count(f"poll, the same again|{around}", polls)
        count(f"poll, worked out anew|{around}", lambda: polls(HTTP_IF_NONE_MATCH='"another"'))
        count(f"publish|{around}", publish)


def _count_deliveries(
    count: Callable[[str, Callable[[], object]], None], around: str, *, others: int = 0, events: int = FEW_EVENTS
) -> None:
    """Publishing to held readers, beside others of other channels, or after many events."""
    with tempfile.TemporaryDirectory() as folder, _app("memory:", f"unix:{folder}/door") as (app, live):
        for _ in range(events):
            live.publish("orders", DATA)
        _poll(app, "channel=orders")  # opens the other door
        lines = [_hold(f"{folder}/door", "orders") for _ in range(READERS)]
        aside = [_hold(f"{folder}/door", f"room/{number}") for number in range(others)]

        def deliver() -> None:
            for _ in range(DELIVERED):
                live.publish("orders", DATA)
                for line in lines:
                    line.recv(65536)

        count(f"delivery|{around}", deliver)
        for line in [*lines, *aside]:
            line.close()


@contextmanager
def _app(log: str, listen: str | None = None) -> Iterator[tuple[Flask, Landline]]:
    app = Flask(__name__)
    app.config.update(LANDLINE_LOG=log, LANDLINE_SYNCHRONOUS="NORMAL", LANDLINE_KEEPALIVE=3600.0)
    app.config["LANDLINE_LISTEN"] = listen
    live = Landline()
    live.times = Times(clock=lambda: 0.0)  # what is due once a second would be due now and then, under valgrind
    live.init_app(app)
    live.channel("orders", keep=None, keep_for=None)
    live.channel("room/<int:number>", keep=None, keep_for=None)
    yield app, live
    app.extensions["landline"].close()


def _poll(app: Flask, query: str, **headers: str) -> None:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/landline/poll",
        "QUERY_STRING": query,
        "wsgi.multithread": False,
        **headers,
    }
    app.wsgi_app(environ, _start_response)


def _start_response(status: str, *_: Any) -> Any:
    assert status == "200 OK", status


def _hold(door: str, channel: str) -> socket.socket:
    """Hold a stream; return it when its hello has come."""
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(OPEN_WITHIN)
    end = time.monotonic() + OPEN_WITHIN
    while line.connect_ex(door):  # it opens in another thread
        assert time.monotonic() < end, f"{door} did not open within {OPEN_WITHIN:g} s"
        time.sleep(0.01)
    line.sendall(f"GET /landline/events?channel={channel} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
    hello = line.recv(65536)
    assert hello.startswith(b"HTTP/1.1 200"), hello
    return line


if __name__ == "__main__":
    gc.disable()  # it comes when it likes, and goes through everything there is
    logging.disable(logging.INFO)  # a thousand lines that end are a thousand lines in the log
    main()
