"""What goes wrong on the way: each fault is one function from an answer to another, see `proxy.py`."""

import asyncio
from collections.abc import Callable

from tests.proving.proxy import Answer, Cut, Fault, Request

PORTAL = b"<!doctype html><title>Welcome</title><form>Please accept our terms. <button>Accept</button></form>"


def only(kinds: str, fault: Fault) -> Fault:
    """Have a fault for requests of these kinds alone, named with spaces between."""
    return lambda request, answer: fault(request, answer) if request.kind in kinds.split() else answer


async def refuse(request: Request, answer: Answer) -> Answer:
    """Answer with 403, as some firewalls do."""
    yield _reply("403 Forbidden", b"")


async def portal(request: Request, answer: Answer) -> Answer:
    """Answer as a hotel's network does until one has clicked: with 200 and a page of its own."""
    yield _reply("200 OK", PORTAL)


def late(seconds: float) -> Fault:
    """Bring each byte of an answer so much later, without holding up those behind it."""

    async def fault(request: Request, answer: Answer) -> Answer:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def fill() -> None:
            try:
                async for data in answer:
                    queue.put_nowait((loop.time() + seconds, data))
            finally:
                queue.put_nowait((loop.time() + seconds, b""))

        filling = asyncio.create_task(fill())
        try:
            while True:
                at, data = await queue.get()
                await asyncio.sleep(at - loop.time())
                if not data:
                    return
                yield data
        finally:
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)

    return fault


def cut_idle(seconds: float) -> Fault:
    """Cut what was silent for so long."""

    async def fault(request: Request, answer: Answer) -> Answer:
        while True:
            async with asyncio.timeout(seconds):
                data = await anext(answer, b"")
            if not data:
                return
            yield data

    return fault


def cut_after(seconds: float) -> Fault:
    """Cut what is not over so long after its first byte."""

    async def fault(request: Request, answer: Answer) -> Answer:
        yield await anext(answer, b"")
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            async with asyncio.timeout_at(deadline):
                data = await anext(answer, b"")
            if not data:
                return
            yield data

    return fault


def cut_after_bytes(count: int) -> Fault:
    """Cut after so many bytes, wherever that is."""

    async def fault(request: Request, answer: Answer) -> Answer:
        left = count
        async for data in answer:
            yield data[:left]
            left -= len(data)
            if left <= 0:
                raise Cut

    return fault


def halve_every_second() -> Fault:
    """Cut every second answer in the middle of its body."""
    answers = 0

    async def fault(request: Request, answer: Answer) -> Answer:
        nonlocal answers
        answers += 1
        halved = answers % 2
        whole = b"".join([data async for data in answer])
        body = whole.index(b"\r\n\r\n") + 4
        yield whole[: (body + len(whole)) // 2] if halved else whole

    return fault


def repeat(seconds: float, key: Callable[[Request], str]) -> Fault:
    """Answer from a cache that heeds no header: what has the same key gets the same answer for so long."""
    kept: dict[str, tuple[float, bytes]] = {}

    async def fault(request: Request, answer: Answer) -> Answer:
        loop = asyncio.get_running_loop()
        until, whole = kept.get(key(request), (0.0, b""))
        if loop.time() >= until:
            whole = b"".join([data async for data in answer])
            kept[key(request)] = (loop.time() + seconds, whole)
        yield whole

    return fault


class Network:
    """A network that can be gone: nothing gets through, and nobody is told. When it is back, what was on its way
    arrives, as TCP sees to. It stands in a proxy all the time."""

    def __init__(self) -> None:
        self._there = asyncio.Event()
        self._there.set()

    def go(self) -> None:
        self._there.clear()

    def come(self) -> None:
        self._there.set()

    async def __call__(self, request: Request, answer: Answer) -> Answer:
        await self._there.wait()
        async for data in answer:
            await self._there.wait()
            yield data


def _reply(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
