"""Taking a connection from the WSGI server, so that holding it costs no thread.

One table: which server puts its socket where, and which exception makes it leave the request without a word. The
server is left with a dead socket under its own file descriptor, on which its shutdown, draining and closing, and
what it counts of them, go on as ever; the connection lives on under another descriptor.

gunicorn, sync and gthread (21 to 27): `StopIteration` is its own word for "close quietly". The newest half-close
the socket after the request and count on its being open; hence the dead one.
Werkzeug (`flask run`): a `ConnectionError` is a client that went away.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from .. import forks


class Server(NamedTuple):
    """A server whose sockets can be taken."""

    key: str
    """Where in the WSGI environment its socket is."""
    leave: type[Exception]
    """What to raise so that it leaves the request quietly."""


_SERVERS = (Server("gunicorn.socket", StopIteration), Server("werkzeug.socket", ConnectionAbortedError))


def find(environ: Mapping[str, Any]) -> Server | None:
    """Return the server of a request, if its socket can be taken.

    Not that of TLS (the encryption is in the object), of gevent (its loop owns it) or of HTTP/2 (other requests
    are on it): all of these are other types than a plain socket, or say so.
    """
    if sys.platform == "win32":  # a socket is no file descriptor there, and cannot be exchanged under one
        return None
    for server in _SERVERS:
        taken = environ.get(server.key)
        if taken is not None:
            plain = type(taken).__module__ == "socket" and environ.get("HTTP_VERSION") != "2"
            return server if plain and environ.get("SERVER_PROTOCOL", "HTTP/1.1")[:6] == "HTTP/1" else None
    return None


def is_greenlet(environ: Mapping[str, Any]) -> bool:
    """Whether the request runs in a greenlet, where waiting costs no thread."""
    return type(environ.get("gunicorn.socket")).__module__.startswith("gevent.")


def is_ending() -> bool:
    """Whether this process is a gunicorn worker that ends as soon as its requests have.

    It says so to nobody, and waits for them up to its `graceful_timeout`; but its handler of SIGTERM knows.
    """
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return type(worker).__module__.startswith("gunicorn.") and getattr(worker, "alive", True) is False


def take(server: Server, environ: Mapping[str, Any]) -> socket.socket:
    """Take a request's connection; the caller must raise `server.leave` next.

    Raises:
        OSError: there are no file descriptors left; the server still has its socket.
    """
    theirs = environ[server.key].fileno()
    ours = socket.socket(fileno=os.dup(theirs))
    try:
        os.dup2(_dead.fileno(), theirs, inheritable=False)
    except BaseException:
        ours.close()
        raise
    ours.setblocking(False)
    return ours


class _Dead:
    """One socket whose other end is closed: reading finds its end, writing fails. Made at first use."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        forks.register(self)

    def after_fork(self) -> None:
        """Make another: flags set on a shared one would reach the parent's."""
        self._socket = None

    def fileno(self) -> int:
        # Two threads may both make one; the first is then closed with its last reference.
        if self._socket is None:
            mine, other = socket.socketpair()
            other.close()
            self._socket = mine
        return self._socket.fileno()


_dead = _Dead()
