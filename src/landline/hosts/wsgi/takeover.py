"""Taking a connection from the WSGI server, so that holding it costs no thread.

The server is left with a dead socket under its own file descriptor, on which its shutdown, draining and closing, and
what it counts of them, go on as ever; the connection lives on under another descriptor. The server is then answered
as always, and finds that nobody is there to send it to: EPIPE, which every server takes for a client that went away,
and keeps quiet about. An exception would do too (gunicorn: `StopIteration`, Werkzeug: `ConnectionError`), but it
would pass through what is wrapped around an app: a debugger shows it, an error tracker reports it, and a generator
turns it into another.

gunicorn, sync and gthread (21 to 27): the newest half-close the socket after the request and count on its being open.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ... import forks

_KEYS = ("gunicorn.socket", "werkzeug.socket")
"""Where in the WSGI environment the servers put their sockets."""


def find(environ: Mapping[str, Any]) -> socket.socket | None:
    """Return the server's socket of a request, if it can be taken.

    Not that of TLS (the encryption is in the object), of gevent (its loop owns it) or of HTTP/2 (other requests
    are on it): all of these are other types than a plain socket, or say so.
    """
    if sys.platform == "win32":  # a socket is no file descriptor there, and cannot be exchanged under one
        return None
    for key in _KEYS:
        found = environ.get(key)
        if found is not None:
            plain = type(found).__module__ == "socket" and environ.get("HTTP_VERSION") != "2"
            return found if plain and environ.get("SERVER_PROTOCOL", "HTTP/1.1")[:6] == "HTTP/1" else None
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


def take(server_socket: socket.socket) -> socket.socket:
    """Take a request's connection; whatever the server is answered then, nobody gets.

    Raises:
        OSError: there are no file descriptors left; the server still has its socket.
    """
    theirs = server_socket.fileno()
    ours = socket.socket(fileno=os.dup(theirs))
    try:
        os.dup2(_dead.fileno(), theirs, inheritable=False)
    except BaseException:
        ours.close()
        raise
    ours.setblocking(False)
    return ours


def cut(server_socket: socket.socket) -> None:
    """End a connection that the server is sending on: its sending fails with EPIPE.

    By the kernel's own call: gevent's would wake the greenlet with EBADF, which gunicorn logs as an error of its own.
    """
    with suppress(OSError):
        getattr(server_socket, "_sock", server_socket).shutdown(socket.SHUT_RDWR)


class _Dead:
    """One socket whose other end is closed: reading finds its end, writing fails. Made at first use."""

    def __init__(self) -> None:
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Make another: flags set on a shared one would reach the parent's."""
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def fileno(self) -> int:
        with self._lock:
            if self._socket is None:
                self._socket, other = socket.socketpair()
                other.close()
            return self._socket.fileno()


_dead = _Dead()
