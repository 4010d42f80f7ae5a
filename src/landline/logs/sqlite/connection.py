"""The SQLite file behind a log: connections that open, close, fork and fail in an orderly way."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, get_ident

from ...errors import LogError
from .schema import is_made, make

_TURN_INTERVAL = 0.001
"""Seconds between tries to write while another process does. SQLite's own patience looks ever more rarely, down to ten
times a second: one process that publishes without a pause then keeps all others from it for as long as it goes on."""
_CHECKPOINT = 4000
"""Pages in the write-ahead log, 16 MB, at which they are carried over into the file. With SQLite's own 1000, some 250
appends, those that are not synced themselves (NORMAL) spent over a third of their time on the syncs for that."""


@contextmanager
def reading(db: sqlite3.Connection) -> Iterator[None]:
    """Read everything in the block from one state of the file."""
    db.execute("BEGIN")
    with _transaction(db):
        yield


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors (a full disk), and then says so here.
        if db.in_transaction:
            # See SECURITY.md: raised-is-not-written
            db.execute("ROLLBACK")
        raise


class Connection:
    """One connection of this process, opened at first use, reopened when the file was replaced.

    Args:
        path: the file.
        timeout: seconds to wait for another process's lock.
        synchronous: SQLite's `PRAGMA synchronous`.
        mode: of the file, if it is made.
        writes: whether nothing is done with it outside of `writing`, which has a patience of its own.
        rest: seconds after such a wait was in vain in which no other thread waits: all get the same error at once. Else
            one after the other would wait its time, and a server's threads, or the side loop, would do nothing else for
            as long as the file is locked.
    """

    _inherited: list[sqlite3.Connection] = []  # noqa: RUF012  kept for ever: closing a parent's connection harms it

    def __init__(
        self, path: Path, timeout: float, synchronous: str, mode: int, *, writes: bool = False, rest: float = 0.0
    ) -> None:
        self._path = path
        self._timeout = timeout
        self._writes = writes
        self._rest = rest
        self._resting: tuple[float, str] = (0.0, "")
        self._synchronous = synchronous
        self._mode = mode
        self.lock = Lock()
        self._forking: int | None = None
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._epoch = ""

    @contextmanager
    def use(self) -> Iterator[tuple[sqlite3.Connection, str]]:
        """Lend the connection, and the epoch of its file, to one thread."""
        with self.lock, self.session() as session:
            yield session

    @contextmanager
    def session(self) -> Iterator[tuple[sqlite3.Connection, str]]:
        """Open the connection if need be; its errors become `LogError`. The caller holds `lock`."""
        until, why = self._resting
        if time.monotonic() < until:
            raise LogError(why)
        try:
            if self._db is None or self._file != self._identity():
                self._open()
            assert self._db is not None
            yield self._db, self._epoch
        except (sqlite3.Error, OSError) as error:
            if not _is_passing(error):
                self._close()
            explained = self._explain(error)
            if _is_busy(error):
                # See SECURITY.md: one-reading-waits-for-a-lock
                self._resting = time.monotonic() + self._rest, str(explained)
            raise explained from error

    @contextmanager
    def writing(self, db: sqlite3.Connection) -> Iterator[None]:
        """Open a transaction that writes, when it is this process's turn."""
        self._retry_while_busy(db, "BEGIN IMMEDIATE")
        with _transaction(db):
            yield

    def close(self) -> None:
        with self.lock:
            self._close()

    def before_fork(self) -> None:
        """Close it, and keep other threads out until `after_fork_in_parent`."""
        # Bounded: a signal handler may fork in a thread that holds the lock itself.
        if self.lock.acquire(timeout=self._timeout):
            self._forking = get_ident()
            self._close()

    def after_fork_in_parent(self) -> None:
        """Let other threads in again."""
        if self._forking == get_ident():
            self._forking = None
            self.lock.release()

    def abandon(self) -> None:
        """Start afresh in a forked child. A connection still open, where the parent could not rest, stays untouched."""
        self.lock = Lock()
        self._forking = None
        if self._db is not None:
            self._inherited.append(self._db)
            self._db = None

    def _explain(self, error: BaseException) -> LogError:
        """Say what happened to which file, and what to do."""
        name = "SQLITE_CANTOPEN" if isinstance(error, OSError) else getattr(error, "sqlite_errorname", "")
        default = (True, "could not be used: {error}.")
        retryable, what = next((_REMEDIES[key] for key in _REMEDIES if name.startswith(key)), default)
        what = what.format(timeout=self._timeout, error=error)
        return LogError(f"The log {self._path} {what}", retryable=retryable)

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open(self) -> None:
        self._close()
        _make_folder(self._path.parent, self._mode)
        # See SECURITY.md: log-is-its-users
        _make_file(self._path, self._mode)
        # Before connecting: a file that is exchanged meanwhile is then noticed at the next use.
        file = self._identity()
        # Not to be made by SQLite, should it be gone again by now: that would be with another mode.
        address = f"{self._path.absolute().as_uri()}?mode=rw"
        db = sqlite3.connect(address, uri=True, timeout=self._timeout, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(db)
            self._epoch = db.execute("SELECT epoch FROM life").fetchone()[0]
            db.execute(f"PRAGMA busy_timeout = {0 if self._writes else round(1000 * self._timeout)}")
        except BaseException:
            db.close()
            raise
        self._db = db
        self._file = file or self._identity()

    def _prepare(self, db: sqlite3.Connection) -> None:
        with reading(db):
            made = is_made(db, self._path)
        if not made:
            db.execute("PRAGMA busy_timeout = 0")
            self._retry_while_busy(db, "PRAGMA journal_mode = WAL")
            with self.writing(db):
                make(db)
        db.execute(f"PRAGMA synchronous = {self._synchronous}")
        db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")

    def _retry_while_busy(self, db: sqlite3.Connection, statement: str) -> None:
        """Repeat a statement until no other process is in its way; the caller has set SQLite's own patience to 0."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                db.execute(statement)
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_TURN_INTERVAL)
            else:
                return


def _make_folder(path: Path, mode: int) -> None:
    """Make a folder for files of a mode, unless it is there."""
    if path.is_dir():
        return
    # Whoever may read the files may look into it, and in a group's folder files are the group's, whoever makes them:
    # SQLite makes -wal and -shm anew, as the user that happens to come first.
    mode |= (mode & 0o444) >> 2 | (stat.S_ISGID if mode & 0o070 else 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # See SECURITY.md: folder-is-its-users
        path.mkdir(mode)
    except FileExistsError:  # another process was faster; or it is no folder, and opening the file says so
        return
    _widen(path, mode)


def _make_file(path: Path, mode: int) -> None:
    """Make an empty file, with its mode from the first moment on, unless it is there.

    SQLite takes an empty file for a new database, and makes -wal and -shm with the mode of the file
    (https://www.sqlite.org/src/file/src/os_unix.c, `findCreateFileMode`).
    """
    path = Path(os.path.realpath(path))  # a link to a file that is not there yet is none that can be made
    if path.exists():
        return
    try:
        # See SECURITY.md: log-is-never-wider
        made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_CLOEXEC", 0), mode)
    except FileExistsError:
        return
    os.close(made)
    _widen(path, mode)


def _widen(path: Path, mode: int) -> None:
    """Give what was just made the bits that the process's umask has taken from its mode: it never has too many."""
    has = stat.S_IMODE(os.stat(path).st_mode)
    if has | mode != has:
        path.chmod(has | mode)


def _is_busy(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _is_passing(error: BaseException) -> bool:
    return _is_busy(error) or getattr(error, "sqlite_errorname", "").startswith("SQLITE_FULL")


_REMEDIES = {
    "SQLITE_BUSY": (
        True,
        "was locked by another process for {timeout:g} s: by a backup, a debugger, a shell. End that.",
    ),
    "SQLITE_FULL": (True, "has no room: the disk is full. Free some space; what was acknowledged is safe."),
    "SQLITE_READONLY": (
        True,
        "is read-only for this process. Give its user the right to write the file and its folder.",
    ),
    "SQLITE_CANTOPEN": (
        True,
        "cannot be opened ({error}). Its folder must exist or be creatable, and writable by this process's user.",
    ),
    "SQLITE_IOERR": (
        True,
        "could not be read or written ({error}). See whether its disk is full or failing, or the file was deleted.",
    ),
    "SQLITE_PERM": (True, "may not be used by this process. Give its user the right to write it."),
    "SQLITE_NOTADB": (
        False,
        "is not an SQLite file: damaged, or something else's. Move it away; a new log is then started.",
    ),
    "SQLITE_CORRUPT": (
        False,
        "is damaged. Move it and its -wal and -shm away; a new log is then started, readers get a reset.",
    ),
}
"""What to say of an SQLite error, by the beginning of its name: whether it may pass by itself, and the remedy."""
