"""Deadlines of very many things, kept by one timer."""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import time
from collections.abc import Callable
from typing import Generic, TypeVar

TICK = 0.25
"""Seconds to which deadlines are rounded up: what is due together is served together."""

logger = logging.getLogger("flask_landline")
T = TypeVar("T")


class Deadlines(Generic[T]):
    """Serves each thing once, at the first tick at or after its time; touched by its loop's thread alone.

    There is no way to take a thing out: `serve` looks whether it still matters, and adds it again if it is early.

    Args:
        loop: keeps the timer.
        serve: called with a thing whose time has come, and the loop's time.
        clock: the loop's time as another thread sees it: uvloop's own stands still while something runs.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        serve: Callable[[T, float], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._serve = serve
        self._due: dict[int, list[T]] = {}
        self._ticks: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._late = 0.0

    @property
    def lag(self) -> float:
        """Seconds by which the last turn was late, or the next one is by now; may be asked by any thread."""
        due = self._ticks[:1]  # a copy: it may be served meanwhile
        return max(self._late, self._clock() - due[0] * TICK) if due else 0.0

    def add(self, item: T, when: float) -> None:
        """Have `item` served at `when`, in the loop's time."""
        tick = math.ceil(when / TICK)
        if tick not in self._due:
            self._due[tick] = []
            heapq.heappush(self._ticks, tick)
            if self._ticks[0] == tick:
                self._set_timer()
        self._due[tick].append(item)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._ticks[0] * TICK, self._turn) if self._ticks else None

    def _turn(self) -> None:
        now = self._loop.time()
        self._late = now - self._ticks[0] * TICK if self._ticks else 0.0
        while self._ticks and self._ticks[0] * TICK <= now:
            for item in self._due.pop(heapq.heappop(self._ticks)):
                try:
                    self._serve(item, now)
                except Exception:  # of one thing must not end the deadlines of all others
                    logger.exception("A deadline was not kept.")
        self._set_timer()
