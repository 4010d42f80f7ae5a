"""A log in one SQLite file, shared by the processes of one machine.

What is true at every moment:

- A `Connection` is used by one thread at a time, under its own lock. Appends go through the writer, readings through
  the reader, so that a poll never waits for another thread's fsync. Leases have a connection that does not sync: losing
  one in a power cut costs nothing.
- The file says what the log is. This process remembers of it the end and the counter (`data_version`) under which it
  was found: `_seen`, `_tail` and `_moved` are changed by the thread that has the reader.
- Offsets are given and events become visible in one transaction, by one writer at a time in all processes. So they
  order as appends became visible, and nothing comes later at or below one that was seen.

Appends that come together are committed together: see `batch.py`. Waits are ended by the file's counter, or at once by
an append of this process (`_changed`).

Write-ahead logging makes readers and the writer independent (https://www.sqlite.org/wal.html); it needs
shared memory, so the file must be on a local disk.

Known weakness: a wait looks at the file again and again, up to a hundred times a second, for another process cannot
wake this one.
"""

from __future__ import annotations

import heapq
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from pathlib import Path
from threading import Condition, Lock

from ... import forks
from ...cursor import Cursor
from ...errors import LogError, UsageError
from ...event import Event
from ..base import ChannelInfo, Log, Retention, lease_limit
from .batch import MOST, Append, Batch
from .connection import Connection, reading
from .schema import SCHEMA_VERSION

__all__ = ["SCHEMA_VERSION", "SQLiteLog"]

READ_PATIENCE = 1.0
"""Seconds to wait for another process's lock before a reading is given up. Writers do not lock readers out; what does,
such as a shell in exclusive mode, takes longer than anybody should be kept waiting for an answer."""
READ_REST = 2.0
"""Seconds after that in which no other reading waits: as long as a poll is asked to stay away."""
LEASE_PATIENCE = 0.5
"""Seconds to wait for another process's write before a lease is given up: a poll waits for it, and later will do."""
WAKE_INTERVAL = 0.01
"""Seconds between looks at the file while a thread waits: half of it is the mean delay between processes. One look is
one PRAGMA, some 5 µs; being woken for it is ten times that."""
WAKE_QUIET = 0.05
"""The same, at most, where nothing was published for seconds: a quiet process sleeps."""
_QUIET_SHARE = 50
"""While nothing comes, looks grow as rare as a fiftieth of the silence so far: that much later is the next event."""
_TRIM_STEP = 500
"""Events of a channel removed by one commit at most: where `keep` was lowered, it is cut back little by little."""
_LEAST_STEP = 8
"""Offsets of a channel looked up in one go at least, where a reader asks for several channels."""
_ROW = "((SELECT id FROM channels WHERE name = ?), ?, ?, ?)"


