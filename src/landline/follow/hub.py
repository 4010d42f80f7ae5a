"""The hub follows the log, once for everybody in this process, and wakes whoever waits.

Two rules keep it honest:

- A wake-up is only a hint. Who waits registers first, then reads, then waits, and reads again; an event
  published between reading and waiting has then already set the waiter's hint (message_bus #59).
- The log is the truth. Reads ask it for its end, and the follower asks every few seconds even when
  nothing was hinted, so a lost hint costs seconds and not for ever (nchan #442).

Who touches what: `_window`, `_generation` and `_fresh_until` under `_lock`, by any thread (but `invalidate` needs
no lock); `_wakes` and `_follower` under `_registry`, by any thread. The follower is a daemon thread that lives while
somebody waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from .. import forks
from ..cursor import Cursor, Position, Word
from ..errors import LogError
from ..event import Event
from ..logs.base import Log
from ..reading import PAGE_EVENTS, Reading, Reset, compare, page
from .log_warning import LogWarning
from .window import Window

CHECK_INTERVAL = 5.0
"""Seconds after which the follower asks the log though nothing was hinted."""
FRESH = 0.002
"""Seconds for which the log's answer "nothing new" stands, for what other processes append. At thousands of polls a
second asking each time costs more than all the rest: every look at a file lets another thread take the GIL.
This process's own appends, and readers that have seen more than the window, end it at once."""
_CATCH_UP = 1000
"""Events read from the log in one go."""

logger = logging.getLogger("flask_landline")


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
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Forget the parent's waiters and follower."""
        self._lock = threading.Lock()
        self._window: Window | None = None
        self._generation = object()
        self._generation_end = -1
        self._fresh_until = 0.0
        self.last_look: tuple[Cursor, float] | None = None
        """The log's end as last found, and when it was asked for, by the clock; replaced as a whole."""
        self._registry = threading.Lock()
        self._wakes: set[Callable[[], None]] = set()
        self._follower: threading.Thread | None = None
        self._closing = threading.Event()

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
        # Not what was appended since the look above: a reading must hold no event that the window has not seen. Grants
        # are held against the revocations that it has, and one of those may stand just before such an event.
        # See SECURITY.md: readings-end-where-the-hub-knows
        events = [event for event in self._log.read(after, limit + 1, channels) if event.offset <= tail.offset]
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

    def since(self, position: Cursor) -> list[Event] | None:
        """Return what all channels have between a position and the window's end, without asking the log.

        None: the window does not reach back to the position, or is of another life; only `read` can tell.
        """
        with self._lock:
            if self._window is None or self._window.epoch != position.epoch or position.offset > self._window.end:
                return None
            return self._window.since(position.offset)

    def covers(self, position: Cursor) -> bool:
        """Return whether `since` has an answer for a position, without making it: compares numbers, copies no event."""
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
        """Have `wake` called, from some thread, whenever there may be something new.

        Register first, then read, then wait. `wake` must be quick and must not raise; it may be called
        for nothing.
        """
        with self._registry:
            if self._follower is None and not self._closing.is_set():
                follower = threading.Thread(target=self._follow, name="landline-follower", daemon=True)
                follower.start()  # raises where no thread can be had: then the next to register tries again
                self._follower = follower
            self._wakes.add(wake)  # the follower looks for it only when this lock is free

    def unregister(self, wake: Callable[[], None]) -> None:
        """End what `register` began. The follower stays for one `CHECK_INTERVAL` more: the next is often near."""
        with self._registry:
            self._wakes.discard(wake)

    @contextmanager
    def listening(self, wake: Callable[[], None]) -> Iterator[None]:
        """Register `wake` for the time of the block."""
        self.register(wake)
        try:
            yield
        finally:
            self.unregister(wake)

    def close(self) -> None:
        """Wake everybody and end the follower, for good; the log stays open."""
        with self._registry:
            self._closing.set()
            follower = self._follower
        self._wake_all()
        while follower is not None and follower.is_alive():
            # Again and again: the follower may have been just about to wait when the first wake came.
            self._log.wake()
            follower.join(0.05)

    def _follow(self) -> None:
        known: Cursor | None = None
        failures = 0
        while self._somebody_waits():
            # See SECURITY.md: lines-outlive-a-log-that-fails
            try:
                if known is not None:
                    self._log.wait(known, CHECK_INTERVAL)
                tail = self.tail()
            except Exception as error:  # also what no log should raise: everybody here waits for this thread
                if isinstance(error, LogError):
                    self.warn("Followers wait until the log can be read again.", error)
                elif not failures:
                    logger.warning("Followers wait until the log can be read again. %s", error, exc_info=True)
                self._closing.wait(min(CHECK_INTERVAL, 0.1 * 2 ** min(failures, 10)))  # a float overflows at 1024
                failures, known = failures + 1, None
            else:
                if tail != known or failures:
                    self._wake_all()
                failures, known = 0, tail

    def _somebody_waits(self) -> bool:
        with self._registry:
            if self._wakes and not self._closing.is_set():
                return True
            self._follower = None
            return False

    def _wake_all(self) -> None:
        with self._registry:
            for wake in self._wakes:
                try:
                    wake()
                except Exception:  # one that cannot be woken must not keep the others asleep
                    logger.exception("A reader could not be woken.")

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
        tail = self._log.tail()
        window = self._window
        if window is None or window.epoch != tail.epoch:
            start = Cursor(tail.epoch, max(0, tail.offset - self._window_events))
            window = Window(start, max_events=self._window_events, max_bytes=self._window_bytes)
        while window.end < tail.offset:
            events = self._log.read(window.end, _CATCH_UP)
            window.extend(events)
            if len(events) < _CATCH_UP and window.end < tail.offset:
                window.skip(tail.offset)  # the newest events are trimmed already
            if self._log.tail().epoch != tail.epoch:
                return self._catch_up()  # these events may be of another life than the window
        return window


def _is_beyond(position: Position, window: Window) -> bool:
    return isinstance(position, Cursor) and (position.offset > window.end or position.epoch != window.epoch)
