"""Requests held in place: in their greenlet, or in a thread of the server, where no socket can be taken.

What becomes of such a request is `serve/subscription.py`; here its steps are carried out by the thread or greenlet that
serves it. What is true at every moment:

- `_held`, `_hints`, `_looking` and `_ending` change under `_lock`. A place is taken before the request waits, and given
  back once: when a poll is answered, or when the server closes a stream's body, also one that was never begun.
- A hint is registered with the hub before the first reading, and cleared only after a wait. An event that comes after
  a reading has set it, and the wait behind that reading ends at once.
- One thread looks at all that is held (`_look`), for as long as there is anything: whether the process is ending, which
  no server announces, and whether a client does not read. Under gevent a server's sending waits for such a client
  without end, and the greenlet with it; the look cuts the connection, the sending fails, the server closes the body.

Known weakness: in a plain thread nothing cuts a client that does not read. Only polls are held there, and their answers
fit into the kernel's buffer.
"""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ... import forks
from ...errors import LogError
from ...loop.deadlines import RETURN_LEAST
from ...loop.thread import LEAVE_WITHIN
from ...protocol.poll import LongPoll
from ...protocol.problem import problem
from ...protocol.sse import stream_head
from ...reading import Reading
from ...serve.endpoints import Endpoints
from ...serve.observers import Closed, Opened
from ...serve.runtime import Runtime
from ...serve.subscription import Finish, Pause, Send, Services, Sign, Subscription, Terms, progress
from ...serve.waiting import drive
from . import takeover
from .gunicorn import send

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


LOOK = 0.5
"""Seconds between looks whether the process is ending; gunicorn itself looks each second."""
PATIENCE = 2
"""Keepalives for which a client may leave what it is sent unread: the side loop's patience with such a client."""
RETURN = 2.0
"""Seconds over which the readers of a process that ends are asked to come back."""


