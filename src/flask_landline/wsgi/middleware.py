"""Polls, answered before Flask dispatches: an idle poll costs microseconds, not a trip through the app."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..channel import Resolved
from ..cursor import Word
from ..errors import LogError, Refusal
from ..protocol.poll import Advice, answer, cache_control
from ..protocol.problem import log_unavailable, method_refused, problem
from ..protocol.reply import Reply
from ..protocol.request import parse_poll
from ..reading import Reading
from ..state import State
from .send import send
from .threads import HeldThreads

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


_IDLE_ANSWERS = 1024


class PollMiddleware:
    """Answers `GET {prefix}/poll` and passes everything else on.

    Args:
        wsgi_app: what was there before.
        state: the app's Landline.
    """

    def __init__(self, wsgi_app: WSGIApplication, state: State) -> None:
        self._wsgi_app = wsgi_app
        self._state = state
        self._path = state.config.prefix + "/poll"
        self._held = HeldThreads(state.config.held_threads)
        interval = state.config.interval
        self._advice_holding = Advice(interval, state.config.hold, ("long-poll", "poll"))
        self._advice = Advice(interval, 0.0, ("poll",))
        self._idle: dict[tuple[str, bool], tuple[object, Reply]] = {}
        self._cache_control = cache_control(state.config.shared_cache)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one WSGI request (PEP 3333)."""
        if environ.get("PATH_INFO") != self._path:
            return self._wsgi_app(environ, start_response)
        try:
            reply = self._poll(environ)
        except Refusal as refusal:
            reply = problem(refusal)
        except LogError as error:
            reply = problem(log_unavailable(error))
        return send(reply, environ, start_response)

    def _poll(self, environ: WSGIEnvironment) -> Reply:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            raise method_refused(environ["REQUEST_METHOD"])
        query = environ.get("QUERY_STRING", "")
        holdable = self._may_hold(environ)
        etag = environ.get("HTTP_IF_NONE_MATCH")
        mark = self._state.hub.mark()
        if etag is None and (idle := self._idle.get((query, holdable))) and idle[0] is mark:
            return idle[1]
        request = parse_poll(query)
        items = self._state.resolve(request.channels)
        self._state.sources.ask(items)
        reading = self._state.hub.read(request.channels, request.position)
        told = self._in_question(items, request.position, reading)
        snapshots = self._state.snapshots(told, reading.tail, environ)
        if request.wait > 0 and holdable and not snapshots and not reading.has_news:
            reading = self._hold(items, reading, min(request.wait, self._state.config.hold))
            snapshots = self._state.snapshots(self._in_question(items, reading.cursor, reading), reading.tail, environ)
        advice = self._advice_holding if holdable else self._advice
        reply = answer(reading, advice, snapshots, etag=etag, cache_control=self._cache_control)
        if (
            etag is None
            and not request.wait
            and not snapshots
            and not reading.has_news
            and not any(item.channel.source_function for item in items)
        ):
            if len(self._idle) >= _IDLE_ANSWERS:
                self._idle.clear()
            self._idle[query, holdable] = mark, reply
        return reply

    @staticmethod
    def _in_question(items: list[Resolved], position: Any, reading: Reading) -> list[Resolved]:
        """Return the channels whose whole state a reader needs: a newcomer's all, else those reset (WIRE §8)."""
        if position is Word.NOW:
            return items
        if reading.reset is None:
            return []
        return [item for item in items if item.name in reading.reset.channels]

    def _may_hold(self, environ: WSGIEnvironment) -> bool:
        # Where requests come one at a time, a held one would stop the publisher it waits for.
        return bool(environ.get("wsgi.multithread")) and self._held.free

    def _hold(self, items: list[Resolved], reading: Reading, wait: float) -> Reading:
        """Wait in this thread until there are news, for `wait` seconds at most, if a place is free."""
        names = [item.name for item in items]
        deadline = time.monotonic() + wait
        hint = threading.Event()
        with self._held.hold() as taken, self._state.hub.listening(hint.set):
            while taken:
                # Registered above, cleared here, read, and only then waited: no event falls in between.
                hint.clear()
                due = self._state.sources.ask(items)
                reading = self._state.hub.read(names, reading.cursor)
                remaining = deadline - time.monotonic()
                if reading.has_news or remaining <= 0:
                    break
                hint.wait(min(remaining, due))
        return reading
