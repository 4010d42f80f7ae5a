"""The side loop: an asyncio loop in a daemon thread beside the WSGI threads, which owns every held connection.

Lines that read the same channels by the same transport stand at the same position and are owed the same bytes:
they form a `Feed`. An event costs one rendering for each feed that reads its channel, and one `send` for each line.

Who touches what: everything here belongs to the loop's thread, but `hold`, `admit`, `full`, `start`, `close` and the
hub's wake-up, which may be called from any. Those share `_lock`, `_admitted`, `_thread` and `_loop`.

A line's way: a WSGI thread reads for it up to some position and hands it over; here it is brought up to the loop's own
position and only then joins its feed. As both happen in one thread, no event falls between reading and joining.
A poll held at the listener ends the same way, but its connection stays, and is the next one's line.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import logging
import math
import random
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from . import access_log, forks
from .asking import SourceAsking
from .channel import RESERVED
from .cursor import Cursor
from .errors import LogError, Refusal
from .event import Event
from .eventloop import Guest, Soon, new_loop
from .feeds import Feed, Feeds
from .limits import descriptors
from .line import Line
from .outlet import prepare
from .protocol.websocket import Incoming
from .reading import PAGE_EVENTS, Reading, page
from .returning import RETURN_LEAST, RETURN_WITHIN, spread
from .signs import Signs
from .state import State
from .wheel import TICK, Wheel
from .wire import Hold, Wire

RETRY_PAUSE = 1.0
"""Seconds between two tries to read a log that cannot be read; held lines wait meanwhile."""
LEAVE_WITHIN = 2.0
"""Seconds in which a process that ends says goodbye to its lines; slow readers are then cut."""

logger = logging.getLogger("flask_landline")
T = TypeVar("T")


class SideLoop:
    """Holds connections for one app, in one process; started by the first.

    Args:
        state: the app's Landline.
        wire: gives the advice that keepalives and answers repeat.
    """

    def __init__(self, state: State, wire: Wire) -> None:
        self._state = state
        self._hub = state.hub
        self._wire = wire
        self.budget = min(state.config.max_held, 0.8 * descriptors())
        """Requests held at most."""
        self.patience = 2 * state.config.keepalive
        """Seconds for which a peer need not acknowledge what it is sent."""
        self.incoming: Callable[[], Incoming] = Incoming
        """Makes what reads the client's side of a socket; conformance tests put an echo here."""
        self._lines: set[Line] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Leave the parent's lines to the parent, and start at nothing."""
        for line in self._lines:
            forks.let_go(line.sock)  # else the client would wait for this process too
        if self._loop is not None:
            forks.keep(self._loop)
        self._lock = threading.Lock()
        self._admitted = 0
        self._thread: threading.Thread | None = None
        self._loop = None
        self._leaving = False
        self._lines = set()
        self.guests: list[Guest] = []
        """Who else lives in the loop, and must leave with it."""
        self._feeds = Feeds()
        self._position: Cursor | None = None
        self._asking = SourceAsking(self._state.sources, self._feeds, self.call, self.spawn)
        self._retrying = False
        self._signs = Signs(self._wire)

    @property
    def full(self) -> bool:
        """Whether there is no room for one more line."""
        return self._admitted >= self.budget or self._leaving

    @property
    def taken(self) -> float:
        """The part of the budget that is taken."""
        return self._admitted / self.budget if self.budget else 1.0

    @property
    def lag(self) -> float:
        """Seconds by which the loop is late with what is due for its lines."""
        return self._wheel.lag if self._loop is not None else 0.0

    def admit(self, remote: str) -> None:
        """Count one more line of an address, which must then be held.

        Raises:
            Refusal: `busy`, there is no room.
        """
        with self._lock:
            if self.full:
                raise self._wire.busy("This process holds as many requests as it may.")
            if not self._wire.limits.hold(remote):
                raise self._wire.busy("This process holds as many requests of this address as it may.")
            self._admitted += 1

    def dismiss(self, remote: str) -> None:
        """Count one admitted line of an address less, which is not held after all."""
        with self._lock:
            self._admitted -= 1
        self._wire.limits.release(remote)

    def hold(self, sock: socket.socket, hold: Hold, remote: str) -> None:
        """Take over an admitted connection of an address; its socket must not block."""
        self.start().call_soon_threadsafe(self.open, sock, hold, remote)

    def start(self) -> asyncio.AbstractEventLoop:
        """Start the loop's thread, if it is not running in this process, and return the loop."""
        with self._lock:
            if self._loop is None:
                loop = new_loop()
                self._wheel: Wheel[Line] = Wheel(loop, self._serve)
                self.soon = Soon(loop)
                self._loop = loop  # after the wheel: `lag` is asked without the lock
                self._thread = threading.Thread(target=self._run, args=(loop,), name="landline-loop", daemon=True)
                self._thread.start()
                atexit.register(self.close)
            return self._loop

    def close(self) -> None:
        """Say goodbye to all lines and end the thread; a later line starts anew."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._leaving = True
        if loop is not None and thread is not None:
            atexit.unregister(self.close)
            loop.call_soon_threadsafe(self._leave)
            thread.join()
        with self._lock:
            self._loop = self._thread = None
            self._leaving = False

    # In the loop's thread

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run something that may take its time in a thread of its own."""
        assert self._loop is not None
        return await self._loop.run_in_executor(self._executor, function, *args)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine to its end, or to the loop's."""
        assert self._loop is not None
        task = self._loop.create_task(work)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._ended_task)

    def open(self, sock: socket.socket, hold: Hold, remote: str) -> None:
        """Begin a line on a connection that is for nothing else."""
        assert self._loop is not None
        prepare(sock, self.patience)
        line = Line(self._loop, sock, self._state.config.max_pending + len(hold.first), self)
        self.begin(line, hold, remote)

    def begin(self, line: Line, hold: Hold, remote: str) -> None:
        """Hold a request: send what there is to tell at once, bring the line up to date, and let it join its feed."""
        is_first = not self._lines
        line.begin(hold, remote, self._state.gate.seconds_left(hold.grant) if hold.grant is not None else None)
        self._lines.add(line)
        try:
            if is_first:
                self._hub.register(self._wake)
        except BaseException:  # no thread can be had
            line.close("failed")
            raise
        try:
            revoked = self._state.is_closed(hold.items, hold.grant)  # since the request was let through
        except LogError as error:
            self._hub.warn("A line ends, as the log cannot say whether its grant is revoked.", error)
            revoked = True  # nobody knows: it may ask again
        if hold.head:
            line.write(hold.head if revoked else hold.head + hold.first)
        if revoked or self._leaving:
            self._say_goodbye(line, RETURN_WITHIN)
            return
        self._look_at(line, self._due(line))
        if hold.more or not self._join(hold, [line], hold.cursor):
            self._read_on(hold, [line], hold.cursor)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        self._executor = ThreadPoolExecutor(2, thread_name_prefix="landline-reader")
        self._tasks: set[asyncio.Task[None]] = set()
        try:
            loop.run_forever()
        finally:
            for task in self._tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
            self._executor.shutdown(cancel_futures=True)
            loop.close()

    def _ended_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("A held line was given up.", exc_info=task.exception())

    def _wake(self) -> None:
        """Called by the hub, in its follower's thread: one wake-up for a batch of events, not for each line."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        """Tell all feeds what is new, and bring the loop's position up to the hub's window."""
        if not self._lines:
            return  # woken late: while nobody is registered, a position would not be kept up to date
        events = self._hub.since(self._position) if self._position is not None else None
        if events is None:
            self._resync()
        elif events:
            # Before anybody is told what came after it.
            if any(event.channel == RESERVED for event in events) and not self._end_revoked():
                return
            tail = self._position = Cursor(events[-1].epoch, events[-1].offset)
            for feed, theirs in self._feeds.owed(events).items():
                self._tell(feed, theirs, tail)

    def _tell(self, feed: Feed, events: list[Event], tail: Cursor) -> None:
        """Render events once, in pages as the wire wants them, and send the bytes to each line of a feed."""
        assert self._loop is not None
        while events and feed.lines:
            reading = page(events, tail, tail, None, PAGE_EVENTS)
            data = self._render(feed.hold, reading, [])
            feed.told += len(reading.events)
            feed.written = self._loop.time()
            events = events[len(reading.events) :]
            if feed.hold.transport.ends:
                for line in self._feeds.take(feed):
                    line.finish(data)
            else:
                for line in list(feed.lines):
                    line.write(data)

    def _render(self, hold: Hold, reading: Reading, snapshots: list[Event]) -> bytes:
        return hold.transport.tell(reading, snapshots, self._wire.advice(hold.transports), time.time())

    def _resync(self) -> None:
        """Find a position when the window does not reach back to ours: each feed reads on for itself."""
        before = self._position
        try:
            tail = self._hub.tail()
        except LogError as error:
            self._hub.warn("Held lines wait until the log can be read again.", error)
            self._retry_later()
            return
        if not self._end_revoked():
            return
        self._position = tail
        if before is None:
            return
        for feed in list(self._feeds):
            lines = list(feed.lines)
            for line in lines:
                self._feeds.part(line)
            self._read_on(feed.hold, lines, before)

    def _end_revoked(self) -> bool:
        """Say goodbye to lines whose grants are revoked, or whose channels another app guards now.

        Returns False if nobody knows which, and it is tried again soon.

        It looks at every line: revocations are rare.
        """
        try:
            closed = {feed for feed in self._feeds if self._state.apps.closes(feed.hold.items)}
            revoked = [
                line
                for line in self._lines
                if line.open and (line.feed in closed or self._state.gate.is_revoked(line.grant))
            ]
        except LogError as error:
            self._hub.warn("Held lines wait until the log can say which grants are revoked.", error)
            self._retry_later()
            return False
        for line in revoked:
            self._say_goodbye(line, spread(len(revoked)))
        return True

    async def _without_closed(self, hold: Hold, lines: list[Line], *, ask_log: bool) -> list[Line]:
        """Say goodbye to those lines to which what was read must not be sent, and return the others.

        Raises:
            LogError: nobody knows which are.
        """
        grants = {line.grant for line in lines}
        is_closed = functools.partial(self._state.is_closed, hold.items, ask_log=ask_log)
        closed = await self.call(lambda: {grant for grant in grants if is_closed(grant)})
        for line in lines:
            if line.open and line.grant in closed:
                self._say_goodbye(line, spread(len(lines)))
        return [line for line in lines if line.grant not in closed]

    def _retry_later(self) -> None:
        assert self._loop is not None
        if not self._retrying:
            self._loop.call_later(RETRY_PAUSE, self._retry)
            self._retrying = True

    def _retry(self) -> None:
        self._retrying = False
        self._deliver()

    def _join(self, hold: Hold, lines: list[Line], cursor: Cursor) -> bool:
        """Let lines at `cursor` join their feed, told what lies between; False if only the log knows that."""
        self._deliver()
        if self._position is None:
            return False
        events = self._hub.peek(hold.names, cursor, self._position.offset)
        if events is None or len(events) > PAGE_EVENTS:
            return False
        # `_deliver` looks at all grants, but for what other apps guard only at feeds, and these lines are in none yet.
        try:
            if self._state.apps.closes(hold.items):
                for line in lines:
                    self._say_goodbye(line, spread(len(lines)))
                return True
        except LogError:
            return False  # reading on for them finds the same, and waits
        if events:
            reading = page(events, cursor, self._position, None, PAGE_EVENTS)
            if reading.more:
                return False
            self._tell_some(hold, lines, reading, [])
        lines = [line for line in lines if line.open]
        for line in lines:
            line.away = False
        if lines:
            self._feeds.join(hold, lines)
            self._asking.ensure(hold.items)
        return True

    def _read_on(self, hold: Hold, lines: list[Line], cursor: Cursor) -> None:
        """Have the log read for lines that only it can bring up to date."""
        for line in lines:
            line.away = True
        self.spawn(self._catch_up(hold, lines, cursor))

    async def _catch_up(self, hold: Hold, lines: list[Line], cursor: Cursor) -> None:
        """Read from the log for lines at `cursor` until they can join their feed."""
        while lines := await self._with_room(hold, lines, cursor):
            try:
                reading = await self.call(self._hub.read, hold.names, cursor)
                snapshots = await self.call(self._state.snapshots, hold.items, reading, hold.site)
                # After reading, and before anything is sent: what came behind a revocation may be in the reading, and
                # the wake-up that has `_deliver` end its lines may be late.
                lines = await self._without_closed(hold, lines, ask_log=bool(snapshots))
            except LogError as error:
                self._hub.warn("A held line waits until it can be told more.", error)
                await asyncio.sleep(RETRY_PAUSE)
                continue
            except Refusal:
                # A snapshot failed. The clients stand before the reset, and their next polls say why.
                for line in lines:
                    self._say_goodbye(line, spread(len(lines)))
                return
            if reading.has_news:
                self._tell_some(hold, lines, reading, snapshots)
            cursor = reading.cursor
            if not reading.more and self._join(hold, lines, cursor):
                return

    async def _with_room(self, hold: Hold, lines: list[Line], cursor: Cursor) -> list[Line]:
        """Wait until lines have taken what they were told; who takes long goes on alone, at its own pace."""
        if any(line.open and not line.flushed for line in lines):
            await asyncio.sleep(TICK)
        slow = [line for line in lines if line.open and not line.flushed]
        if len(slow) == len(lines) == 1:
            while lines[0].open and not lines[0].flushed:
                await asyncio.sleep(TICK)
        else:
            for line in slow:
                self._read_on(hold, [line], cursor)
        return [line for line in lines if line.open and line.flushed]

    def _tell_some(self, hold: Hold, lines: list[Line], reading: Reading, snapshots: list[Event]) -> None:
        assert self._loop is not None
        data = self._render(hold, reading, snapshots)
        for line in lines:
            line.told += len(reading.events)
            line.written = self._loop.time()
            if hold.transport.ends:
                line.away = False
                line.finish(data)
            else:
                line.write(data)

    def ended(self, line: Line, reason: str) -> None:
        """Count a line out."""
        self._feeds.part(line)
        self._lines.discard(line)
        self.dismiss(line.remote)
        if not self._lines:
            self._hub.unregister(self._wake)
            self._position = None
        held = line.loop.time() - line.opened
        access_log.log(line.remote, line.transport.name, line.query, held, line.told, reason)

    # Deadlines: of a long poll, its answer; of a stream, its keepalive, and the end of what it was granted

    def _due(self, line: Line) -> float:
        due = math.inf if line.due is None else line.due
        if line.transport.ends:
            return due
        written = max(line.written, line.feed.written) if line.feed is not None else line.written
        return min(due, written + self._state.config.keepalive)

    def _look_at(self, line: Line, when: float) -> None:
        """Have a line served at a time; an earlier one that is set already stays, and sees to the rest."""
        if when < line.look:
            line.look = when
            self._wheel.add(line, when)

    def _serve(self, line: Line, now: float) -> None:
        if now < line.look:
            return  # of a held poll that was answered; the connection's next one has its own time
        line.look = math.inf
        if not line.held or not line.open:
            return
        if self._due(line) > now:
            self._look_at(line, self._due(line))  # something was told in the meantime
        elif line.due is not None and line.due <= now:
            self._say_goodbye(line, RETURN_LEAST)  # grants end at times of their own: nobody has to be spread
        else:
            if line.feed is not None and self._position is not None:
                line.write(self._signs.of(line, self._position, now))
            line.written = now
            self._look_at(line, self._due(line))

    def _answer(self, line: Line) -> None:
        """Answer a long poll that nothing came for; its cursor stays, unless the window has left it behind."""
        assert line.cursor is not None
        at_hand = self._position is None or self._hub.since(line.cursor) is not None
        cursor = line.cursor if at_hand or line.feed is None else self._position
        assert cursor is not None
        line.finish(line.transport.keepalive(cursor, self._wire.advice(line.transports), time.time()))
        self._feeds.part(line)

    # The end

    def _leave(self) -> None:
        """Say goodbye to everybody, spread over as long as those who follow need to take them in."""
        for guest in self.guests:
            guest.leave()
        lines = list(self._lines)
        for line in lines:
            self._say_goodbye(line, spread(len(lines)))
        assert self._loop is not None
        self._loop.call_later(LEAVE_WITHIN, self._stop)
        self.spawn(self._stop_when_empty())

    def _say_goodbye(self, line: Line, spread: float) -> None:
        if line.transport.ends:
            self._answer(line)
        else:
            line.finish(line.transport.goodbye(random.uniform(RETURN_LEAST, spread)))

    async def _stop_when_empty(self) -> None:
        while self._lines:
            await asyncio.sleep(0.01)
        self._stop()

    def _stop(self) -> None:
        assert self._loop is not None
        for line in list(self._lines):
            line.close("left")
        for guest in self.guests:
            guest.leave()
        self._loop.stop()
