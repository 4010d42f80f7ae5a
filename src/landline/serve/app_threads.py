"""Threads that run functions of the app where no thread of a server does: for the second door and the side loop.

A reader function may ask a database, a snapshot may render a page, a source may wait for a sensor. So they have
threads of their own: however long they take, the loop goes on sending, and reading the log for held connections, which
has other threads, does not wait behind them.

Each call is made for a *share*: for a client's address, or for a part of this process such as its sources.

Invariants, each true whenever `_lock` is free:

- *No call is left lying.* A call that its share may run now has a worker: one that was woken for it, one that was just
  started, or one that is at work, because there are no more to be, and takes another call when it ends this one. A call
  whose share runs in as many threads as it may is taken by one of just those, when that has ended its call.
- *Fair.* Shares take turns, one call each, whatever the length of their queues. Within a share, calls keep their order.
- *No share has all threads*, where there are several. Slow functions for one address, or three sources that hang, leave
  a thread to the others.
- *Bounded.* At most `most` calls wait, and at most `most_of_one` for one share; what comes beyond is refused at once.
  Calls for this process itself are not refused: it makes no more of them than it holds connections.
- *A call whose future is cancelled before it begins leaves the queue*, so a client that has gone is not asked about,
  and fills no queue. A call that has begun runs to its end: Python cannot stop a thread.

Who may call what: everything may be called from any thread. Futures are cancelled and resolved without `_lock`, for
their callbacks may come back here.

A race thought through: a future that is cancelled just as a worker takes its call is decided by the future alone
(`set_running_or_notify_cancel`); whichever of the two comes second does nothing.

Whatever a function raises ends neither its thread nor the process. `SystemExit`, which says "end this process" to a
server's thread, is here what a library does with a value that it does not like: it is logged, and the call has failed.

Known weakness: a function that never returns keeps its thread for as long as the process lives.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from .. import forks
from ..protocol.problem import app_failed

MOST = 1024
"""Calls that may wait. At five milliseconds each, four threads are through them in little more than a second."""
MOST_OF_ONE = 256
"""Calls that may wait for one address: a school that opens one page, but not all that there is room for."""
END_WITHIN = 2.0
"""Seconds for which `close` waits for calls that run; a thread that takes longer does not keep the process."""

T = TypeVar("T")
logger = logging.getLogger("flask_landline")


class Full(Exception):
    """There is no room for one more call; the message says whose calls there are too many of."""


class _Call(NamedTuple):
    future: Future[Any]
    function: Callable[[], Any]


class AppThreads:
    """Runs calls in a few threads, fair to all for whom they are made. A thread starts when it is first needed.

    Args:
        threads: how many, at most.
        most: calls that may wait.
        most_of_one: calls that may wait for one share.
    """

    def __init__(self, threads: int, *, most: int = MOST, most_of_one: int = MOST_OF_ONE) -> None:
        self._threads = threads
        self._most_at_once = max(1, threads - 1)
        self._most = most
        self._most_of_one = most_of_one
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Begin with no thread and no call: the parent's stayed with the parent."""
        self._lock = threading.Condition()
        """Notified once for each call that comes, so it wakes one idle worker."""
        self._workers: set[threading.Thread] = set()
        """Those that go on when they have ended a call."""
        self._idle = 0
        self._queues: dict[str, deque[_Call]] = {}
        """The calls that wait, by share, in the order of the shares' next turns; no queue is empty."""
        self._waiting = 0
        self._running: Counter[str] = Counter()

    def submit(self, function: Callable[..., T], *args: Any, share: str, own: bool = False) -> Future[T]:
        """Have a function called in a thread; what it returns or raises becomes the future's.

        Args:
            function: what to call.
            args: its arguments.
            share: for whom: a client's address, or a name for a part of this process.
            own: whether it is for this process itself, and must not be refused.

        Raises:
            Full: too many calls wait already.
            RuntimeError: the system gives this process no thread.
        """
        call = _Call(Future(), functools.partial(function, *args))
        with self._lock:
            if not own:
                self._require_room(share)
            # Before the call is put in: where not even the first thread can be had, nothing is left lying.
            if self._waiting >= self._idle and len(self._workers) < self._threads:
                self._start_worker()
            self._queues.setdefault(share, deque()).append(call)
            self._waiting += 1
            self._lock.notify()
        call.future.add_done_callback(functools.partial(self._forget, share, call))
        return call.future

    def close(self, within: float = END_WITHIN) -> None:
        """Cancel the calls that wait, and wait some seconds for those that run; a later call starts threads anew."""
        with self._lock:
            workers, self._workers = self._workers, set()
            left = [call.future for queue in self._queues.values() for call in queue]
            self._lock.notify_all()
        for future in left:
            future.cancel()
        until = time.monotonic() + within
        for worker in workers - {threading.current_thread()}:
            worker.join(max(0.0, until - time.monotonic()))

    def _require_room(self, share: str) -> None:
        # See SECURITY.md: app-calls-have-an-end
        if self._waiting >= self._most:
            raise Full("Too many requests wait for the app in this process.")
        # See SECURITY.md: app-calls-have-shares
        if len(self._queues.get(share, ())) >= self._most_of_one:
            raise Full("Too many requests of this address wait for the app in this process.")

    def _start_worker(self) -> None:
        # A daemon, or a function that never returns would keep the process from ending.
        worker = threading.Thread(target=self._work, name="landline-app", daemon=True)
        self._workers.add(worker)
        try:
            worker.start()
        except RuntimeError:
            self._workers.discard(worker)
            if not self._workers:
                raise

    def _forget(self, share: str, call: _Call, future: Future[Any]) -> None:
        """Take a call that was cancelled out of its queue; called whenever a future is done."""
        if not future.cancelled():
            return
        with self._lock:
            queue = self._queues.get(share)
            if queue is not None and call in queue:  # else a worker has just taken it
                # See SECURITY.md: gone-clients-fill-no-queue
                queue.remove(call)
                self._waiting -= 1
                if not queue:
                    del self._queues[share]

    def _work(self) -> None:
        while (taken := self._wait()) is not None:
            share, call = taken
            # See SECURITY.md: gone-clients-are-not-asked-about
            if call.future.set_running_or_notify_cancel():
                _run(call)
            with self._lock:
                self._running[share] -= 1
                if not self._running[share]:
                    del self._running[share]

    def _wait(self) -> tuple[str, _Call] | None:
        """Wait for a call, and take it; None when this worker is to end."""
        with self._lock:
            while threading.current_thread() in self._workers:
                taken = self._take()
                if taken is not None:
                    return taken
                self._idle += 1
                self._lock.wait()
                self._idle -= 1
            self._lock.notify()  # what was to wake this worker, or waited for its share, is another's
        return None

    def _take(self) -> tuple[str, _Call] | None:
        """Take the next call of the share whose turn it is; None where no share may have one run now."""
        # See SECURITY.md: no-address-has-all-app-threads
        share = next((share for share in self._queues if self._running[share] < self._most_at_once), None)
        if share is None:
            return None
        queue = self._queues.pop(share)
        call = queue.popleft()
        if queue:
            self._queues[share] = queue  # behind all others
        self._waiting -= 1
        self._running[share] += 1
        return share, call


def _run(call: _Call) -> None:
    """Call a function, and resolve its future. Raises nothing."""
    try:
        result = call.function()
    except Exception as error:  # noqa: BLE001  the future's
        call.future.set_exception(error)
    except BaseException as error:
        logger.exception(
            "A function of the app raised %s. In this thread, which serves many clients, that fails this one call, and "
            "does not end the process.",
            type(error).__name__,
        )
        refusal = app_failed()
        refusal.__cause__ = error
        # See SECURITY.md: exits-of-app-functions-end-nothing
        call.future.set_exception(refusal)
    else:
        call.future.set_result(result)
