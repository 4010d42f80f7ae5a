"""The wire's three addresses, answered the same whichever host a request came through.

A host hands a `Request` in, with the transports it can offer this client now, and gets back a `Reply` to send or a
`Subscription` to hold. Nothing here knows of sockets. An answer is four steps, each of which takes what the one before
it has found, so that nothing is looked at twice:

| step    | finds                                                       | may call                        |
|---------|-------------------------------------------------------------|---------------------------------|
| parse   | `Asked`: channels, position, what the page's origin may     | nothing                         |
| admit   | `Admitted`: the grant that lets the reader read, the advice | the app's reader functions      |
| read    | `Found`: events, snapshots                                  | sources, the log, snapshots     |
| answer  | a `Reply`, or a `Subscription`                              | nothing                         |

What may take its time is yielded as a `Call`: an event loop runs it in a thread, other hosts where they are.

Invariants:

- *Generation, admit, read, revoked meanwhile?, answer.* The hub's generation is taken before the reader is admitted: a
  revocation from then on moves it, and voids the answer in the cache. That the grant is not revoked is made sure
  between reading and answering, by the log's own end where the app has made snapshots.
- *Cache, advice.* An answer is put into the cache that was there before its advice was looked up. When other advice is
  due that cache is dropped, so no client is given the old advice for long.
- What is refused (4xx) is not counted as a poll. Parsing needs neither app nor log; of reader functions an address may
  have as many asked as its limit says.

Safe to use from any thread: what is shared is replaced as a whole, or has locks of its own.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable
from functools import partial
from typing import Any

from ..access.limits import Limits
from ..channels.channel import Resolved
from ..cursor import Cursor, Position, Word
from ..errors import LogError, Refusal
from ..event import Event
from ..protocol.advice import Advice
from ..protocol.endpoints import EVENTS, POLL, SOCKET
from ..protocol.poll import LongPoll
from ..protocol.problem import app_busy, app_failed, busy, log_unavailable, problem, rights_change
from ..protocol.reply import Reply
from ..protocol.request import Request, bad_request
from ..protocol.sse import stream_head
from ..reading import Reading
from .answer_cache import AnswerCache
from .answering import Admitted, Answers, Found, Outcome
from .offers import POLL_ONLY, advices
from .parsing import Asked, Parser, check_origin
from .poll_key import PollKey
from .pressure import Meter, Pressure
from .runtime import Runtime
from .steps import run
from .subscription import Call, Subscription

ADMISSIONS = 3
"""Times that the app is asked about one request whose reader is revoked while it is answered. A revocation in each of
these moments is no chance any more: the client is asked to come back."""


class Endpoints:
    """Answers polls, and opens streams and sockets.

    Args:
        runtime: the app's Landline.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.authorizer = runtime.authorizer
        self._clock, self._random = runtime.times.wall, runtime.times.random
        self.wall = runtime.times.wall
        """Unix seconds, for what is sent."""
        config = runtime.config
        self._parser = Parser(runtime)
        self._origins = self._parser.origins
        capacity = math.inf if config.poll_capacity is None else config.poll_capacity
        self.meter = Meter(
            lambda: Pressure(config.interval, config.hold, capacity), self._advise, clock=runtime.times.clock
        )
        """Counts what is asked here, and decides what to ask of clients."""
        self._advise()
        self.limits = Limits(config, lambda: runtime.forwarded.address_hops, times=runtime.times)
        """What one address may have."""
        self.paths = frozenset(self._parser.endpoints)
        """The paths answered here."""
        self._poll_path = f"{config.prefix}/{POLL.name}"
        self._in_form = Answers(runtime)

    def _advise(self) -> None:
        """Advise something else from now on: answers that say otherwise are forgotten."""
        self._advice = advices(self._runtime.config, self.meter.pressure)
        # A new one, and last: a thread that took the old one may still put an answer there, which no client gets.
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
        """Return a refusal to hold a request, each until another time."""
        return busy(detail, self.meter.pressure.pause(self._random()))

    def app_busy(self, detail: str) -> Refusal:
        """Return a refusal of a request about which the app cannot be asked now, each until another time."""
        return app_busy(detail, self.meter.pressure.pause(self._random()))

    def answer_now(self, subscription: Subscription, refusal: Refusal) -> Reply:
        """Answer a request that cannot be held after all: a poll as a short one, a stream with the refusal."""
        if isinstance(subscription.transport, LongPoll):
            nothing = Reading((), subscription.cursor, subscription.cursor)
            return subscription.transport.reply(nothing, (), self.advice(POLL_ONLY))
        return problem(refusal, subscription.headers)

    def unreadable(self, error: LogError, headers: Iterable[tuple[str, str]] = ()) -> Reply:
        """Answer a request that fails because of the log, and have the server's log say why."""
        # See SECURITY.md: log-says-why-it-fails
        self._runtime.hub.warn("A request was refused, as the log cannot be read.", error)
        refusal = log_unavailable(error)
        self._runtime.observers.refused(refusal.code)
        return problem(refusal, headers)

    def poll_key(self, request: Request) -> PollKey | None:
        """Return the question of a plain poll; None: the request is none."""
        return PollKey.of(request, self.authorizer.grants) if request.path == self._poll_path else None

    def cached(
        self, poll_key: PollKey, transports: tuple[str, ...], remote: str, *, close: bool = True
    ) -> Outcome | None:
        """Return what became of a poll, if this reader has asked the same before and nothing is new.

        An address that asks too often gets nothing here, and is refused by `steps`.

        Args:
            poll_key: its question.
            transports: as for `steps`.
            remote: the client's address.
            close: as for `steps`.
        """
        remembered = self._answers.get((poll_key, transports, close))
        if remembered is None:
            return None
        generation, until, lasts, outcome = remembered
        try:
            # The generation moves with each event, and so with each revocation.
            if generation is not self._runtime.hub.generation() or (lasts is not None and lasts <= self._clock()):
                return None
            # See SECURITY.md: remembered-answer-ends-with-its-grant
            if until is None or self.authorizer.grants.is_current(until):
                if not self.limits.allow(remote):
                    return None
                # See SECURITY.md: every-poll-is-counted
                self.meter.count()
                observers = self._runtime.observers
                if observers.wants_polls and isinstance(outcome, Reply):
                    observers.polled(outcome.status)
                return outcome
        except LogError as error:
            return self.unreadable(error, self._origins.answer({}, public=False))
        return None

    def handle(self, request: Request, transports: tuple[str, ...], *, close: bool = True) -> Outcome:
        """Answer a request to one of `paths` in this thread, from memory where it can; see `steps`."""
        poll_key = self.poll_key(request)
        if poll_key is not None:
            outcome = self.cached(poll_key, transports, request.remote, close=close)
            if outcome is not None:
                return outcome
        return run(self.steps(request, transports, poll_key, close=close))

    def steps(
        self, request: Request, transports: tuple[str, ...], poll_key: PollKey | None, *, close: bool = True
    ) -> Generator[Call, Any, Outcome]:
        """Answer a request to one of `paths`; a refusal is an answer too.

        Args:
            request: the request.
            transports: what its host can offer this client now, best first.
            poll_key: the question, of a plain poll.
            close: whether a held poll's connection ends with its answer.
        """
        outcome = yield from self._steps(request, transports, poll_key, close=close)
        # See SECURITY.md: refusals-are-not-counted
        if not (isinstance(outcome, Reply) and outcome.status.startswith("4")):
            self.meter.count()
        return outcome

    def _steps(
        self, request: Request, transports: tuple[str, ...], poll_key: PollKey | None, *, close: bool
    ) -> Generator[Call, Any, Outcome]:
        headers = self._origins.answer(request.headers, public=True)
        try:
            preflight = self._origins.preflight(request.headers) if request.method == "OPTIONS" else None
            if preflight is not None:
                return preflight
            asked = self._parser.parse(request, transports, poll_key, close=close)
            headers = asked.headers
            self._check(asked)
            token = asked.query.grant
            for _ in range(ADMISSIONS):
                admitted = yield from self._admit(asked, token)
                headers = admitted.headers
                if request.method == "HEAD" and asked.endpoint is EVENTS:
                    return stream_head(headers)
                found = yield from self._read(admitted)
                if found is not None:
                    return self._observed(self._in_form.answer(admitted, found), asked)
                token = None
                if admitted.cookies:
                    break  # the request has the old ones: asked with these, the app may not know the reader
            raise rights_change()
        except Refusal as refusal:
            self._runtime.observers.refused(refusal.code)
            return problem(refusal, headers)
        except LogError as error:
            return self.unreadable(error, headers)

    def _observed(self, outcome: Outcome, asked: Asked) -> Outcome:
        if isinstance(outcome, Reply) and asked.endpoint is POLL:
            self._runtime.observers.polled(outcome.status)
        return outcome

    def _check(self, asked: Asked) -> None:
        """Make sure that a request may be answered, by all that needs neither log nor app.

        Raises:
            Refusal: `not-allowed` to its page, `slow-down`, `busy`, or a socket is not asked for with GET.
        """
        check_origin(asked)
        self.limits.check(asked.request.remote)
        if asked.endpoint is SOCKET and asked.request.method == "HEAD":
            raise bad_request("A socket is opened with GET (RFC 6455 §4.1).")

    def _admit(self, asked: Asked, token: str | None) -> Generator[Call, Any, Admitted]:
        """Let the reader in by the grant it brought, by a new one, or by none where all channels are public.

        Raises:
            Refusal: the app does not let it read one of the channels, or cannot say; or its address has had too many
                reader functions asked.
            LogError: the log cannot be read.
        """
        if self._runtime.apps.due:
            yield Call(self._runtime.apps.say)
        # First: what is revoked from here on moves it, and voids the answer.
        generation = self._runtime.hub.generation()
        grant, cookies = None, ()
        if asked.closed:
            grant = self.authorizer.check(asked.request, asked.closed, token)
            if grant is None:
                # See SECURITY.md: asking-counts-channels
                self.limits.check(asked.request.remote, len(asked.closed) - 1)
                grant, cookies = yield Call(
                    partial(self.authorizer.ask, asked.request, list(asked.closed)), is_apps=True
                )
        # A cookie must not wait: a session with a new id is void under the old one, whatever its user does meanwhile.
        # With the advice of a short poll, for an app may set one each time.
        # See SECURITY.md: cookies-do-not-wait
        wait = asked.query.wait if not cookies else 0.0
        answers = self._answers
        # Connections already held keep their transport; only new ones are refused.
        # See SECURITY.md: full-process-offers-polls
        has_room = asked.endpoint is not POLL or (self.meter.pressure.room and wait == asked.query.wait)
        offered = asked.transports if has_room else POLL_ONLY
        return Admitted(asked, generation, grant, cookies, wait, offered, answers, self.advice(offered))

    def _read(self, admitted: Admitted) -> Generator[Call, Any, Found | None]:
        """Read what is new, and the whole state of the channels that need it (WIRE §8).

        Returns:
            None: the reader was revoked meanwhile, and what was read must not be sent.

        Raises:
            Refusal: a snapshot failed, or another app guards one of the channels.
            LogError: the log cannot be read.
        """
        asked, runtime = admitted.asked, self._runtime
        self._check_room(asked)
        if any(item.channel.source_function is not None for item in asked.items):
            yield Call(partial(runtime.sources.run_due, asked.items), is_apps=True)
        names, position = asked.query.channels, asked.query.position
        if self._is_at_hand(names, position):
            reading = runtime.hub.read(names, position)
        else:
            reading = yield Call(partial(runtime.hub.read, names, position))
        newcomer = position in (Word.NOW, Word.LOST)
        snapshots: list[Event] = []
        if _states(asked.items, reading, newcomer=newcomer):
            make = partial(runtime.snapshots, asked.items, reading, asked.site, newcomer=newcomer)
            snapshots = yield Call(make, is_apps=True)
        # After reading, snapshots too: what came behind a revocation may be in them, though the grant was good before.
        # See SECURITY.md: short-polls-look-again
        if self.authorizer.is_revoked(admitted.grant, ask_log=bool(snapshots)):
            return None
        # See SECURITY.md: what-another-app-guards-is-not-read
        if runtime.apps.closes(asked.items):
            raise app_failed()
        return Found(reading, snapshots)

    def _check_room(self, asked: Asked) -> None:
        if asked.endpoint.transport not in asked.transports:
            what = "an event stream" if asked.endpoint is EVENTS else "a socket"
            raise self.busy(f"This server cannot hold {what} open for this client now.")

    def _is_at_hand(self, names: tuple[str, ...], position: Position) -> bool:
        """Return whether what is new can be read without the log; its end alone is asked for."""
        if isinstance(position, Cursor):
            return self._runtime.hub.peek(names, position, position.offset) is not None
        return position is not Word.START


def _states(items: Iterable[Resolved], reading: Reading, *, newcomer: bool) -> list[Resolved]:
    """Return the channels whose whole state a reader needs."""
    reset = reading.reset.channels if reading.reset is not None else ()
    return [item for item in items if _has_snapshot(item) and (newcomer or item.name in reset)]


def _has_snapshot(item: Resolved) -> bool:
    return item.channel.snapshot_function is not None
