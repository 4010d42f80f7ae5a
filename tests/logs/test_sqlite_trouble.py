"""What the SQLite log does when files are damaged, foreign, locked, replaced, or the disk is full."""

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask_landline import LogError
from landline.logs.registry import Retention
from landline.logs.sqlite import connection as sqlite_file
from landline.logs.sqlite.log import SCHEMA_VERSION, SQLiteLog
from landline.testing import Clock, in_threads

FOR_EVER = Retention(keep=None, keep_for=None)
KILOBYTE = '"' + "x" * 1000 + '"'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def open_log() -> Iterator[Callable[..., SQLiteLog]]:
    """Return a function that makes a log with little patience; all are closed after the test."""
    logs: list[SQLiteLog] = []

    def make(path: Path, timeout: float = 0.2) -> SQLiteLog:
        logs.append(SQLiteLog(path, timeout=timeout))
        return logs[-1]

    yield make
    for log in logs:
        log.close()


def database(path: Path) -> "closing[sqlite3.Connection]":
    """Open the file beside the log, as a shell or a backup does."""
    return closing(sqlite3.connect(path, isolation_level=None, timeout=5.0))


def payloads(log: SQLiteLog) -> list[str]:
    return [event.payload for event in log.read(0, 100_000)]


# Files that are no log.


def garbage(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 1000)


def foreign(path: Path) -> None:
    with database(path) as db:
        db.execute("CREATE TABLE diary (entry TEXT)")


def foreign_numbered(path: Path) -> None:
    """Somebody else's database whose version happens to be ours."""
    with database(path) as db:
        db.execute("CREATE TABLE diary (entry TEXT)")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def newer(path: Path) -> None:
    log = SQLiteLog(path)
    log.append("a", "1")
    log.close()
    with database(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (garbage, "Move it away"),
        (foreign, "Name another file in LANDLINE_LOG"),
        (foreign_numbered, "Name another file in LANDLINE_LOG"),
        (newer, "Install the Flask-Landline that made it"),
    ],
)
@pytest.mark.parametrize(
    "use",
    [
        lambda log: log.append("a", "1"),
        lambda log: log.tail(),
        lambda log: log.read(0, 10),
        lambda log: log.lease("x", 1.0, "me"),
        lambda log: log.trim(),
        lambda log: log.channels(),
    ],
    ids=["append", "tail", "read", "lease", "trim", "channels"],
)
def test_file_that_is_no_log_is_refused_and_left_as_it_was(make, remedy, use, path: Path, open_log) -> None:
    make(path)
    before = hashlib.sha256(path.read_bytes()).digest()
    log = open_log(path)
    for _ in range(2):
        with pytest.raises(LogError) as caught:
            use(log)
        assert str(path) in str(caught.value)
        assert remedy in str(caught.value)
        assert not caught.value.retryable
    log.close()
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert os.listdir(path.parent) == [path.name]


def test_empty_file_becomes_a_log(path: Path, open_log) -> None:
    """As `tempfile` makes one, or `touch`."""
    path.touch()
    assert open_log(path).append("a", "1").offset == 1


@pytest.mark.parametrize("damage", ["scribbled over", "cut short"])
def test_damaged_log_is_told_with_a_remedy_and_kept(damage: str, path: Path, open_log) -> None:
    log = open_log(path)
    for _ in range(300):
        log.append("a", KILOBYTE, FOR_EVER)
    log.close()
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(
        content[:half] + (b"\xa5" * 65536 + content[half + 65536 :] if damage == "scribbled over" else b"")
    )
    with pytest.raises(LogError, match=r"(?s)damaged\. Move it and its -wal and -shm away") as caught:
        log.read(0, 1000)
    assert str(path) in str(caught.value)
    assert not caught.value.retryable


def test_log_moved_away_as_the_remedy_says_starts_a_new_life(path: Path, open_log) -> None:
    garbage(path)
    log = open_log(path)
    with pytest.raises(LogError):
        log.tail()
    path.rename(path.with_suffix(".old"))
    assert log.append("a", "1").offset == 1


