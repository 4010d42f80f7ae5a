"""The ledger: many processes, some killed on the way, and every reader's account must balance.

Four publishing processes, four workers of gunicorn over one SQLite log, forty readers that pause, restart and lose
answers, two workers killed. At the end every reader has every event of its channels exactly once, in order.
"""

import http.client
import json
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import flask_landline
import pytest
from flask_landline.channel import RESERVED
from flask_landline.logs.sqlite import SQLiteLog

from tests.ledger.app import CHANNELS
from tests.processes import Process, free_port, until

PUBLISHERS = 4
EACH = 2_500
READERS = 40
WORKERS = 4
KILLED_AT = (0.3, 0.6)
"""Shares of the events at which a worker is killed."""
PATIENCE = 90.0
"""Seconds for everything, on two cores; it takes about a third."""

ROOT = Path(__file__).parent.parent


class Reader(threading.Thread):
    """A client: polls, pauses, restarts from what it wrote down.

    Args:
        port: where to ask.
        draw: its luck.
        done: tells when nothing more will be published.
    """

    def __init__(self, port: int, draw: random.Random, done: threading.Event) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._draw = draw
        self._done = done
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30.0)
        self.channels = draw.sample(CHANNELS, draw.randint(1, len(CHANNELS)))
        self.cursor = "start"
        """What it wrote down last, together with `account`."""
        self.account: list[tuple[int, str, object]] = []
        self.failures: list[str] = []
        """What went wrong on the way, and was tried again."""
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._read():
                # A pause, also to spread the readers; its end is nobody's business, so nothing can be waited for.
                if self._draw.random() < 0.8:
                    threading.Event().wait(self._draw.expovariate(8))
                else:
                    self._connection.close()  # and at once to another worker, which may have seen less
        except BaseException as error:  # noqa: BLE001  raised by the test
            self.error = error
        finally:
            self._connection.close()

    def _read(self) -> bool:
        """Poll once; return whether that was all there is, and will be."""
        last = self._done.is_set()
        wait = self._draw.choice(["0", "0", "1", "5"])
        pairs = [*(("channel", name) for name in self.channels), ("cursor", self.cursor), ("wait", wait)]
        luck = self._draw.random()
        try:
            self._connection.request("GET", f"/landline/poll?{urlencode(pairs)}")
            if luck < 0.02:
                self._connection.close()  # killed before the answer
                return False
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(repr(error))
            self._connection.close()
            return False
        if luck < 0.05:
            self._connection.close()  # killed before it wrote anything down
            return False
        if response.status == 503:
            self.failures.append(body.decode())
            return False
        assert response.status == 200, body
        answer = json.loads(body)
        assert "reset" not in answer, answer
        self.account += [(event["offset"], event["channel"], event["data"]) for event in answer["data"] or []]
        self.cursor = answer["cursor"]
        return last and answer["data"] is None


def workers(master: int) -> list[int]:
    """Return the processes that gunicorn's master has forked."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == master and state not in "ZX":
            found.append(int(status.parent.name))
    return sorted(found)


@pytest.fixture
def draw() -> random.Random:
    """Return the luck of this run. `LEDGER_SEED` repeats another's, as far as processes can be repeated."""
    seed = int(os.environ.get("LEDGER_SEED") or random.SystemRandom().randrange(10**9))
    print(f"LEDGER_SEED={seed}")  # noqa: T201
    return random.Random(seed)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SQLiteLog]:
    log = SQLiteLog(tmp_path / "ledger.db")
    yield log
    log.close()


def readers_until(readers: list[Reader], condition: Callable[[], object], what: str) -> None:
    """Wait for something, unless a reader fails first."""
    until(lambda: condition() or any(reader.error for reader in readers), PATIENCE, what)
    for reader in readers:
        if reader.error is not None:
            raise reader.error


def is_past(log: SQLiteLog, offset: int) -> bool:
    return log.tail().offset > offset


@pytest.mark.ledger
@pytest.mark.slow
def test_every_reader_has_every_event_once_and_in_order(draw: random.Random, log: SQLiteLog, tmp_path: Path) -> None:
    total = PUBLISHERS * EACH
    port = free_port()
    source = Path(flask_landline.__file__).parent.parent  # the one that this process tests
    env = {"LEDGER_LOG": str(tmp_path / "ledger.db"), "PYTHONPATH": f"{source}{os.pathsep}{ROOT}"}
    # Several threads each, and a worker that is killed is replaced by another fork of the master.
    serve = [sys.executable, "-m", "gunicorn", "-k", "gthread", "-w", str(WORKERS), "--threads", "8", "--preload"]
    serve += ["--bind", f"127.0.0.1:{port}", "--graceful-timeout", "2", "tests.ledger.app:serve()"]
    publish = [sys.executable, "-m", "tests.ledger.app"]
    done = threading.Event()
    readers = [Reader(port, random.Random(draw.random()), done) for _ in range(READERS)]

    with ExitStack() as stack:
        server = stack.enter_context(Process(serve, port=port, env=env, cwd=ROOT))
        stack.callback(done.set)
        first, late = readers[: READERS // 2], readers[READERS // 2 :]
        for reader in first:
            reader.start()
        seed = str(draw.randrange(10**9))
        publishers = [
            stack.enter_context(Process([*publish, str(who), str(EACH), seed], env=env, cwd=ROOT))
            for who in range(PUBLISHERS)
        ]
        # The others come while things happen: as many from the beginning as from what is then the end.
        readers_until(first, partial(is_past, log, total // 10), "the first tenth")
        begin = log.tail()
        for number, reader in enumerate(late):
            reader.cursor = str(begin) if number % 2 else "start"
            reader.start()
        for share in KILLED_AT:
            readers_until(readers, partial(is_past, log, round(total * share)), f"{share:.0%} of the events")
            os.kill(draw.choice(workers(server.pid)), signal.SIGKILL)
        readers_until(readers, lambda: all(publisher.ended() for publisher in publishers), "the publishers' end")
        assert [publisher.wait() for publisher in publishers] == [0] * PUBLISHERS
        done.set()
        readers_until(readers, lambda: not any(reader.is_alive() for reader in readers), "the readers' end")
        acknowledged = [line.split() for publisher in publishers for line in publisher.stdout.splitlines()]
        assert len(workers(server.pid)) == WORKERS

    events = log.read(0, 2 * total)
    assert [event.offset for event in events] == list(range(1, len(events) + 1))
    # The app's own word on what it guards stands among them.
    truth = [(event.offset, event.channel, event.data) for event in events if event.channel != RESERVED]
    assert len(truth) == total
    stored = sorted((int(offset), name, [int(who), int(number)]) for offset, name, who, number in acknowledged)
    assert stored == truth
    for who in range(PUBLISHERS):
        assert [number for _, _, (author, number) in truth if author == who] == list(range(EACH))
    for number, reader in enumerate(readers):
        after = begin.offset if reader in late and late.index(reader) % 2 else 0
        wanted = [entry for entry in truth if entry[1] in reader.channels and entry[0] > after]
        assert reader.account == wanted, f"reader {number} of {reader.channels}, after {reader.failures[-3:]}"
    # The run was worth its while: nearly everybody was disturbed, and hardly anybody much.
    assert sum(len(reader.failures) for reader in readers) >= 2
