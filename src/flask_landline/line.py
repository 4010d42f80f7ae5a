"""One held request. Touched by the side loop's thread alone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from .outlet import CHUNK, Outlet
from .protocol.websocket import Incoming
from .wire import Hold

if TYPE_CHECKING:
    from .feeds import Feed


class Owner(Protocol):
    """Whose lines these are: the side loop."""

    incoming: Callable[[], Incoming]
    """Makes what reads the client's side of a socket."""

    def ended(self, line: Line, reason: str) -> None:
        """Called once, when a line is no more, with a word for the reason."""


class Line(Outlet):
    """A held request and its connection.

    Args:
        loop: watches the socket.
        sock: the connection, not blocking.
        hold: what was asked for.
        max_pending: bytes that may wait to be sent.
        owner: the side loop.
        back: called instead of closing, when the answer was sent and the connection may be used on, with what the
            client has sent early.
        lasts: seconds after which its grant ends; None: it has none.
    """

    __slots__ = (
        "_back",
        "_early",
        "_incoming",
        "_owner",
        "cursor",
        "due",
        "feed",
        "grant",
        "opened",
        "query",
        "remote",
        "told",
        "transport",
        "transports",
        "written",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        hold: Hold,
        max_pending: int,
        owner: Owner,
        back: Callable[[bytes], None] | None = None,
        lasts: float | None = None,
    ) -> None:
        super().__init__(loop, sock, max_pending)
        self.transport = hold.transport
        self.transports = hold.transports
        """What the client was offered, for later advice."""
        self.cursor = hold.cursor if hold.transport.ends else None
        """Where a long poll stands; a stream stands where its feed does."""
        # Not the request itself: a WSGI environment would be most of a line's memory.
        self.remote, self.query = hold.request.remote, hold.request.query
        self.opened = self.written = loop.time()
        self.grant = hold.grant
        ends = [seconds for seconds in (hold.wait, lasts) if seconds is not None]
        self.due = self.opened + min(ends) if ends else None
        """When it ends in any case: a long poll with an answer, a stream with its grant; None: never."""
        self.told = hold.told
        """Events told, less those its feed had told when it joined."""
        self.feed: Feed | None = None
        self._owner = owner
        self._incoming: Incoming | None = None
        self._back = back
        self._early = b""

    def write(self, data: bytes) -> None:
        """Send bytes, and remember when."""
        self.written = self.loop.time()
        super().write(data)

    def _sent_all(self) -> None:
        if self._back is None:
            super()._sent_all()
        else:
            self.loop.remove_reader(self.sock)
            self._owner.ended(self, "done")
            # Soon, not now: the next request may be a held one too, which must not join a feed that is being told.
            self.loop.call_soon(self._back, self._early)

    def _lost(self, reason: str) -> None:
        self._owner.ended(self, reason)

    def _received(self, data: bytes) -> None:
        if not data or len(self._early) > CHUNK:
            self.close("done" if self.finishing else "gone")
        elif self._back is not None:
            self._early += data  # the next request, before this one is answered
        elif self.transport.name == "websocket" and not self.finishing:
            if self._incoming is None:
                self._incoming = self._owner.incoming()
            out, ends = self._incoming.receive(data)
            if out:
                self.write(out)
            if ends:
                self.finish()
        # Else a request's body, or whatever: on a stream a client has nothing to say.
