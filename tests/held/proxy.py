"""What networks do to connections, on purpose: a TCP proxy that cuts, stalls, holds back or refuses."""

import asyncio
import contextlib
import random
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_CHUNK = 16384


@dataclass
class Faults:
    """What a proxy does to the way from the server to the client; nothing, by default.

    All may be changed while it runs; connections that come after see the change.
    """

    cut_after_bytes: tuple[int, int] | None = None
    """Cut each connection when so many bytes have passed, a number between the two."""
    spare: bytes = b""
    """Do not cut inside these bytes, but after them."""
    cut_after: float | None = None
    """Cut each connection when so many seconds have passed."""
    stall_after_bytes: int | None = None
    """Pass so many bytes and then none, without closing: a link that died."""
    hold_back: bool = False
    """Pass the answer on only when it is complete, as a buffering proxy does."""
    refuse_upgrade: bool = False
    """Answer a handshake with 403, as some firewalls do."""


class Proxy:
    """Listens on a port of its own for as long as a `with` block lasts, and passes on to a port of 127.0.0.1.

    Args:
        to: the port.
        faults: what goes wrong.
        seed: for where cuts fall.
    """

    def __init__(self, to: int, faults: Faults | None = None, seed: int = 1) -> None:
        self.faults = faults or Faults()
        self.connections = 0
        """Connections accepted so far."""
        self.cuts = 0
        """Connections cut so far."""
        self.port = 0
        self._to = to
        self._random = random.Random(seed)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="proxy")

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self._open: set[asyncio.Task[None]] = set()
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        back: asyncio.StreamWriter | None = None
        try:
            answer, back = await asyncio.open_connection("127.0.0.1", self._to)
            await self._carry(reader, writer, answer, back)
        except (OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            pass  # either side left, or the test is over
        finally:
            self._open.discard(task)
            for end in (writer, back):
                if end is not None:
                    end.transport.abort()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if self.faults.refuse_upgrade and b"\r\nupgrade:" in head.lower():
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return
        back.write(head)
        ways = [asyncio.ensure_future(self._up(reader, back)), asyncio.ensure_future(self._down(answer, writer))]
        try:
            done, _ = await asyncio.wait(ways, timeout=self.faults.cut_after, return_when=asyncio.FIRST_COMPLETED)
            self.cuts += not done
            for way in done:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    @staticmethod
    async def _up(reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            back.write(data)
            await back.drain()

    async def _down(self, answer: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        faults = self.faults
        kept = b""
        left = self._random.randint(*faults.cut_after_bytes) if faults.cut_after_bytes else None
        passed = 0
        while data := await answer.read(_CHUNK):
            if faults.hold_back:
                kept += data
                continue
            if faults.stall_after_bytes is not None:
                data = data[: max(0, faults.stall_after_bytes - passed)]
            if left is not None:
                left = self._spared(data, left)
                data = data[:left]
                left -= len(data)
            passed += len(data)
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            if left == 0:
                self.cuts += 1
                await self._flush(writer)
                return
        writer.write(kept)
        await self._flush(writer)

    def _spared(self, data: bytes, left: int) -> int:
        """Return where to cut `data` rather than at `left`."""
        spare = self.faults.spare
        at = data.find(spare, max(0, left - len(spare) + 1), left + len(spare) - 1) if len(spare) > 1 else -1
        return left if at < 0 else at + len(spare)

    @staticmethod
    async def _flush(writer: asyncio.StreamWriter) -> None:
        """End the stream; closing at once could throw away what the client has not read yet."""
        with contextlib.suppress(OSError):
            writer.write_eof()
            await writer.drain()
        while not writer.is_closing() and writer.transport.get_write_buffer_size():
            await asyncio.sleep(0)
