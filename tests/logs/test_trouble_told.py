"""A log that fails under way, as those see it who publish, poll and are held: through both doors.

Three promises (WIRE §10): a poll is told `log-unavailable` and when to come back; `publish` raises and has written
nothing; lines that are held stay, and carry on by themselves. And what was acknowledged is there afterwards.
"""

import http.client
import json
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask_landline import LogError
from flask_landline.logs.sqlite import READ_PATIENCE, READ_REST, SQLiteLog

from tests.apps import App
from tests.held.readers import Events, Reader, Socket
from tests.processes import free_port, until

KILOBYTE = "x" * 1000


class Told(NamedTuple):
    """What a poll was answered."""

    status: int
    code: str
    retry_after: str | None
    data: list[Any]


class Place:
    """An app over a log in a file, both its doors, and what was acknowledged.

    Args:
        app: publishes, and answers through WSGI.
        port: its second door.
    """

    def __init__(self, app: App, port: int) -> None:
        self.app = app
        self.base = f"http://127.0.0.1:{port}"
        self.acknowledged: list[Any] = []

    def publish(self, value: Any) -> None:
        """Publish, and note it if that is acknowledged.

        Raises:
            LogError: it is not.
        """
        self.app.live.publish("news", value)
        self.acknowledged.append(value)

    def polls(self) -> list[Told]:
        """Return what a reader of everything is told, through each door."""
        query = "channel=news&cursor=start"
        answer = self.app.ask(query)
        return [
            _told(answer.status, answer.headers.get("Retry-After"), answer.body),
            self._second(query),
        ]

    def _second(self, query: str) -> Told:
        with closing(http.client.HTTPConnection(self.base.removeprefix("http://"), timeout=60)) as connection:
            connection.request("GET", f"/landline/poll?{query}")
            answer = connection.getresponse()
            return _told(answer.status, answer.headers["Retry-After"], answer.read())


def _told(status: int, retry_after: str | None, body: bytes) -> Told:
    fields = json.loads(body)
    data = [event["data"] for event in fields.get("data") or ()]
    return Told(status, fields.get("code", ""), retry_after, data)


@pytest.fixture
def make_place(make_app: Callable[..., App]) -> Callable[..., Place]:
    """Return a function that makes an app over a log at a path."""

    def make(path: Path, timeout: float = 0.2) -> Place:
        port = free_port()
        log = SQLiteLog(path, timeout=timeout)
        app = make_app(log=log, listen=f"127.0.0.1:{port}", keepalive=0.5)
        app.live.channel("news", keep=None)
        place = Place(app, port)
        place.publish("first")
        app.poll("news")  # the first request opens the second door

        def is_open() -> bool:
            try:
                return place._second("channel=news").status == 200
            except ConnectionRefusedError:
                return False

        until(is_open, 10, "the second door")
        return place

    return make


@pytest.fixture
def place(make_place: Callable[..., Place], tmp_path: Path) -> Place:
    """Return an app over a log in an ordinary file."""
    return make_place(tmp_path / "log.db")


@pytest.fixture
def held(place: Place) -> Iterator[list[Reader]]:
    """Return two readers that are held, and have read what there is."""
    with hold(place) as readers:
        yield readers


@contextmanager
def hold(place: Place) -> Iterator[list[Reader]]:
    with ExitStack() as stack:
        readers = [stack.enter_context(kind(place.base, "start")) for kind in (Events, Socket)]
        for reader in readers:
            assert [told.data for told in reader.take(len(place.acknowledged))] == place.acknowledged
        yield readers


def carry_on(place: Place, readers: list[Reader], missed: int) -> None:
    """Publish, and see that it comes down the lines that were held all the while, behind all they had missed."""
    place.publish("again")
    for reader in readers:
        told = [event.data for event in reader.take(missed + 1)]
        assert told == place.acknowledged[-missed - 1 :]
        assert not any("reset" in sign for sign in reader.signs)


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Write, and do not end: as a backup, a debugger, a shell may."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield db
        db.execute("ROLLBACK")


def refused(place: Place, words: str) -> None:
    """Publish in vain."""
    with pytest.raises(LogError, match=words) as caught:
        place.publish("refused")
    assert caught.value.retryable


def is_unavailable(told: Told) -> bool:
    return (told.status, told.code, told.retry_after) == (503, "log-unavailable", "2") and not told.data


def test_locked_for_writing_is_read_as_ever(place: Place, held: list[Reader], tmp_path: Path) -> None:
    """Write-ahead logging: who writes keeps nobody from reading."""
    with locked(tmp_path / "log.db"):
        refused(place, "locked by another process")
        for told in place.polls():
            assert (told.status, told.data) == (200, place.acknowledged)
        for reader in held:
            assert reader.sign()["cursor"] == reader.cursor  # a keepalive, while nothing can be published
    carry_on(place, held, 0)
    for told in place.polls():
        assert told.data == place.acknowledged