class BlockingHolds:
    """A budget of requests of this process that may wait where they are; safe to use from any of them.

    `threading` is right for greenlets too: gevent's worker has replaced what is in it.

    Args:
        runtime: the app's Landline.
        endpoints: gives the advice.
        budget: requests held at once, at most.
        is_ending: tells whether the process is waiting for its requests to end; None: nobody knows.
    """

    def __init__(
        self, runtime: Runtime, endpoints: Endpoints, budget: float, *, is_ending: Callable[[], bool] | None = None
    ) -> None:
        self._is_ending = is_ending
        self._runtime = runtime
        self._endpoints = endpoints
        self._budget = budget
        self._clock = runtime.times.clock
        self._services = Services(
            lambda names, position: runtime.hub.read(names, position),
            runtime.snapshots,
            runtime.sources.run_due,
            runtime.times.clock,
        )
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Hold nothing: the parent's requests stayed with the parent."""
        self._lock = threading.Lock()
        self._held = 0
        self._hints: dict[threading.Event, _Held | None] = {}
        self._looking = False
        self._ending = False
        self._closed = 0
        """How often this was closed: what is held since before the last time ends."""
        self._ended = threading.Condition(self._lock)

    @property
    def taken(self) -> float:
        """The part of the budget that is taken."""
        return self._held / self._budget if self._budget else 1.0

    @property
    def free(self) -> bool:
        """Whether one more may be held now."""
        return self._held < self._budget

    def hold(
        self, subscription: Subscription, remote: str, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Wait for what a request of an address is to be told, and answer it."""
        with self._lock:
            # See SECURITY.md: held-budget-of-threads, held-per-address-by-threads
            taken = self._held < self._budget and self._endpoints.limits.hold(remote)
            self._held += taken
        if not taken:
            refusal = self._endpoints.busy("All places for held requests are taken.")
            return send(self._endpoints.answer_now(subscription, refusal), environ, start_response)
        held = _Held(subscription, remote, environ.get("gunicorn.socket"), self._clock)
        self._runtime.observers.opened(Opened(remote, subscription.transport.name, subscription.query))
        if subscription.transport.ends:
            try:
                return self._long_poll(subscription, held, environ, start_response)
            finally:
                self._end(held, "done")
        head = stream_head(subscription.headers)
        start_response(head.status, head.headers)
        return _Body(self._stream(subscription, held), lambda: self._end(held, "left" if self._ending else "gone"))

    def close(self) -> None:
        """Answer what is held, and wait a moment until it is: the log is closed next. Later requests are held anew."""
        with self._lock:
            self._closed += 1
            for hint in self._hints:
                hint.set()
            # Bounded: a client that does not read may keep a greenlet from ending.
            self._ended.wait_for(lambda: not self._held, LEAVE_WITHIN)

    def _end(self, held: _Held, reason: str) -> None:
        with self._lock:
            self._held -= 1
            self._ended.notify_all()
        self._endpoints.limits.release(held.remote)
        seconds, subscription = self._clock() - held.began, held.subscription
        self._runtime.observers.closed(
            Closed(held.remote, subscription.transport.name, subscription.query, seconds, held.sent, reason)
        )

    @contextmanager
    def _listening(self, held: _Held | None = None) -> Iterator[threading.Event]:
        """Give a hint that is set when there may be something new, or the process ends.

        Args:
            held: a stream, to be cut when its client does not read.
        """
        hint = threading.Event()
        with self._lock:
            self._hints[hint] = held
            if self._is_ending is not None and not self._looking:
                self._looking = True
                look = threading.Thread(target=self._look, args=(self._is_ending,), name="landline-look", daemon=True)
                look.start()
        try:
            with self._runtime.hub.listening(hint.set):
                yield hint
        finally:
            with self._lock:
                del self._hints[hint]

    def _look(self, is_ending: Callable[[], bool]) -> None:
        """Look, for as long as anything is held, whether the process is ending, and which clients do not read."""
        while True:
            with self._lock:
                self._ending = is_ending()
                if self._ending:
                    for hint in self._hints:
                        hint.set()
                if not self._hints:
                    self._looking = False
                    return
                streams = [held for held in self._hints.values() if held is not None]
            for held in streams:
                if held.stalled() > LOOK and self._may_not_stay(held):
                    held.cut()
            time.sleep(LOOK)

    def _may_not_stay(self, held: _Held) -> bool:
        """Tell whether a client that does not read has lost its place: by its grant, a revocation, or the time."""
        # See SECURITY.md: reader-in-a-greenlet-reads, reader-in-a-greenlet-ends-with-its-grant
        if self._clock() >= held.until or held.stalled() > PATIENCE * self._runtime.config.keepalive:
            return True
        try:
            # See SECURITY.md: reader-in-a-greenlet-is-revoked
            return self._runtime.is_closed(held.subscription.items, held.subscription.grant)
        except LogError:
            return False  # it is asked again in a moment

    def _terms(self, subscription: Subscription, *, until: float) -> Terms:
        """Return how long a request may be held: until a time, and not beyond the end of its grant."""
        grant = subscription.grant
        if grant is not None:
            until = min(until, self._services.clock() + self._runtime.authorizer.seconds_left(grant))
        keepalive = math.inf if subscription.transport.ends else self._runtime.config.keepalive
        closed = self._closed
        return Terms(until, keepalive, lambda: self._ending or self._closed != closed)

    def _drive(
        self, subscription: Subscription, terms: Terms, hint: threading.Event
    ) -> Iterator[Send | Sign | Pause | Finish]:
        clock = self._services.clock

        def check(at_end: bool) -> bool:
            # See SECURITY.md: what-is-held-in-place-is-looked-at-again
            return not self._runtime.is_closed(subscription.items, subscription.grant, ask_log=at_end)

        def wait(until: float) -> None:
            hint.wait(max(0.0, until - clock()) if until < math.inf else None)
            hint.clear()

        return drive(progress(subscription, self._services, terms, subscription.cursor), check=check, wait=wait)

    def _long_poll(
        self, subscription: Subscription, held: _Held, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer a poll when there is something to send, or its time is up."""
        assert subscription.wait is not None
        assert isinstance(subscription.transport, LongPoll)
        terms = self._terms(subscription, until=self._services.clock() + subscription.wait)
        with self._listening() as hint:
            finish = next(step for step in self._drive(subscription, terms, hint) if isinstance(step, Finish))
        if isinstance(finish.error, LogError):
            return send(self._endpoints.unreadable(finish.error, subscription.headers), environ, start_response)
        if finish.error is not None:
            return send(problem(finish.error, subscription.headers), environ, start_response)
        reading = finish.reading or Reading((), subscription.cursor, subscription.cursor)
        held.sent += len(reading.events)
        advice = self._endpoints.advice(subscription.transports)
        return send(subscription.transport.reply(reading, finish.snapshots, advice), environ, start_response)

    def _stream(self, subscription: Subscription, held: _Held) -> Generator[bytes, None, None]:
        """Yield what an event stream is sent, for as long as the server asks for more."""
        terms = self._terms(subscription, until=math.inf)
        held.until = terms.ends
        with self._listening(held) as hint:
            yield from held.handing(subscription.first)
            for step in self._drive(subscription, terms, hint):
                if isinstance(step, Pause):
                    self._runtime.hub.warn("A held connection waits until it can be sent more.", step.error)
                    hint.wait(step.seconds)
                    hint.clear()  # else it would be set for as long as the log fails, and nothing would pause
                else:
                    yield from held.handing(self._render(subscription, step))
                    held.sent += len(step.reading.events) if isinstance(step, Send) else 0

    def _render(self, subscription: Subscription, step: Send | Sign | Finish) -> bytes:
        transport, advice, now = (
            subscription.transport,
            self._endpoints.advice(subscription.transports),
            self._runtime.times.wall(),
        )
        if isinstance(step, Send):
            return transport.render(step.reading, list(step.snapshots), advice, now)
        if isinstance(step, Sign):
            return transport.keepalive(step.cursor, advice, now)
        # Grants end at times of their own; all others are sent away together, and are to come back one by one.
        spread = RETURN_LEAST if step.why == "over" else RETURN
        return transport.goodbye(self._runtime.times.between(RETURN_LEAST, spread))


class _Held:
    """One request held in place. Touched by its own thread or greenlet, and looked at by `BlockingHolds._look`.

    Args:
        subscription: what it reads.
        remote: the client's address.
        sock: the server's socket, where a sending that does not end can be ended; None: it cannot.
        clock: monotonic seconds.
    """

    def __init__(
        self, subscription: Subscription, remote: str, sock: socket.socket | None, clock: Callable[[], float]
    ) -> None:
        self.subscription = subscription
        self.remote = remote
        self._clock = clock
        self.began = clock()
        self.sent = subscription.sent
        """Events sent."""
        self.until = math.inf
        """When its grant ends, monotonic seconds."""
        self._sock = sock
        self._handed_at = math.inf
        """Since when the server has what it was handed last; inf: it came back for more."""

    def handing(self, data: bytes) -> Iterator[bytes]:
        """Yield bytes to the server, and note for how long it has them: it waits for a client that does not read."""
        self._handed_at = self._clock()
        yield data
        self._handed_at = math.inf

    def stalled(self) -> float:
        """Return the seconds for which the server has been sending the same bytes."""
        return max(0.0, self._clock() - self._handed_at)

    def cut(self) -> None:
        """Have the server's sending fail; it then closes the answer, and the place is free."""
        if self._sock is not None:
            takeover.cut(self._sock)


class _Body:
    """An answer's body, with something to do when the server closes it (PEP 3333).

    Not a `finally` in the generator: one that was never begun would not run it.

    Args:
        parts: the body.
        ended: called once, when the server closes it.
    """

    def __init__(self, parts: Generator[bytes, None, None], ended: Callable[[], None]) -> None:
        self._parts = parts
        self._ended = ended

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def close(self) -> None:
        """End the body; called by the server."""
        self._parts.close()
        ended, self._ended = self._ended, lambda: None
        ended()
