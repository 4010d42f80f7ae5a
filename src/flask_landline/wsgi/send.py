"""Handing a whole answer to the server, in one piece where the server allows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..protocol.reply import Reply

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def send(reply: Reply, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a WSGI request (PEP 3333); return what the application is to return."""
    start_response(reply.status, reply.headers)
    if environ["REQUEST_METHOD"] == "HEAD":
        return ()
    response = getattr(start_response, "__self__", None)
    if reply.body and _is_gunicorn(response):
        return _send_at_once(response, reply.body)
    return (reply.body,)


def _is_gunicorn(response: object) -> bool:
    # Exactly this class: the one for HTTP/2 is a subclass that frames otherwise.
    kind = type(response)
    return kind.__name__ == "Response" and kind.__module__ == "gunicorn.http.wsgi"


def _send_at_once(response: Any, body: bytes) -> Iterable[bytes]:
    """Send head and body with one system call.

    gunicorn sends them with two, and at each a thread gives the GIL away and waits to get it back: a fifth of the
    time of an idle poll under gthread (`bench/polls.py`). The head is gunicorn's own.
    """
    head = [*response.default_headers(), *(f"{name}: {value}\r\n" for name, value in response.headers), "\r\n"]
    response.sock.sendall("".join(head).encode("latin-1") + body)
    response.headers_sent = True
    response.sent = len(body)
    return ()
