"""Logs of any length, with any number of channels: written in bulk, kept between runs."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from landline.logs.sqlite.log import SCHEMA_VERSION, SQLiteLog

from bench.processes import CACHE


def long_log(events: int, channels: int = 1, folder: Path = CACHE) -> Path:
    """Return a file with so many events, in `orders` and in `room/1`, `room/2` … in turns.

    Ten million take a minute and 700 MB the first time, and nothing after that; what a measurement publishes stays in.
    """
    folder.mkdir(exist_ok=True)
    path = folder / f"log-{SCHEMA_VERSION}-{events}-{channels}.db"
    if not path.exists():
        building = path.with_suffix(".building")
        for leftover in folder.glob(building.name + "*"):
            leftover.unlink()
        _write(building, events, channels)
        building.rename(path)
    return path


def _write(path: Path, events: int, channels: int) -> None:
    # The log itself makes the file and its first event: its schema is its own business.
    log = SQLiteLog(path, synchronous="NORMAL")
    log.append("orders", "0")
    log.close()
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(f"""
        PRAGMA synchronous = OFF;
        PRAGMA cache_size = -400000;
        BEGIN;
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {channels - 1})
        INSERT INTO channels (name) SELECT 'room/' || i FROM n WHERE {channels} > 1;
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {events - 1})
        INSERT INTO events (channel, at, data) SELECT i % {channels} + 1, 0, '{{"n": ' || i || '}}' FROM n
        WHERE {events} > 1;
        UPDATE channels SET kept = (SELECT count(*) FROM events WHERE channel = channels.id);
        COMMIT;
        PRAGMA wal_checkpoint(TRUNCATE);
    """)
    db.close()
