"""The newest part of the log, in memory: a reader whose position lies in it is answered without touching the log.

What is true between two calls:

- Every event after `start`, up to `end`, that was ever in the log is here, but for the channels in `_lost`: of those,
  every event after their offset there is. A reader of such a channel from further back is answered by the log, which
  knows its floors; readers of all other channels do not notice.
- `_events` is in the log's order, and `_by_channel` holds the same events, by channel.
- `_lost` is in the order of its offsets. None of them is at or before `start`, and none is after `end`.
- `epoch` never changes: another life of the log gets another window.

The proof that nothing else is missing is the hub's: see `Hub._read_on`. Nothing here locks: the hub, its one owner,
calls everything under its lock. `start` and `end` alone may be read without it, for they only rise.

Known weakness: what is lost of one channel is known by one offset. A channel that loses an event between any two looks
is answered from the log to every reader that is behind, though its newest event is here.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter, itemgetter

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
        max_events: events kept at most; and channels that lost some.
        max_bytes: bytes kept at most, about; one event is always kept.
    """

    def __init__(self, end: Cursor, *, max_events: int, max_bytes: int) -> None:
        self.epoch = end.epoch
        self.start = end.offset
        """Every event after this offset, up to `end`, is here, but for what `lost` names."""
        self.end = end.offset
        """The offset up to which the log was read."""
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._events: deque[Event] = deque()
        self._by_channel: dict[str, deque[Event]] = {}
        self._lost: OrderedDict[str, int] = OrderedDict()

    def extend(self, events: Sequence[Event], end: int, lost: Mapping[str, int]) -> None:
        """Take what the log has after `end`.

        Args:
            events: all that was read, in the log's order.
            end: the offset up to which it was read.
            lost: the channels of which events may be missing among these, with the offset after which none is.
        """
        for event in events:
            self._events.append(event)
            self._by_channel.setdefault(event.channel, deque()).append(event)
            self._bytes += len(event.payload) + _EVENT_OVERHEAD
        for name, offset in sorted(lost.items(), key=itemgetter(1)):
            # Not after the end: what the channel lost there is found missing by the next look.
            self._lost[name] = min(offset, end)
            self._lost.move_to_end(name)
        self.end = end
        self._shrink()

    def read(self, channels: Collection[str], after: int) -> list[Event] | None:
        """Return the events of `channels` after an offset, in log order; None if only the log has all of them."""
        if after < self.start:
            return None
        lost = self._lost
        if lost and any(after < lost.get(channel, 0) for channel in channels):
            return None
        found: list[Event] = []
        runs = 0
        for channel in channels:
            events = self._by_channel.get(channel)
            if events is None or events[-1].offset <= after:
                continue
            runs += 1
            found += _newer(events, after)
        if runs > 1:
            found.sort(key=attrgetter("offset"))
        return found

    def since(self, after: int) -> list[Event] | None:
        """Return the events of all channels after an offset; None if they begin before the window."""
        return None if after < self.start else _newer(self._events, after)

    def lost(self, after: int) -> list[str]:
        """Return the channels of which `since` may leave something out."""
        names = []
        for name in reversed(self._lost):
            if self._lost[name] <= after:
                break
            names.append(name)
        return names

    def _shrink(self) -> None:
        """Forget the oldest until what is kept is within its bounds, and what was lost of the part that is gone."""
        while len(self._events) > 1 and (len(self._events) > self._max_events or self._bytes > self._max_bytes):
            self._drop_oldest()
        while len(self._lost) > self._max_events:
            self.start = max(self.start, self._lost.popitem(last=False)[1])
        while self._events and self._events[0].offset <= self.start:
            self._drop_oldest()
        while self._lost and next(iter(self._lost.values())) <= self.start:
            self._lost.popitem(last=False)

    def _drop_oldest(self) -> None:
        event = self._events.popleft()
        self.start = max(self.start, event.offset)
        self._bytes -= len(event.payload) + _EVENT_OVERHEAD
        siblings = self._by_channel[event.channel]
        siblings.popleft()
        if not siblings:
            del self._by_channel[event.channel]


def _newer(events: deque[Event], after: int) -> list[Event]:
    """Return those of some events, in their order, that come after an offset; costs what they are, not what all are."""
    found: list[Event] = []
    for event in reversed(events):
        if event.offset <= after:
            break
        found.append(event)
    found.reverse()
    return found
