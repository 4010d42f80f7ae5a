"""Where the board keeps its notes, its last vitals, and what pages have cut: one small SQLite file."""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS samples (at REAL PRIMARY KEY, sample TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cuts (page TEXT, transport TEXT, at REAL NOT NULL, PRIMARY KEY (page, transport));
"""
CUTS_KEPT = 24 * 3600.0
"""Seconds: nobody says when a page is gone."""


class Store:
    """Notes for ever, and the newest samples; safe for threads and processes.

    Args:
        path: the file, made if missing.
        samples_kept: newest samples kept.
    """

    def __init__(self, path: Path, samples_kept: int) -> None:
        self._path = path
        self._samples_kept = samples_kept
        with self._open() as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(SCHEMA)

    def add_note(self, text: str) -> dict[str, Any]:
        at = round(time.time(), 3)
        with self._open() as database:
            cursor = database.execute("INSERT INTO notes (at, text) VALUES (?, ?)", (at, text))
        return {"id": cursor.lastrowid, "at": at, "text": text}

    def notes(self, count: int) -> list[dict[str, Any]]:
        """Return the newest notes, oldest first."""
        with self._open() as database:
            rows = database.execute("SELECT id, at, text FROM notes ORDER BY id DESC LIMIT ?", (count,)).fetchall()
        return [{"id": number, "at": at, "text": text} for number, at, text in reversed(rows)]

    def add_sample(self, sample: dict[str, Any]) -> None:
        with self._open() as database:
            database.execute("INSERT OR REPLACE INTO samples VALUES (?, ?)", (sample["at"], json.dumps(sample)))
            database.execute(
                "DELETE FROM samples WHERE at NOT IN (SELECT at FROM samples ORDER BY at DESC LIMIT ?)",
                (self._samples_kept,),
            )

    def samples(self) -> list[dict[str, Any]]:
        """Return what is kept, oldest first."""
        with self._open() as database:
            rows = database.execute("SELECT sample FROM samples ORDER BY at").fetchall()
        return [json.loads(sample) for (sample,) in rows]

    def set_cuts(self, page: str, transports: Iterable[str]) -> None:
        now = time.time()
        with self._open() as database:
            database.execute("DELETE FROM cuts WHERE page = ? OR at < ?", (page, now - CUTS_KEPT))
            database.executemany("INSERT INTO cuts VALUES (?, ?, ?)", [(page, name, now) for name in transports])

    def cuts(self, page: str) -> set[str]:
        """Return the transports that a page has cut."""
        with self._open() as database:
            return {name for (name,) in database.execute("SELECT transport FROM cuts WHERE page = ?", (page,))}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction. A connection of its own each time: no thread shares one."""
        with closing(sqlite3.connect(self._path, timeout=10)) as database, database:
            yield database
