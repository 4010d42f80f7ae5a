"""Several processes share one SQLite log."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from landline.logs.sqlite.log import SQLiteLog
from landline.testing import in_child

WORKER = Path(__file__).parent / "worker.py"
PATIENCE = 60.0
"""Seconds for processes to start and to do their work, on a busy machine."""


@contextmanager
def workers(*commands: list[object]) -> Iterator[list[subprocess.Popen[str]]]:
    """Start processes, all ready to go; leave none behind."""
    with ExitStack() as stack:
        started = []
        for command in commands:
            process = subprocess.Popen(
                [sys.executable, WORKER, *map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            started.append(process)
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield started


def results(processes: list[subprocess.Popen[str]]) -> list[Any]:
    """Let all go, and return what each printed."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [json.loads(process.communicate(timeout=PATIENCE)[0]) for process in processes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def log(path: Path) -> Iterator[SQLiteLog]:
    log = SQLiteLog(path)
    yield log
    log.close()


def test_processes_append_and_follow_at_once(path: Path, log: SQLiteLog) -> None:
    """Nothing is lost, doubled or out of order for anybody, and each appender's events stand in its own order."""
    count = 150
    names = ["a", "b", "c", "a"]
    followers = [["follow", path, count * len(names)]] * 2
    with workers(*(["append", path, name, count] for name in names), *followers) as processes:
        *given, one, other = results(processes)
    kept = [[event.offset, event.channel, event.data] for event in log.read(0, 10_000)]
    assert one == other == kept
    assert [offset for offset, *_ in kept] == list(range(1, count * len(names) + 1))
    assert sorted(offset for offsets in given for offset in offsets) == [offset for offset, *_ in kept]
    for name, offsets in zip(names, given, strict=True):
        own = {offset: (channel, number) for offset, channel, number in kept if offset in set(offsets)}
        assert [own[offset] for offset in offsets] == [(name, number) for number in range(count)]


def test_processes_that_open_a_new_file_at_once_agree_on_its_epoch(path: Path, log: SQLiteLog) -> None:
    with workers(*(["append", path, "a", 1] for _ in range(6))) as processes:
        assert sorted(results(processes)) == [[number] for number in range(1, 7)]
    assert len(log.read(0, 10)) == 6


def test_acknowledged_event_survives_a_killed_process(path: Path, log: SQLiteLog) -> None:
    with workers(["last", path]) as processes:
        assert results(processes) == [1]
        assert processes[0].wait(PATIENCE) == -9
    assert [event.data for event in log.read(0, 10)] == ["last"]
    assert log.append("a", "1").offset == 2


def test_forked_child_that_ends_as_python_does_harms_nobody(path: Path, log: SQLiteLog) -> None:
    """Exit handlers and finalisers run in the child, over objects that it got from the parent."""
    script = (
        "import os, sys\n"
        "from landline.logs.sqlite.log import SQLiteLog\n"
        "log = SQLiteLog(sys.argv[1])\n"
        "log.append('a', '0')\n"
        "if os.fork() == 0:\n"
        "    log.append('a', '1')\n"
        "    sys.exit()\n"
        "assert os.wait()[1] == 0\n"
        "log.append('a', '2')\n"
    )
    subprocess.run([sys.executable, "-c", script, path], check=True, timeout=PATIENCE)
    assert [event.data for event in log.read(0, 10)] == [0, 1, 2]


def test_forks_of_forks_share_the_log(log: SQLiteLog) -> None:
    log.append("a", "0")

    def child() -> int:
        log.append("a", "1")
        return int(in_child(lambda: log.append("a", "2").offset))

    assert in_child(child) == 3
    assert log.append("a", "3").offset == 4
    assert [event.data for event in log.read(0, 10)] == [0, 1, 2, 3]
