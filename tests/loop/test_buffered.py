"""What waits for slow readers, and what a connection that cannot be watched costs."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from landline.loop.buffered import BufferedSocket, Pool

PIECE = b"x" * 10_000


class Connection(BufferedSocket):
    """A connection that notes why it was closed."""

    __slots__ = ("lost", "peer")

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: Pool, most: int = 10**9) -> None:
        ours, self.peer = socket.socketpair()
        for end in (ours, self.peer):
            end.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.lost = ""
        super().__init__(loop, ours, most, pool)

    def fill(self) -> None:
        """Write until the other side takes no more."""
        while self.flushed:
            self.write(PIECE)

    def wait(self, count: int) -> None:
        """Have so many more pieces wait."""
        for _ in range(count):
            self.write(PIECE)

    def _received(self, data: bytes) -> None:
        pass

    def _lost(self, reason: str) -> None:
        self.lost = reason


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connect(loop: asyncio.AbstractEventLoop, stack: ExitStack, pool: Pool, most: int = 10**9) -> Connection:
    connection = Connection(loop, pool, most)
    stack.callback(connection.peer.close)
    stack.callback(connection.close, "left")
    return connection


def test_of_all_slow_readers_those_with_most_to_wait_are_cut(loop: asyncio.AbstractEventLoop, stack: ExitStack) -> None:
    pool = Pool(30 * len(PIECE), 100)
    readers = [connect(loop, stack, pool) for _ in range(3)]
    for reader, count in zip(readers, (2, 16, 4), strict=True):
        reader.fill()
        reader.wait(count)
    assert [reader.lost for reader in readers] == ["", "", ""]
    readers[0].wait(10)
    assert [reader.lost for reader in readers] == ["", "slow", ""]
    assert pool.pending == sum(reader.waiting for reader in readers) <= pool.max_pending


def test_reader_that_takes_all_has_nothing_wait_and_lost_no_byte(
    loop: asyncio.AbstractEventLoop, stack: ExitStack
) -> None:
    pool = Pool(10**9, 100)
    reader = connect(loop, stack, pool)
    reader.fill()
    sent = b"".join(b"%06d" % number for number in range(50_000))
    for begin in range(0, len(sent), 7001):
        reader.write(sent[begin : begin + 7001])
    taken = b""
    while not reader.flushed or not taken.endswith(sent[-100:]):
        try:
            taken += reader.peer.recv(1 << 16)
        except BlockingIOError:
            loop.call_soon(loop.stop)
            loop.run_forever()
    assert taken.lstrip(b"x") == sent
    assert (pool.pending, pool.slow, reader.waiting) == (0, set(), 0)


def test_bytes_that_wait_for_many_are_there_once(loop: asyncio.AbstractEventLoop, stack: ExitStack) -> None:
    pool = Pool(10**9, 100)
    readers = [connect(loop, stack, pool) for _ in range(3)]
    for reader in readers:
        reader.fill()
        reader.write(PIECE)
    assert all(reader._pending is not None and reader._pending[-1] is PIECE for reader in readers)


@pytest.mark.parametrize("code", [errno.ENOMEM, errno.ENOSPC])
def test_connection_that_cannot_be_watched_is_closed_and_raises_nothing(
    code: int, loop: asyncio.AbstractEventLoop, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool(10**9, 100)
    connection, other = connect(loop, stack, pool), connect(loop, stack, pool)

    def fail(*_: object) -> None:
        raise OSError(code, "no more")

    monkeypatch.setattr(loop, "add_writer", fail)
    for _ in range(1000):
        connection.write(PIECE)
    assert connection.lost == "failed"
    assert other.lost == ""
    assert (pool.pending, pool.open) == (0, 1)


def test_closed_and_released_connections_are_not_counted(loop: asyncio.AbstractEventLoop, stack: ExitStack) -> None:
    pool = Pool(10**9, 2)
    first, second = connect(loop, stack, pool), connect(loop, stack, pool)
    assert pool.is_full
    first.close("done")
    first.close("done")
    assert pool.open == 1
    stack.callback(second.release().close)
    assert pool.open == 0
    assert not pool.is_full