# Files that cannot be written. Root may write what others may not, so permissions are not tried here.


def parent_is_a_file(path: Path) -> Path:
    path.parent.joinpath("file").touch()
    return path.parent / "file" / "log.db"


def grandparent_is_a_file(path: Path) -> Path:
    path.parent.joinpath("file").touch()
    return path.parent / "file" / "folder" / "log.db"


def is_a_folder(path: Path) -> Path:
    path.mkdir()
    return path


def is_in_proc(path: Path) -> Path:
    return Path("/proc/log.db")


def has_braces(path: Path) -> Path:
    path.parent.joinpath("{file}").touch()
    return path.parent / "{file}" / "log.db"


@pytest.mark.parametrize("place", [parent_is_a_file, grandparent_is_a_file, is_a_folder, is_in_proc, has_braces])
def test_place_that_cannot_be_written_is_named_with_a_remedy(place, path: Path, open_log) -> None:
    where = place(path)
    log = open_log(where)
    for use in (lambda: log.append("a", "1"), log.tail):
        with pytest.raises(LogError) as caught:
            use()
        assert str(where) in str(caught.value)
        assert "folder must exist or be creatable" in str(caught.value)


def test_folder_is_made_with_its_parents(tmp_path: Path, open_log) -> None:
    assert open_log(tmp_path / "some" / "where" / "log.db").append("a", "1").offset == 1


# Disks of our own.


def test_read_only_disk_is_told_and_heals(disk, open_log) -> None:
    path = disk("size=2m") / "log.db"
    log = open_log(path)
    log.append("a", "1")
    log.close()
    disk("ro")
    for use in (lambda: log.append("a", "2"), log.tail):
        with pytest.raises(LogError, match="user") as caught:
            use()
        assert str(path) in str(caught.value)
        assert caught.value.retryable
    disk("rw")
    log.append("a", "3")
    assert payloads(log) == ["1", "3"]


