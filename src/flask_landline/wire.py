"""The wire's three addresses, answered the same whichever door a request came through.

A door hands a `Request` in, with the transports it can offer this client now, and gets back a `Reply` to send or a
`Hold` to keep. Nothing here knows of sockets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from .channel import Resolved
from .cursor import Cursor, Position, Word
from .errors import LogError, Refusal
from .event import Event
from .protocol.advice import Advice
from .protocol.poll import LongPoll, answer, cache_control
from .protocol.problem import busy, log_unavailable, method_refused, problem
from .protocol.reply import Reply, encode_reply
from .protocol.request import Ask, Request, bad_request, parse_poll, parse_stream
from .protocol.sse import SSE, stream_head
from .protocol.transport import Transport
from .protocol.websocket import WebSocket, accept
from .reading import Reading
from .state import State

ALL = ("websocket", "sse", "long-poll", "poll")
STREAM_OR_POLL = ("sse", "long-poll", "poll")
LONG_POLL = ("long-poll", "poll")
POLL_ONLY = ("poll",)

_IDLE_ANSWERS = 1024
"""Idle answers remembered: one for each set of channels and cursor that equal readers ask with."""

_SSE = SSE()
_WEBSOCKET = WebSocket()


class Hold(NamedTuple):
    """A request that is to be held until there is something to tell it."""

    transport: Transport
    items: tuple[Resolved, ...]
    names: tuple[str, ...]
    cursor: Cursor
    """The position after `first`."""
    more: bool
    """Whether more than `first` is waiting already."""
    wait: float | None
    """Seconds after which a long poll is answered in any case; None for a stream."""
    head: bytes
    """What opens the connection: a response's head."""
    first: bytes
    """What is told at once: the hello, and what was missed."""
    told: int
    """Events in `first`."""
    transports: tuple[str, ...]
    """What its door offered, for later advice."""
    request: Request


