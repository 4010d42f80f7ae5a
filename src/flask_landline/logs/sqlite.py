"""A log in one SQLite file, shared by the processes of one machine.

Who touches what: a `Connection` is used by one thread at a time, under its own lock. Appends go through
the writer, reads through the reader, so that a poll never waits for somebody's fsync. Leases have a
connection that does not sync: losing one in a power cut costs nothing.

Write-ahead logging makes readers and the writer independent (https://www.sqlite.org/wal.html); it needs
shared memory, so the file must be on a local disk.
"""

from __future__ import annotations

import heapq
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Collection
from pathlib import Path
from threading import Condition

from .. import forks
from ..cursor import Cursor
from ..errors import LogError, UsageError
from ..event import Event
from .base import ChannelInfo, Log, Retention
from .sqlite_file import SCHEMA_VERSION, Connection, reading

__all__ = ["SCHEMA_VERSION", "SQLiteLog"]

READ_PATIENCE = 1.0
"""Seconds to wait for another process's lock before a reading is given up. Writers do not lock readers out; what does,
such as a shell in exclusive mode, takes longer than anybody should be kept waiting for an answer."""
READ_REST = 2.0
"""Seconds after that in which no other reading waits: as long as a poll is asked to stay away."""
LEASE_PATIENCE = 0.5
"""Seconds to wait for another process's write before a lease is given up: a poll waits for it, and later will do."""
WAKE_INTERVAL = 0.01
"""Seconds between looks at the file while somebody waits: half of it is the mean delay between processes. One look is
one PRAGMA, some 5 µs; being woken for it is ten times that."""
WAKE_QUIET = 0.05
"""The same, at most, where nothing was published for seconds: a quiet process sleeps."""
_QUIET_SHARE = 50
"""While nothing comes, looks grow as rare as a fiftieth of the silence so far: that much later is the next event."""
_BATCH = 256
"""Appends committed by one fsync at most: bounds how long the first of them waits for the rest."""
_TRIM_STEP = 500
"""Events removed by one append at most, so that a channel whose `keep` was lowered is cut back little by little."""