@pytest.mark.slow
def test_locked_for_half_a_minute_with_the_patience_of_production(
    make_place: Callable[..., Place], tmp_path: Path
) -> None:
    """Three publishers, one after the other, wait ten seconds each; whoever polls waits for nothing."""
    place = make_place(tmp_path / "log.db", timeout=10.0)
    with hold(place) as readers:
        with locked(tmp_path / "log.db"):
            begun = time.monotonic()
            for _ in range(3):
                refused(place, "locked by another process for 10 s")
                assert [told.data for told in place.polls()] == [place.acknowledged] * 2
            assert time.monotonic() - begun >= 30
        carry_on(place, readers, 0)


@contextmanager
def locked_for_all(place: Place, path: Path) -> Iterator[None]:
    """Keep readers out too, which only an exclusive mode can, and only while nobody has the file open."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as db:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")

        def is_ours() -> bool:
            place.app.state.log.close()
            try:
                db.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:  # the follower was faster
                return False
            return True

        until(is_ours, 10, "the file alone")
        yield
        db.execute("ROLLBACK")


def test_locked_for_all_is_told_and_healed(place: Place, held: list[Reader], tmp_path: Path) -> None:
    with locked_for_all(place, tmp_path / "log.db"):
        # What was read just before stands for some milliseconds (see `hub.FRESH`).
        until(lambda: all(map(is_unavailable, place.polls())), 10, "the word that the log cannot be read")
        refused(place, "locked by another process")
    until(lambda: all(told.status == 200 for told in place.polls()), 10 * READ_REST, "an answer")
    for told in place.polls():
        assert told.data == place.acknowledged
    carry_on(place, held, 0)


def test_locked_for_all_keeps_only_the_first_waiting(place: Place, tmp_path: Path) -> None:
    """Else polls would wait one after the other, and the second door's loop with them, and all its lines."""
    log = place.app.state.log
    waited: list[float] = []
    with locked_for_all(place, tmp_path / "log.db"):
        for _ in range(20):
            begun = time.monotonic()
            with pytest.raises(LogError, match="locked by another process"):
                log.tail()
            waited.append(time.monotonic() - begun)
    # The first waits its time, unless the follower did so before it; while that is remembered nobody does.
    assert sum(waited) < 20 * min(READ_PATIENCE, 0.2) / 2


@pytest.mark.parametrize("what", ["the file", "all three files"])
def test_deleted_is_another_life_and_told_as_such(what: str, place: Place, held: list[Reader], tmp_path: Path) -> None:
    """What was in it nobody can give back; but nobody is left to believe that nothing is missing."""
    cursor = place.app.poll("news").cursor
    for file in list(tmp_path.glob("log.db*" if what == "all three files" else "log.db")):
        file.unlink()
    place.acknowledged = []
    place.publish("after")
    for told in place.polls():
        assert (told.status, told.data) == (200, ["after"])
    assert place.app.poll("news", cursor=cursor).json["reset"]["reason"] == "epoch"
    for reader in held:
        assert [event.data for event in reader.take(1)] == ["after"]
        assert [sign["reset"]["reason"] for sign in reader.signs if "reset" in sign] == ["epoch"]


def test_read_only_is_told_and_heals(disk: Callable[[str], Path], make_place: Callable[..., Place]) -> None:
    place = make_place(disk("size=4m") / "log.db")
    with hold(place) as readers:

        def is_read_only() -> bool:
            # The kernel lets no disk become read-only while a file on it is open for writing.
            place.app.state.log.close()
            try:
                disk("ro")
            except subprocess.CalledProcessError:
                return False
            return True

        until(is_read_only, 10, "a read-only disk")
        # What was read just before stands for some milliseconds (see `hub.FRESH`).
        until(lambda: all(map(is_unavailable, place.polls())), 10, "the word that the log cannot be read")
        refused(place, "user")
        disk("rw")
        until(lambda: all(told.status == 200 for told in place.polls()), 10, "an answer")
        for told in place.polls():
            assert told.data == place.acknowledged
        carry_on(place, readers, 0)


def test_full_disk_is_told_and_heals(disk: Callable[[str], Path], make_place: Callable[..., Place]) -> None:
    """What is there is read as ever; each publish is acknowledged and there, or raised and not there."""
    folder = disk("size=600k")
    place = make_place(folder / "log.db")
    with hold(place) as readers:
        number, refusals = 0, 0
        while refusals < 3:
            number += 1
            assert number < 1000, "the disk does not get full"
            try:
                place.publish(f"{number} {KILOBYTE}")
            except LogError as error:
                assert "the disk is full" in str(error)  # noqa: PT017  how often it comes is not known
                refusals += 1
        assert number > 10
        for told in place.polls():
            assert (told.status, told.data) == (200, place.acknowledged[:100])
        told_so_far = len(place.acknowledged) - 1
        disk("size=8m")
        carry_on(place, readers, told_so_far)
    assert [event.data for event in place.app.state.log.read(0, 1000, ["news"])] == place.acknowledged