@pytest.mark.parametrize("size", [128, 200, 400])
@pytest.mark.parametrize("at_once", [1, 4])
def test_full_disk_loses_nothing_acknowledged(size: int, at_once: int, disk, open_log) -> None:
    """Whatever `append` returned for is in the log, whatever it raised for is not; also after room was made."""
    path = disk(f"size={size}k") / "log.db"
    log = open_log(path)
    acknowledged: dict[int, str] = {}
    refused: list[LogError] = []

    def publish(who: int) -> None:
        number = 0
        while len(refused) < 3 * at_once:
            number += 1
            payload = f'"{who} {number} {"x" * 700}"'
            try:
                acknowledged[log.append("a", payload, FOR_EVER).offset] = payload
            except LogError as error:
                refused.append(error)

    in_threads(*(lambda who=who: publish(who) for who in range(at_once)))
    assert all(error.retryable and "the disk is full" in str(error) for error in refused)
    in_order = [payload for _, payload in sorted(acknowledged.items())]
    assert payloads(log) == in_order
    log.close()
    assert payloads(log) == in_order
    log.close()
    disk("size=4m")
    last = log.append("a", '"last"', FOR_EVER)
    assert last.offset == max(acknowledged, default=0) + 1
    assert payloads(log) == [*in_order, '"last"']
    with database(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("size", [4, 20, 40, 60, 80])
def test_log_that_has_no_room_to_begin_with_begins_when_it_has(size: int, disk, open_log) -> None:
    log = open_log(disk(f"size={size}k") / "log.db")
    with pytest.raises(LogError) as caught:
        log.append("a", "1")
    assert caught.value.retryable
    disk("size=2m")
    log.append("a", "2")
    assert payloads(log) == ["2"]


# Locks.


def test_locked_file_is_waited_for_as_long_as_promised(path: Path, open_log) -> None:
    """`database is locked` reaches nobody before the timeout; then it says what to do, and may be tried again."""
    log = open_log(path, timeout=0.3)
    log.append("a", "1")
    with database(path) as db:
        db.execute("BEGIN IMMEDIATE")
        for use in (lambda: log.append("a", "2"), log.trim, lambda: log.lease("x", 1.0, "me")):
            began = time.monotonic()
            with pytest.raises(LogError, match=r"locked by another process for 0\.3 s.* End that") as caught:
                use()
            assert time.monotonic() - began >= 0.3
            assert caught.value.retryable
            assert str(path) in str(caught.value)
        db.execute("ROLLBACK")
    log.append("a", "3")
    assert payloads(log) == ["1", "3"]


def test_locked_file_is_read_as_ever(path: Path, open_log) -> None:
    log = open_log(path)
    event = log.append("a", "1")
    with database(path) as db:
        db.execute("BEGIN IMMEDIATE")
        assert log.read(0, 10) == [event]
        assert log.tail().offset == 1
        db.execute("ROLLBACK")


def unlocked_at_the_thirtieth_look(db: sqlite3.Connection, monkeypatch) -> list[float]:
    """Have another connection's lock end when it was looked for so often; return the pauses between the looks."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 30:
            db.execute("ROLLBACK")

    monkeypatch.setattr(sqlite_file, "time", SimpleNamespace(sleep=pause, monotonic=time.monotonic))
    return pauses


def test_writers_look_for_their_turn_every_millisecond(path: Path, open_log, monkeypatch) -> None:
    """SQLite's own patience looks ever more rarely: one process publishing in a loop would starve all others."""
    log = open_log(path, timeout=20.0)
    log.append("a", "1")
    with database(path) as db:
        pauses = unlocked_at_the_thirtieth_look(db, monkeypatch)
        db.execute("BEGIN IMMEDIATE")
        assert log.append("a", "2").offset == 2
    assert pauses == [0.001] * 30


def test_who_opens_a_new_file_looks_for_its_turn_as_often(path: Path, open_log, monkeypatch) -> None:
    """Also a reader: who made the file may be publishing already, without a pause."""
    log = open_log(path, timeout=20.0)
    with database(path) as db:
        pauses = unlocked_at_the_thirtieth_look(db, monkeypatch)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN IMMEDIATE")
        assert log.tail().offset == 0
    assert pauses == [0.001] * 30


def test_lease_taken_by_another_after_the_look_is_refused(path: Path, open_log, monkeypatch) -> None:
    log, other = open_log(path), open_log(path)
    assert log.tail() == other.tail()
    writing = log._leaser.writing

    def overtaken(db: sqlite3.Connection) -> object:
        assert other.lease("x", 10.0, "you") is True
        return writing(db)

    monkeypatch.setattr(log._leaser, "writing", overtaken)
    assert log.lease("x", 10.0, "me") is False


# Appends that share a sync.


def test_what_append_raised_for_is_not_in_the_log(path: Path, open_log) -> None:
    """Appends of several threads are committed together: one that the store refuses takes only callers along that
    are told so."""
    log = open_log(path)
    log.append("a", '"first"')
    with database(path) as db:
        db.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON events WHEN new.data LIKE '%bad%' "
            "BEGIN SELECT RAISE(ABORT, 'refused by the store'); END"
        )
    stored: set[str] = set()
    refused: list[str] = []

    def publish(who: int) -> None:
        for number in range(40):
            payload = f'"{who} {number} {"bad" if number % 4 == who else "good"}"'
            try:
                log.append("a", payload, FOR_EVER)
                stored.add(payload)
            except LogError as error:
                refused.append(str(error))

    in_threads(*(lambda who=who: publish(who) for who in range(4)))
    assert len(refused) == 160 - len(stored) >= 40
    assert all("refused by the store" in text for text in refused)
    assert not any("bad" in payload for payload in stored)
    assert set(payloads(log)) == {'"first"', *stored}
    assert len(payloads(log)) == 1 + len(stored)


