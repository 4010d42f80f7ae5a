"""A connection of the side loop that can be written to without waiting. Touched by the loop's thread alone."""

from __future__ import annotations

import asyncio
import socket

CHUNK = 65536
"""Bytes read at once."""
LINGER = 2.0
"""Seconds to wait for the other side's close after ours, so that bytes it still sends do not reset the last answer
on its way (RFC 9112 §9.6)."""


class BufferedSocket:
    """A socket, and what waits to be sent on it.

    Ten thousand of these are the point of this package, so one is a socket and a few words: no transport, no
    streams, no buffer unless the other side is slow.

    Args:
        loop: watches the socket.
        sock: the connection, not blocking.
        max_pending: bytes that may wait to be sent.
    """

    __slots__ = ("_max_pending", "_pending", "finishing", "loop", "sock")

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, max_pending: int) -> None:
        self.loop = loop
        self.sock = sock
        self.finishing = False
        """Whether nothing more may be written."""
        self._pending: bytearray | None = None
        self._max_pending = max_pending
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
        """Send bytes now, or as soon as the other side takes them; one that is too slow is cut."""
        if self.finishing:
            return
        if self._pending is None:
            self._send(data)
            return
        self._pending += data
        # See SECURITY.md: slow-readers-are-cut
        if len(self._pending) > self._max_pending:
            self.close("slow")

    def finish(self, last: bytes = b"") -> None:
        """Write the last bytes; when they are sent, the connection ends."""
        if self.finishing:
            return
        self.write(last)
        self.finishing = True
        if self._pending is None and self.sock.fileno() >= 0:
            self._sent_all()

    def close(self, reason: str) -> None:
        """Close at once; what waits is not sent."""
        if self.sock.fileno() < 0:
            return
        self.loop.remove_reader(self.sock)
        if self._pending is not None:
            self.loop.remove_writer(self.sock)
            self._pending = None
        self.sock.close()
        self._lost(reason)

    def _received(self, data: bytes) -> None:
        """Take what the other side sent; none at the end of its stream."""
        raise NotImplementedError

    def _lost(self, reason: str) -> None:
        """Do what is to be done when the connection is closed."""
        raise NotImplementedError

    def _sent_all(self) -> None:
        """Do what is to be done when the last bytes are sent: close, once the other side has."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close("gone")
        else:
            self.loop.call_later(LINGER, self.close, "done")

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
        if self.finishing and self._pending is None and self.sock.fileno() >= 0:
            self._sent_all()

    def _readable(self) -> None:
        try:
            data = self.sock.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        self._received(data)


def prepare(sock: socket.socket, patience: float) -> None:
    """Have a connection send each event at once, and give up a peer that acknowledges nothing for some seconds."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; elsewhere the system's own, some minutes
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(patience * 1000))
