"""A process that publishes without a pause: `python -m bench.publisher KIND LOG THREADS BEGIN SECONDS`.

KIND is `landline`, or `bare`: an INSERT loop, the least that writing an event to the same kind of file takes. BEGIN is
a time of the monotonic clock, so that several processes begin together. Prints how many events it published.
With `moments LOG COUNT` it publishes now and then, each time the moment itself.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from bench.load import BODY

_alive: list[object] = []
"""Apps that publish: Landline keeps none of them alive."""
GAPS = 0.01, 0.1
"""Seconds between two moments, at random, so that nobody's clock keeps step with ours."""


def main() -> None:
    """Publish, and say how much."""
    kind, log, *rest = sys.argv[1:]
    if kind == "moments":
        _publish_moments(log, int(rest[0]))
        return
    threads, begin, seconds = int(rest[0]), float(rest[1]), float(rest[2])
    publish = {"landline": _landline, "bare": _bare}[kind](log)
    publish()
    counts = [0] * threads

    def work(number: int) -> None:
        time.sleep(max(0.0, begin - time.monotonic()))
        while time.monotonic() < begin + seconds:
            publish()
            counts[number] += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(sum(counts))


def _channel(log: str) -> Any:
    from flask import Flask
    from flask_landline import Landline

    url, _, synchronous = log.partition("#")
    app = Flask(__name__)
    app.config.update(LANDLINE_LOG=url, LANDLINE_SYNCHRONOUS=synchronous or "FULL")
    app.extensions["bench"] = live = Landline(app)
    return app, live.channel("orders", keep=None, keep_for=None)


def _landline(log: str) -> Callable[[], object]:
    app, channel = _channel(log)
    _alive.append(app)
    value = {"n": 42, "text": BODY}
    return lambda: channel.publish(value)


def _bare(log: str) -> Callable[[], object]:
    url, _, synchronous = log.partition("#")
    db = sqlite3.connect(urlsplit(url).path[1:], isolation_level=None, check_same_thread=False, timeout=60)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute("CREATE TABLE IF NOT EXISTS bare (n INTEGER PRIMARY KEY AUTOINCREMENT, at REAL, data TEXT)")
    text = '{"n": 42, "text": "%s"}' % BODY.replace('"', '\\"')  # noqa: UP031  braces
    return lambda: db.execute("INSERT INTO bare (at, data) VALUES (?, ?)", (time.time(), text))


def _publish_moments(log: str, count: int) -> None:
    app, channel = _channel(log)
    for _ in range(count):
        time.sleep(random.uniform(*GAPS))
        channel.publish({"text": f"@T{time.monotonic_ns():020}", "at": time.time()})
    app.extensions["landline"].close()


if __name__ == "__main__":
    main()