class Wire:
    """Answers polls, and opens streams and sockets.

    Safe to use from any thread: `_idle` is a dict of immutable entries, and a lost race costs one answer's making.

    Args:
        state: the app's Landline.
        clock: Unix seconds.
    """

    def __init__(self, state: State, *, clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._clock = clock
        self._cache_control = cache_control(state.config.shared_cache)
        self._idle: dict[tuple[str, tuple[str, ...]], tuple[object, Reply]] = {}
        config = state.config
        self._advice: dict[tuple[str, ...], Advice] = {
            offer: Advice(
                config.interval,
                config.hold if "long-poll" in offer else 0.0,
                offer if config.hold else tuple(name for name in offer if name != "long-poll"),
            )
            for offer in (ALL, STREAM_OR_POLL, LONG_POLL, POLL_ONLY)
        }
        prefix = config.prefix
        self._handlers = {f"{prefix}/poll": self._poll, f"{prefix}/events": self._events, f"{prefix}/ws": self._socket}
        self.poll_path = f"{prefix}/poll"
        self.paths = frozenset(self._handlers)
        """The paths answered here."""

    def advice(self, transports: tuple[str, ...]) -> Advice:
        """Return what to ask of a client to which `transports` are offered."""
        return self._advice[transports]

    def idle(self, query: str, transports: tuple[str, ...]) -> Reply | None:
        """Return the answer to a GET of a poll without `If-None-Match`, if it was given before and nothing is new."""
        remembered = self._idle.get((query, transports))
        try:
            if remembered is not None and remembered[0] is self._state.hub.mark():
                return remembered[1]
        except LogError as error:
            return problem(log_unavailable(error))
        return None

    def handle(self, request: Request, transports: tuple[str, ...], *, close: bool = True) -> Reply | Hold:
        """Answer a request to one of `paths`; a refusal is an answer too.

        Args:
            request: the request.
            transports: what its door can offer this client now, best first.
            close: whether a held poll's connection ends with its answer.
        """
        try:
            if request.method not in ("GET", "HEAD"):
                raise method_refused(request.method)
            return self._handlers[request.path](request, transports, close)
        except Refusal as refusal:
            return problem(refusal)
        except LogError as error:
            return problem(log_unavailable(error))

    def needs_app(self, request: Request) -> bool:
        """Whether answering may call functions of the app, which take their time."""
        parse = parse_poll if request.path == self.poll_path else parse_stream
        try:
            return any(_calls_app(item) for item in self._state.resolve(parse(request.query).channels))
        except Refusal:
            return False

    def _poll(self, request: Request, transports: tuple[str, ...], close: bool) -> Reply | Hold:
        mark = self._state.hub.mark()
        ask = parse_poll(request.query)
        items = self._state.resolve(ask.channels)
        advice = self.advice(transports)
        etag = request.headers.get("if-none-match")
        reading, snapshots = self._read(request, ask, items)
        is_news = bool(reading.has_news or snapshots)
        wait = min(ask.wait, advice.hold)
        if wait > 0 and not is_news and request.method == "GET":
            transport = LongPoll(etag, self._cache_control, close=close)
            return self._hold(transport, request, items, reading, transports, wait=wait)
        reply = answer(reading, advice, snapshots, etag=etag, cache_control=self._cache_control)
        if etag is None and not is_news and not ask.wait and not any(_calls_app(item) for item in items):
            self._remember((request.query, transports), mark, reply)
        return reply

    def _events(self, request: Request, transports: tuple[str, ...], close: bool) -> Reply | Hold:
        ask = parse_stream(request.query, request.headers.get("last-event-id"))
        items = self._state.resolve(ask.channels)
        if request.method == "HEAD":
            return stream_head()
        if "sse" not in transports:
            raise busy("This server cannot hold an event stream open for this client now.")
        return self._open(_SSE, request, ask, items, transports, encode_reply(stream_head(), self._clock(), close=True))

    def _socket(self, request: Request, transports: tuple[str, ...], close: bool) -> Reply | Hold:
        ask = parse_stream(request.query)
        items = self._state.resolve(ask.channels)
        if request.method == "HEAD":
            raise bad_request("A socket is opened with GET (RFC 6455 §4.1).")
        self._check_origin(request)
        if "websocket" not in transports:
            raise busy("This server cannot hold a socket open for this client now.")
        head = accept(f"{request.path}?{request.query}", request.headers)
        return self._open(_WEBSOCKET, request, ask, items, transports, head)

    def _open(
        self,
        transport: Transport,
        request: Request,
        ask: Ask,
        items: list[Resolved],
        transports: tuple[str, ...],
        head: bytes,
    ) -> Hold:
        """Open a stream: its head, a hello, and a first page of what was missed."""
        reading, snapshots = self._read(request, ask, items)
        advice, now = self.advice(transports), self._clock()
        first = transport.hello(_beginning(ask.position, reading), advice, now, ask.nonce)
        if reading.has_news or snapshots:
            first += transport.tell(reading, snapshots, advice, now)
        return self._hold(transport, request, items, reading, transports, head=head, first=first)

    @staticmethod
    def _hold(
        transport: Transport,
        request: Request,
        items: list[Resolved],
        reading: Reading,
        transports: tuple[str, ...],
        *,
        wait: float | None = None,
        head: bytes = b"",
        first: bytes = b"",
    ) -> Hold:
        names = tuple(item.name for item in items)
        told = len(reading.events)
        return Hold(
            transport, tuple(items), names, reading.cursor, reading.more, wait, head, first, told, transports, request
        )

    def _read(self, request: Request, ask: Ask, items: list[Resolved]) -> tuple[Reading, list[Event]]:
        """Read what is new, and the whole state of the channels that need it (WIRE §8)."""
        self._state.sources.ask(items)
        reading = self._state.hub.read(ask.channels, ask.position)
        newcomer = ask.position is Word.NOW
        return reading, self._state.snapshots(items, reading, request.environ, newcomer=newcomer)

    def _remember(self, key: tuple[str, tuple[str, ...]], mark: object, reply: Reply) -> None:
        if len(self._idle) >= _IDLE_ANSWERS:
            self._idle.clear()
        self._idle[key] = mark, reply

    def _check_origin(self, request: Request) -> None:
        """Refuse a page of another site: browsers send cookies with a socket's handshake (RFC 6455 §10.2)."""
        origin = request.headers.get("origin")
        if origin is None or origin in self._state.config.origins:
            return
        if urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
            detail = (
                f"Pages of {origin[:80]!a} may not open a socket here. If that is the app itself, have the proxy pass "
                "Host on (nginx: proxy_set_header Host $http_host); else add the origin to LANDLINE_ORIGINS."
            )
            raise Refusal("not-allowed", 403, detail)


def _calls_app(item: Resolved) -> bool:
    return item.channel.source_function is not None or item.channel.snapshot_function is not None


def _beginning(position: Position, reading: Reading) -> Cursor:
    """Return the position a hello names: one to come back with if nothing but the hello arrives."""
    if isinstance(position, Cursor):
        return position
    return reading.tail if position is Word.NOW else Cursor(reading.tail.epoch, 0)
