"""Where a page stands in the log: found before its view begins, without keeping it waiting.

The view reads its data, and only then the template wants the position: an event published in between would be in
neither. So a position is taken when the request comes, whatever it is for; from there on an event is sent to the page,
and is perhaps in it too. Older is safe, newer never is.

What is true at every moment:

- A known position was the log's end at some time before now: everything up to it was visible. Most requests take the
  last known one and ask nothing. It comes from a look at the log, by any thread here (`Hub.last_look`), or from an
  append of this process.
- The log is looked at in a thread of its own, one look at a time, for a `Log` may hang: in a locked file, on a network.
  Threads that serve requests wait for the look, `PATIENCE` seconds together with its start and no longer. One thread
  for each look: none has to be kept, closed or found again after a fork, and there is at most one a second.
- A look that fails or is late is a trouble that is remembered: for `REST` seconds no request waits for another. The
  late one goes on, and what it finds is known from then on.

What may be called by which thread: everything by any thread. `_look` is changed under `_lock`, and a thread that serves
a request waits for a look without it.

Races that were thought through:

- Two threads replace `_known` at once, without a lock: either may win, for both positions are true, and the older one
  is safe.
- A look that began before an append of this process ends after it, and would put an older position in the place of a
  newer one: `_saw` keeps the newer of one life.
- A look ends between a request's first question and its turn at `_lock`: the question is asked again there.
- A fork: `after_fork` forgets what was known, for a log in memory begins another life in the child.

Known weakness: a position may be `FRESH` seconds old, and what was published since is then sent to a page that has it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .. import forks
from ..cursor import Cursor
from ..errors import LogError
from ..logs.base import Log
from .hub import Hub
from .log_warning import LogWarning

FRESH = 1.0
"""Seconds for which a known position is good for the next page: what is sent twice of that time is little."""
PATIENCE = 0.25
"""Seconds that a request waits for the log at most. A page with its data and no live updates is better than none."""
REST = 5.0
"""Seconds after a look that failed, or was late, in which no request waits for another: else all pages would wait
their time, one after the other."""


class PagePosition:
    """The positions of one app's pages, in one process.

    Args:
        log: the log.
        hub: looks at the log for readers, and so often knows its end already.
        clock: monotonic seconds, the hub's.
    """

    def __init__(self, log: Log, hub: Hub, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._hub = hub
        self._clock = clock
        self._warn = LogWarning(clock=clock)
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Forget what the parent knew: a log in memory begins another life in a child."""
        self._known: tuple[Cursor, float] | None = None
        self._lock = threading.Lock()
        self._look: _Look | None = None
        self._rest_until = -float("inf")
        self._trouble: BaseException | None = None

    def note(self) -> Cursor | None:
        """Return a position for the page whose request comes now: at most `FRESH` seconds old, if the log answers.

        None: no position was ever known in this process, and the log does not answer.
        """
        known = self._known
        if known is not None and self._clock() - known[1] < FRESH:
            return known[0]
        found = self._hub.last_look
        if found is not None and (known is None or found[1] > known[1]):
            self._saw(*found)
        self._wait_for_look(own=False)
        return self._last()

    def now(self) -> Cursor | None:
        """Return the log's end, asked from now on; while it does not answer the last known one, or None."""
        self._wait_for_look(own=True)
        return self._last()

    def appended(self, cursor: Cursor, began: float) -> None:
        """Take note of an append of this process.

        A page that its own form leads to is then not sent it as news.

        Args:
            cursor: the position after it.
            began: when it began, by the clock.
        """
        self._saw(cursor, began)

    def text(self, cursor: Cursor | None) -> str:
        """Return what a page is given: the position, or the empty cursor and a warning, at most one a minute."""
        if cursor is not None:
            return str(cursor)
        trouble = self._trouble or LogError(f"It has not answered within {PATIENCE:g} s.")
        self._warn("A page got no position, since the log cannot be read; its client gets a reset.", trouble)
        return ""

    def close(self) -> None:
        """Wait a moment for the look under way: the log is to be closed after it."""
        look = self._look
        if look is not None:
            look.done.wait(PATIENCE)

    def _is_fresh(self) -> bool:
        known = self._known
        return known is not None and self._clock() - known[1] < FRESH

    def _last(self) -> Cursor | None:
        known = self._known
        return known[0] if known is not None else None

    def _saw(self, cursor: Cursor, at: float) -> None:
        known = self._known
        if known is not None and known[0].epoch == cursor.epoch and known[0].offset > cursor.offset:
            cursor = known[0]
        self._known = (cursor, at)

    def _wait_for_look(self, *, own: bool) -> None:
        """Wait for a look at the log, or not even that while it rests.

        Args:
            own: whether the look must have begun after this call; else one that has just ended will do.
        """
        deadline = self._clock() + PATIENCE
        while True:
            with self._lock:
                look, is_own = self._look, False
                if not own and self._is_fresh():
                    return  # asked again here: a look may have ended since
                if look is None and self._clock() >= self._rest_until:
                    look, is_own = self._begin(), True
            if look is None or look.late:
                return
            if not look.done.wait(max(0.0, deadline - self._clock())):
                look.late = True
                self._rest_until = self._clock() + REST
                return
            if is_own or not own:
                return

    def _begin(self) -> _Look | None:
        """Begin a look; the caller holds `_lock`. None: no thread can be had."""
        look = _Look()
        thread = threading.Thread(target=self._run, args=(look,), name="landline-position", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._trouble, self._rest_until = error, self._clock() + REST
            return None
        self._look = look
        return look

    def _run(self, look: _Look) -> None:
        """Look at the log, in a thread of its own."""
        began = self._clock()
        try:
            tail = self._log.tail()
        except Exception as error:  # noqa: BLE001  also what no log should raise: requests wait for this thread
            self._trouble, self._rest_until = error, self._clock() + REST
        else:
            self._saw(tail, began)
            self._trouble, self._rest_until = None, -float("inf")
        finally:
            with self._lock:
                self._look = None
            look.done.set()


class _Look:
    """One look at the log."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.late = False
        """Whether a request has waited for it in vain: the next ones do not wait at all."""
