"""The second door: a listener of the side loop's own, for a proxy to route the wire to.

Polls that come in here pass no WSGI server. Each connection parses its own requests (`connection.py`); everything
else is the wire, as through the other door. Off by default (`LANDLINE_LISTEN`).

Who touches what: everything belongs to the loop's thread, but `ensure`, which may be called from any.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import stat
import sys
import threading
from contextlib import suppress
from typing import Any

from .. import forks
from ..config import bits
from ..errors import LogError, UsageError
from ..serve.endpoints import Endpoints
from .buffered import prepare
from .claim import Claim, path_of
from .deadlines import Deadlines
from .http import Connection
from .requests import Known
from .thread import SideLoop

OPEN_AGAIN = 5.0
"""Seconds between two tries to open an address that is taken."""
KNOWN = 4096
"""Polls known by their bytes. A client's is the same each time until something is new."""
_KNOWN_SIZE = 2048
"""Bytes of a poll that is known again: a stranger must not fill the memory with long ones."""
WARN_AGAIN = 60.0
"""Seconds between two warnings that connections are turned away."""
_ACCEPT = 64
"""Connections accepted before others have their turn."""

logger = logging.getLogger("flask_landline")


class Listener:
    """Listens at one address, in one process; several processes may share a port (SO_REUSEPORT).

    A Unix socket has one process behind it at a time; when that ends, the next one takes its place. Only processes of
    one log share an address (see `claim`).

    Args:
        address: `host:port`, `[host]:port` or `unix:/path`.
        wire: answers.
        sideloop: holds, and lends its loop.
        mode: who may connect to a Unix socket, in octal; None: whom the process's umask leaves.

    Raises:
        UsageError: the address is none of these.
    """

    def __init__(self, address: str, endpoints: Endpoints, sideloop: SideLoop, *, mode: str | None = None) -> None:
        self._mode = None if mode is None else bits(mode)
        self.endpoints = endpoints
        self.sideloop = sideloop
        self._address = address
        self._family, self._where = _parse(address)
        self._socket: socket.socket | None = None
        is_unix = self._family == socket.AF_UNIX
        self._claim = Claim(f"{self._where}.lock" if is_unix else path_of(address), shared=not is_unix)
        self._said = ""
        self._warn_at = 0.0
        self._again: asyncio.TimerHandle | None = None
        self.connections: set[Connection] = set()
        self.known: dict[bytes, Known] = {}
        """Plain polls by their bytes, for connections that begin to read one."""
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Be closed: the parent's sockets stayed with the parent."""
        for connection in self.connections:
            forks.let_go(connection.sock)
        if self._socket is not None:
            forks.let_go(self._socket)
        self._claim.drop()
        self._lock = threading.Lock()
        self._started = False
        self._socket = None
        self.connections = set()

    def ensure(self) -> None:
        """Open the door, unless it is open in this process, or cannot be."""
        if self._started:
            return
        with self._lock:
            if not self._started:
                self._started = True
                if _has_greenlets():
                    logger.warning(
                        "LANDLINE_LISTEN=%s stays closed in this process, where gevent has put greenlets in the place "
                        "of threads: the door's event loop would let none of them go on. Polls go on through WSGI. "
                        "Leave LANDLINE_LISTEN out here, or serve the app with gunicorn's gthread worker.",
                        self._address,
                    )
                    return
                self.sideloop.start().call_soon_threadsafe(self._begin)

    def leave(self) -> None:
        """Close the door and the connections that rest; what is being answered is answered."""
        if self._socket is not None:
            self._shut()
        if self._again is not None:
            self._again.cancel()
        self._claim.drop()
        for connection in list(self.connections):
            if connection.resting:
                connection.close("left")
        self._started = False

    @property
    def closed(self) -> bool:
        """Whether the door is closed, and connections are to end with what they are answered."""
        return not self._started

    def know(self, data: bytes, known: Known) -> None:
        """Take note of a poll, to know it by its bytes when it comes again."""
        # See SECURITY.md: known-polls-are-short
        if len(data) <= _KNOWN_SIZE:
            # See SECURITY.md: known-polls-are-bounded
            if len(self.known) >= KNOWN:
                self.known.clear()
            self.known[data] = known

    def _begin(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.deadlines: Deadlines[Connection] = Deadlines(self.loop, lambda connection, now: connection.expire(now))
        if self not in self.sideloop.guests:
            self.sideloop.guests.append(self)
        self._open()

    def _open(self) -> None:
        """Open the door, or see that it may stay open; again and again."""
        if not self._started:
            return
        try:
            if self._socket is None:
                self._socket = self._listen()
                if self._socket is not None:
                    self._said = ""
                    self.loop.add_reader(self._socket, self._accept)
            else:
                self._stay_open()
        except (OSError, LogError) as error:
            self._say(f"cannot be opened: {error}.")
        self._again = self.loop.call_later(OPEN_AGAIN, self._open)

    def _stay_open(self) -> None:
        """Claim the address anew where the log was replaced or the claim is gone, and close where it is another's."""
        try:
            epoch = self.endpoints.epoch()
        except LogError:
            return  # that is told elsewhere, and the claim is as good as it was
        if not self._claim.holds(epoch) and not self._take_claim(epoch):
            self._shut()

    def _shut(self) -> None:
        assert self._socket is not None
        self.loop.remove_reader(self._socket)
        self._socket.close()
        self._socket = None

    def _take_claim(self, epoch: str) -> bool:
        if self._claim.take(epoch):
            return True
        if self._claim.other not in ("", epoch):
            self._say(
                "stays closed in this process: another app listens there, or this app's processes with the log as it "
                "was before it was replaced. Give each app an address of its own."
            )
        return False

    def _say(self, what: str) -> None:
        """Warn of what keeps the door closed, once for each reason."""
        if what != self._said:
            self._said = what
            logger.warning(
                "LANDLINE_LISTEN=%s %s Polls go on through WSGI; it is tried again every %g s.",
                self._address,
                what,
                OPEN_AGAIN,
            )

    def _listen(self) -> socket.socket | None:
        """Return a listening socket; None where the address is claimed."""
        if not self._take_claim(self.endpoints.epoch()):
            return None
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if self._family == socket.AF_UNIX:
                _remove_stale(str(self._where))
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._bind(sock)
            sock.listen(1024)
        except BaseException:
            sock.close()
            self._claim.drop()
            raise
        return sock

    def _bind(self, sock: socket.socket) -> None:
        """Bind a socket; of a Unix socket's mode there is never too much, and all of it before anybody can connect."""
        if self._family != socket.AF_UNIX or self._mode is None:
            # See SECURITY.md: socket-is-the-umasks
            sock.bind(self._where)
            return
        with suppress(OSError):  # Linux gives the file the socket's own mode, less the umask; others may refuse
            # See SECURITY.md: socket-is-never-wider
            os.fchmod(sock.fileno(), self._mode)
        sock.bind(self._where)
        os.chmod(self._where, self._mode)  # what the umask took; nobody can connect before it listens

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
            if self.sideloop.pool.is_full and not self._make_room():
                sock.close()
                return
            sock.setblocking(False)
            prepare(sock, self.sideloop.patience)
            self.connections.add(Connection(self, sock, peer[0] if isinstance(peer, tuple) else "unix"))

    def _make_room(self) -> bool:
        """Close some connections that have rested for longest; False if none rests, and one more cannot be taken."""
        resting = sorted((one for one in self.connections if one.resting), key=lambda one: one.rests_since)
        for connection in resting[: 1 + len(resting) // 16]:  # some, so that not each new one has to sort them
            connection.close("room")
        if not resting:
            self._said_full("has as many connections as it may (80 % of this process's descriptors), all at work")
        return bool(resting)

    def _rest(self) -> None:
        """Accept nothing for a while: there are no descriptors left, and the loop would turn on the spot."""
        self._said_full("accepts no connection for a second, as no file descriptors are left")
        door = self._socket
        assert door is not None
        self.loop.remove_reader(door)
        self.loop.call_later(1.0, lambda: door is self._socket and self.loop.add_reader(door, self._accept))

    def _said_full(self, what: str) -> None:
        """Warn that a connection was turned away, at most once a minute: it may be a flood."""
        if self.loop.time() >= self._warn_at:
            self._warn_at = self.loop.time() + WARN_AGAIN
            logger.warning("LANDLINE_LISTEN=%s %s. Raise the limit (ulimit -n), or have fewer.", self._address, what)


def _has_greenlets() -> bool:
    """Whether what this process takes for a thread is a greenlet, which a loop that waits in C would stop all of."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


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
