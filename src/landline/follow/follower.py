"""One thread of this process follows the log, and wakes those that wait for news.

What is true at every moment:

- A wake-up is only a hint. A reader registers first, then reads, then waits, and reads again; an event that is
  published between reading and waiting has then already set the reader's hint (message_bus #59).
- The thread asks the log every `CHECK_INTERVAL` seconds even when nothing was hinted: a lost hint costs seconds, and
  not for ever (nchan #442).
- While anything is registered, one thread follows: from `register` to `CHECK_INTERVAL` after the last `unregister`, or
  to `close`. That thread and `close` alone call `wake` functions, one after the other, under `_registry`.

What may be called by which thread: everything by any thread, but not from a `wake` function. `_wakes`, `_thread` and
`_closing` are read and changed under `_registry`.

Races that were thought through:

- The thread finds nothing registered and ends, while a reader registers: both happen under `_registry`, so either the
  thread sees the registration, or `register` sees that there is no thread.
- `close` comes while a reader registers: each thread has a `_closing` of its own, so the new one is not ended with the
  old one. `close` wakes the log again and again, as its thread may be just about to wait when the first wake comes.
- A fork: `after_fork` forgets the parent's readers and thread, which are not there.

Known weakness: a `wake` function that takes its time keeps the others asleep, and keeps readers from registering.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from .. import forks
from ..cursor import Cursor
from ..errors import LogError
from ..logs.base import Log
from .log_warning import LogWarning

CHECK_INTERVAL = 5.0
"""Seconds after which the log is asked though nothing was hinted."""

logger = logging.getLogger("flask_landline")


class Follower:
    """Wakes readers when the log has moved, for as long as there are any.

    Args:
        log: the log.
        tail: finds the log's end, and has what is new at hand for those that are woken.
        warn: says why the log cannot be read.
    """

    def __init__(self, log: Log, tail: Callable[[], Cursor], warn: LogWarning) -> None:
        self._log = log
        self._tail = tail
        self._warn = warn
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Forget the parent's readers and thread."""
        self._registry = threading.Lock()
        self._wakes: set[Callable[[], None]] = set()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def register(self, wake: Callable[[], None]) -> None:
        """Have `wake` called, from some thread, whenever there may be something new.

        Register first, then read, then wait. `wake` must be quick and must not raise; it may be called
        for nothing.

        Raises:
            RuntimeError: no thread can be had; nothing is registered.
        """
        with self._registry:
            if self._thread is None:
                follow = partial(self._follow, self._closing)
                thread = threading.Thread(target=follow, name="landline-follower", daemon=True)
                thread.start()  # raises where no thread can be had: then the next to register tries again
                self._thread = thread
            self._wakes.add(wake)  # the thread looks for it only when this lock is free

    def unregister(self, wake: Callable[[], None]) -> None:
        """End what `register` began. The thread stays for one `CHECK_INTERVAL` more: the next is often near."""
        with self._registry:
            self._wakes.discard(wake)

    def close(self) -> None:
        """Wake all that wait, and end the thread. The next to register starts another."""
        with self._registry:
            self._closing.set()
            self._closing = threading.Event()
            thread, self._thread = self._thread, None
        self._wake_all()
        while thread is not None and thread.is_alive():
            # Again and again: it may have been just about to wait when the first wake came.
            self._log.wake()
            thread.join(0.05)

    def _follow(self, closing: threading.Event) -> None:
        """Wake all that is registered whenever the log has moved, until `closing` is set or nothing is registered."""
        known: Cursor | None = None
        failures = 0
        while self._is_needed(closing):
            # See SECURITY.md: lines-outlive-a-log-that-fails
            try:
                if known is not None:
                    self._log.wait(known, CHECK_INTERVAL)
                tail = self._tail()
            except Exception as error:  # also what no log should raise: all readers here wait for this thread
                if isinstance(error, LogError):
                    self._warn("Followers wait until the log can be read again.", error)
                elif not failures:
                    logger.warning("Followers wait until the log can be read again. %s", error, exc_info=True)
                closing.wait(min(CHECK_INTERVAL, 0.1 * 2 ** min(failures, 10)))  # a float overflows at 1024
                failures, known = failures + 1, None
            else:
                if tail != known or failures:
                    self._wake_all()
                failures, known = 0, tail

    def _is_needed(self, closing: threading.Event) -> bool:
        """Return whether a thread has to go on; if not, the next to register starts another one."""
        with self._registry:
            if closing.is_set():
                return False  # `close` has taken it off already, and there may be another one by now
            if not self._wakes:
                self._thread = None
            return bool(self._wakes)

    def _wake_all(self) -> None:
        with self._registry:
            for wake in self._wakes:
                try:
                    wake()
                except Exception:  # one that cannot be woken must not keep the others asleep
                    logger.exception("A reader could not be woken.")
