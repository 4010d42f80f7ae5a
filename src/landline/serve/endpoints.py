"""The wire's three addresses, answered the same whichever door a request came through.

A door hands a `Request` in, with the transports it can offer this client now, and gets back a `Reply` to send or a
`Subscription` to keep. Nothing here knows of sockets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from ..access.authorizer import Admission, guarded
from ..access.grants import Credentials, Grant
from ..access.limits import Limits
from ..access.refused import RefusedOrigins
from ..app import Cookies
from ..channels.channel import Resolved
from ..cursor import NO_LIFE, Cursor, Position, Word
from ..errors import LogError, Refusal
from ..event import Event
from ..protocol.advice import Advice
from ..protocol.origins import Headers, Origins, foreign_origin, refuse_embedded
from ..protocol.poll import LongPoll, answer, cache_control
from ..protocol.problem import app_failed, busy, log_unavailable, method_refused, problem, rights_change
from ..protocol.reply import Reply
from ..protocol.request import Query, Request, bad_request, parse_poll, parse_socket, parse_stream
from ..protocol.sse import SSE, stream_head
from ..protocol.transport import Transport
from ..protocol.websocket import WebSocket, accept
from ..reading import Reading
from .answer_cache import AnswerCache
from .pressure import Meter, Pressure
from .runtime import Runtime
from .subscription import Subscription

ALL = ("websocket", "sse", "long-poll", "poll")
STREAM_OR_POLL = ("sse", "long-poll", "poll")
LONG_POLL = ("long-poll", "poll")
POLL_ONLY = ("poll",)

ADMISSIONS = 3
"""Times that the app is asked about one request whose reader is revoked while it is answered. A revocation in each of
these moments is no chance any more: the client is asked to come back."""


class _Revoked(Exception):
    """The reader was revoked between its admission and the end of the reading: the app is asked anew."""


class Visit(NamedTuple):
    """A request that was let through, on its way to an answer."""

    request: Request
    transports: tuple[str, ...]
    close: bool
    ask: Query
    items: list[Resolved]
    generation: object
    """The hub's, from before it was let through."""
    grant: Grant | None
    headers: tuple[tuple[str, str], ...]
    """For its answer: those of its origin, and `cookies`."""
    site: str
    """Scheme and host that its snapshots are made for; empty where none of its channels has one."""
    is_foreign: bool
    """Whether it is a page's that may not read the answer, so that it is not held."""
    cookies: Cookies = ()
    """What the app set as it was asked; an answer with any is this client's alone."""


