"""The contiguous newest part of the log, in memory.

A cursor inside it is answered without touching the log. "Contiguous" is the whole point: every event
after `start` was seen, so nothing needs to be asked about what was trimmed. An offset that does not follow
the last one may hide a trimmed event; the window then starts anew behind it, and older cursors are
read from the log, which knows its floors.

Nothing here locks: the hub, its one owner, does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from operator import attrgetter

from ..cursor import Cursor
from ..event import Event

_EVENT_OVERHEAD = 400
"""Bytes an event costs beside its payload, about: object, dict, encoded head, places in two deques."""


class Window:
    """The newest events, all channels in one sequence, with an index by channel.

    The index makes a poll cost what its own channels have to tell, however busy the others are: an idle
    reader's cursor stays where it is (WIRE §4) while thousands of other events pass it by.

    Args:
        end: the position at which it starts, empty.
        max_events: events kept at most.
        max_bytes: bytes kept at most, about; one event is always kept.
    """

    def __init__(self, end: Cursor, *, max_events: int, max_bytes: int) -> None:
        self.epoch = end.epoch
        self.start = end.offset
        """Every event after this offset, up to `end`, is here."""
        self.end = end.offset
        """The last offset seen."""
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._events: deque[Event] = deque()
        self._by_channel: dict[str, deque[Event]] = {}

    def extend(self, events: Iterable[Event]) -> None:
        """Take events in log order; those already here are passed over."""
        for event in events:
            if event.offset <= self.end:
                continue
            if event.offset != self.end + 1:
                self.skip(event.offset - 1)
            self.end = event.offset
            self._events.append(event)
            self._by_channel.setdefault(event.channel, deque()).append(event)
            self._bytes += len(event.payload) + _EVENT_OVERHEAD
        while len(self._events) > 1 and (len(self._events) > self._max_events or self._bytes > self._max_bytes):
            self._drop_oldest()

    def skip(self, offset: int) -> None:
        """Start anew, empty, at `offset`: what lies before cannot be proven complete."""
        self._events.clear()
        self._by_channel.clear()
        self._bytes = 0
        self.start = self.end = offset

    def read(self, channels: Iterable[str], after: int) -> list[Event] | None:
        """Return the events of `channels` after an offset, in log order; None if they begin before the window."""
        if after < self.start:
            return None
        found: list[Event] = []
        runs = 0
        for channel in channels:
            events = self._by_channel.get(channel)
            if events is None or events[-1].offset <= after:
                continue
            runs += 1
            newer: list[Event] = []
            for event in reversed(events):
                if event.offset <= after:
                    break
                newer.append(event)
            newer.reverse()
            found += newer
        if runs > 1:
            found.sort(key=attrgetter("offset"))
        return found

    def since(self, after: int) -> list[Event] | None:
        """Return the events of all channels after an offset; None if they begin before the window."""
        if after < self.start:
            return None
        found: list[Event] = []
        for event in reversed(self._events):
            if event.offset <= after:
                break
            found.append(event)
        found.reverse()
        return found

    def _drop_oldest(self) -> None:
        event = self._events.popleft()
        self.start = event.offset
        self._bytes -= len(event.payload) + _EVENT_OVERHEAD
        siblings = self._by_channel[event.channel]
        siblings.popleft()
        if not siblings:
            del self._by_channel[event.channel]
