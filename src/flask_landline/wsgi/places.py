"""Requests held in place: in their greenlet, or in a thread of the server, where no socket can be taken."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from werkzeug.wsgi import ClosingIterator

from .. import access_log, forks
from ..errors import LogError, Refusal
from ..protocol.poll import LongPoll
from ..protocol.problem import problem
from ..protocol.sse import stream_head
from ..reading import Reading
from ..returning import RETURN_LEAST
from ..sideloop import RETRY_PAUSE
from ..state import State
from ..wire import Hold, Wire
from .send import send

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


LOOK = 0.5
"""Seconds between looks whether the process is ending; gunicorn itself looks each second."""
RETURN = 2.0
"""Seconds over which the readers of a process that ends are asked to come back."""


class _Visit:
    """What the access log is told of a request held in place."""

    def __init__(self, remote: str, told: int) -> None:
        self.remote = remote
        self.began = time.monotonic()
        self.told = told


class Places:
    """A budget of requests of this process that may wait where they are; safe to use from any of them.

    `threading` is right for greenlets too: gevent's worker has replaced what is in it.

    Args:
        state: the app's Landline.
        wire: gives the advice.
        budget: requests held at once, at most.
        is_ending: tells whether the process is waiting for its requests to end; None: nobody knows.
    """

    def __init__(self, state: State, wire: Wire, budget: float, *, is_ending: Callable[[], bool] | None = None) -> None:
        self._is_ending = is_ending
        self._state = state
        self._wire = wire
        self._budget = budget
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Hold nothing: the parent's requests stayed with the parent."""
        self._lock = threading.Lock()
        self._held = 0
        self._hints: set[threading.Event] = set()
        self._looking = False
        self._ending = False

    @property
    def taken(self) -> float:
        """The part of the budget that is taken."""
        return self._held / self._budget if self._budget else 1.0

    @property
    def free(self) -> bool:
        """Whether one more may be held now."""
        return self._held < self._budget

    def hold(self, hold: Hold, remote: str, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Wait for what a request of an address is to be told, and answer it."""
        with self._lock:
            taken = self._held < self._budget and self._wire.limits.hold(remote)
            self._held += taken
        if not taken:
            refusal = self._wire.busy("All places for held requests are taken.")
            return send(self._wire.unheld(hold, refusal), environ, start_response)
        visit = _Visit(remote, hold.told)
        if hold.transport.ends:
            try:
                return self._long_poll(hold, visit, environ, start_response)
            finally:
                self._end(hold, visit, "done")
        head = stream_head(hold.headers)
        start_response(head.status, head.headers)
        # Not a `finally` in the generator: one that was never begun would not run it.
        return ClosingIterator(
            self._stream(hold, visit), lambda: self._end(hold, visit, "left" if self._ending else "gone")
        )

    def _end(self, hold: Hold, visit: _Visit, reason: str) -> None:
        with self._lock:
            self._held -= 1
        self._wire.limits.release(visit.remote)
        seconds = time.monotonic() - visit.began
        access_log.log(visit.remote, hold.transport.name, hold.query, seconds, visit.told, reason)

    @contextmanager
    def _listening(self) -> Iterator[threading.Event]:
        """Give a hint that is set when there may be something new, or the process ends."""
        hint = threading.Event()
        with self._lock:
            self._hints.add(hint)
            if self._is_ending is not None and not self._looking:
                self._looking = True
                look = threading.Thread(target=self._look, args=(self._is_ending,), name="landline-look", daemon=True)
                look.start()
        try:
            with self._state.hub.listening(hint.set):
                yield hint
        finally:
            with self._lock:
                self._hints.discard(hint)

    def _look(self, is_ending: Callable[[], bool]) -> None:
        """Look, for as long as anything is held, whether the process is ending; held requests would keep it."""
        while True:
            with self._lock:
                self._ending = is_ending()
                if self._ending:
                    for hint in self._hints:
                        hint.set()
                if not self._hints:
                    self._looking = False
                    return
            time.sleep(LOOK)

    def _lasts(self, hold: Hold) -> float:
        """Return the seconds for which a request may be held, by its grant."""
        return math.inf if hold.grant is None else self._state.gate.seconds_left(hold.grant)

    def _long_poll(
        self, hold: Hold, visit: _Visit, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer a poll when there is something to tell, or its time is up."""
        assert hold.wait is not None
        assert isinstance(hold.transport, LongPoll)
        deadline = time.monotonic() + min(hold.wait, self._lasts(hold))
        with self._listening() as hint:
            while True:
                # Registered above, cleared here, read, and only then waited: no event falls in between.
                hint.clear()
                due = self._state.sources.ask(hold.items)
                try:
                    reading = self._state.hub.read(hold.names, hold.cursor)
                    snapshots = self._state.snapshots(hold.items, reading, hold.site)
                    # After reading, snapshots too: nothing is sent of what came behind the revocation.
                    if self._state.is_closed(hold.items, hold.grant, ask_log=bool(snapshots)):
                        nothing = Reading((), hold.cursor, hold.cursor)
                        reply = hold.transport.reply(nothing, (), self._wire.advice(hold.transports))
                        return send(reply, environ, start_response)
                except LogError as error:
                    return send(self._wire.unreadable(error, hold.headers), environ, start_response)
                except Refusal as refusal:
                    return send(problem(refusal, hold.headers), environ, start_response)
                remaining = deadline - time.monotonic()
                if reading.has_news or remaining <= 0 or self._ending:
                    visit.told += len(reading.events)
                    reply = hold.transport.reply(reading, snapshots, self._wire.advice(hold.transports))
                    return send(reply, environ, start_response)
                hint.wait(min(remaining, due))

    def _stream(self, hold: Hold, visit: _Visit) -> Iterator[bytes]:
        """Yield what an event stream is told, for as long as the server asks for more."""
        keepalive = self._state.config.keepalive
        cursor = hold.cursor
        deadline = time.monotonic() + self._lasts(hold)
        revoked = False
        with self._listening() as hint:
            yield hold.first
            quiet_since = time.monotonic()
            while True:
                if revoked or self._ending or time.monotonic() >= deadline:
                    # Grants end at times of their own; all others are sent away together.
                    spread = RETURN if revoked or self._ending else RETURN_LEAST
                    yield hold.transport.goodbye(random.uniform(RETURN_LEAST, spread))
                    return
                hint.clear()
                due = self._state.sources.ask(hold.items)
                try:
                    reading = self._state.hub.read(hold.names, cursor)
                    snapshots = self._state.snapshots(hold.items, reading, hold.site)
                    # After reading, snapshots too: nothing is sent of what came behind the revocation.
                    revoked = self._state.is_closed(hold.items, hold.grant, ask_log=bool(snapshots))
                    if revoked:
                        continue
                except LogError as error:
                    self._state.hub.warn("A held line waits until it can be told more.", error)
                    hint.wait(RETRY_PAUSE)
                    continue
                except Refusal:
                    # A snapshot failed. The client still stands before the reset, and its next poll is told.
                    yield hold.transport.goodbye(random.uniform(RETURN_LEAST, RETURN))
                    return
                cursor = reading.cursor
                quiet = time.monotonic() - quiet_since
                advice = self._wire.advice(hold.transports)
                if reading.has_news:
                    visit.told += len(reading.events)
                    yield hold.transport.tell(reading, snapshots, advice, time.time())
                elif quiet >= keepalive:
                    yield hold.transport.keepalive(cursor, advice, time.time())
                else:
                    hint.wait(min(due, keepalive - quiet, deadline - time.monotonic()))
                    continue
                quiet_since = time.monotonic()
