"""Deadlines of very many things, kept by one timer; and what becomes due of held requests.

A long poll is answered in time; a stream gets its keepalives, and ends with its grant.
Touched by the side loop's thread alone, but for `Deadlines.lag`.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from ..cursor import Cursor
from ..serve.endpoints import Endpoints
from ..serve.runtime import Runtime
from .groups import Groups
from .held import HeldRequest, Holder

TICK = 0.25
"""Seconds to which deadlines are rounded up: what is due together is done together."""
RETURN_RATE = 500
"""Connections a second that are asked to come back when this process ends: a new one opens some thousands a second."""
RETURN_LEAST = 0.1
"""Seconds after which a connection that ends is asked to come back at the earliest."""
RETURN_WITHIN = 2.0
"""Seconds over which few connections are asked to come back: long enough for a server that restarts."""

logger = logging.getLogger("flask_landline")
T = TypeVar("T")


class Deadlines(Generic[T]):
    """Expires each thing once, at the first tick at or after its time; touched by its loop's thread alone.

    There is no way to take a thing out: `expire` looks whether it still matters, and adds it again if it is early.

    Args:
        loop: keeps the timer.
        expire: called with a thing whose time has come, and the loop's time.
        clock: the loop's time as another thread sees it: uvloop's own stands still while something runs.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        expire: Callable[[T, float], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._expire = expire
        self._due: dict[int, list[T]] = {}
        self._ticks: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._late = 0.0

    @property
    def lag(self) -> float:
        """Seconds by which the last turn was late, or the next one is by now; may be asked by any thread."""
        due = self._ticks[:1]  # a copy: it may be gone meanwhile
        return max(self._late, self._clock() - due[0] * TICK) if due else 0.0

    def add(self, item: T, when: float) -> None:
        """Have `item` expire at `when`, in the loop's time."""
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
                    self._expire(item, now)
                except Exception:  # of one thing must not end the deadlines of all others
                    logger.exception("A deadline was not kept.")
        self._set_timer()


class Expiry:
    """Ends held requests in their time, and gives streams their signs of life.

    Args:
        loop: keeps the time.
        runtime: the app's Landline.
        endpoints: gives the advice that keepalives and answers repeat.
        groups: where held requests stand.
        position: returns where all groups stand; None: nothing is held yet, or the log could not be read.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        runtime: Runtime,
        endpoints: Endpoints,
        groups: Groups,
        position: Callable[[], Cursor | None],
    ) -> None:
        self.deadlines: Deadlines[Holder] = Deadlines(loop, self.expire)
        self._hub = runtime.hub
        self._times = runtime.times
        self._keepalive = runtime.config.keepalive
        self._endpoints = endpoints
        self._groups = groups
        self._position = position
        self._sign: tuple[object, bytes] = (None, b"")

    def watch(self, held: HeldRequest) -> None:
        """Look at a request when something of it is due; an earlier look that is set already stays, and sees to it."""
        connection, when = held.connection, self._due(held)
        if when < connection.look:
            connection.look = when
            self.deadlines.add(connection, when)

    def expire(self, connection: Holder, now: float) -> None:
        """Do what has become due of the request that a connection holds now."""
        if now < connection.look:
            return  # set for a poll that was answered since; the one that is held now has a look of its own
        connection.look, held = math.inf, connection.held
        if held is None or not held.open:
            return
        if held.due is not None and held.due <= now:
            self.say_goodbye(held, RETURN_LEAST)  # grants end at times of their own: no need to spread them
            return
        if self._due(held) <= now:  # else something was sent in the meantime
            position = self._position()
            if held.group is not None and position is not None:
                held.connection.write(self._sign_of_life(held, position, now))
            held.written = now
        self.watch(held)

    def say_goodbye(self, held: HeldRequest, spread: float) -> None:
        """End a request: answer a long poll; ask a stream's client to come back within `spread` seconds."""
        if held.transport.ends:
            self._answer(held)
        else:
            # See SECURITY.md: restart-is-spread
            held.connection.finish(held.transport.goodbye(self._times.between(RETURN_LEAST, spread)))

    def _due(self, held: HeldRequest) -> float:
        due = math.inf if held.due is None else held.due
        if held.transport.ends:
            return due
        written = max(held.written, held.group.written) if held.group is not None else held.written
        return min(due, written + self._keepalive)

    def _sign_of_life(self, held: HeldRequest, position: Cursor, now: float) -> bytes:
        """Return a sign of life; made once for all equal streams of one turn of the timer."""
        key = (held.transport, held.transports, position, now)
        if self._sign[0] != key:
            self._sign = (
                key,
                held.transport.keepalive(position, self._endpoints.advice(held.transports), self._times.wall()),
            )
        return self._sign[1]

    def _answer(self, held: HeldRequest) -> None:
        """Answer a long poll that nothing came for; its cursor stays, unless the window has left it behind."""
        assert held.cursor is not None
        position = self._position()
        is_at_hand = position is None or self._hub.covers(held.cursor)
        cursor = held.cursor if is_at_hand or held.group is None else position
        assert cursor is not None
        held.connection.finish(
            held.transport.keepalive(cursor, self._endpoints.advice(held.transports), self._times.wall())
        )
        self._groups.part(held)


def spread_of(count: int) -> float:
    """Return the seconds over which so many clients are asked to come back, which one process can take in again."""
    return max(RETURN_WITHIN, count / RETURN_RATE)
