"""One held request. Touched by the side loop's thread alone."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ..access.grants import Grant
from ..cursor import Cursor
from ..protocol.transport import Transport
from ..protocol.websocket import Incoming
from ..serve.subscription import Subscription
from .buffered import BufferedSocket

if TYPE_CHECKING:
    from .groups import Group


class Owner(Protocol):
    """Whose lines these are: the side loop."""

    incoming: Callable[[], Incoming]
    """Makes what reads the client's side of a socket."""

    @property
    def soon(self) -> Callable[[Callable[[], None]], None]:
        """Has something called when what is being done is done."""

    def ended(self, line: HeldConnection, reason: str) -> None:
        """Called once for each held request, when it is no more, with a word for the reason."""


class HeldConnection(BufferedSocket):
    """A connection that a request is held on, from `begin` on.

    Args:
        loop: watches the socket.
        sock: the connection, not blocking.
        max_pending: bytes that may wait to be sent.
        owner: the side loop.
    """

    __slots__ = (
        "_incoming",
        "_owner",
        "away",
        "cursor",
        "due",
        "grant",
        "group",
        "held",
        "look",
        "opened",
        "query",
        "remote",
        "told",
        "transport",
        "transports",
        "written",
    )

    transport: Transport
    transports: tuple[str, ...]
    """What the client was offered, for later advice."""
    remote: str
    query: str
    cursor: Cursor | None
    """Where a long poll stands; None: a stream stands where its feed does."""
    grant: Grant | None
    opened: float
    due: float | None
    """When it ends in any case: a long poll with an answer, a stream with its grant; None: never."""
    told: int
    """Events told, less those its feed had told when it joined."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, max_pending: int, owner: Owner) -> None:
        super().__init__(loop, sock, max_pending)
        self.written = loop.time()
        """When it was last told something, but for what its feed was told."""
        self.held = False
        """Whether a request is held on it."""
        self.away = False
        """Whether somebody is reading the log for it, and will come back to it: until then it is for nothing else."""
        self.group: Group | None = None
        self.look = math.inf
        """When the side loop looks at it next; never, unless it is told to."""
        self._owner = owner
        self._incoming: Incoming | None = None

    def begin(self, subscription: Subscription, remote: str, lasts: float | None) -> None:
        """Hold a request.

        Args:
            subscription: what was asked for.
            remote: the client's address.
            lasts: seconds after which its grant ends; None: it has none.
        """
        self.held = True
        self.transport = subscription.transport
        self.transports = subscription.transports
        self.cursor = subscription.cursor if subscription.transport.ends else None
        self.remote, self.query = remote, subscription.query
        self.opened = self.written = self.loop.time()
        self.grant = subscription.grant
        ends = [seconds for seconds in (subscription.wait, lasts) if seconds is not None]
        self.due = self.opened + min(ends) if ends else None
        self.told = subscription.sent

    def end(self, reason: str) -> None:
        """Hold its request no longer, if there is one."""
        if self.held:
            self.held = False
            self._owner.ended(self, reason)

    def _lost(self, reason: str) -> None:
        self.end(reason)

    def _received(self, data: bytes) -> None:
        if not data:
            self.close("done" if self.finishing else "gone")
        elif self.transport.name == "websocket" and not self.finishing:
            if self._incoming is None:
                self._incoming = self._owner.incoming()
            out, ends = self._incoming.receive(data)
            if out:
                self.write(out)
            if ends:
                self.finish()
        # Else a request's body, or whatever: on a stream a client has nothing to say.
