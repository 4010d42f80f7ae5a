"""The log, read once for all readers of this process.

What is true at every moment:

- The log is the truth. Readings ask it for its end, unless another has within the last `FRESH` seconds.
- What is new since is read into the window once, by the first reader that finds it; all others are answered from there.
- No reading holds an event that the window has not passed: a grant is held against the revocations that were found up
  to there.

What may be called by which thread: everything by any thread, before and after `close`. `_window` is replaced, and
extended, under `_lock`; so are `_generation` and `_fresh_until`, but that `invalidate` needs no lock. `last_look` and
`known` are replaced as a whole, and read without a lock; so are the window's two ends (`covers`), which only rise.
Those that wait for news have a lock of their own, in `follower.py`; the two are never held together.

Races that were thought through:

- The log is appended to after a look at its end: the look sets `_fresh_until` before it asks, so `invalidate` of that
  append ends the freshness that the look began.
- The log is trimmed while it is read: events are read first, and what was lost is asked after them, for the window
  (`_read_on`) and for a reader behind it (`read`).
- The log is replaced while it is read: each step ends with a look at the epoch, and is done anew if that has changed.
  What was read of another life never gets into the window.
- A fork: `after_fork` makes everything anew in the child, locks included, as the parent's threads are not there.

Known weakness: the log is asked for its end, and read on, under `_lock`. A log that hangs keeps all readers of this
process waiting, one behind the other, for as long as it takes to say that it cannot be read. Pages for readers whose
position lies before the window are read outside of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from .. import forks
from ..cursor import Cursor, Position, Word
from ..event import Event
from ..logs.base import Log
from ..reading import PAGE_BYTES, PAGE_EVENTS, Reading, Reset, compare, page
from .follower import Follower
from .log_warning import LogWarning
from .window import Window

FRESH = 0.002
"""Seconds for which the log's answer "nothing new" stands, for what other processes append. At thousands of polls a
second asking each time costs more than all the rest: every look at a file lets another thread take the GIL.
This process's own appends, and readers that have seen more than the window, end it at once."""
_CATCH_UP = 1000
"""Events read from the log in one go."""


class News(NamedTuple):
    """What all channels have between a position and the window's end."""

    events: list[Event]
    """In the log's order."""
    lost: list[str]
    """Channels of which `events` may leave something out: what their readers get, only the log can say."""
    end: Cursor
    """The window's end."""


