"""The last step of each answer: a reply, or what is held, of what was read for a reader that may read it.

Nothing here is waited for, and nothing is asked of log or app.
"""

from __future__ import annotations

from typing import NamedTuple

from ..access.grants import Grant
from ..app import Cookies
from ..channels.channel import Resolved
from ..cursor import NO_LIFE, Cursor, Position, Word
from ..event import Event
from ..protocol.advice import Advice
from ..protocol.endpoints import EVENTS, POLL, SOCKET
from ..protocol.origins import Headers
from ..protocol.poll import LongPoll, answer, cache_control
from ..protocol.reply import Reply
from ..protocol.sse import SSE, stream_head
from ..protocol.transport import Transport
from ..protocol.websocket import WebSocket, accept
from ..reading import Reading
from .answer_cache import AnswerCache
from .parsing import Asked
from .runtime import Runtime
from .subscription import Subscription

Outcome = Reply | Subscription


class Admitted(NamedTuple):
    """A request whose reader may read."""

    asked: Asked
    generation: object
    """The hub's, from before the reader was admitted."""
    grant: Grant | None
    """What lets it read; None: its channels are public."""
    cookies: Cookies
    """What the app set as it was asked; an answer with any is this client's alone."""
    wait: float
    """Seconds that it is ready to wait."""
    offered: tuple[str, ...]
    """What its client may have now, for the advice."""
    answers: AnswerCache
    """Where the answer may be remembered: the cache from before `advice` was looked up."""
    advice: Advice

    @property
    def headers(self) -> Headers:
        """For its answer: those of its origin, and `cookies`."""
        return (*self.asked.headers, *self.cookies)


class Found(NamedTuple):
    """What a reader is to be sent."""

    reading: Reading
    snapshots: list[Event]

    @property
    def is_news(self) -> bool:
        """Whether there is anything to send."""
        return bool(self.reading.has_news or self.snapshots)


class Answers:
    """Answers in each of the wire's forms. Safe to use from any thread.

    Args:
        runtime: the app's Landline.
    """

    def __init__(self, runtime: Runtime) -> None:
        config = runtime.config
        self._hub = runtime.hub
        self._grants = runtime.authorizer.grants
        self._clock = runtime.times.wall
        self._longest_wait = config.hold
        self._cache_control = cache_control(config.shared_cache)
        self._sse, self._websocket = SSE(config.keepalive), WebSocket(config.keepalive)
        self._by_endpoint = {POLL: self._poll, EVENTS: self._events, SOCKET: self._socket}

    def answer(self, admitted: Admitted, found: Found) -> Outcome:
        """Return the answer, or what is held until there is one.

        Raises:
            Refusal: a socket's handshake is none.
        """
        return self._by_endpoint[admitted.asked.endpoint](admitted, found)

    def _poll(self, admitted: Admitted, found: Found) -> Outcome:
        asked, grant, reading = admitted.asked, admitted.grant, found.reading
        # See SECURITY.md: answers-with-cookies-are-never-304
        etag = asked.request.headers.get("if-none-match") if not admitted.cookies else None
        # Also where the advice is not to be held: a client that asks for it all the same would ask again at once.
        # See SECURITY.md: foreign-polls-are-not-held
        may_hold = "long-poll" in admitted.offered and not asked.is_foreign
        wait = min(admitted.wait, self._longest_wait) if may_hold else 0.0
        # See SECURITY.md: private-answers-are-not-stored
        cache_control = self._cache_control if grant is None else "no-store"
        unsent = grant and grant.unsent
        outcome: Outcome
        if wait > 0 and not found.is_news and asked.request.method == "GET":
            transport = LongPoll(etag, cache_control, admitted.headers, unsent, close=asked.close)
            outcome = _subscribe(transport, admitted, reading, wait=wait)
        else:
            outcome = answer(
                reading,
                admitted.advice,
                found.snapshots,
                etag=etag,
                cache_control=cache_control,
                more=admitted.headers,
                grant=unsent,
            )
        self._remember(admitted, outcome, self._hub.lasts(reading.events))
        return outcome

    def _remember(self, admitted: Admitted, outcome: Outcome, lasts: float | None) -> None:
        """Keep the answer of a plain poll for equal ones, unless it is this client's alone."""
        asked, grant, key = admitted.asked, admitted.grant, admitted.asked.poll_key
        unsent = grant and grant.unsent
        # See SECURITY.md: answers-with-cookies-are-not-remembered, new-grants-are-not-remembered
        is_anyones = not unsent and not admitted.cookies and not any(_calls_app(item) for item in asked.items)
        if key is None or not is_anyones or (grant is not None and not key.has_grant):
            return
        until = self._grants.renews(grant) if grant is not None else None
        # See SECURITY.md: mark-is-from-before-the-look
        admitted.answers.put((key, asked.transports, asked.close), (admitted.generation, until, lasts, outcome))

    def _events(self, admitted: Admitted, found: Found) -> Outcome:
        head = stream_head(admitted.headers)
        return self._open(self._sse, admitted, found, head.encode(self._clock(), close=True))

    def _socket(self, admitted: Admitted, found: Found) -> Outcome:
        request = admitted.asked.request
        head = accept(f"{request.path}?{request.query}", request.headers, admitted.cookies)
        return self._open(self._websocket, admitted, found, head)

    def _open(self, transport: Transport, admitted: Admitted, found: Found, head: bytes) -> Subscription:
        """Open a stream: its head, a hello, and a first page of what was missed."""
        query, grant, reading, now = admitted.asked.query, admitted.grant, found.reading, self._clock()
        # A client that has missed nothing stands at the log's end, however long ago its cursor was given.
        beginning = _beginning(query.position, reading) if found.is_news else reading.tail
        first = transport.hello(beginning, admitted.advice, now, query.nonce, grant and grant.unsent)
        if found.is_news:
            first += transport.render(reading, found.snapshots, admitted.advice, now)
        return _subscribe(transport, admitted, reading, head=head, first=first)


def _subscribe(
    transport: Transport,
    admitted: Admitted,
    reading: Reading,
    *,
    wait: float | None = None,
    head: bytes = b"",
    first: bytes = b"",
) -> Subscription:
    asked = admitted.asked
    return Subscription(
        transport,
        asked.items,
        tuple(item.name for item in asked.items),
        reading.cursor,
        reading.more,
        wait,
        head,
        first,
        len(reading.events),
        asked.transports,
        asked.request.query,
        admitted.grant,
        admitted.headers,
        asked.site,
    )


def _calls_app(item: Resolved) -> bool:
    return item.channel.source_function is not None or item.channel.snapshot_function is not None


def _beginning(position: Position, reading: Reading) -> Cursor:
    """Return the position a hello names: one to come back with if nothing but the hello arrives."""
    if isinstance(position, Cursor):
        return position
    if position is Word.LOST:
        return NO_LIFE
    return reading.tail if position is Word.NOW else Cursor(reading.tail.epoch, 0)