class SQLiteLog(Log):
    """Keeps events in an SQLite file, made at first use with its folder.

    Args:
        path: the file.
        synchronous: `FULL`: an acknowledged event survives a power cut; `NORMAL`: it survives the death of
            any process, and a power cut may take the last ones.
        timeout: seconds to wait for another process's write before an append is given up, and those with it that
            came meanwhile.
        mode: who may read and write the file, and the two beside it, where they are made; and, with what it takes to
            look into it, a folder that is made for them. Files and folders that are there keep theirs.
        clock: tells the time in Unix seconds.

    Raises:
        UsageError: `synchronous` is neither, or `path` is SQLite's name for a database in memory: each connection
            would have one of its own.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: str = "FULL",
        timeout: float = 10.0,
        mode: int = 0o600,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if synchronous not in ("FULL", "NORMAL"):
            raise UsageError(f"LANDLINE_SYNCHRONOUS is {synchronous!r}; use 'FULL' or 'NORMAL'.")
        if os.fspath(path) in ("", ":memory:"):
            raise UsageError(f"SQLiteLog({path!r}) would be a database in memory. Give a file, or use MemoryLog().")
        self._path = Path(path)
        self._clock = clock
        self._writer = Connection(self._path, timeout, synchronous, mode, writes=True)
        self._reader = Connection(self._path, min(timeout, READ_PATIENCE), synchronous, mode, rest=READ_REST)
        self._leaser = Connection(self._path, min(timeout, LEASE_PATIENCE), "OFF", mode, writes=True)
        self.after_fork()
        forks.register_resting(self)

    def before_fork(self) -> None:
        """Close the connections, between two uses: a child must inherit none that is open (see `forks`)."""
        for connection in (self._writer, self._reader, self._leaser):
            connection.before_fork()

    def after_fork_in_parent(self) -> None:
        """Allow the connections again; each is opened at its next use."""
        for connection in (self._writer, self._reader, self._leaser):
            connection.after_fork_in_parent()

    def after_fork(self) -> None:
        """Forget the parent's connections, waiting appends and waiters."""
        for connection in (self._writer, self._reader, self._leaser):
            connection.abandon()
        self._joining = Lock()
        self._batch = Batch()
        self._changed = Condition()
        self._wakes = 0
        self._seen: tuple[object, int] = (None, -1)
        self._tail = 0
        self._moved = 0.0

    def append(self, channel: str, payload: str, retention: Retention = Retention()) -> Event:  # noqa: B008
        """See `Log.append`. Appends that arrive while others are being synced share the next sync."""
        with self._joining:
            batch, place = self._batch, len(self._batch.appends)
            batch.appends.append(Append(channel, payload, retention))
            if len(batch.appends) == MOST:
                self._batch = Batch()
        with batch.lock:  # the first to have it commits for all; the others find it done
            if not batch.done:
                self._commit(batch)
        if batch.error is not None:
            raise LogError(str(batch.error), retryable=getattr(batch.error, "retryable", True)) from batch.error
        return batch.events[place]

    def read(self, after: int, limit: int, channels: Collection[str] | None = None) -> list[Event]:
        if channels is not None:
            return self.read_page(channels, after, limit, sys.maxsize)
        with self._reader.use() as (db, epoch), reading(db):
            rows = db.execute(
                "SELECT name, offset, at, data FROM events JOIN channels ON channels.id = channel "
                "WHERE offset > ? ORDER BY offset LIMIT ?",
                (after, limit),
            ).fetchall()
        return [_event(row, epoch) for row in rows]

    def read_page(self, channels: Collection[str], after: int, limit: int, max_bytes: int) -> list[Event]:
        """See `Log.read_page`. Offsets are merged from the index, and only the events of the page are read."""
        events: list[Event] = []
        size = 0
        with self._reader.use() as (db, epoch), reading(db):
            # One indexed range for each channel: a single query over several channels either sorts all they have or
            # walks past what all the others have.
            step = max(_LEAST_STEP, limit // max(1, len(channels)) + 1)
            each = [_offsets(db, name, after, min(step, limit)) for name in channels]
            for offset, name in islice(heapq.merge(*each), limit):
                at, payload = db.execute("SELECT at, data FROM events WHERE offset = ?", (offset,)).fetchone()
                events.append(Event(name, offset, at, payload, epoch))
                size += events[-1].size
                # See SECURITY.md: a-page-is-read-not-the-history
                if size > max_bytes and len(events) > 1:
                    break
        return events

    def tail(self) -> Cursor:
        with self._reader.use() as (db, epoch):
            # data_version moves when any other connection, of this process or another, has committed.
            seen = (db, db.execute("PRAGMA data_version").fetchone()[0])
            if seen != self._seen:
                row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
                self._tail = row[0] if row else 0
                self._seen, self._moved = seen, time.monotonic()
            return Cursor(epoch, self._tail)

    def floor(self, channels: Collection[str]) -> dict[str, int]:
        marks = ", ".join("?" * len(channels))
        with self._reader.use() as (db, _):
            return dict(db.execute(f"SELECT name, floor FROM channels WHERE name IN ({marks})", tuple(channels)))

    def lost(self, after: int) -> dict[str, int]:
        with self._reader.use() as (db, _):
            # `floor > 0` is what the index is for; a file that was made before it is searched through.
            return dict(db.execute("SELECT name, floor FROM channels WHERE floor > ? AND floor > 0", (after,)))

    def newest(self, channel: str) -> Event | None:
        with self._reader.use() as (db, epoch):
            row = db.execute(
                "SELECT name, offset, at, data FROM events JOIN channels ON channels.id = channel "
                "WHERE name = ? ORDER BY offset DESC LIMIT 1",
                (channel,),
            ).fetchone()
        return _event(row, epoch) if row else None

    def channels(self) -> list[ChannelInfo]:
        with self._reader.use() as (db, _):
            rows = db.execute(
                "SELECT name, kept, (SELECT min(offset) FROM events WHERE channel = channels.id), "
                "(SELECT max(offset) FROM events WHERE channel = channels.id) FROM channels ORDER BY name"
            )
            return [ChannelInfo(*row) for row in rows]

    def trim(self, limit: int = 500) -> int:
        with self._writer.use() as (db, _), self._writer.writing(db):
            due = db.execute(
                "SELECT channel, offset FROM events WHERE expires <= ? ORDER BY expires LIMIT ?",
                (self._clock(), limit),
            ).fetchall()
            db.executemany("DELETE FROM events WHERE offset = ?", [(offset,) for _, offset in due])
            db.executemany(
                "UPDATE channels SET kept = kept - 1, floor = max(floor, ?) WHERE id = ?",
                [(offset, channel) for channel, offset in due],
            )
        return len(due)

    def wait(self, after: Cursor, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        wakes = self._wakes
        while True:
            if self.tail() != after:
                return True
            now = time.monotonic()
            quiet = min(max((now - self._moved) / _QUIET_SHARE, WAKE_INTERVAL), WAKE_QUIET)
            with self._changed:
                if now >= deadline or self._wakes != wakes:
                    return False
                self._changed.wait(min(deadline - now, quiet))

    def wake(self) -> None:
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()

    def lease(self, name: str, seconds: float, holder: str) -> bool:
        now = self._clock()
        # Look first: a lease held elsewhere is the common case, and looking does not lock the file.
        with self._reader.use() as (db, _):
            row = db.execute("SELECT holder, expires FROM leases WHERE name = ?", (name,)).fetchone()
        latest = now + lease_limit(seconds)
        if row is not None and row[0] != holder and now < row[1] <= latest:
            return False
        with self._leaser.use() as (db, _), self._leaser.writing(db):
            taken = db.execute(
                "INSERT INTO leases VALUES (:name, :holder, :expires) ON CONFLICT (name) DO UPDATE "
                "SET holder = :holder, expires = :expires "
                "WHERE holder = :holder OR expires <= :now OR expires > :latest",
                {"name": name, "holder": holder, "expires": now + seconds, "now": now, "latest": latest},
            )
        return taken.rowcount == 1

    def close(self) -> None:
        self.wake()
        for connection in (self._leaser, self._reader, self._writer):
            connection.close()

    def _commit(self, batch: Batch) -> None:
        """Commit a batch, or refuse all of it; the caller holds its lock."""
        try:
            with self._writer.use() as (db, epoch), self._writer.writing(db):
                self._end_joining(batch)  # not before it is its turn: until then every sync saved is a gain
                batch.events = self._insert(db, batch.appends, epoch)
        except BaseException as error:
            self._end_joining(batch)
            batch.error = error
            if not isinstance(error, LogError):
                raise
        finally:
            batch.done = True
        with self._changed:
            self._changed.notify_all()

    def _end_joining(self, batch: Batch) -> None:
        with self._joining:
            if self._batch is batch:
                self._batch = Batch()

    def _insert(self, db: sqlite3.Connection, appends: list[Append], epoch: str) -> list[Event]:
        at = round(self._clock(), 3)
        channels: dict[str, list[Append]] = {}
        for item in appends:
            channels.setdefault(item.channel, []).append(item)
        for name, own in channels.items():
            db.execute(
                "INSERT INTO channels (name, kept) VALUES (:name, :more) "
                "ON CONFLICT (name) DO UPDATE SET kept = kept + :more",
                {"name": name, "more": len(own)},
            )
        # One statement for all: in each the GIL is let go, and whoever takes it keeps the whole batch waiting.
        row = db.execute(
            f"INSERT INTO events (channel, at, expires, data) VALUES {', '.join([_ROW] * len(appends))}",
            [value for item in appends for value in (item.channel, at, item.expires(at), item.payload)],
        )
        for name, own in channels.items():
            self._cut_back(db, name, own[-1].retention)
        assert row.lastrowid is not None
        first = row.lastrowid - len(appends) + 1  # no other process writes meanwhile: they follow each other
        return [Event(item.channel, first + place, at, item.payload, epoch) for place, item in enumerate(appends)]

    @staticmethod
    def _cut_back(db: sqlite3.Connection, name: str, retention: Retention) -> None:
        if retention.keep is None:
            return
        channel, kept = db.execute("SELECT id, kept FROM channels WHERE name = ?", (name,)).fetchone()
        if kept <= retention.trim_above():
            return
        count = min(kept - retention.keep, _TRIM_STEP)
        (floor,) = db.execute(
            "SELECT offset FROM events WHERE channel = ? ORDER BY offset LIMIT 1 OFFSET ?",
            (channel, count - 1),
        ).fetchone()
        db.execute("DELETE FROM events WHERE channel = ? AND offset <= ?", (channel, floor))
        db.execute("UPDATE channels SET kept = kept - ?, floor = max(floor, ?) WHERE id = ?", (count, floor, channel))


def _offsets(db: sqlite3.Connection, channel: str, after: int, step: int) -> Iterator[tuple[int, str]]:
    """Yield the offsets of a channel's events after one, `step` of them looked up at a time, with the channel."""
    while True:
        rows = db.execute(
            "SELECT offset FROM events WHERE channel = (SELECT id FROM channels WHERE name = ?) AND offset > ? "
            "ORDER BY offset LIMIT ?",
            (channel, after, step),
        ).fetchall()
        for (after,) in rows:
            yield after, channel
        if len(rows) < step:
            return


def _event(row: tuple[str, int, float, str], epoch: str) -> Event:
    channel, offset, at, payload = row
    return Event(channel, offset, at, payload, epoch)