class SQLiteLog(Log):
    """Keeps events in an SQLite file, made at first use with its folder.

    Args:
        path: the file.
        synchronous: `FULL`: an acknowledged event survives a power cut; `NORMAL`: it survives the death of
            any process, and a power cut may take the last ones.
        timeout: seconds to wait for another process's write before an append is given up.
        clock: tells the time in Unix seconds.

    Raises:
        UsageError: `synchronous` is neither.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: str = "FULL",
        timeout: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if synchronous not in ("FULL", "NORMAL"):
            raise UsageError(f"LANDLINE_SYNCHRONOUS is {synchronous!r}; use 'FULL' or 'NORMAL'.")
        self._path = Path(path)
        self._clock = clock
        self._writer = Connection(self._path, timeout, synchronous)
        self._reader = Connection(self._path, min(timeout, READ_PATIENCE), synchronous, READ_REST)
        self._leaser = Connection(self._path, min(timeout, LEASE_PATIENCE), "OFF")
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
        self._queue: deque[_Append] = deque()
        self._changed = Condition()
        self._wakes = 0
        self._seen: tuple[object, int] = (None, -1)
        self._tail = 0
        self._moved = 0.0

    def append(self, channel: str, payload: str, retention: Retention = Retention()) -> Event:  # noqa: B008
        """See `Log.append`. Appends that arrive while another is being synced share the next sync."""
        mine = _Append(channel, payload, retention)
        self._queue.append(mine)
        with self._writer.lock:
            while mine.event is None and mine.error is None:
                self._commit([self._queue.popleft() for _ in range(min(len(self._queue), _BATCH))])
        if mine.event is None:
            raise LogError(str(mine.error), retryable=getattr(mine.error, "retryable", True)) from mine.error
        with self._changed:
            self._changed.notify_all()
        return mine.event

    def read(self, after: int, limit: int, channels: Collection[str] | None = None) -> list[Event]:
        with self._reader.use() as (db, epoch), reading(db):
            if channels is None:
                rows = db.execute(
                    "SELECT name, offset, at, data FROM events JOIN channels ON channels.id = channel "
                    "WHERE offset > ? ORDER BY offset LIMIT ?",
                    (after, limit),
                ).fetchall()
            else:
                # One indexed range for each channel: a single query over several channels either sorts all
                # they have or walks past what all the others have.
                each = [self._read_one(db, name, after, limit) for name in channels]
                rows = list(heapq.merge(*each, key=lambda row: row[1]))[:limit]
        return [_event(row, epoch) for row in rows]

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
        with self._leaser.use() as (db, _):
            # Look first: a lease held elsewhere is the common case, and looking does not lock the file.
            row = db.execute("SELECT holder, expires FROM leases WHERE name = ?", (name,)).fetchone()
            if row is not None and row[0] != holder and row[1] > now:
                return False
            with self._leaser.writing(db):
                taken = db.execute(
                    "INSERT INTO leases VALUES (:name, :holder, :expires) ON CONFLICT (name) DO UPDATE "
                    "SET holder = :holder, expires = :expires WHERE holder = :holder OR expires <= :now",
                    {"name": name, "holder": holder, "expires": now + seconds, "now": now},
                )
            return taken.rowcount == 1

    def close(self) -> None:
        self.wake()
        for connection in (self._leaser, self._reader, self._writer):
            connection.close()

    def _commit(self, batch: list[_Append]) -> None:
        """Commit the appends of several threads; the caller holds the writer's lock."""
        try:
            with self._writer.session() as (db, epoch), self._writer.writing(db):
                events = [self._insert(db, item, epoch) for item in batch]
        except BaseException as error:
            for item in batch:
                item.error = error
            if not isinstance(error, LogError):
                raise
        else:
            for item, event in zip(batch, events, strict=True):
                item.event = event

    def _insert(self, db: sqlite3.Connection, item: _Append, epoch: str) -> Event:
        at = round(self._clock(), 3)
        db.execute(
            "INSERT INTO channels (name, kept) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET kept = kept + 1",
            (item.channel,),
        )
        channel, kept = db.execute("SELECT id, kept FROM channels WHERE name = ?", (item.channel,)).fetchone()
        expires = None if item.retention.keep_for is None else at + item.retention.keep_for
        row = db.execute(
            "INSERT INTO events (channel, at, expires, data) VALUES (?, ?, ?, ?)",
            (channel, at, expires, item.payload),
        )
        if item.retention.keep is not None and kept > item.retention.trim_above():
            self._cut_back(db, channel, min(kept - item.retention.keep, _TRIM_STEP))
        assert row.lastrowid is not None
        return Event(item.channel, row.lastrowid, at, item.payload, epoch)

    @staticmethod
    def _cut_back(db: sqlite3.Connection, channel: int, count: int) -> None:
        (floor,) = db.execute(
            "SELECT offset FROM events WHERE channel = ? ORDER BY offset LIMIT 1 OFFSET ?",
            (channel, count - 1),
        ).fetchone()
        db.execute("DELETE FROM events WHERE channel = ? AND offset <= ?", (channel, floor))
        db.execute("UPDATE channels SET kept = kept - ?, floor = max(floor, ?) WHERE id = ?", (count, floor, channel))

    @staticmethod
    def _read_one(db: sqlite3.Connection, channel: str, after: int, limit: int) -> list[tuple[str, int, float, str]]:
        return db.execute(
            "SELECT ?1, offset, at, data FROM events WHERE channel = (SELECT id FROM channels WHERE name = ?1) "
            "AND offset > ?2 ORDER BY offset LIMIT ?3",
            (channel, after, limit),
        ).fetchall()


class _Append:
    """One append on its way: filled in by whichever thread commits it."""

    __slots__ = ("channel", "error", "event", "payload", "retention")

    def __init__(self, channel: str, payload: str, retention: Retention) -> None:
        self.channel = channel
        self.payload = payload
        self.retention = retention
        self.event: Event | None = None
        self.error: BaseException | None = None


def _event(row: tuple[str, int, float, str], epoch: str) -> Event:
    channel, offset, at, payload = row
    return Event(channel, offset, at, payload, epoch)
