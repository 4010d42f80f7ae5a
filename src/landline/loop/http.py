"""A connection to the second door: requests in, answers out. Touched by the side loop's thread alone.

Heads are parsed by `httptools`, but for a poll that has come before: until something is new a client sends the same
bytes each time, which are looked up as they are. Parsing a browser's dozen headers costs more than all the rest.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from ..errors import Refusal
from ..protocol.problem import not_here, problem
from ..protocol.reply import Reply
from ..protocol.request import Request, bad_request
from ..serve.answering import Outcome
from ..serve.offers import POLL_ONLY
from ..serve.steps import advance, fail
from ..serve.subscription import Call, Subscription
from .buffered import CHUNK
from .held import Holder
from .requests import Known, Pending, RequestParser

if TYPE_CHECKING:
    from .listener import Listener

MAX_REQUEST = 32 * 1024
"""Bytes of one request, head and body: a hundred long channel names and a browser's cookies."""
HEAD_WITHIN = 10.0
"""Seconds in which a request must have come in whole, once begun."""
KEEP_ALIVE = 75.0
"""Seconds a connection may rest between two requests; nginx's default towards its clients."""
MAX_QUEUE = 16
"""Requests a client may send ahead of their answers."""
AHEAD = 4096
"""Bytes that a client may send ahead while its poll is held, or the app is asked about it: a request like the one
before. More stay in the kernel."""
MAX_PENDING = 1024 * 1024
"""Bytes of answers that may wait for one client to take them: four polls full of events."""


