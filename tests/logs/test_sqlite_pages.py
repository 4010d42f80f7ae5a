"""A page of many long histories costs what the page has, not what the histories have."""

import sqlite3
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from landline.cursor import Word
from landline.follow.hub import Hub
from landline.logs.registry import Retention
from landline.logs.sqlite.log import SQLiteLog
from landline.reading import PAGE_BYTES, PAGE_EVENTS

CHANNELS, EACH, SIZE = 40, 60, 8000
NAMES = [f"c{number}" for number in range(CHANNELS)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with 19 MB of events, all channels in turn."""
    path = tmp_path_factory.mktemp("pages") / "log.db"
    log = SQLiteLog(path, synchronous="NORMAL")
    log.append("before", "1")
    for _ in range(EACH):
        for name in NAMES:
            log.append(name, f'"{"x" * SIZE}"', Retention(None, None))
    log.close()
    return path


@pytest.fixture
def log(path: Path) -> Iterator[SQLiteLog]:
    log = SQLiteLog(path)
    yield log
    log.close()


def test_page_from_the_start_of_many_channels_costs_its_own_bytes(log: SQLiteLog) -> None:
    """Through the hub, as `cursor=start` asks for it: 19 MB would be read for a page of 256 KiB."""
    hub = Hub(log, window_events=10)
    hub.tail()
    tracemalloc.start()
    try:
        reading = hub.read(NAMES, Word.START)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [event.channel for event in reading.events] == NAMES[: PAGE_BYTES // (SIZE + 2)]
    assert reading.more
    assert peak < 3 * PAGE_BYTES


def test_pages_lead_through_many_histories(log: SQLiteLog) -> None:
    """Each page goes on behind the one before, and the last says that it is."""
    hub = Hub(log, window_events=10)
    reading = hub.read(NAMES, Word.START)
    found = list(reading.events)
    while reading.more:
        reading = hub.read(NAMES, reading.cursor)
        assert 0 < len(reading.events) <= PAGE_EVENTS
        found += reading.events
    assert [event.channel for event in found] == NAMES * EACH
    assert [event.offset for event in found] == list(range(2, 2 + CHANNELS * EACH))


@pytest.mark.parametrize("limit", [1, 7, 8, 9, 150, 10_000])
def test_histories_are_merged_in_the_order_of_the_log(limit: int, tmp_path: Path) -> None:
    """Whether their offsets are looked up in one go or in several: one channel has most of what a page holds."""
    log = SQLiteLog(tmp_path / "log.db", synchronous="NORMAL")
    order = ["a"] * 30 + ["b", "c"] + ["a"] * 30 + ["c"] * 20 + ["b"] * 3
    offsets = {name: [] for name in "abc"}  # type: dict[str, list[int]]
    for name in order:
        offsets[name].append(log.append(name, "1", Retention(None, None)).offset)
    for names in ("a", "ab", "cab", "bdc"):
        wanted = sorted(offset for name in names if name in offsets for offset in offsets[name])
        found = log.read(0, limit, list(names))
        assert [event.offset for event in found] == wanted[:limit]
        assert [event.channel for event in found] == [order[event.offset - 1] for event in found]
    log.close()


def test_file_made_before_the_index_of_floors_says_what_was_lost(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.db", synchronous="NORMAL")
    log.append("a", "1", Retention(1, None))
    log.close()
    db = sqlite3.connect(tmp_path / "log.db")
    db.execute("DROP INDEX channels_by_floor")
    db.close()
    log.append("a", "2", Retention(1, None))
    assert log.lost(0) == {"a": 1}
    assert log.lost(1) == {}
    log.close()


def test_what_was_lost_is_found_by_an_index(tmp_path: Path) -> None:
    """It is asked for each hole, and a log may have a hundred thousand channels."""
    log = SQLiteLog(tmp_path / "log.db")
    log.append("a", "1")
    log.close()
    db = sqlite3.connect(tmp_path / "log.db")
    plan = db.execute("EXPLAIN QUERY PLAN SELECT name, floor FROM channels WHERE floor > ? AND floor > 0", (7,))
    assert "USING INDEX channels_by_floor" in plan.fetchone()[3]
    db.close()