class Endpoints:
    """Answers polls, and opens streams and sockets.

    Safe to use from any thread: what is shared is replaced as a whole, or looks after itself.

    Args:
        state: the app's Landline.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.authorizer = runtime.authorizer
        self._clock, self._random = runtime.times.wall, runtime.times.random
        self._cache_control = cache_control(runtime.config.shared_cache)
        self._origins = Origins(runtime.config.origins)
        self._refused = RefusedOrigins(runtime.config.origins, clock=runtime.times.clock)
        config = runtime.config
        self._sse, self._websocket = SSE(config.keepalive), WebSocket(config.keepalive)
        capacity = math.inf if config.poll_capacity is None else config.poll_capacity
        self.meter = Meter(
            lambda: Pressure(config.interval, config.hold, capacity), self._advise, clock=runtime.times.clock
        )
        """Counts what is asked here, and decides what to ask of clients."""
        self._advise()
        self.limits = Limits(config, lambda: runtime.forwarded.address_hops, times=runtime.times)
        """What one address may have."""
        prefix = config.prefix
        self.poll_path, self.events_path, self.socket_path = (f"{prefix}/{name}" for name in ("poll", "events", "ws"))
        self._handlers = {
            self.poll_path: self._poll,
            self.events_path: self._events,
            self.socket_path: self._socket,
        }
        self.paths = frozenset(self._handlers)
        """The paths answered here."""

    def _advise(self) -> None:
        """Ask something else of clients from now on: answers that say otherwise are forgotten."""
        pressure = self.meter.pressure
        subscription = self._runtime.config.hold if pressure.holds else 0.0
        self._advice: dict[tuple[str, ...], Advice] = {
            offer: Advice(
                pressure.interval,
                subscription if "long-poll" in offer else 0.0,
                offer if subscription else tuple(name for name in offer if name != "long-poll"),
            )
            for offer in (ALL, STREAM_OR_POLL, LONG_POLL, POLL_ONLY)
        }
        # A new one, and last: who took the old one may still put an answer there, which nobody will get.
        # See SECURITY.md: remembered-advice-is-forgotten
        self._answers = AnswerCache()

    def advice(self, transports: tuple[str, ...]) -> Advice:
        """Return what to ask of a client to which `transports` are offered."""
        return self._advice[transports]

    def epoch(self) -> str:
        """Return the log's present life, asking the log.

        Raises:
            LogError: the log cannot be read.
        """
        return self._runtime.hub.tail().epoch

    def busy(self, detail: str) -> Refusal:
        """Refuse to hold a request, each until another time."""
        return busy(detail, self.meter.pressure.pause(self._random()))

    def unheld(self, subscription: Subscription, refusal: Refusal) -> Reply:
        """Answer a request for which there is no room after all: a poll as a short one, a stream with why."""
        if isinstance(subscription.transport, LongPoll):
            return subscription.transport.reply(
                Reading((), subscription.cursor, subscription.cursor), (), self.advice(POLL_ONLY)
            )
        return problem(refusal, subscription.headers)

    def unreadable(self, error: LogError, headers: Iterable[tuple[str, str]] = ()) -> Reply:
        """Answer a request that fails because of the log, and have the server's log say why."""
        # See SECURITY.md: log-says-why-it-fails
        self._runtime.hub.warn("A request was refused, as the log cannot be read.", error)
        return problem(log_unavailable(error), headers)

    def cached(
        self, query: str, transports: tuple[str, ...], credentials: Credentials, remote: str, *, close: bool = True
    ) -> Reply | Subscription | None:
        """Return what became of a plain GET of a poll, if this reader has asked the same before and nothing is new.

        Plain is without `If-None-Match`, without `Origin`, and not `is_from_elsewhere`. `credentials` are the
        gate's, of a query with a grant. An address that asks too often gets nothing here, and is refused by `handle`.

        Args:
            query: raw.
            transports: as for `handle`.
            credentials: empty, where the query has no grant.
            remote: the client's address.
            close: as for `handle`.
        """
        remembered = self._answers.get((query, transports, credentials, close))
        if remembered is None:
            return None
        generation, until, lasts, outcome = remembered
        try:
            # The mark moves with each event, and so with each revocation.
            if generation is not self._runtime.hub.generation() or (lasts is not None and lasts <= self._clock()):
                return None
            # See SECURITY.md: remembered-answer-ends-with-its-grant
            if until is None or self.authorizer.grants.is_current(until):
                if not self.limits.allow(remote):
                    return None
                # See SECURITY.md: every-poll-is-counted
                self.meter.count()
                return outcome
        except LogError as error:
            return self.unreadable(error, self._origins.answer({}, public=False))
        return None

    def handle(self, request: Request, transports: tuple[str, ...], *, close: bool = True) -> Reply | Subscription:
        """Answer a request to one of `paths`; a refusal is an answer too.

        Args:
            request: the request.
            transports: what its door can offer this client now, best first.
            close: whether a held poll's connection ends with its answer.
        """
        self.meter.count()
        headers = self._origins.answer(request.headers, public=True)
        try:
            self.limits.check(request.remote)
            if request.method not in ("GET", "HEAD"):
                return self._preflight(request)
            refuse_embedded(request.headers)
            ask, items = self._parse(request)
            is_public = not guarded(items)
            by_host = any(_has_snapshot(item) for item in items)
            site = self._runtime.forwarded.seen(request) if by_host else ""
            headers = self._answer_headers(request, public=is_public, by_host=by_host)
            is_foreign = self._is_foreign(request, public=is_public)
            self._runtime.apps.say()
            generation = (
                self._runtime.hub.generation()
            )  # first: what is revoked from here on moves it, and voids the answer
            token = ask.grant
            for _ in range(ADMISSIONS):
                grant, cookies = self._admit(request, items, token)
                headers = (*headers, *cookies)  # also on what is refused after this
                visit = Visit(
                    request, transports, close, ask, items, generation, grant, headers, site, is_foreign, cookies
                )
                try:
                    return self._handlers[request.path](visit)
                except _Revoked:
                    token = None
                if cookies:
                    break  # the request has the old ones: asked with these, the app may know nobody
            raise rights_change()
        except Refusal as refusal:
            return problem(refusal, headers)
        except LogError as error:
            return self.unreadable(error, headers)

    def _admit(self, request: Request, items: list[Resolved], token: str | None) -> Admission:
        closed = guarded(items)
        if not closed:
            return Admission(None)
        brought = self.authorizer.check(request, closed, token)
        return self.authorizer.ask(request, closed) if brought is None else Admission(brought)

    def _preflight(self, request: Request) -> Reply:
        preflight = self._origins.preflight(request.headers) if request.method == "OPTIONS" else None
        if preflight is None:
            raise method_refused(request.method)
        return preflight

    def _answer_headers(self, request: Request, *, public: bool, by_host: bool) -> Headers:
        # nginx's cache tells answers apart by the upstream's name and the path; a snapshot is of its host.
        is_shared = public and by_host and self._runtime.config.shared_cache is not None
        vary = ("Host", "X-Forwarded-Host", "X-Forwarded-Proto") if is_shared else ()
        # See SECURITY.md: snapshots-in-caches-are-their-hosts
        return self._origins.answer(request.headers, public=public, vary=vary)

    def _is_foreign(self, request: Request, *, public: bool) -> bool:
        """Return whether a request is a page's that may not read the answer.

        Raises:
            Refusal: it is, and asks for a stream or socket: it would hold a place, and sockets are read by any page.
        """
        origin = request.headers.get("origin")
        is_refused = False
        if origin is not None:
            site = self._runtime.forwarded.site(request)
            is_refused = not self._origins.allow(origin, site, public=public)
            if is_refused:
                self._refused.note(origin, site, request, public=public)
        # Browsers name no origin where a page only loads what it asks for, say as an image.
        is_cross_site = request.headers.get("sec-fetch-site") == "cross-site"
        is_foreign = is_cross_site and (origin is None or is_refused)
        # See SECURITY.md: sockets-ask-for-the-origin, foreign-pages-open-no-streams
        if (is_foreign and request.path != self.poll_path) or (is_refused and request.path == self.socket_path):
            raise foreign_origin(origin)
        return is_foreign

    def needs_app(self, request: Request) -> bool:
        """Whether answering may call functions of the app, which take their time."""
        try:
            ask, items = self._parse(request)
            closed = guarded(items)
            is_known = not closed or self.authorizer.check(request, closed, ask.grant) is not None
            return self._runtime.apps.due or not is_known or any(_calls_app(item) for item in items)
        except (Refusal, LogError):
            return False

    def _parse(self, request: Request) -> tuple[Query, list[Resolved]]:
        if request.path == self.events_path:
            ask = parse_stream(request.query, request.headers.get("last-event-id"))
        else:
            ask = (parse_poll if request.path == self.poll_path else parse_socket)(request.query)
        return ask, self._runtime.resolve(ask.channels)

    def _poll(self, visit: Visit) -> Reply | Subscription:
        remembered = self._answers
        request, ask, grant = visit.request, visit.ask, visit.grant
        # A cookie must not wait: a session with a new id is void under the old one, whatever its user does meanwhile.
        # With the advice of a short poll, for an app may set one each time.
        # See SECURITY.md: cookies-do-not-wait
        waits = ask.wait if not visit.cookies else 0.0
        # Who is held already is not told to give it up: this is for those who would come.
        # See SECURITY.md: full-process-offers-polls
        offered = visit.transports if self.meter.pressure.room and waits == ask.wait else POLL_ONLY
        advice = self.advice(offered)
        # See SECURITY.md: answers-with-cookies-are-never-304
        etag = request.headers.get("if-none-match") if not visit.cookies else None
        reading, snapshots = self._read(visit)
        is_news = bool(reading.has_news or snapshots)
        # Also where the advice is not to be held: who asks for it all the same would ask again at once.
        # See SECURITY.md: foreign-polls-are-not-held
        wait = min(waits, self._runtime.config.hold) if "long-poll" in offered and not visit.is_foreign else 0.0
        # See SECURITY.md: private-answers-are-not-stored
        cache_control = self._cache_control if grant is None else "no-store"
        told = grant and grant.unsent
        outcome: Reply | Subscription
        if wait > 0 and not is_news and request.method == "GET":
            transport = LongPoll(etag, cache_control, visit.headers, told, close=visit.close)
            outcome = self._hold(transport, visit, reading, wait=wait)
        else:
            outcome = answer(
                reading, advice, snapshots, etag=etag, cache_control=cache_control, more=visit.headers, grant=told
            )
        # See SECURITY.md: answers-to-origins-are-not-remembered
        is_plain = request.method == "GET" and etag is None and "origin" not in request.headers
        # Else it heeds no advice, or is a foreign page's: an equal poll may be held.
        # See SECURITY.md: foreign-polls-are-not-remembered
        is_granted = wait > 0 or not ask.wait
        # See SECURITY.md: answers-with-cookies-are-not-remembered, new-grants-are-not-remembered
        is_anyones = not told and not visit.cookies and not any(_calls_app(item) for item in visit.items)
        if is_plain and is_granted and is_anyones:
            self._cache(remembered, visit, outcome, self._runtime.hub.lasts(reading.events))
        return outcome

    def _events(self, visit: Visit) -> Reply | Subscription:
        head = stream_head(visit.headers)
        if visit.request.method == "HEAD":
            return head
        if "sse" not in visit.transports:
            raise self.busy("This server cannot hold an event stream open for this client now.")
        return self._open(self._sse, visit, head.encode(self._clock(), close=True))

    def _socket(self, visit: Visit) -> Reply | Subscription:
        request = visit.request
        if request.method == "HEAD":
            raise bad_request("A socket is opened with GET (RFC 6455 §4.1).")
        if "websocket" not in visit.transports:
            raise self.busy("This server cannot hold a socket open for this client now.")
        head = accept(f"{request.path}?{request.query}", request.headers, visit.cookies)
        return self._open(self._websocket, visit, head)

    def _open(self, transport: Transport, visit: Visit, head: bytes) -> Subscription:
        """Open a stream: its head, a hello, and a first page of what was missed."""
        reading, snapshots = self._read(visit)
        advice, now, ask = self.advice(visit.transports), self._clock(), visit.ask
        told = visit.grant and visit.grant.unsent
        is_news = reading.has_news or snapshots
        # Who has missed nothing stands at the log's end, however long ago its cursor was given.
        beginning = _beginning(ask.position, reading) if is_news else reading.tail
        first = transport.hello(beginning, advice, now, ask.nonce, told)
        if is_news:
            first += transport.render(reading, snapshots, advice, now)
        return self._hold(transport, visit, reading, head=head, first=first)

    @staticmethod
    def _hold(
        transport: Transport,
        visit: Visit,
        reading: Reading,
        *,
        wait: float | None = None,
        head: bytes = b"",
        first: bytes = b"",
    ) -> Subscription:
        return Subscription(
            transport,
            tuple(visit.items),
            tuple(item.name for item in visit.items),
            reading.cursor,
            reading.more,
            wait,
            head,
            first,
            len(reading.events),
            visit.transports,
            visit.request.query,
            visit.grant,
            visit.headers,
            visit.site,
        )

    def _read(self, visit: Visit) -> tuple[Reading, list[Event]]:
        """Read what is new, and the whole state of the channels that need it (WIRE §8).

        Raises:
            _Revoked: the grant is, and what was read must not be sent.
        """
        ask, items = visit.ask, visit.items
        self._runtime.sources.run_due(items)
        reading = self._runtime.hub.read(ask.channels, ask.position)
        newcomer = ask.position in (Word.NOW, Word.LOST)
        snapshots = self._runtime.snapshots(items, reading, visit.site, newcomer=newcomer)
        # After reading, snapshots too: what came behind a revocation may be in them, though the grant was good before.
        # See SECURITY.md: short-polls-look-again
        if self.authorizer.is_revoked(visit.grant, ask_log=bool(snapshots)):
            raise _Revoked
        # See SECURITY.md: what-another-app-guards-is-not-read
        if self._runtime.apps.closes(items):
            raise app_failed()
        return reading, snapshots

    def _cache(self, remembered: AnswerCache, visit: Visit, outcome: Reply | Subscription, lasts: float | None) -> None:
        query, grant = visit.request.query, visit.grant
        if grant is not None and not is_with_grant(query):
            return
        credentials = self.authorizer.grants.credentials_of(visit.request.headers) if is_with_grant(query) else ()
        until = self.authorizer.grants.renews(grant) if grant is not None else None
        # See SECURITY.md: mark-is-from-before-the-look
        remembered.put((query, visit.transports, credentials, visit.close), (visit.generation, until, lasts, outcome))


def is_with_grant(query: str) -> bool:
    """Whether a query may hold a grant; an answer to it is then one reader's alone."""
    return "grant=" in query


def _has_snapshot(item: Resolved) -> bool:
    return item.channel.snapshot_function is not None


def _calls_app(item: Resolved) -> bool:
    return item.channel.source_function is not None or _has_snapshot(item)


def _beginning(position: Position, reading: Reading) -> Cursor:
    """Return the position a hello names: one to come back with if nothing but the hello arrives."""
    if isinstance(position, Cursor):
        return position
    if position is Word.LOST:
        return NO_LIFE
    return reading.tail if position is Word.NOW else Cursor(reading.tail.epoch, 0)
