"""What a forked child must do before anything else.

A child inherits locks that no thread will ever release, a follower thread that does not exist, and SQLite
connections that must be neither used nor closed (https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_).
`os.register_at_fork` cannot be undone, so it is called once, and objects are held weakly.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something with state that does not survive a fork."""

    def after_fork(self) -> None:
        """Start afresh; called in the child, in its only thread."""


_objects: weakref.WeakSet[Forkable] = weakref.WeakSet()


def register(item: Forkable) -> None:
    """Have `item.after_fork()` called in every child forked from now on, for as long as it lives."""
    _objects.add(item)


def _tell_all() -> None:
    for item in list(_objects):
        item.after_fork()


os.register_at_fork(after_in_child=_tell_all)
