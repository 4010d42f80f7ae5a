"""The proving ground's proxy in a thread of its own, for tests that have no loop; and cuts at random places."""

import asyncio
import random
import threading
from types import TracebackType
from typing import Self

from tests.proving import proxy
from tests.proving.proxy import Answer, Cut, Fault, Request


class Cuts:
    """A fault that cuts each answer when so many bytes have passed, its head among them.

    Args:
        least, most: between these each time.
        seed: for where the cuts fall.
    """

    def __init__(self, least: int, most: int, seed: int = 1) -> None:
        self.made = 0
        """Cuts so far."""
        self.spare = b""
        """Do not cut inside these bytes, but after them."""
        self._between = least, most
        self._random = random.Random(seed)

    async def __call__(self, request: Request, answer: Answer) -> Answer:
        left = self._random.randint(*self._between)
        async for data in answer:
            left = self._spared(data, left)
            yield data[:left]
            left -= len(data)
            if left <= 0:
                self.made += 1
                raise Cut

    def _spared(self, data: bytes, left: int) -> int:
        """Return where to cut `data` rather than at `left`."""
        at = data.find(self.spare, max(0, left - len(self.spare) + 1), left + len(self.spare) - 1) if self.spare else -1
        return left if at < 0 else at + len(self.spare)


class Proxy:
    """Runs a proxy with one fault for as long as a `with` block lasts.

    Args:
        to: the port of 127.0.0.1 that it passes requests on to.
        fault: what goes wrong.
    """

    def __init__(self, to: int, fault: Fault) -> None:
        self.base = ""
        """Where clients go, without a slash at the end."""
        self._to = to
        self._fault = fault
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="proxy")

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
        async with proxy.Proxy(self._to) as running:
            running.faults = (self._fault,)
            self.base = running.base
            self._ready.set()
            await self._end.wait()
