"""Handing a whole answer to the server, in one piece where the server allows it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ...protocol.reply import Reply

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def send(reply: Reply, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a WSGI request (PEP 3333); return what the application is to return."""
    response = getattr(start_response, "__self__", None)
    if reply.status == "200 OK" and environ["REQUEST_METHOD"] == "GET" and _is_gunicorn(response):
        return _send_at_once(response, reply)
    # A list of its own: whatever is wrapped around the app may change it (PEP 3333), and the reply may be given again.
    start_response(reply.status, list(reply.headers))
    return () if environ["REQUEST_METHOD"] == "HEAD" else (reply.body,)


def _is_gunicorn(response: object) -> bool:
    # Exactly this class: the one for HTTP/2 is a subclass that frames otherwise.
    kind = type(response)
    return kind.__name__ == "Response" and kind.__module__ == "gunicorn.http.wsgi"


def _send_at_once(response: Any, reply: Reply) -> Iterable[bytes]:
    """Send head and body with one system call, and note in gunicorn's response what it would have noted.

    gunicorn checks each header, and sends head and body apart; at each sending a thread gives the GIL away and waits to
    get it back. Together that is a quarter of the time of an idle poll under gthread (`make bench ONLY=polls`).
    """
    response.status, response.status_code = reply.status, 200
    response.headers = list(reply.headers)
    response.response_length = response.sent = len(reply.body)
    response.headers_sent = True
    response.sock.sendall(reply.encode(time.time(), close=response.should_close()))
    return ()
