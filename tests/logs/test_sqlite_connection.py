"""A connection at the edges of a process: forks that come while it is used, and files that others make."""

from pathlib import Path

import pytest
from landline.logs.sqlite.connection import Connection
from landline.testing import in_child


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def test_fork_within_a_use_leaves_the_connection_to_the_parent(path: Path) -> None:
    """A signal handler forks in the thread that has the lock: it cannot rest, and the child must not touch it."""
    connection = Connection(path, 0.01, "NORMAL", 0o600)

    def child() -> bool:
        connection.abandon()
        with connection.use() as (own, _):
            return own is not db and own.execute("SELECT 1").fetchone() == (1,)

    with connection.use() as (db, _):
        connection.before_fork()
        assert in_child(child) is True
        connection.after_fork_in_parent()
        assert db.execute("SELECT 1").fetchone() == (1,)
    with connection.use() as (again, _):
        assert again is db
    connection.close()


def test_abandoned_connection_is_neither_used_nor_closed(path: Path) -> None:
    """Closing what is the parent's would take away its locks (see `forks`)."""
    connection = Connection(path, 1.0, "NORMAL", 0o600)
    with connection.use() as (db, _):
        pass
    connection.abandon()
    with connection.use() as (own, _):
        assert own is not db
    assert db.execute("SELECT 1").fetchone() == (1,)
    connection.close()
    Connection._inherited.remove(db)
    db.close()


def test_file_that_another_process_makes_meanwhile_is_taken_as_it_is(path: Path, monkeypatch) -> None:
    """It was not there when this process looked, and is when it makes it: its mode is the other's business."""
    path.touch(0o640)
    before = path.stat().st_mode
    monkeypatch.setattr(Path, "exists", lambda _: False)
    connection = Connection(path, 1.0, "NORMAL", 0o600)
    with connection.use() as (db, epoch):
        assert db.execute("SELECT epoch FROM life").fetchone() == (epoch,)
    connection.close()
    assert path.stat().st_mode == before
