"""The wire through WSGI, answered before Flask dispatches.

An idle poll costs microseconds, not a trip through the app. A request that is to be held gives its socket to the
side loop; where that cannot be, it waits in its greenlet, or in one of a few threads.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...errors import Refusal
from ...loop.listener import Listener
from ...loop.thread import SideLoop
from ...protocol.request import Request, encode_query, without_ignored
from ...serve.endpoints import Endpoints
from ...serve.offers import ALL, LONG_POLL, POLL_ONLY, STREAM_OR_POLL
from ...serve.runtime import Runtime
from ...serve.subscription import Subscription
from . import takeover
from .gunicorn import send
from .headers import EnvironHeaders
from .in_place import BlockingHolds

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# See SECURITY.md: questions-are-our-own
VISIT = "landline.visit"
"""Where in the WSGI environment the question is while the app is asked who may read. No header can put it there."""
POSITION = "landline.position"
"""Where in the WSGI environment a position from before the view began is, or None where the log cannot be read."""

_TYPES = {"long-poll": "application/json", "sse": "text/event-stream", "websocket": "application/octet-stream"}
"""Media types of what is sent on a connection that was taken from the server, by transport."""


class WireMiddleware:
    """Answers the wire's paths and passes everything else on.

    Args:
        wsgi_app: what was there before.
        runtime: the app's Landline.
    """

    def __init__(self, wsgi_app: WSGIApplication, runtime: Runtime) -> None:
        self._wsgi_app = wsgi_app
        self._runtime = runtime
        self._endpoints = Endpoints(runtime)
        self._has_key = False
        self.sideloop = SideLoop(runtime, self._endpoints)
        """Holds the connections taken from the server."""
        self.listener = (
            Listener(runtime.config.listen, self._endpoints, self.sideloop, mode=runtime.config.listen_mode)
            if runtime.config.listen
            else None
        )
        """The second door, which opens with the first request through this one."""
        runtime.closing.append(self.sideloop.close)
        self._threads = BlockingHolds(runtime, self._endpoints, runtime.config.held_threads)
        self._greenlets = BlockingHolds(runtime, self._endpoints, self.sideloop.budget, is_ending=takeover.is_ending)
        runtime.closing += [self._threads.close, self._greenlets.close]
        self._endpoints.meter.observe = lambda: (max(self.sideloop.taken, self._greenlets.taken), self.sideloop.lag)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one WSGI request (PEP 3333)."""
        if not self._runtime.has_begun and VISIT not in environ:
            self._runtime.begin(environ)
        if self._runtime.channels.guarded and not self._has_key:
            self._endpoints.authorizer.require_key()  # at the first request: in development at once, and on the page
            self._has_key = True
        if self.listener is not None:
            self.listener.ensure()
        path = environ.get("PATH_INFO", "")
        if path not in self._endpoints.paths or VISIT in environ:
            if self._runtime.channels and VISIT not in environ:
                environ[POSITION] = self._runtime.position.note()
            return self._wsgi_app(environ, start_response)
        server_socket = takeover.find(environ)
        transports = self._transports(environ, server_socket)
        remote = self._remote(environ)
        outcome = self._endpoints.handle(_request(environ, path, remote), transports)
        if isinstance(outcome, Subscription):
            return self._hold(outcome, remote, server_socket, environ, start_response)
        return send(outcome, environ, start_response)

    def _remote(self, environ: WSGIEnvironment) -> str:
        """Return the client's address as the app sees it, whichever of the two is wrapped around the other."""
        return self._endpoints.limits.address(environ.get("REMOTE_ADDR") or "-", environ.get("HTTP_X_FORWARDED_FOR"))

    def _transports(self, environ: WSGIEnvironment, server_socket: socket.socket | None) -> tuple[str, ...]:
        """Return what can be offered to this client now."""
        if server_socket is not None:
            if self.sideloop.full:
                return POLL_ONLY
            # nginx speaks HTTP/1.0 to its upstream by default, and that version has no Upgrade (RFC 9110 §7.8).
            return ALL if environ.get("SERVER_PROTOCOL") != "HTTP/1.0" else STREAM_OR_POLL
        if takeover.is_greenlet(environ):
            return STREAM_OR_POLL if self._greenlets.free else POLL_ONLY
        # Where requests come one at a time, a held one would stop the publisher it waits for.
        return LONG_POLL if environ.get("wsgi.multithread") and self._threads.free else POLL_ONLY

    def _hold(
        self,
        subscription: Subscription,
        remote: str,
        server_socket: socket.socket | None,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        if server_socket is None:
            places = self._greenlets if takeover.is_greenlet(environ) else self._threads
            return places.hold(subscription, remote, environ, start_response)
        try:
            self.sideloop.admit(remote)
        except Refusal as refusal:
            return send(self._endpoints.answer_now(subscription, refusal), environ, start_response)
        try:
            self.sideloop.hold(takeover.take(server_socket), subscription, remote)
        except BaseException:  # no descriptor, or no thread, is left
            self.sideloop.dismiss(remote)
            raise
        # For the server's log, and for whatever is wrapped around the app: no client gets it. With a type, as
        # PEP 3333 has it and `wsgiref.validate` asks of every status that may have a body.
        status = "101 Switching Protocols" if subscription.transport.name == "websocket" else "200 OK"
        start_response(status, [("Content-Type", _TYPES[subscription.transport.name])])
        return ()


def _request(environ: WSGIEnvironment, path: str, remote: str) -> Request:
    query = without_ignored(encode_query(environ.get("QUERY_STRING", "")))
    return Request(environ["REQUEST_METHOD"], path, query, EnvironHeaders(environ), remote, environ)
