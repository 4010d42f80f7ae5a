"""Appends of one process that are committed together, as one sync of the disk costs as much as all of them.

What is true at every moment:

- One batch is open: `SQLiteLog._batch`. Threads that append join it under `_joining`, and remember their place in it.
- Each thread then takes the batch's own lock. The first one that gets it commits for all, while the others wait there,
  and find `done` when it lets go; each reads its event from its place, or the error that all have in common.
- A batch stays open until it is the process's *turn* to write, not only until a thread wants to write: appends that
  come while another process, or the batch before, has the file cost no sync of their own.

What may be called by which thread: `appends` grows under `_joining`, up to `MOST`. All other fields are written by the
thread that has `lock`, before it sets `done`, and read by threads that have had `lock` after that.

Races that were thought through:

- A thread joins while the batch is being closed: both happen under `_joining`, so it is in the batch that is committed,
  or in the next one.
- A full batch is closed by the thread that fills it, not by the one that commits: `_end_joining` then finds another
  batch open, and leaves it alone.
- The commit raises: the transaction is rolled back, nothing of the batch is in the log, and all its threads raise.
- A thread is ended by an exception of its own (`KeyboardInterrupt`) while it commits for others: it ends the joining
  and sets `done` with its error, so that none waits for ever.

Known weakness: an append that cannot be stored, as one too large for the disk, takes the batch's others with it.
"""

from __future__ import annotations

from threading import Lock
from typing import NamedTuple

from ...event import Event
from ..base import Retention

MOST = 200
"""Appends committed together at most: each takes four parameters, and an SQLite before 3.32 knows 999."""


class Append(NamedTuple):
    """What one caller of `append` wants stored."""

    channel: str
    payload: str
    retention: Retention

    def expires(self, at: float) -> float | None:
        """Return when an event stored at `at` may be removed."""
        return None if self.retention.keep_for is None else at + self.retention.keep_for


class Batch:
    """Appends that are committed together, and what became of them. `appends` grows under the log's `_joining`."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.appends: list[Append] = []
        self.done = False
        self.events: list[Event] = []
        self.error: BaseException | None = None
