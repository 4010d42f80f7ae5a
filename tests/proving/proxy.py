"""A proxy of our own, whose faults are small functions that are put together.

It serves one request a connection, so that a fault can see it as one thing: what was asked, and the bytes of the
answer as they come. A fault takes these and gives others, later ones, fewer ones, or none; nothing is parsed but the
request's head. Streams and sockets are answers that take long.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Callable
from typing import Self

CHUNK = 16384

Answer = AsyncGenerator[bytes, None]


class Cut(Exception):
    """The connection is cut, here and now."""


class Request:
    """What the browser asks for.

    Args:
        head: as it came, to the blank line.
    """

    def __init__(self, head: bytes) -> None:
        self.target = head.split(b" ", 2)[1].decode("latin-1")
        """Path and query."""
        path = self.target.partition("?")[0]
        kinds = {"poll": "poll", "events": "sse", "ws": "websocket"}
        self.kind = kinds.get(path.rpartition("/")[2], "page")
        """A transport, or `page` for what else the page is made of."""
        if b"\r\nupgrade:" not in head.lower():
            head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        self.head = head


Fault = Callable[[Request, Answer], Answer]


class Proxy:
    """Listens on a port of its own for as long as an `async with` block lasts.

    Args:
        to: the port of 127.0.0.1 that requests go to. It may be changed; requests that come after go there.
    """

    def __init__(self, to: int) -> None:
        self.to = to
        self.faults: tuple[Fault, ...] = ()
        """The first is next to the server. Requests that come after a change see it."""
        self._open: set[asyncio.Task[None]] = set()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Cut all that is open."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        answers: list[Answer] = []
        try:
            request = Request(await reader.readuntil(b"\r\n\r\n"))
            answers.append(self._ask(request, reader))
            for fault in self.faults:
                answers.append(fault(request, answers[-1]))
            async for data in answers[-1]:
                writer.write(data)
                await writer.drain()
            writer.write_eof()
            await reader.read()  # until the browser has it all and leaves too
        except Cut:
            writer.close()  # what came before the cut still arrives
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()  # one of the sides left, or all is cut
        finally:
            self._open.discard(task)
            writer.close()
            for answer in reversed(answers):
                with contextlib.suppress(OSError):
                    await answer.aclose()

    async def _ask(self, request: Request, reader: asyncio.StreamReader) -> Answer:
        """Pass the request on, and what follows it in a socket, and give what comes back."""
        answer, server = await asyncio.open_connection("127.0.0.1", self.to)

        async def follow() -> None:
            with contextlib.suppress(OSError):
                while data := await reader.read(CHUNK):
                    server.write(data)
                    await server.drain()
            server.transport.abort()  # the browser left, so the answer is over

        following = asyncio.create_task(follow())
        try:
            server.write(request.head)
            while data := await answer.read(CHUNK):
                yield data
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            server.transport.abort()
