"""One held request, and a connection that is for nothing else. Touched by the side loop's thread alone."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ..access.grants import Grant
from ..cursor import Cursor
from ..protocol.websocket import MAX_MESSAGE, Incoming
from ..serve.access_log import LONGEST
from ..serve.subscription import Subscription
from .buffered import BufferedSocket, Pool

if TYPE_CHECKING:
    from .groups import Group


class Owner(Protocol):
    """What holds requests: the side loop."""

    incoming: Callable[[], Incoming]
    """Makes what reads the client's side of a socket."""
    pool: Pool
    """What its connections have together."""

    @property
    def soon(self) -> Callable[[Callable[[], None]], None]:
        """Has something called when what is being done is done."""

    def ended(self, held: HeldRequest, reason: str) -> None:
        """Called once for each held request, when it is held no more, with a word for the reason."""


class HeldRequest:
    """A request that is held on a connection, from `SideLoop.begin` until `end`.

    Args:
        connection: what its answer is written to.
        subscription: what was asked for.
        remote: the client's address.
        lasts: seconds after which its grant ends; None: it has none.
        owner: the side loop.
    """

    __slots__ = (
        "_owner",
        "connection",
        "cursor",
        "due",
        "grant",
        "group",
        "is_catching_up",
        "is_over",
        "opened",
        "query",
        "remote",
        "sent",
        "transport",
        "transports",
        "written",
    )

    def __init__(
        self,
        connection: Holder,
        subscription: Subscription,
        remote: str,
        lasts: float | None,
        owner: Owner,
    ) -> None:
        self._owner = owner
        self.connection = connection
        self.transport = subscription.transport
        self.transports = subscription.transports
        """What the client was offered, for later advice."""
        self.cursor: Cursor | None = subscription.cursor if subscription.transport.ends else None
        """Where a long poll stands; None: a stream stands where its group does."""
        self.remote = remote
        # See SECURITY.md: held-queries-are-cut
        self.query = subscription.query[: LONGEST + 1]
        """For the access log, which cuts it to that."""
        self.grant: Grant | None = subscription.grant
        self.opened = connection.loop.time()
        self.written = self.opened
        """When something was last sent, but for what was sent to its whole group."""
        ends = [seconds for seconds in (subscription.wait, lasts) if seconds is not None]
        self.due = self.opened + min(ends) if ends else None
        """When it ends in any case: a long poll with an answer, a stream with its grant; None: never."""
        self.sent = subscription.sent
        """Events sent on this connection; less `group.sent` as it was at joining, while it is in a group, so that a
        delivery need not touch each member."""
        self.is_catching_up = False
        """Whether a task reads the log for it, and will come back to it: its connection is for nothing else until
        then."""
        self.is_over = False
        self.group: Group | None = None

    @property
    def open(self) -> bool:
        """Whether anything can still be sent in answer to it."""
        return not self.is_over and self.connection.open

    def end(self, reason: str) -> None:
        """Hold it no longer."""
        if not self.is_over:
            self.is_over = True
            self.connection.held = None
            self._owner.ended(self, reason)


class Holder(BufferedSocket):
    """A connection on which a request may be held; perhaps one after the other.

    Args:
        loop: watches the socket.
        sock: the connection, not blocking.
        max_pending: bytes that may wait to be sent.
        pool: the loop's.
    """

    __slots__ = ("held", "look")

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, max_pending: int, pool: Pool) -> None:
        super().__init__(loop, sock, max_pending, pool)
        self.held: HeldRequest | None = None
        """The request that is held on it now."""
        self.look = math.inf
        """When the side loop looks at it next. Of the connection and not of its request: a client that polls again at
        each of ten events a second has one look set, and not one for each poll."""

    def _lost(self, reason: str) -> None:
        if self.held is not None:
            self.held.end(reason)


class HeldConnection(Holder):
    """A connection that one held request has for itself: a stream, a socket, or a poll that came through WSGI.

    Args:
        loop: watches the socket.
        sock: the connection, not blocking.
        max_pending: bytes that may wait to be sent.
        owner: the side loop.
    """

    __slots__ = ("_incoming", "_owner")

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, max_pending: int, owner: Owner) -> None:
        super().__init__(loop, sock, max_pending, owner.pool)
        self._owner = owner
        self._incoming: Incoming | None = None

    def _received(self, data: bytes) -> None:
        if not data:
            self.close("done" if self.finishing else "gone")
        elif self.held is not None and self.held.transport.name == "websocket" and not self.finishing:
            if self._incoming is None:
                self._incoming = self._owner.incoming()
            out, ends = self._incoming.receive(data, self.loop.time())
            if out:
                self.write(out)
            if ends:
                self.finish()
        # Else a request's body, or whatever: on a stream a client has nothing to say.

    @property
    def _at_once(self) -> int:
        # A flood of control frames is noticed before much of it was read, and others have their turn.
        return MAX_MESSAGE