def test_appends_that_wait_together_fail_or_succeed_together(path: Path, open_log) -> None:
    log = open_log(path, timeout=0.1)
    log.append("a", '"first"')

    def publish() -> str:
        try:
            return str(log.append("a", '"second"').offset)
        except LogError as error:
            return str(error)

    with database(path) as db:
        db.execute("BEGIN IMMEDIATE")
        said = in_threads(*[publish] * 6)
        db.execute("ROLLBACK")
    assert all("locked by another process" in text for text in said)
    assert payloads(log) == ['"first"']
    assert sorted(in_threads(*[publish] * 6)) == ["2", "3", "4", "5", "6", "7"]


# A file that is deleted or replaced while it is used.


def deleted(path: Path) -> None:
    path.unlink()


def deleted_with_its_companions(path: Path) -> None:
    for file in path.parent.iterdir():
        file.unlink()


def replaced(path: Path) -> None:
    deleted_with_its_companions(path)
    log = SQLiteLog(path)
    log.append("b", '"of another life"')
    log.close()


@pytest.mark.parametrize("change", [deleted, deleted_with_its_companions, replaced])
def test_file_changed_under_way_is_another_life(change, path: Path, open_log) -> None:
    """All three connections come to the new file, whichever is used first, and what they find there stays."""
    log, other = open_log(path), open_log(path)
    for each in (log, other):
        each.append("a", "1")
        each.tail()
        each.lease("x", 10.0, "me")
    old = log.tail()
    change(path)
    assert log.tail().epoch != old.epoch
    assert log.wait(old, 0.0) is True
    begin = log.tail().offset
    assert begin == (1 if change is replaced else 0)
    events = [each.append("a", str(number)) for number, each in enumerate((log, other, log))]
    assert log.lease("x", 10.0, "you") is True
    assert other.lease("x", 10.0, "me") is False
    assert log.tail() == other.tail()
    assert log.tail().epoch != old.epoch
    assert [event.offset for event in events] == [begin + 1, begin + 2, begin + 3]
    log.close()
    other.close()
    assert open_log(path).read(begin, 10) == events


def test_other_process_notices_a_new_file_without_writing(path: Path, open_log) -> None:
    reader, writer = open_log(path), open_log(path)
    writer.append("a", "1")
    old = reader.tail()
    deleted(path)
    writer.append("a", "2")
    new = reader.tail()
    assert (new.epoch, new.offset) == (writer.epoch, 1)
    assert new.epoch != old.epoch
    assert payloads(reader) == ["2"]


def test_file_that_vanishes_for_good_is_made_again(path: Path, open_log) -> None:
    """Also its folder: as when somebody cleans up too much."""
    place = path.parent / "folder" / "log.db"
    log = open_log(place)
    log.append("a", "1")
    deleted_with_its_companions(place)
    place.parent.rmdir()
    assert log.append("a", "2").offset == 1


# Trimming.


def test_one_append_removes_a_bounded_number_of_events(path: Path, open_log) -> None:
    """A channel whose `keep` was lowered by much is cut back little by little: publishing stays quick."""
    log = open_log(path)
    in_threads(*[lambda: [log.append("a", "1", FOR_EVER) for _ in range(300)]] * 4)
    lowered = Retention(keep=10, keep_for=None)
    kept: list[int] = []
    while not kept or kept[-1] > 11:
        log.append("a", "1", lowered)
        kept.append(log.channels()[0].kept)
    assert kept == [701, 202, 10]


def test_trim_removes_five_hundred_at_a_time(path: Path) -> None:
    clock = Clock()
    with closing(SQLiteLog(path, clock=clock)) as log:
        in_threads(*[lambda: [log.append("a", "1", Retention(None, 1.0)) for _ in range(300)]] * 4)
        clock.advance(2.0)
        assert [log.trim() for _ in range(4)] == [500, 500, 200, 0]
