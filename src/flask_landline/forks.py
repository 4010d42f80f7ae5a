"""What a fork needs: of the parent before it, and of the child before anything else.

A child inherits locks that no thread will ever release, and a follower thread that does not exist.

It must not inherit an open SQLite connection, not even one that it leaves alone. SQLite remembers per process which
locks it has on which file; the child believes that memory, and the kernel knows of no lock of the child's. The
parent, closing, then removes the write-ahead log under the child, and what the child appends is lost; and a
write under way in another thread of the parent looks to the child like one that never ends. So connections rest
across a fork (https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_).

`os.register_at_fork` cannot be undone, so it is called once, and objects are held weakly.
"""

from __future__ import annotations

import os
import socket
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something with state that does not survive a fork."""

    def after_fork(self) -> None:
        """Start afresh; called in the child, in its only thread."""


class Resting(Forkable, Protocol):
    """Something that must be at rest while the process forks."""

    def before_fork(self) -> None:
        """Come to rest, and let no other thread in; called in the thread that forks."""

    def after_fork_in_parent(self) -> None:
        """Carry on; called in the thread that forked, also when the fork failed."""


_inherited: list[object] = []
_objects: weakref.WeakSet[Forkable] = weakref.WeakSet()
_resting: weakref.WeakSet[Resting] = weakref.WeakSet()


def register(item: Forkable) -> None:
    """Have `item.after_fork()` called in every child forked from now on, for as long as it lives."""
    _objects.add(item)


def register_resting(item: Resting) -> None:
    """Like `register`, and have it rest during every fork from now on."""
    register(item)
    _resting.add(item)


def keep(item: object) -> None:
    """Keep what was a parent's for as long as this child lives: collecting a loop would close its descriptors."""
    _inherited.append(item)


def let_go(sock: socket.socket) -> None:
    """Close a child's copy of a socket that is its parent's.

    Not with `close()`: that waits until the loop that watches the socket lets go of it, in uvloop's case, and here
    that loop never runs.
    """
    descriptor = sock.detach()
    if descriptor >= 0:
        os.close(descriptor)


def _before() -> None:
    for item in list(_resting):
        item.before_fork()


def _after_in_parent() -> None:
    for item in list(_resting):
        item.after_fork_in_parent()


def _after_in_child() -> None:
    for item in list(_objects):
        item.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
