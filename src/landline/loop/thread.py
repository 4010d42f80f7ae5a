"""The side loop's thread: an asyncio loop beside the WSGI threads, which owns every held connection.

Who touches what: everything belongs to the loop's thread, but `hold`, `admit`, `dismiss`, `full`, `taken`, `lag`,
`start`, `close` and `wake`, which any thread may call. Those share `_lock`, `_admitted`, `_leaving`, `_thread` and
`_loop`.

Invariants:

- One thread runs at most, and its loop is `_loop`. What goes wrong in the loop ends neither: `run_forever` is entered
  anew, whatever it raises. Should the thread be gone all the same, the next `start` begins with a new loop.
- A request is counted (`admit`) before its connection is handed over, and counted out once: by `ended`, or by
  `dismiss` where it was never held.
- A child of a fork has none of it: no thread, no loop, nothing held.
- A held request's way: a WSGI thread reads for it up to some position and hands it over (`hold`); here it is brought
  up to the loop's own position and joins its group (`fanout`). A poll held at the listener comes by `begin`: its
  connection stays the listener's, and may have the next one.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, TypeVar

from .. import forks
from ..access.limits import descriptors
from ..protocol.problem import app_failed
from ..protocol.websocket import Incoming
from ..serve.app_threads import Full
from ..serve.endpoints import Endpoints
from ..serve.observers import Closed, Opened
from ..serve.runtime import Runtime
from ..serve.subscription import Subscription
from .buffered import Pool, prepare
from .deadlines import spread_of
from .eventloop import Guest, Soon, new_loop
from .fanout import FanOut
from .held import HeldConnection, HeldRequest, Holder

LEAVE_WITHIN = 2.0
"""Seconds in which a process that ends says goodbye to its clients; slow readers are then cut."""

logger = logging.getLogger("flask_landline")
T = TypeVar("T")


class SideLoop:
    """Holds connections for one app, in one process; started by the first.

    Args:
        runtime: the app's Landline.
        endpoints: gives the advice that keepalives and answers repeat.
    """

    def __init__(self, runtime: Runtime, endpoints: Endpoints) -> None:
        self._runtime = runtime
        self._endpoints = endpoints
        # See SECURITY.md: descriptors-are-left
        self.budget = min(runtime.config.max_held, 0.8 * descriptors())
        """Requests held at most."""
        self.patience = 2 * runtime.config.keepalive
        """Seconds for which a peer need not acknowledge what it is sent."""
        self.incoming: Callable[[], Incoming] = Incoming
        """Makes what reads the client's side of a socket; conformance tests put an echo here."""
        self._max_open = 0.8 * descriptors()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.fanout: FanOut | None = None
        """The held requests, once the loop was started."""
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Leave the parent's connections to the parent, and start at nothing."""
        if self.fanout is not None:
            for held in self.fanout.held:
                forks.let_go(held.connection.sock)  # else the client would wait for this process too
        if self._loop is not None:
            _inherited.append(self._loop)
        self._lock = threading.Lock()
        self._admitted = 0
        self.pool = Pool(self._runtime.config.max_pending_total, self._max_open)
        """What all connections have together."""
        self._thread: threading.Thread | None = None
        self._loop = None
        self.fanout = None
        self._leaving = False
        self.guests: list[Guest] = []
        """What else lives in the loop, and must leave with it."""

    # From any thread

    @property
    def full(self) -> bool:
        """Whether there is no room for one more held request."""
        # See SECURITY.md: held-budget
        return self._admitted >= self.budget or self._leaving

    @property
    def taken(self) -> float:
        """The part of the budget that is taken."""
        return self._admitted / self.budget if self.budget else 1.0

    @property
    def lag(self) -> float:
        """Seconds by which the loop is late with what is due for its connections."""
        fanout = self.fanout
        return fanout.expiry.deadlines.lag if fanout is not None else 0.0

    def admit(self, remote: str) -> None:
        """Count one more request of an address, which must then be held.

        Raises:
            Refusal: `busy`, there is no room.
        """
        with self._lock:
            if self.full:
                raise self._endpoints.busy("This process holds as many requests as it may.")
            # See SECURITY.md: held-per-address-by-the-side-loop
            if not self._endpoints.limits.hold(remote):
                raise self._endpoints.busy("This process holds as many requests of this address as it may.")
            self._admitted += 1

    def dismiss(self, remote: str) -> None:
        """Count one admitted request of an address less, which is not held after all."""
        with self._lock:
            self._admitted -= 1
        self._endpoints.limits.release(remote)

    def hold(self, sock: socket.socket, subscription: Subscription, remote: str) -> None:
        """Take over an admitted connection of an address; its socket must not block."""
        self.start().call_soon_threadsafe(self.open, sock, subscription, remote)

    def start(self) -> asyncio.AbstractEventLoop:
        """Start the loop's thread, if it is not running in this process, and return the loop."""
        with self._lock:
            if self._thread is not None and not self._thread.is_alive() and not self._leaving:
                self._loop = None  # the thread has died
            if self._loop is None:
                loop = new_loop()
                self.attach(loop, ThreadPoolExecutor(2, thread_name_prefix="landline-reader"))
                self._thread = threading.Thread(target=self._run, args=(loop,), name="landline-loop", daemon=True)
                self._thread.start()
                atexit.register(self.close)
            assert self._loop is not None
            return self._loop

    def attach(self, loop: asyncio.AbstractEventLoop, executor: Executor) -> None:
        """Hold requests on a loop that the caller runs.

        Args:
            loop: not running yet.
            executor: where functions run that may take their time.
        """
        self._executor = executor
        self._tasks: set[asyncio.Task[None]] = set()
        self.soon = Soon(loop)
        self.fanout = FanOut(loop, self._runtime, self._endpoints, self)
        self._loop = loop

    def wake(self) -> None:
        """Have what is new delivered; called by the hub's thread once for a batch of events."""
        with self._lock:
            if self._loop is not None and self.fanout is not None:
                self._loop.call_soon_threadsafe(self.fanout.deliver)

    def close(self) -> None:
        """Say goodbye to all clients and end the thread; a later request to be held starts anew."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._leaving = True
        if loop is not None and thread is not None:
            atexit.unregister(self.close)
            if thread.is_alive():
                loop.call_soon_threadsafe(self._leave)
            thread.join()
        with self._lock:
            self._loop = self._thread = None
            self._leaving = False

    # In the loop's thread

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run something that may take its time in a thread of its own.

        Raises:
            Refusal: `app-failed`, in place of a `SystemExit` or the like. An app's function may raise one, as what it
                calls does (argparse, click), and asyncio would end the loop with it.
        """
        assert self._loop is not None
        return await self._loop.run_in_executor(self._executor, _contained, function, *args)

    def call_app(self, function: Callable[..., T], *args: Any, share: str, own: bool = False) -> asyncio.Future[T]:
        """Run something that calls functions of the app, in threads that are for nothing else; see `AppThreads`.

        Args:
            function: what to call.
            args: its arguments.
            share: for whom: a client's address, or a name for a part of this process.
            own: whether it is for this process itself, and must not be refused.

        Raises:
            Refusal: `busy`, too many wait already; or, from the future, `app-failed` in place of a `SystemExit`.
        """
        assert self._loop is not None
        try:
            future = self._runtime.app_threads.submit(function, *args, share=share, own=own)
        except Full as error:
            raise self._endpoints.app_busy(str(error)) from error
        return asyncio.wrap_future(future, loop=self._loop)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine to its end, or to the loop's."""
        assert self._loop is not None
        task = self._loop.create_task(work)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._ended_task)

    def open(self, sock: socket.socket, subscription: Subscription, remote: str) -> None:
        """Hold a request on a connection that is for nothing else."""
        assert self._loop is not None
        prepare(sock, self.patience)
        most = self._runtime.config.max_pending + len(subscription.first)
        self.begin(HeldConnection(self._loop, sock, most, self), subscription, remote)

    def begin(self, connection: Holder, subscription: Subscription, remote: str) -> None:
        """Hold an admitted request."""
        assert self.fanout is not None
        grant = subscription.grant
        lasts = self._runtime.authorizer.seconds_left(grant) if grant is not None else None
        connection.held = held = HeldRequest(connection, subscription, remote, lasts, self)
        self._runtime.observers.opened(Opened(remote, subscription.transport.name, subscription.query))
        self.fanout.begin(held, subscription, leaving=self._leaving)

    def ended(self, held: HeldRequest, reason: str) -> None:
        """Count a request out."""
        assert self.fanout is not None
        self.fanout.ended(held)
        self.dismiss(held.remote)
        seconds = held.connection.loop.time() - held.opened
        self._runtime.observers.closed(Closed(held.remote, held.transport.name, held.query, seconds, held.sent, reason))

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            self._run_until_left(loop)
        finally:
            for task in self._tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
            self._executor.shutdown(cancel_futures=True)
            loop.close()

    def _run_until_left(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run until `_stop`; asyncio passes on a `SystemExit` or `KeyboardInterrupt`, with the loop as it was."""
        while True:
            try:
                loop.run_forever()
            except BaseException:
                logger.exception("Something would have ended the side loop, which goes on.")
            else:
                return

    def _ended_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("A held request was given up.", exc_info=task.exception())

    # The end

    def _leave(self) -> None:
        """Say goodbye to all clients, spread over as long as those who follow need to take them in."""
        assert self._loop is not None
        assert self.fanout is not None
        for guest in self.guests:
            guest.leave()
        self.fanout.say_goodbye(list(self.fanout.held), spread_of(len(self.fanout.held)))
        self._loop.call_later(LEAVE_WITHIN, self._stop)
        self.spawn(self._stop_when_empty())

    async def _stop_when_empty(self) -> None:
        assert self.fanout is not None
        while self.fanout.held:
            await asyncio.sleep(0.01)
        self._stop()

    def _stop(self) -> None:
        assert self._loop is not None
        assert self.fanout is not None
        for held in list(self.fanout.held):
            held.connection.close("left")
        for guest in self.guests:
            guest.leave()
        self._loop.stop()


def _contained(function: Callable[..., T], *args: Any) -> T:
    try:
        return function(*args)
    except Exception:
        raise
    except BaseException as error:
        logger.exception(
            "A function of the app ended with %s, which ends neither thread nor process.", type(error).__name__
        )
        raise app_failed() from error


_inherited: list[object] = []
"""Loops of a parent process: collecting one would close descriptors that the parent's still uses."""
