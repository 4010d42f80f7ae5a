"""What was revoked, as far as the log says.

A revocation is an event in the log, on a channel that no client can ask for, and a grant carries the log's position
from before the app was asked: the log's order decides which came first, not clocks.

Invariants:

- `_position`, `_newest` and `_floor` change together, under `_lock`: they are what the log has up to `_generation`.
- A grant is compared only when `_generation` is the hub's: every revocation that the hub has seen is among `_newest`.
- What is forgotten by age voids no grant any more: it is kept for twice a grant's life.
- A child process begins with the parent's revocations, which are of the same log, but with a lock of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .. import forks
from ..channels.names import RESERVED
from ..config import Config
from ..cursor import Cursor, Position, Word
from ..follow.hub import Hub
from .grants import Grant


class Revocations:
    """What was revoked, by reader and by channel. Safe to use from any thread.

    Args:
        hub: reads the log.
        keep_for: seconds for which a revocation matters.
        clock: monotonic seconds. A wall clock that is ahead for a while would have revocations forgotten, and the
            grants they void would be good again once it is set right.
    """

    def __init__(self, hub: Hub, keep_for: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self._keep_for = keep_for
        self._clock = clock
        self._position: Position = Word.START
        self._newest: dict[tuple[str, str], tuple[int, float]] = {}
        """Of each reader's mark and each channel the newest revocation's offset, and when it was read, oldest first."""
        self._floor = 0
        """Offset up to which the log has revocations no more. A grant from before it has ended long since, or a clock
        was ahead when they were trimmed, and it is not known what was revoked."""
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Have a lock that no thread of the parent holds."""
        self._lock = threading.Lock()
        self._generation: object = None

    def cover(self, grant: Grant) -> bool:
        """Return whether a grant is revoked: by its reader, by one of its channels, or by another life of the log.

        Raises:
            LogError: the log cannot be read.
        """
        generation = self._hub.generation()
        with self._lock:
            if generation is not self._generation:
                self._catch_up()
                self._generation = generation
            keys = [("channel", name) for name in grant.names] + [("who", mark) for mark in grant.who]
            newest = max(self._newest.get(key, (0, 0.0))[0] for key in keys)
            assert isinstance(self._position, Cursor)
            # See SECURITY.md: grant-from-before-trimmed-revocations-is-none
            missed = max(newest, self._floor)
            # See SECURITY.md: revocation-counts, grant-is-of-one-life-of-the-log
            return grant.given.epoch != self._position.epoch or missed > grant.given.offset

    def _catch_up(self) -> None:
        more, now = True, self._clock()
        while more:
            is_gap = self._position is Word.START
            reading = self._hub.read((RESERVED,), self._position)
            if reading.reset is not None:
                is_gap = True
                if reading.reset.reason != "trimmed":
                    self._newest.clear()
            if is_gap:  # after reading: what was trimmed in between is noticed
                self._floor = self._hub.floor(RESERVED)
            for event in reading.events:
                if "app" in event.data:
                    continue  # what an app says of itself: see `apps`
                for kind, marks in event.data.items():
                    for mark in marks:
                        self._newest.pop((kind, mark), None)
                        self._newest[kind, mark] = event.offset, now
            # See SECURITY.md: all-revocations-are-read
            more = reading.more
            self._position = reading.cursor if more else reading.tail
        forgotten = now - self._keep_for
        # See SECURITY.md: old-revocations-are-forgotten
        while self._newest and next(iter(self._newest.values()))[1] < forgotten:
            del self._newest[next(iter(self._newest))]


def keep_for(config: Config) -> float:
    """Return the seconds for which a revocation is kept: twice a grant's life, as the clocks of machines differ."""
    # See SECURITY.md: revocation-outlives-grants
    return 2 * config.grant_age
