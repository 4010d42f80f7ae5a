"""The tables of a log in SQLite, and how a file is known to have them.

Nothing here opens, locks or waits: `Connection` does, and calls each function within a transaction.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ...errors import LogError
from ..base import new_epoch

SCHEMA_VERSION = 1
"""Of files that this version reads and writes."""
_APPLICATION_ID = 0x4C4C4E45  # "LLNE", so that `file` and we can tell this file from somebody's database
_SCHEMA = """
CREATE TABLE life (epoch TEXT NOT NULL);
CREATE TABLE channels (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kept INTEGER NOT NULL DEFAULT 0,
    floor INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE events (
    offset INTEGER PRIMARY KEY AUTOINCREMENT,
    channel INTEGER NOT NULL REFERENCES channels,
    at REAL NOT NULL,
    expires REAL,
    data TEXT NOT NULL
);
CREATE INDEX events_by_channel ON events (channel, offset);
CREATE INDEX events_by_expiry ON events (expires) WHERE expires IS NOT NULL;
CREATE INDEX channels_by_floor ON channels (floor) WHERE floor > 0;
CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
"""
# AUTOINCREMENT: an offset is never given twice, also when the newest events were removed
# (https://www.sqlite.org/autoinc.html). A rolled-back append gives its offset back.


def is_made(db: sqlite3.Connection, path: Path) -> bool:
    """Return whether a file has the tables; False: it is empty. Refuse what is not a log before anything touches it.

    Raises:
        LogError: it is another program's database, or of another schema.
    """
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    application = db.execute("PRAGMA application_id").fetchone()[0]
    empty = not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != _APPLICATION_ID and not empty:
        raise LogError(
            f"{path} is an SQLite database, but not a log of Landline. Name another file in LANDLINE_LOG.",
            retryable=False,
        )
    if version not in (0, SCHEMA_VERSION):
        raise LogError(
            f"The log {path} has schema {version}, and this Landline knows {SCHEMA_VERSION}. Install the "
            "Flask-Landline that made it, or move the file away: readers then get a reset.",
            retryable=False,
        )
    return version != 0


def make(db: sqlite3.Connection) -> None:
    """Make the tables, and begin a life of the log, unless another process was faster."""
    if db.execute("PRAGMA user_version").fetchone()[0] != 0:
        return
    for statement in _SCHEMA.split(";"):
        db.execute(statement)
    db.execute("INSERT INTO life VALUES (?)", (new_epoch(),))
    db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
