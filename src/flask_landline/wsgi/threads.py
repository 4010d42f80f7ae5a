"""Requests held in their own WSGI thread, a few at a time, where nothing but the thread can hold one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .. import forks


class HeldThreads:
    """A budget of threads of this process; safe to use from any of them.

    Args:
        budget: threads that may be held at once.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Hold nothing: the parent's threads stayed with the parent."""
        self._lock = threading.Lock()
        self._held = 0

    @property
    def free(self) -> bool:
        """Whether one more may be held now."""
        return self._held < self._budget

    @contextmanager
    def hold(self) -> Iterator[bool]:
        """Take a place for the time of the block; yields whether there was one."""
        with self._lock:
            taken = self._held < self._budget
            self._held += taken
        try:
            yield taken
        finally:
            with self._lock:
                self._held -= taken
