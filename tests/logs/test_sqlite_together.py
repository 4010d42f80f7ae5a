"""Appends that are committed together: who shares a sync, and what becomes of all when one of them fails."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask_landline import LogError
from landline.logs.registry import ChannelInfo, Retention
from landline.logs.sqlite import connection as sqlite_file
from landline.logs.sqlite import log as sqlite
from landline.logs.sqlite.batch import Batch
from landline.logs.sqlite.log import SQLiteLog
from landline.testing import Clock, in_threads

from tests.processes import until

FOR_EVER = Retention(keep=None, keep_for=None)
Outcome = Any
"""The event, or what was raised."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(path: Path, clock: Clock) -> Iterator[SQLiteLog]:
    log = SQLiteLog(path, clock=lambda: clock())  # so that a test may exchange what it does
    yield log
    log.close()


@pytest.fixture
def sizes(log: SQLiteLog, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many appends each commit takes along, filled as they come."""
    sizes: list[int] = []
    insert = log._insert

    def noted(db, appends, epoch):
        sizes.append(len(appends))
        return insert(db, appends, epoch)

    monkeypatch.setattr(log, "_insert", noted)
    return sizes


def attempt(log: SQLiteLog, payload: str, channel: str = "a", retention: Retention = FOR_EVER) -> Outcome:
    try:
        return log.append(channel, payload, retention)
    except (LogError, KeyboardInterrupt) as error:
        return error


def together(log: SQLiteLog, *appends: Callable[[], Outcome]) -> list[Outcome]:
    """Run appends while the writer is busy, until all have joined; return what came of each."""
    batch = log._batch
    log._writer.lock.acquire()

    def let_go() -> None:
        try:
            until(lambda: len(batch.appends) == len(appends), 30, "all to join")
        finally:
            log._writer.lock.release()

    return in_threads(*appends, let_go)[:-1]


def numbered(log: SQLiteLog, *payloads: str) -> list[Callable[[], Outcome]]:
    return [partial(attempt, log, payload) for payload in payloads]


def refused(outcomes: list[Outcome], words: str) -> bool:
    return all(isinstance(each, LogError) and words in str(each) for each in outcomes)


def test_appends_that_come_during_a_commit_share_the_next(log: SQLiteLog, sizes: list[int]) -> None:
    outcomes = together(log, *numbered(log, "0", "1", "2", "3", "4"))
    assert sizes == [5]
    assert log.read(0, 10) == sorted(outcomes, key=lambda event: event.offset)
    assert [event.payload for event in outcomes] == ["0", "1", "2", "3", "4"]
    assert {event.offset for event in outcomes} == {1, 2, 3, 4, 5}
    log.append("a", "5")
    assert sizes == [5, 1]


def test_appends_join_for_as_long_as_another_process_writes(log, path: Path, sizes: list[int], monkeypatch) -> None:
    log.append("a", "0")
    batch = log._batch
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as db:

        def pause(seconds: float) -> None:
            until(lambda: len(batch.appends) == 4, 30, "all to join")
            db.execute("ROLLBACK")

        monkeypatch.setattr(sqlite_file, "time", SimpleNamespace(sleep=pause, monotonic=time.monotonic))
        db.execute("BEGIN IMMEDIATE")
        outcomes = in_threads(*numbered(log, "1", "2", "3", "4"))
    assert {event.offset for event in outcomes} == {2, 3, 4, 5}
    assert sizes == [1, 4]


def test_full_batch_is_joined_by_nobody(log: SQLiteLog, sizes: list[int], monkeypatch) -> None:
    monkeypatch.setattr(sqlite, "MOST", 2)
    made = [log._batch]

    class Noted(Batch):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(sqlite, "Batch", Noted)
    log._writer.lock.acquire()

    def let_go() -> None:
        try:
            until(lambda: [len(batch.appends) for batch in made] == [2, 2, 1], 30, "all to join")
        finally:
            log._writer.lock.release()

    in_threads(*numbered(log, "0", "1", "2", "3", "4"), let_go)
    assert sorted(sizes) == [1, 2, 2]
    assert sorted(event.payload for event in log.read(0, 10)) == ["0", "1", "2", "3", "4"]


def test_one_that_the_store_refuses_takes_its_batch_along_and_not_the_next(log: SQLiteLog, path: Path) -> None:
    """Half of them are inserted already when it fails: none is in the log, none is counted, no offset is lost."""
    log.append("a", '"first"', FOR_EVER)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON events WHEN new.data = 'bad' "
            "BEGIN SELECT RAISE(ABORT, 'refused by the store'); END"
        )
    outcomes = together(log, *numbered(log, "1", "2", "bad", "4"), partial(attempt, log, "5", "b"))
    assert refused(outcomes, "refused by the store")
    assert log.channels() == [ChannelInfo("a", 1, 1, 1)]
    assert {event.offset for event in together(log, *numbered(log, "1", "2"))} == {2, 3}


@pytest.mark.parametrize("when", ["before its turn", "half-way"])
def test_who_commits_is_interrupted_and_the_others_are_told(when: str, log: SQLiteLog, clock, monkeypatch) -> None:
    """Ctrl-C in the thread that commits for all: nobody waits for ever, and nothing of theirs is in the log."""

    def interrupted(*_: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    log.append("a", '"first"', FOR_EVER)
    if when == "half-way":
        monkeypatch.setattr(log, "_cut_back", interrupted)
    else:
        monkeypatch.setattr(log._writer, "writing", interrupted)
    outcomes = together(log, *numbered(log, "1", "2", "3"))
    assert [type(each) for each in outcomes].count(KeyboardInterrupt) == 1
    assert refused([each for each in outcomes if not isinstance(each, KeyboardInterrupt)], "")
    assert log.channels() == [ChannelInfo("a", 1, 1, 1)]
    assert {event.offset for event in together(log, *numbered(log, "1", "2"))} == {2, 3}


def test_who_should_commit_goes_away_and_another_does(log: SQLiteLog, sizes: list[int]) -> None:
    """Interrupted just before: whoever has the batch's lock next finds it undone."""
    batch = log._batch
    batch.lock.acquire()

    def go_away() -> None:
        try:
            until(lambda: len(batch.appends) == 3, 30, "all to join")
        finally:
            batch.lock.release()

    outcomes = in_threads(*numbered(log, "1", "2", "3"), go_away)[:-1]
    assert {event.offset for event in outcomes} == {1, 2, 3}
    assert sizes == [3]


def test_each_channel_of_a_batch_keeps_what_it_should(log: SQLiteLog, sizes: list[int]) -> None:
    """More at once than a channel keeps, also of a new one."""
    few = Retention(keep=2, keep_for=None)
    outcomes = []
    for _ in range(2):
        kinds = [("a", few)] * 5 + [("b", FOR_EVER)] * 3
        outcomes = together(log, *(partial(attempt, log, "1", name, kind) for name, kind in kinds))
    given = sorted(event.offset for event in outcomes if event.channel == "a")
    assert sizes == [8, 8]
    assert [event.offset for event in log.read(0, 100, ["a"])] == given[-2:]
    assert log.floor(["a"]) == {"a": given[-3]}
    assert [info.kept for info in log.channels()] == [2, 6]


def test_events_of_a_batch_expire_each_by_its_own_time(log: SQLiteLog, clock: Clock) -> None:
    kinds = [Retention(None, 1.0), Retention(None, 100.0), FOR_EVER]
    together(log, *(partial(attempt, log, "1", "a", kind) for kind in kinds))
    removed = []
    for _ in range(3):
        clock.advance(60.0)
        removed.append(log.trim())
    assert removed == [1, 1, 0]
