"""A log in this process's memory: for tests, and for apps that are one process."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice, takewhile
from operator import attrgetter
from threading import Condition

from .. import forks
from ..cursor import Cursor
from ..event import Event
from .base import ChannelInfo, Log, Retention, lease_limit, new_epoch


class MemoryLog(Log):
    """Keeps events in memory. A forked child starts an empty log with an epoch of its own.

    Every field is guarded by `_changed`.

    Args:
        clock: tells the time in Unix seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Start empty, with a new epoch: parent and child would give the same offsets to different events."""
        self._changed = Condition()
        self._tail = Cursor(new_epoch(), 0)
        self._events: dict[int, Event] = {}
        self._first = 1  # no kept offset is below it
        self._by_channel: dict[str, deque[Event]] = {}
        self._floors: dict[str, int] = {}
        self._expiry: deque[tuple[float, int]] = deque()
        self._leases: dict[str, tuple[str, float]] = {}
        self._wakes = 0

    def append(self, channel: str, payload: str, retention: Retention = Retention()) -> Event:  # noqa: B008
        with self._changed:
            at = round(self._clock(), 3)
            event = Event(channel, self._tail.offset + 1, at, payload, self._tail.epoch)
            self._events[event.offset] = event
            kept = self._by_channel.setdefault(channel, deque())
            kept.append(event)
            if retention.keep is not None and len(kept) > retention.trim_above():
                while len(kept) > retention.keep:
                    self._remove(kept[0])
            if retention.keep_for is not None:
                self._expiry.append((at + retention.keep_for, event.offset))
            self._tail = Cursor(self._tail.epoch, event.offset)
            self._changed.notify_all()
            return event

    def read(self, after: int, limit: int, channels: Collection[str] | None = None) -> list[Event]:
        with self._changed:
            if channels is None:
                return list(self._range(after, limit))
            each = [self._after(name, after) for name in channels]
            return list(islice(heapq.merge(*each, key=attrgetter("offset")), limit))

    def tail(self) -> Cursor:
        return self._tail

    def floor(self, channels: Collection[str]) -> dict[str, int]:
        with self._changed:
            return {name: self._floors[name] for name in channels if name in self._floors}

    def lost(self, after: int) -> dict[str, int]:
        with self._changed:
            return {name: floor for name, floor in self._floors.items() if floor > after}

    def newest(self, channel: str) -> Event | None:
        with self._changed:
            kept = self._by_channel.get(channel)
            return kept[-1] if kept else None

    def channels(self) -> list[ChannelInfo]:
        with self._changed:
            return [
                ChannelInfo(name, len(kept), kept[0].offset if kept else None, kept[-1].offset if kept else None)
                for name, kept in sorted(self._by_channel.items())
            ]

    def trim(self, limit: int = 500) -> int:
        with self._changed:
            now = self._clock()
            before = len(self._events)
            # Sorted again at each trim: channels differ in `keep_for`, so the queue is only nearly in order.
            self._expiry = deque(sorted(self._expiry))
            while self._expiry and self._expiry[0][0] <= now and before - len(self._events) < limit:
                event = self._events.get(self._expiry.popleft()[1])
                if event is not None:
                    self._remove(event)
            return before - len(self._events)

    def wait(self, after: Cursor, timeout: float) -> bool:
        with self._changed:
            wakes = self._wakes
            self._changed.wait_for(lambda: self._tail != after or self._wakes != wakes, timeout)
            return self._tail != after

    def wake(self) -> None:
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()

    def lease(self, name: str, seconds: float, holder: str) -> bool:
        with self._changed:
            now = self._clock()
            owner, expires = self._leases.get(name, (holder, now))
            if owner != holder and 0 < expires - now <= lease_limit(seconds):
                return False
            self._leases[name] = (holder, now + seconds)
            return True

    def close(self) -> None:
        self.wake()

    def _range(self, after: int, limit: int) -> Iterator[Event]:
        while self._first not in self._events and self._first <= self._tail.offset:
            self._first += 1
        for offset in range(max(after + 1, self._first), self._tail.offset + 1):
            if limit <= 0:
                return
            if offset in self._events:
                limit -= 1
                yield self._events[offset]

    def _after(self, channel: str, after: int) -> Iterable[Event]:
        """Return a channel's events after an offset; from the nearer end, so that "from the start" costs no walk."""
        kept = self._by_channel.get(channel)
        if not kept or kept[0].offset > after:
            return kept or ()
        return reversed(list(takewhile(lambda event: event.offset > after, reversed(kept))))

    def _remove(self, event: Event) -> None:
        del self._events[event.offset]
        self._by_channel[event.channel].remove(event)
        self._floors[event.channel] = max(event.offset, self._floors.get(event.channel, 0))
