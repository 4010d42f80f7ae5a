"""The second door: a listener of the side loop's own, for a proxy to route the wire to.

Polls that come in here pass no WSGI server. Heads are parsed by `httptools`; everything else is the wire, as
through the other door. Off by default (`LANDLINE_LISTEN`).

Who touches what: everything belongs to the loop's thread, but `ensure`, which may be called from any.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import logging
import os
import socket
import stat
import threading
import time
from typing import Any

import httptools

from . import forks
from .errors import Refusal, UsageError
from .outlet import Outlet
from .protocol.problem import not_here, problem
from .protocol.reply import Reply, encode_reply
from .protocol.request import Request, bad_request
from .sideloop import SideLoop
from .wheel import Wheel
from .wire import ALL, POLL_ONLY, STREAM_OR_POLL, Hold, Wire, is_with_grant

MAX_REQUEST = 32 * 1024
"""Bytes of one request, head and body: a hundred long channel names and a browser's cookies."""
HEAD_WITHIN = 10.0
"""Seconds in which a request must have come in whole, once begun."""
KEEP_ALIVE = 75.0
"""Seconds a connection may rest between two requests; nginx's default towards its clients."""
OPEN_AGAIN = 5.0
"""Seconds between two tries to open an address that is taken."""
MAX_QUEUE = 16
"""Requests a client may send ahead of their answers."""
MAX_PENDING = 1024 * 1024
"""Bytes of answers that may wait for one client to take them: four polls full of events."""
_ACCEPT = 64
"""Connections accepted before others have their turn."""

logger = logging.getLogger("flask_landline")


