"""The server's log says why events cannot be read: not at each of a thousand polls, but once a minute.

Clients are refused with `log-unavailable`, which names no cause: it may hold paths. So the cause has to be here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from .. import forks

EVERY = 60.0
"""Seconds between two warnings of one process, at least. The first comes at once."""

logger = logging.getLogger("flask_landline")


class LogWarning:
    """Warns that the log fails; safe to call from any thread.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = -float("inf")
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Have a lock that no thread of the parent holds."""
        self._lock = threading.Lock()

    def __call__(self, what: str, error: BaseException) -> None:
        """Warn, unless this process has within the last minute.

        Args:
            what: what could not be done, as a sentence.
            error: the cause; its message names the file and the remedy.
        """
        with self._lock:
            now = self._clock()
            if now < self._next:
                return
            # See SECURITY.md: log-failures-are-said-once-a-minute
            self._next = now + EVERY
        logger.warning("%s %s (Said once a minute at most.)", what, error)
