"""Sources: functions asked for something new, by one process for all, only while somebody reads.

A poll asks the source of what it reads, when it is due; so does whoever holds a request. No thread of its own is
needed, and nobody reading means nobody asking. Among processes a lease in the log decides: taken for the
time the call may last, then set to what is left of `every`.

Who touches what: `_turns` is touched under `_lock`; a turn's own lock is held by the thread that asks.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from .. import forks
from ..errors import LogError
from ..logs.base import LEASE_REST, Log
from .channel import Resolved, SourceFunction

CALL_LEASE = 10.0
"""Seconds a source may take before another process may ask too: so long after a killed process a source rests."""
LONGEST_PAUSE = LEASE_REST
"""Seconds between calls of a source that keeps failing, at most; they are what is left of its lease."""
_TURNS = 1024
"""Concrete channels at which turns that are over are first swept out."""

logger = logging.getLogger("flask_landline")


class _Turn:
    """When this process may ask one concrete channel's source again."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.next = 0.0
        self.failures = 0
        self.took = 0.0
        """Seconds that its last call took."""


class Sources:
    """Asks the sources of one app, in one process.

    Args:
        log: grants the leases.
        call: calls a source's function with its parts, in an app context.
        publish: publishes a value to a name.
        encode: gives the JSON text that publishing a value would store.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        log: Log,
        *,
        call: Callable[[Callable[..., Any], Resolved], Any],
        publish: Callable[[str, Any], object],
        encode: Callable[[Any], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._call = call
        self._publish = publish
        self._encode = encode
        self._clock = clock
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Be a holder of one's own: leases tell processes apart by it."""
        self._holder = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._turns: dict[str, _Turn] = {}
        self._sweep_at = _TURNS

    def run_due(self, channels: Iterable[Resolved]) -> float:
        """Ask the sources that are due, and return the seconds until the next one is; inf if there is none."""
        due = [item for item in channels if item.channel.source_function]
        if len(due) > 1:
            # The quick ones first, for whoever asks waits for all: what they find is then not late by a slow one.
            due.sort(key=lambda item: self._turn(item.name).took)
        return min((self._ask(item) for item in due), default=float("inf"))

    def _ask(self, item: Resolved) -> float:
        source = item.channel.source_function
        assert source is not None
        turn = self._turn(item.name)
        # Another thread is asking already: its event comes like any other.
        if self._clock() >= turn.next and turn.lock.acquire(blocking=False):
            try:
                if self._clock() >= turn.next:
                    pause = self._take_turn(item, source, turn)
                    turn.next = self._clock() + pause  # from now: the call may have taken long
            except BaseException:  # SystemExit: the thread's business, but it is no reason to call again at once
                # See SECURITY.md: leaving-sources-are-asked-rarely
                turn.next = self._clock() + _failed(turn, source)
                raise
            finally:
                turn.lock.release()
        return max(turn.next - self._clock(), 0.01)

    def _take_turn(self, item: Resolved, source: SourceFunction, turn: _Turn) -> float:
        """Ask if no other process does; return the seconds until this process may try again."""
        lease = f"source:{item.name}"
        try:
            # See SECURITY.md: sources-are-asked-once-for-all
            if not self._log.lease(lease, max(source.every, CALL_LEASE), self._holder):
                return source.every / 4  # soon enough to take over when the other process ends
            started = self._clock()
            pause = self._call_once(item, source, turn)
            turn.took = self._clock() - started
            left = max(pause - turn.took, 0.0)
            self._log.lease(lease, left, self._holder)
            return left
        except LogError as error:
            logger.warning("The source of channel %r was not asked. %s", item.name, error)
            return source.every

    def _call_once(self, item: Resolved, source: SourceFunction, turn: _Turn) -> float:
        """Call the function and publish what it returns; return the pause its next call must keep."""
        try:
            value = self._call(source.function, item)
            if value is not None and not (source.only_changes and self._is_newest(item.name, value)):
                self._publish(item.name, value)
        except LogError:
            raise
        except Exception:
            pause = _failed(turn, source)
            logger.exception("The source of channel %r failed; it is asked again in %.3g s.", item.name, pause)
            return pause
        turn.failures = 0
        return source.every

    def _is_newest(self, name: str, value: Any) -> bool:
        newest = self._log.newest(name)
        return newest is not None and _canonical(newest.payload) == _canonical(self._encode(value))

    def _turn(self, name: str) -> _Turn:
        with self._lock:
            turn = self._turns.get(name)
            if turn is None:
                if len(self._turns) >= self._sweep_at:
                    self._sweep()
                turn = self._turns[name] = _Turn()
            return turn

    def _sweep(self) -> None:
        """Forget the turns that are over; one that is not must stay: this process's lease would not stop it."""
        now = self._clock()
        self._turns = {name: turn for name, turn in self._turns.items() if turn.next > now or turn.lock.locked()}
        self._sweep_at = max(_TURNS, 2 * len(self._turns))


def _failed(turn: _Turn, source: SourceFunction) -> float:
    """Count a failure; return the seconds until the next call."""
    turn.failures += 1
    # See SECURITY.md: failing-sources-are-asked-rarely
    doubled = source.every * 2 ** min(turn.failures, 60)  # a float overflows at 1024
    return float(min(doubled, max(LONGEST_PAUSE, source.every)))


def _canonical(payload: str) -> str:
    return json.dumps(json.loads(payload), sort_keys=True)
