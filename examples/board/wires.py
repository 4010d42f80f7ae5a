"""Wires that a page may cut for itself, at the server: for the demo, what a firewall does to one's visitors.

A page that cuts its wire reads Landline at an address of its own, `/wires/<page>/` instead of `/landline/`. What comes
there is passed on like anything else, unless the page has cut that transport: then it is refused, and never gets to
Landline. A line that is open at that moment dies as lines do, without a word to either of its ends.

Whatever is cut is kept in the board's file, for all processes; but a line is ended only by the process that has it, so
the switches are for a demo that one process serves.
"""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

TRANSPORTS = ("websocket", "sse", "long-poll", "poll")
LINES_KEPT = 1000
"""Lines whose end is known to nobody here: the oldest are forgotten."""

_OWN = re.compile(r"/wires/([0-9a-z]{1,16})/(poll|events|ws)")

Peer = tuple[str, int]
"""A client's address and port: of all connections to this process, one has it."""


class Wires:
    """Stands between the server and the app, and refuses to each page what that page has cut.

    Args:
        wsgi_app: what was there before; it answers Landline's own paths.
        prefix: where Landline is.
        cuts: gives the transports that a page has cut.
    """

    def __init__(self, wsgi_app: WSGIApplication, prefix: str, cuts: Callable[[str], Iterable[str]]) -> None:
        self._wsgi_app = wsgi_app
        self._prefix = prefix
        self._cuts = cuts
        self._lock = threading.Lock()
        self._lines: dict[tuple[str, str], Peer] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        own = _OWN.fullmatch(environ["PATH_INFO"])
        if own is None:
            return self._wsgi_app(environ, start_response)
        page, path = own.groups()
        transport = _transport(path, environ["QUERY_STRING"])
        # First noted, then looked up. A page stores what it cuts before it ends its lines: so either it finds this one
        # here, or the line finds itself cut.
        if transport != "poll":
            self._note(page, transport, environ)
        if transport in self._cuts(page):
            # In the wire's words, for the panel to repeat. A firewall would send a page, and the client fall just so.
            problem = {"code": "cut", "status": 503, "detail": f"The wire is cut here: no {transport} for this page."}
            start_response("503 Service Unavailable", [("Content-Type", "application/problem+json")])
            return [json.dumps(problem).encode()]
        environ["PATH_INFO"] = f"{self._prefix}/{path}"
        return self._wsgi_app(environ, start_response)

    def end(self, page: str, transports: Iterable[str]) -> None:
        """End the page's open lines of these transports, without a word."""
        with self._lock:
            peers = [self._lines.pop((page, transport), None) for transport in transports]
        for peer in filter(None, peers):
            _shut(peer)

    def _note(self, page: str, transport: str, environ: WSGIEnvironment) -> None:
        with self._lock:
            self._lines.pop((page, transport), None)  # there is one of a kind; the newest goes to the end
            self._lines[page, transport] = (environ["REMOTE_ADDR"], int(environ.get("REMOTE_PORT") or 0))
            if len(self._lines) > LINES_KEPT:
                self._lines.pop(next(iter(self._lines)))


def _transport(path: str, query: str) -> str:
    if path == "poll":
        return "long-poll" if "wait=" in query else "poll"
    return {"ws": "websocket", "events": "sse"}[path]


def _shut(peer: Peer) -> None:
    """Shut a connection down, whatever has it by now, as `ss --kill` would.

    It is looked for among this process's descriptors, because there is none of it to keep: Landline takes it from the
    server, and a copy kept here would hold it open when both of its ends have gone.
    """
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # the listing's own, one closed meanwhile, or a socket without a peer
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                with socket.socket(fileno=os.dup(int(name))) as connection:
                    if connection.getpeername()[:2] == peer:
                        connection.shutdown(socket.SHUT_RDWR)
