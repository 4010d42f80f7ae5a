"""What an idle poll costs as the log grows, in one process, without a server."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from flask import Flask
from flask_landline import Landline

LENGTHS = (10, 1_000_000)
ROUNDS = 21
POLLS = 2000


def main() -> None:
    """Microseconds of an idle poll, with 10 events in the log and with 1,000,000; remembered, and worked out anew."""
    with tempfile.TemporaryDirectory() as folder:
        apps = [_app(Path(folder) / str(length), length) for length in LENGTHS]
        for name, query in (("the same again", "cursor={cursor}"), ("worked out anew", "cursor={cursor}&wait=0.0{n}")):
            # In turns, so that a machine that slows down slows both.
            rounds = [[_measure(app, cursor, query) for app, cursor in apps] for _ in range(ROUNDS)]
            medians = [statistics.median(each[index] for each in rounds) for index in range(len(LENGTHS))]
            ratio = statistics.median(each[1] / each[0] for each in rounds)
            text = ", ".join(f"{length:,}: {cost:.2f} µs" for length, cost in zip(LENGTHS, medians, strict=True))
            print(f"  {name:<17}{text}   × {ratio:.3f}")
        for app, _ in apps:
            app.extensions["landline"].close()


def _app(folder: Path, length: int) -> tuple[Flask, str]:
    app = Flask(__name__, instance_path=str(folder))
    live = Landline(app)
    live.channel("orders", keep=None, keep_for=None)
    _fill(app, length)
    return app, live.cursor()


def _fill(app: Flask, length: int) -> None:
    """Write events as the log would, many in one transaction: a sync for each of a million takes an hour."""
    log: Any = app.extensions["landline"].log
    log.append("orders", "0")
    with log._writer.use() as (db, _), log._writer.writing(db):
        db.executemany("INSERT INTO events (channel, at, data) VALUES (1, 0, ?)", ((str(n),) for n in range(1, length)))
        db.execute("UPDATE channels SET kept = ?", (length,))
    print(f"  a log of {length:,} events", file=sys.stderr)


def _measure(app: Flask, cursor: str, query: str) -> float:
    """Return the microseconds of one poll, by processor time, so that other processes do not count."""
    environs = [_environ(query.format(cursor=cursor, n=n)) for n in range(POLLS)]
    begin = time.process_time()
    for environ in environs:
        app.wsgi_app(environ, _start_response)
    return (time.process_time() - begin) / POLLS * 1e6


def _environ(query: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/landline/poll",
        "QUERY_STRING": "channel=orders&" + query,
        "wsgi.multithread": False,
    }


def _start_response(status: str, *_: Any) -> Any:
    assert status == "200 OK", status