class Connection(Holder):
    """A client's connection: parses requests, and answers one after the other.

    A held poll is held on the connection itself, which goes on when it is answered; a stream or a socket takes the
    connection over for good.

    Args:
        listener: whose it is.
        sock: the connection, not blocking.
        remote: the client's address.
    """

    __slots__ = (
        "_asked",
        "_begun",
        "_busy",
        "_early",
        "_keep",
        "_last",
        "_listener",
        "_peer",
        "_queue",
        "_requests",
        "_size",
    )

    def __init__(self, listener: Listener, sock: socket.socket, remote: str) -> None:
        super().__init__(listener.loop, sock, MAX_PENDING, listener.sideloop.pool)
        self._listener = listener
        self._peer = remote
        self._requests = RequestParser(listener.endpoints, remote)
        self._queue: list[Pending] = []
        self._early = b""
        self._asked: asyncio.Future[Any] | None = None
        """What is being called for it, in another thread."""
        self._busy = self._keep = False
        self._size = 0
        self._last = self.loop.time()
        """When it was last answered, or opened."""
        self._begun: float | None = self._last
        """When the request that is coming in began, or the connection that has not said anything; None: it rests."""
        listener.deadlines.add(self, self._last + HEAD_WITHIN)

    @property
    def resting(self) -> bool:
        """Whether no request is being answered."""
        return not self._busy and not self._queue

    @property
    def rests_since(self) -> float:
        """When it was last answered, or opened; in the loop's time."""
        return self._last

    @property
    def _begins(self) -> bool:
        """Whether what comes next is the first byte of a request, with no other one before it."""
        # See SECURITY.md: known-polls-begin-a-request
        return not (self._requests.within or self._queue or self._busy or self.finishing)

    def expire(self, now: float) -> None:
        """Close what has come to its time: a request that does not end, a connection that rests too long."""
        if self not in self._listener.connections:
            return  # closed, or the side loop's by now
        due = self._last + KEEP_ALIVE if self._begun is None else self._begun + HEAD_WITHIN
        if self._busy:
            self._listener.deadlines.add(self, now + HEAD_WITHIN)
        elif due > now:
            self._listener.deadlines.add(self, due)
        else:
            # See SECURITY.md: silent-connections
            self.close("late")

    def _lost(self, reason: str) -> None:
        self._listener.connections.discard(self)
        if self._asked is not None:
            # See SECURITY.md: what-the-gone-asked-is-cancelled
            self._asked.cancel()
        self._forget_requests()
        super()._lost(reason)

    def _forget_requests(self) -> None:
        """Let go of everything about requests: what is closed may wait for its last deadline for a minute."""
        # See SECURITY.md: closed-connections-are-small
        self._requests.close()
        self._queue.clear()
        self._early = b""

    def _received(self, data: bytes) -> None:
        # Where a request begins its bytes alone decide what it is, and whoever polls sends the same ones again.
        known = self._listener.known.get(data)
        if known is not None and self._begins and self._answer_cached(known):
            self._size, self._begun = 0, None
        elif not data:
            self.close("done" if self.finishing else "gone")
        elif self.held is not None:
            self._early += data  # the next request, before this one is answered
            # See SECURITY.md: early-bytes-are-few
            if len(self._early) >= AHEAD:
                self.loop.remove_reader(self.sock)
        elif not self.finishing:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        was_alone = self._begins
        # See SECURITY.md: slow-senders
        if self._begun is None:
            self._begun = self.loop.time()
        self._size += len(data)
        # See SECURITY.md: request-size
        if self._size > MAX_REQUEST:  # before the parser: it begins to count anew with each request that is complete
            self._refuse(bad_request(f"More than {MAX_REQUEST} bytes at once. Ask for fewer channels at a time."))
            return
        try:
            complete = self._requests.feed(data)
        except Refusal as refusal:
            self._refuse(refusal)
            return
        if complete:
            self._queue += complete
            self._size, self._begun = 0, self.loop.time() if self._requests.within else None
        # See SECURITY.md: requests-ahead
        if len(self._queue) > MAX_QUEUE:
            self._refuse(bad_request(f"More than {MAX_QUEUE} requests at once. Wait for answers in between."))
            return
        if was_alone:
            self._note(data)
        self._next()

    def _note(self, data: bytes) -> None:
        """Know a poll by its bytes from now on, if they were one, and nothing more."""
        pending = self._queue[0] if len(self._queue) == 1 and not self._requests.within else None
        if pending is not None and pending.known is not None and pending.repeats:
            self._listener.know(data, pending.known)

    def _next(self) -> None:
        """Answer the requests that have come in, in their order."""
        endpoints = self._listener.endpoints
        while self._queue and not self._busy and self.open:
            pending = self._queue.pop(0)
            request, keep = pending.request, pending.keep
            if pending.known is not None and self._answer_cached(pending.known):
                continue
            if request.path not in endpoints.paths:
                self._answer(not_here(request.path, endpoints.paths), keep, head_only=request.method == "HEAD")
                continue
            transports = POLL_ONLY if self._listener.sideloop.full else pending.offer
            poll_key = None if pending.known is None else pending.known.poll_key
            steps = endpoints.steps(request, transports, poll_key, close=not keep)
            step = advance(steps)
            if isinstance(step, Call):
                self._busy = True
                self.loop.add_reader(self.sock, self._watch)
                self._listener.sideloop.spawn(self._take_steps(steps, step, request, keep))
            else:
                self._finish(request, keep, step)

    def _answer_cached(self, known: Known) -> bool:
        """Answer a poll as the same one was answered before; False if it was not, or something is new since."""
        listener = self._listener
        remote = self._peer
        if known.forwarded is not None:
            remote = listener.endpoints.limits.address(remote, known.forwarded)
        transports = POLL_ONLY if listener.sideloop.full else known.offer
        outcome = listener.endpoints.cached(known.poll_key, transports, remote, close=not known.keep)
        if isinstance(outcome, Reply):
            self._answer(outcome, known.keep)
        elif outcome is not None:
            self._hold(outcome, remote, known.keep)
        return outcome is not None

    async def _take_steps(self, steps: Generator[Call, Any, Outcome], call: Call, request: Request, keep: bool) -> None:
        """Answer a request whose functions of the app, or whose look into the log, may take their time."""
        step: Call | Outcome = call
        try:
            while isinstance(step, Call):
                try:
                    self._asked = self._ask(step, request.remote)
                    value = await self._asked
                except Exception as error:  # noqa: BLE001  it is the generator's
                    step = fail(steps, error)
                else:
                    step = advance(steps, value)
        except asyncio.CancelledError:
            if self.sock.fileno() < 0:
                return  # the client has gone
            self.close("failed")
            raise
        except BaseException:
            self.close("failed")  # else nothing would watch it any more
            raise
        finally:
            self._asked = None
        if not self.open:
            return  # it has gone while the app was asked
        self._busy = False
        self.loop.add_reader(self.sock, self._readable)
        self._finish(request, keep, step)
        if not self._busy:
            self._take_early()

    def _ask(self, call: Call, remote: str) -> asyncio.Future[Any]:
        """Have a step's function called: in the app's threads, or in those that read the log.

        Raises:
            Refusal: `busy`.
        """
        sideloop = self._listener.sideloop
        if call.is_apps:
            return sideloop.call_app(call.function, share=remote)
        return asyncio.ensure_future(sideloop.call(call.function))

    def _watch(self) -> None:
        """Notice that the client goes while the app is asked about it, and keep what it sends ahead."""
        try:
            data = self.sock.recv(AHEAD - len(self._early))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close("gone")
            return
        self._early += data
        if len(self._early) >= AHEAD:
            self.loop.remove_reader(self.sock)  # the rest stays in the kernel until this is answered

    def _take_early(self) -> None:
        """Go on with what the client has sent while it waited for its answer."""
        early, self._early = self._early, b""
        if early and self.open:
            self._feed(early)
        else:
            self._next()

    def _finish(self, request: Request, keep: bool, outcome: Outcome) -> None:
        if isinstance(outcome, Reply):
            self._answer(outcome, keep, head_only=request.method == "HEAD")
        else:
            self._hold(outcome, request.remote, keep)

    def _hold(self, subscription: Subscription, remote: str, keep: bool) -> None:
        """Hold a request: a poll here, until it is answered; a stream is a line of its own from now on."""
        sideloop = self._listener.sideloop
        try:
            if not subscription.transport.ends and not self.flushed:  # else the stream would begin within an answer
                raise self._listener.endpoints.busy("This client has not taken its other answers yet.")
            sideloop.admit(remote)
        except Refusal as refusal:
            self._answer(self._listener.endpoints.answer_now(subscription, refusal), keep)
            return
        self._busy = True
        if subscription.transport.ends:
            self._keep = keep
            sideloop.begin(self, subscription, remote)
        else:
            sock = self.release()
            self._listener.connections.discard(self)
            self._forget_requests()
            sideloop.open(sock, subscription, remote)

    def _sent_all(self) -> None:
        # A task that reads for it meanwhile would take the next request for this one: then the connection ends with it.
        if self.held is not None and self._keep and not self.held.is_catching_up:
            # Soon, not now: the next request may be a held one too, which must not join a group in the middle of a
            # delivery; and ten thousand others are still to be sent this.
            self._listener.sideloop.soon(self._go_on)
        else:
            self._forget_requests()
            super()._sent_all()

    def _go_on(self) -> None:
        """Go on after a held poll was answered, with what the client has sent meanwhile."""
        if self.sock.fileno() < 0:
            return
        if self.held is not None:
            self.held.end("done")
        self._last = self.loop.time()
        self.finishing = self._busy = False
        early, self._early = self._early, b""
        if len(early) >= AHEAD:
            self.loop.add_reader(self.sock, self._readable)
        if self._listener.closed:
            self.finish()
        elif early:
            self._feed(early)
        else:
            self._next()

    def _answer(self, reply: Reply, keep: bool, *, head_only: bool = False) -> None:
        data = reply.encode(self._listener.endpoints.wall(), close=not keep, head_only=head_only)
        self._last = self.loop.time()
        if keep:
            self.write(data)
        else:
            self.finish(data)

    def _refuse(self, refusal: Refusal) -> None:
        self._queue.clear()
        self.finish(problem(refusal).encode(self._listener.endpoints.wall(), close=True))

    @property
    def _at_once(self) -> int:
        return CHUNK if self.held is None else AHEAD
