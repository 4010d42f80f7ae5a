"""One held connection: writes what it is given, notices its end. Touched by the side loop's thread alone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from .protocol.websocket import Incoming
from .wire import Hold

if TYPE_CHECKING:
    from .sideloop import Feed

LINGER = 2.0
"""Seconds to wait for the other side's close after ours, so that bytes it still sends do not reset the last answer
on its way (RFC 9112 §9.6)."""
_CHUNK = 65536


class Line:
    """A held connection.

    Ten thousand of these are the point of this package, so one is a socket and a dozen words.

    Args:
        loop: the loop that watches the socket.
        sock: the connection, not blocking.
        hold: what was asked for.
        max_pending: bytes that may wait to be sent.
        closed: called once, when the line is no more, with a word for the reason.
        incoming: makes what reads a socket's client.
        back: called instead of closing, when the answer was sent and the connection may be used on.
    """

    __slots__ = (
        "_back",
        "_closed",
        "_incoming",
        "_make_incoming",
        "_max_pending",
        "_pending",
        "cursor",
        "due",
        "feed",
        "finishing",
        "loop",
        "opened",
        "request",
        "sock",
        "told",
        "transport",
        "written",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        hold: Hold,
        max_pending: int,
        closed: Callable[[Line, str], None],
        incoming: Callable[[], Incoming] = Incoming,
        back: Callable[[], None] | None = None,
    ) -> None:
        self.loop = loop
        self.sock = sock
        self.transport = hold.transport
        self.cursor = hold.cursor
        self.request = hold.request
        self.opened = self.written = loop.time()
        self.due = None if hold.wait is None else self.opened + hold.wait
        """When a long poll is answered in any case; None for a stream."""
        self.told = hold.told
        self.feed: Feed | None = None
        self.finishing = False
        self._back = back
        self._make_incoming = incoming
        self._incoming: Incoming | None = None
        self._pending: bytearray | None = None
        self._max_pending = max_pending
        self._closed = closed
        loop.add_reader(sock, self._readable)

    @property
    def open(self) -> bool:
        """Whether anything can still be written."""
        return not self.finishing and self.sock.fileno() >= 0

    @property
    def flushed(self) -> bool:
        """Whether everything written has left the process."""
        return self._pending is None

    def write(self, data: bytes) -> None:
        """Send bytes now, or as soon as the reader takes them; a reader too slow is cut, and comes back."""
        if not self.open:
            return
        self.written = self.loop.time()
        if self._pending is not None:
            self._pending += data
            if len(self._pending) > self._max_pending:
                self.close("slow")
            return
        self._send(data)

    def finish(self, last: bytes = b"") -> None:
        """Write the last bytes, and close when they are sent and the other side has closed too."""
        if self.open:
            self.write(last)
        if self.open:
            self.finishing = True
            if self._pending is None:
                self._shut()

    def close(self, reason: str) -> None:
        """Close at once; the other side sees the end of the stream, or that of its patience."""
        if self.sock.fileno() < 0:
            return
        self.loop.remove_reader(self.sock)
        if self._pending is not None:
            self.loop.remove_writer(self.sock)
        self._pending = None
        self.sock.close()
        self._closed(self, reason)

    def _send(self, data: bytes) -> None:
        try:
            sent = self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.close("gone")
            return
        if sent < len(data):
            self._pending = bytearray(data[sent:])
            self.loop.add_writer(self.sock, self._writable)

    def _writable(self) -> None:
        pending, self._pending = self._pending, None
        self.loop.remove_writer(self.sock)
        self._send(bytes(pending or b""))
        if self.finishing and self._pending is None:
            self._shut()

    def _shut(self) -> None:
        if self._back is not None:
            self.loop.remove_reader(self.sock)
            self._closed(self, "done")
            self._back()
            return
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close("gone")
        else:
            self.loop.call_later(LINGER, self.close, "done")

    def _readable(self) -> None:
        try:
            data = self.sock.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if self.finishing or self.transport.name != "websocket":
            # Whatever else a client sends on a held request is none of ours: a body, or a pipelined request.
            if not data:
                self.close("done" if self.finishing else "gone")
            return
        if self._incoming is None:
            self._incoming = self._make_incoming()
        out, ends = self._incoming.receive(data)
        if out:
            self.write(out)
        if not data:
            self.close("gone")
        elif ends:
            self.finish()