class Listener:
    """Listens at one address, in one process; several processes may share a port (SO_REUSEPORT).

    A Unix socket has one process behind it at a time; when that ends, the next one takes its place.

    Args:
        address: `host:port`, `[host]:port` or `unix:/path`.
        wire: answers.
        sideloop: holds, and lends its loop.

    Raises:
        UsageError: the address is none of these.
    """

    def __init__(self, address: str, wire: Wire, sideloop: SideLoop) -> None:
        self.wire = wire
        self.sideloop = sideloop
        self._address = address
        self._family, self._where = _parse(address)
        self._socket: socket.socket | None = None
        self._claim: int | None = None
        self.connections: set[Connection] = set()
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Be closed: the parent's sockets stayed with the parent."""
        for connection in self.connections:
            forks.let_go(connection.sock)
        if self._socket is not None:
            forks.let_go(self._socket)
        self._drop_claim()
        self._lock = threading.Lock()
        self._started = False
        self._socket = None
        self.connections = set()

    def ensure(self) -> None:
        """Open the door, unless it is open in this process."""
        if self._started:
            return
        with self._lock:
            if not self._started:
                self._started = True
                self.sideloop.start().call_soon_threadsafe(self._begin)

    def leave(self) -> None:
        """Close the door and the connections that rest; what is being answered is answered."""
        if self._socket is not None:
            self.loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        self._drop_claim()
        for connection in list(self.connections):
            if connection.resting:
                connection.close("left")
        self._started = False

    @property
    def closed(self) -> bool:
        """Whether the door is closed, and connections are to end with what they are answered."""
        return not self._started

    def _begin(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.wheel: Wheel[Connection] = Wheel(self.loop, lambda connection, now: connection.serve(now))
        if self not in self.sideloop.guests:
            self.sideloop.guests.append(self)
        self._open()

    def _open(self, *, told: bool = False) -> None:
        if not self._started:
            return
        try:
            self._socket = self._listen()
        except OSError as error:
            if not told:
                logger.warning(
                    "LANDLINE_LISTEN=%s cannot be opened: %s. Polls go on through WSGI; it is tried again every %g s.",
                    self._address,
                    error,
                    OPEN_AGAIN,
                )
            self.loop.call_later(OPEN_AGAIN, lambda: self._open(told=True))
        else:
            if self._socket is None:
                self.loop.call_later(OPEN_AGAIN, self._open)
            else:
                self.loop.add_reader(self._socket, self._accept)

    def _listen(self) -> socket.socket | None:
        """Return a listening socket; None where another process has the Unix socket."""
        if self._family == socket.AF_UNIX and not self._take_claim():
            return None
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if self._family == socket.AF_UNIX:
                _remove_stale(str(self._where))
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(self._where)
            if self._family == socket.AF_UNIX:
                os.chmod(self._where, 0o666)  # as open as a loopback port: the proxy is often another user
            sock.listen(1024)
        except BaseException:
            sock.close()
            self._drop_claim()
            raise
        return sock

    def _drop_claim(self) -> None:
        if self._claim is not None:
            os.close(self._claim)  # a child's copy too: else the lock would live as long as the child
            self._claim = None

    def _take_claim(self) -> bool:
        """Lock the file beside a Unix socket: the kernel lets go of it when this process ends, however it does."""
        import fcntl  # Windows has none, nor Unix sockets

        claim = os.open(f"{self._where}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(claim)
            return False
        self._claim = claim
        return True

    def _accept(self) -> None:
        assert self._socket is not None
        for _ in range(_ACCEPT):
            try:
                sock, peer = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                self._rest()
                return
            sock.setblocking(False)
            if self._family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections.add(Connection(self, sock, peer[0] if isinstance(peer, tuple) else "unix"))

    def _rest(self) -> None:
        """Accept nothing for a while: there are no descriptors left, and the loop would turn on the spot."""
        logger.warning("No file descriptors are left; LANDLINE_LISTEN accepts nobody for a second.")
        door = self._socket
        assert door is not None
        self.loop.remove_reader(door)
        self.loop.call_later(1.0, lambda: door is self._socket and self.loop.add_reader(door, self._accept))


class Connection(Outlet):
    """A client's connection: parses requests, and answers one after the other.

    Args:
        listener: whose it is.
        sock: the connection, not blocking.
        remote: the client's address.
    """

    __slots__ = ("_busy", "_due", "_headers", "_listener", "_parser", "_queue", "_remote", "_size", "_url")

    def __init__(self, listener: Listener, sock: socket.socket, remote: str) -> None:
        super().__init__(listener.loop, sock, MAX_PENDING)
        self._listener = listener
        self._remote = remote
        self._parser = httptools.HttpRequestParser(self)
        self._queue: list[tuple[Request, bool, tuple[str, ...]]] = []
        self._busy = False
        self._size = 0
        self._due = self.loop.time() + HEAD_WITHIN
        self.on_message_begin()
        listener.wheel.add(self, self._due)

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._url = b""
        self._headers: dict[str, str] = {}

    def on_url(self, url: bytes) -> None:
        """Called by the parser, perhaps in parts."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser for each header."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        # Several headers of one name are a list (RFC 9110 §5.3).
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._size = 0
        path, _, query = self._url.decode("latin-1").partition("?")
        method = self._parser.get_method().decode("latin-1")
        keep = self._parser.should_keep_alive() and "upgrade" not in self._headers
        remote = self._listener.wire.limits.address(self._remote, self._headers.get("x-forwarded-for"))
        request = Request(method, path, query, self._headers, remote)
        # A proxy that speaks HTTP/1.0 has no Upgrade (RFC 9110 §7.8).
        offer = STREAM_OR_POLL if self._parser.get_http_version() == "1.0" else ALL
        self._queue.append((request, keep, offer))

    @property
    def resting(self) -> bool:
        """Whether no request is being answered."""
        return not self._busy and not self._queue

    def serve(self, now: float) -> None:
        """Close what has come to its time: a request that does not end, a connection that rests too long."""
        if self.sock.fileno() < 0:
            self._listener.connections.discard(self)
        elif self._busy:
            self._listener.wheel.add(self, now + HEAD_WITHIN)
        elif self._due > now:
            self._listener.wheel.add(self, self._due)
        else:
            self.close("late")

    def _lost(self, reason: str) -> None:
        self._listener.connections.discard(self)

    def _received(self, data: bytes) -> None:
        if not data:
            self.close("gone")
        elif not self.finishing:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        if not self._size:
            self._due = self.loop.time() + HEAD_WITHIN
        self._size += len(data)
        if self._size > MAX_REQUEST:  # before the parser: it begins to count anew with each request that is complete
            self._refuse(bad_request(f"More than {MAX_REQUEST} bytes at once. Ask for fewer channels at a time."))
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # a handshake; the wire looks at it
        except httptools.HttpParserError as error:
            self._refuse(bad_request(f"This is not HTTP/1.1: {error}."))
            return
        if len(self._queue) > MAX_QUEUE:
            self._refuse(bad_request(f"More than {MAX_QUEUE} requests at once. Wait for answers in between."))
            return
        self._next()

    def _next(self) -> None:
        """Answer the requests that have come in, in their order."""
        wire = self._listener.wire
        while self._queue and not self._busy and self.open:
            request, keep, offer = self._queue.pop(0)
            transports = POLL_ONLY if self._listener.sideloop.full else offer
            headers, query = request.headers, request.query
            is_plain = (
                request.path == wire.poll_path
                and request.method == "GET"
                and "if-none-match" not in headers
                and "origin" not in headers
            )
            credentials = wire.gate.credentials_of(headers) if is_with_grant(query) else ()
            idle = wire.idle(query, transports, credentials, request.remote) if is_plain else None
            if idle is not None:
                self._answer(idle, request, keep)
            elif request.path not in wire.paths:
                self._answer(not_here(request.path, wire.paths), request, keep)
            elif wire.needs_app(request):
                self._busy = True
                self.loop.remove_reader(self.sock)
                self._listener.sideloop.spawn(self._handle_slowly(request, transports, keep))
            else:
                self._finish(request, keep, wire.handle(request, transports, close=not keep))

    async def _handle_slowly(self, request: Request, transports: tuple[str, ...], keep: bool) -> None:
        """Answer in a thread: functions of the app may take their time."""
        handle = functools.partial(self._listener.wire.handle, close=not keep)
        try:
            outcome = await self._listener.sideloop.call(handle, request, transports)
        except BaseException:
            self.close("failed")  # else nobody would watch it any more
            raise
        self._go_on()
        self._finish(request, keep, outcome)
        self._next()

    def _finish(self, request: Request, keep: bool, outcome: Reply | Hold) -> None:
        if isinstance(outcome, Reply):
            self._answer(outcome, request, keep)
        else:
            self._hold(outcome, request, keep)

    def _hold(self, hold: Hold, request: Request, keep: bool) -> None:
        """Give the connection to the side loop: for good, or until a long poll is answered."""
        try:
            self._listener.sideloop.admit(request.remote)
        except Refusal as refusal:
            self._answer(problem(refusal, hold.headers), request, keep)
            return
        self._busy = True
        self.loop.remove_reader(self.sock)
        if keep and hold.transport.ends:
            self._listener.sideloop.open(self.sock, hold, self._resume)
        else:
            self._listener.connections.discard(self)
            self._listener.sideloop.open(self.sock, hold)

    def _resume(self, early: bytes) -> None:
        """Go on after a held poll was answered, with what the client has sent meanwhile."""
        self._go_on()
        if self._listener.closed:
            self.finish()
        elif early:
            self._feed(early)
        else:
            self._next()

    def _go_on(self) -> None:
        self._busy = False
        self._due = self.loop.time() + KEEP_ALIVE
        self.loop.add_reader(self.sock, self._readable)

    def _answer(self, reply: Reply, request: Request, keep: bool) -> None:
        self._due = self.loop.time() + KEEP_ALIVE
        data = encode_reply(reply, time.time(), close=not keep, head_only=request.method == "HEAD")
        if keep:
            self.write(data)
        else:
            self.finish(data)

    def _refuse(self, refusal: Refusal) -> None:
        self._queue.clear()
        self.finish(encode_reply(problem(refusal), time.time(), close=True))


def _parse(address: str) -> tuple[socket.AddressFamily, Any]:
    """Return family and address of a listener."""
    if address.startswith("unix:/"):
        return socket.AF_UNIX, address.removeprefix("unix:")
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and int(port) < 65536:
        bare = host.removeprefix("[").removesuffix("]")
        return (socket.AF_INET6 if ":" in bare else socket.AF_INET), (bare, int(port))
    raise UsageError(
        f"LANDLINE_LISTEN is {address!r}. Give 'host:port' such as '127.0.0.1:8001', or 'unix:/path/to/socket'."
    )


def _remove_stale(path: str) -> None:
    """Remove the socket file that a process now gone has left; the claim says that it is gone."""
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        pass