class Hub:
    """Reads one log for all readers of one process.

    Args:
        log: the log.
        window_events: events kept in memory at most.
        window_bytes: bytes kept in memory at most, about.
        keep_for: returns the seconds for which events of a channel are given; None: for ever.
        clock: monotonic seconds.
        wall: Unix seconds.
    """

    def __init__(
        self,
        log: Log,
        *,
        window_events: int = 4096,
        window_bytes: int = 16 * 1024 * 1024,
        keep_for: Callable[[str], float | None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._log = log
        self._keep_for = keep_for
        self._wall = wall
        self._clock = clock
        self._window_events = window_events
        self._window_bytes = window_bytes
        self.warn = LogWarning()
        """Says why the log fails, for all that read it here."""
        self._follower = Follower(log, self.tail, self.warn)
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Forget what the parent knew of the log."""
        self._lock = threading.Lock()
        self._window: Window | None = None
        self._generation = object()
        self._generation_end = -1
        self._fresh_until = 0.0
        self.last_look: tuple[Cursor, float] | None = None
        """The log's end as last found, and when it was asked for, by the clock; replaced as a whole."""

    def tail(self) -> Cursor:
        """Return the position at the log's end, asking the log.

        Raises:
            LogError: the log cannot be read.
        """
        with self._lock:
            window = self._refresh()
            return Cursor(window.epoch, window.end)

    def position(self) -> Cursor:
        """Return the log's end as known for at most `FRESH` seconds, asking the log if need be.

        Raises:
            LogError: the log cannot be read.
        """
        with self._lock:
            window = self._window
            if window is None or self._clock() >= self._fresh_until:
                window = self._refresh()
            return Cursor(window.epoch, window.end)

    @property
    def known(self) -> object:
        """What `generation` returned last, without asking the log: no reading so far holds more than it stands for."""
        return self._generation

    def invalidate(self) -> None:
        """Have the next read ask the log: something was appended here."""
        self._fresh_until = 0.0

    def generation(self) -> object:
        """Return a token for the log's present end; it is the same one for as long as nothing is new.

        Raises:
            LogError: the log cannot be read.
        """
        with self._lock:
            if self._clock() >= self._fresh_until:
                self._refresh()
            return self._generation

    def read(self, channels: Collection[str], position: Position, limit: int = PAGE_EVENTS) -> Reading:
        """Return what `channels` have after `position`, oldest first, one page of it (WIRE §4, §7).

        No event of it is newer than the window's end: `generation`, asked then, stands for all that came before it.

        Raises:
            LogError: the log cannot be read.
        """
        with self._lock:
            window = self._window
            if window is None or self._clock() >= self._fresh_until or _is_beyond(position, window):
                window = self._refresh()
            tail = Cursor(window.epoch, window.end)
            if position is Word.NOW:
                return Reading((), tail, tail)
            if position is Word.LOST:
                return Reading((), tail, tail, reset=Reset(tuple(channels), "unknown"))
            after, reset = compare(position, tail, channels)
            events = window.read(channels, after)
        if events is not None and not self._is_past(events):
            here = position if isinstance(position, Cursor) and reset is None else tail
            return page(events, here, tail, reset, limit)
        found = self._log.read_page(channels, after, limit + 1, PAGE_BYTES)
        # Not what was appended since the look above: a reading must hold no event that the window has not seen. Grants
        # are held against the revocations that it has, and one of those may stand just before such an event.
        # See SECURITY.md: readings-end-where-the-hub-knows
        events = [event for event in found if event.offset <= tail.offset]
        # The floor is asked after reading: what was trimmed in between is noticed, at worst twice.
        if reset is None and position is not Word.START:
            floors = self._log.floor(channels)
            trimmed = tuple(name for name in channels if floors.get(name, 0) > after)
            reset = Reset(trimmed, "trimmed") if trimmed else None
        if self._log.tail().epoch != tail.epoch:
            return self.read(channels, position, limit)
        return page(events, tail, tail, reset, limit)

    def floor(self, channel: str) -> int:
        """Return the newest offset of a channel that the log no longer keeps, 0 if it keeps all; asks the log.

        Raises:
            LogError: the log cannot be read.
        """
        return self._log.floor((channel,)).get(channel, 0)

    def news(self, position: Cursor) -> News | None:
        """Return what all channels have between a position and the window's end, without asking the log.

        None: the window does not reach back to the position, or is of another life; only `read` can tell.
        """
        with self._lock:
            if not self.covers(position):
                return None
            assert self._window is not None
            events = self._window.since(position.offset)
            assert events is not None
            return News(events, self._window.lost(position.offset), Cursor(position.epoch, self._window.end))

    def covers(self, position: Cursor) -> bool:
        """Return whether `news` has an answer for a position, without making it: compares numbers, copies no event."""
        window = self._window  # replaced as a whole, and its ends only rise: an answer without the lock is a moment old
        return window is not None and window.epoch == position.epoch and window.start <= position.offset <= window.end

    def peek(self, channels: Collection[str], position: Cursor, upto: int) -> list[Event] | None:
        """Return what `channels` have between a position and an offset, without asking the log.

        None: as for `since`, or some of it is past its time.
        """
        with self._lock:
            if self._window is None or self._window.epoch != position.epoch or position.offset > upto:
                return None
            events = self._window.read(channels, position.offset)
        if events is None or self._is_past(events):
            return None
        return [event for event in events if event.offset <= upto]

    def lasts(self, events: Iterable[Event]) -> float | None:
        """Return until when events may be given from memory, Unix seconds; None: for as long as they are there."""
        ends = [event.at + seconds for event in events if (seconds := self._keep_for(event.channel)) is not None]
        return min(ends, default=None)

    def _is_past(self, events: Iterable[Event]) -> bool:
        """Whether only the log can tell what is still kept of events: one of them is past its `keep_for`."""
        ends = self.lasts(events)
        return ends is not None and ends <= self._wall()

    def register(self, wake: Callable[[], None]) -> None:
        """Have `wake` called, from some thread, whenever there may be something new; see `Follower.register`."""
        self._follower.register(wake)

    def unregister(self, wake: Callable[[], None]) -> None:
        """End what `register` began."""
        self._follower.unregister(wake)

    @contextmanager
    def listening(self, wake: Callable[[], None]) -> Iterator[None]:
        """Register `wake` for the time of the block."""
        self.register(wake)
        try:
            yield
        finally:
            self.unregister(wake)

    def close(self) -> None:
        """Wake all that wait, and end the follower's thread; the log stays open.

        The hub goes on: it may be read, and the next to register starts a new thread. What was registered before, and
        is not unregistered, is woken by that one too.
        """
        self._follower.close()

    def _refresh(self) -> Window:
        """Bring the window up to the log's end; the caller holds `_lock`."""
        # Set before asking: an append of another thread that this look misses ends it again (see `invalidate`).
        asked = self._clock()
        self._fresh_until = asked + FRESH
        try:
            window = self._catch_up()
        except BaseException:
            self._fresh_until = 0.0
            raise
        if window is not self._window or window.end != self._generation_end:
            self._generation = object()
        self._window, self._generation_end = window, window.end
        self.last_look = Cursor(window.epoch, window.end), asked
        return window

    def _catch_up(self) -> Window:
        """Return a window that reaches to the log's end: the present one, read on, or a new one."""
        while True:
            tail = self._log.tail()
            window = self._window
            # Far behind, after a time without readers: all of it would be read to be forgotten again.
            if window is None or window.epoch != tail.epoch or tail.offset - window.end > self._window_events:
                start = Cursor(tail.epoch, max(0, tail.offset - self._window_events))
                window = Window(start, max_events=self._window_events, max_bytes=self._window_bytes)
            while window.end < tail.offset and self._read_on(window, tail):
                pass
            if window.end >= tail.offset:
                return window

    def _read_on(self, window: Window, tail: Cursor) -> bool:
        """Read the next events into the window; False, and nothing is, if the log has begun another life meanwhile.

        An offset that is missing was never given, as after an append that was rolled back, or its event is removed. It
        never comes later: offsets order as appends became visible, and what is read here reaches no further than an
        event, or an end, that was seen. Which channels it may have belonged to, the log says when it is asked *after*
        the events were read: whoever removes an event raises its channel's floor in the same stroke. So a channel whose
        floor is not above the offset that was read from had, when they were read, lost nothing after that offset, and
        all that it has is among them; and one whose floor is above it has there all that comes after its floor. Where
        no offset is missing there is nothing to ask, whatever is removed by now.
        """
        after = window.end
        events = self._log.read(after, _CATCH_UP)
        end = events[-1].offset if events else tail.offset
        if len(events) < _CATCH_UP:
            end = max(end, tail.offset)
        lost = self._log.lost(after) if end - after != len(events) else {}
        if self._log.tail().epoch != tail.epoch:
            return False
        window.extend(events, end, lost)
        return True


def _is_beyond(position: Position, window: Window) -> bool:
    return isinstance(position, Cursor) and (position.offset > window.end or position.epoch != window.epoch)
