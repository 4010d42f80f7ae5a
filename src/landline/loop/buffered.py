"""A connection of the side loop that can be written to without waiting. Touched by the loop's thread alone."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque

CHUNK = 65536
"""Bytes read at once."""
LINGER = 2.0
"""Seconds to wait for the other side's close after ours, so that bytes it still sends do not reset the last answer
on its way (RFC 9112 §9.6)."""
_AT_ONCE = 16
"""Pieces sent to a slow reader before others have their turn."""
_CUT_TO = 0.75
"""Part of what may wait for all that is left when the slowest are cut: they are sorted once for many that are cut."""

logger = logging.getLogger("flask_landline")


class Pool:
    """What all connections of one loop have together.

    Args:
        max_pending: bytes that may wait for all slow readers together.
        max_open: connections that may be open.
    """

    def __init__(self, max_pending: float, max_open: float) -> None:
        self.max_pending = max_pending
        self.max_open = max_open
        self.pending = 0
        """Bytes that wait to be sent."""
        self.slow: set[BufferedSocket] = set()
        """The connections for which something waits."""
        self.open = 0
        """Connections that have a descriptor."""

    @property
    def is_full(self) -> bool:
        """Whether no more connections should be accepted."""
        # See SECURITY.md: door-leaves-descriptors
        return self.open >= self.max_open

    def add(self, size: int) -> None:
        """Count bytes that wait; beyond what may wait, the connections with most of them are cut."""
        self.pending += size
        # See SECURITY.md: slow-readers-of-all-are-cut
        if self.pending > self.max_pending:
            for connection in sorted(self.slow, key=lambda connection: connection.waiting, reverse=True):
                connection.close("slow")
                if self.pending <= _CUT_TO * self.max_pending:
                    break


class BufferedSocket:
    """A socket, and what waits to be sent on it.

    Ten thousand of these are the point of this package, so one is a socket and a few words: no transport, no
    streams, no buffer unless the other side is slow. What waits is not copied: a thousand slow readers of one event
    share its bytes.

    Args:
        loop: watches the socket.
        sock: the connection, not blocking.
        max_pending: bytes that may wait to be sent.
        pool: the loop's.
    """

    __slots__ = ("_max_pending", "_pending", "_pool", "finishing", "loop", "sock", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, max_pending: int, pool: Pool) -> None:
        self.loop = loop
        self.sock = sock
        self.finishing = False
        """Whether nothing more may be written."""
        self._pending: deque[bytes] | None = None
        self.waiting = 0
        """Bytes that wait to be sent."""
        self._max_pending = max_pending
        self._pool = pool
        loop.add_reader(sock, self._readable)
        pool.open += 1

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
        if self.finishing or not data:
            return
        if self._pending is None:
            self._send(data)
        else:
            self._wait(data)

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
        self._let_go()
        self.sock.close()
        self._lost(reason)

    def release(self) -> socket.socket:
        """Watch the socket no more, and return it to be used otherwise; nothing may wait to be sent."""
        sock = self.sock
        self._let_go()
        self.sock = _NO_SOCKET
        return sock

    def _let_go(self) -> None:
        self._pool.open -= 1
        self.loop.remove_reader(self.sock)
        if self._pending is not None:
            self.loop.remove_writer(self.sock)
            self._forget()

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
            try:
                self.loop.add_writer(self.sock, self._writable)
            except OSError:  # the kernel has no memory to watch one more (ENOMEM, ENOSPC)
                logger.exception("A connection cannot be watched and is closed; its client comes back.")
                self.close("failed")
                return
            self._pending = deque()
            self._pool.slow.add(self)
            self._wait(data[sent:])

    def _wait(self, data: bytes) -> None:
        """Keep bytes until the other side takes them."""
        assert self._pending is not None
        self._pending.append(data)
        self.waiting += len(data)
        # See SECURITY.md: slow-readers-are-cut
        if self.waiting > self._max_pending:
            self._pool.pending += len(data)
            self.close("slow")
        else:
            self._pool.add(len(data))  # which may close this one

    def _forget(self) -> None:
        """Have nothing wait any more."""
        self._pool.pending -= self.waiting
        self._pool.slow.discard(self)
        self._pending, self.waiting = None, 0

    def _writable(self) -> None:
        for _ in range(_AT_ONCE):
            if not self._pending:
                break
            data = self._pending[0]
            try:
                sent = self.sock.send(data)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.close("gone")
                return
            self.waiting -= sent
            self._pool.pending -= sent
            if sent < len(data):
                self._pending[0] = data[sent:]
                return
            self._pending.popleft()
        if not self._pending:
            self._forget()
            self.loop.remove_writer(self.sock)
            if self.finishing:
                self._sent_all()

    def _readable(self) -> None:
        try:
            data = self.sock.recv(self._at_once)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        self._received(data)

    @property
    def _at_once(self) -> int:
        """Bytes to read at once."""
        return CHUNK


_NO_SOCKET = socket.socket()
_NO_SOCKET.close()


def prepare(sock: socket.socket, patience: float) -> None:
    """Have a connection send each event at once, and give up a peer that acknowledges nothing for some seconds."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; elsewhere the system's own, some minutes
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(patience * 1000))
