"""What happens to the requests of a process, for those that want to know: an access log, later counters.

Observers see, and change nothing. One that raises is logged once, and the others, the request and the connection go on
as if it were not there.

A server holds ten thousand connections and answers several thousand polls a second, so what is not observed costs
nothing: each kind of thing has a list of the functions that want it. Deliveries are observed by the batch, one call for
the same bytes to many connections, and never by the event.

Each may be called by any thread, by several at once, and by the side loop's, which everything else waits for: an
observer must be quick, and look after its own locks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

logger = logging.getLogger("flask_landline")


class Opened(NamedTuple):
    """A request that is held from now on."""

    remote: str
    """The client's address."""
    transport: str
    query: str
    """As the client wrote it, with its grant: not to be written anywhere as it is."""


class Closed(NamedTuple):
    """A held request that has ended."""

    remote: str
    transport: str
    query: str
    seconds: float
    """How long it was held."""
    sent: int
    """Events sent."""
    reason: str
    """`done`, `gone` (the client), `slow` (it was cut), `left` (the process ended) or `failed`."""


class Delivered(NamedTuple):
    """Bytes that were sent on several connections, made once for all of them."""

    transport: str
    events: int
    """Events in them."""
    connections: int
    size: int
    """Bytes on each."""


class Observer:
    """Sees what happens. Derive from it, and override what you want to know; the rest costs nothing."""

    def opened(self, what: Opened) -> None:
        """See a request that is held from now on."""

    def closed(self, what: Closed) -> None:
        """See a held request that has ended; each that was opened, once."""

    def polled(self, status: str) -> None:
        """See a poll that was answered at once, by its answer's status line, such as `304 Not Modified`."""

    def delivered(self, what: Delivered) -> None:
        """See a batch that was sent to held requests."""

    def refused(self, code: str) -> None:
        """See a request that was refused, by its problem's code."""


class Observers:
    """Has all observers of a process see what happens.

    Args:
        observers: the first ones.
    """

    def __init__(self, *observers: Observer) -> None:
        self._opened: tuple[Callable[[Opened], object], ...] = ()
        self._closed: tuple[Callable[[Closed], object], ...] = ()
        self._polled: tuple[Callable[[str], object], ...] = ()
        self._delivered: tuple[Callable[[Delivered], object], ...] = ()
        self._refused: tuple[Callable[[str], object], ...] = ()
        self._failed: set[Callable[..., object]] = set()
        for observer in observers:
            self.add(observer)

    wants_polls = False
    """Whether any observes polls: an idle one costs so little that a call for nothing would show."""

    def add(self, observer: Observer) -> None:
        """Have one more see what happens from now on."""
        for name in ("opened", "closed", "polled", "delivered", "refused"):
            if getattr(type(observer), name) is not getattr(Observer, name):
                # Replaced as a whole: a thread may be going through the old one.
                setattr(self, f"_{name}", (*getattr(self, f"_{name}"), getattr(observer, name)))
        self.wants_polls = bool(self._polled)

    @property
    def wants_deliveries(self) -> bool:
        """Whether any observes deliveries, so that they are worth counting."""
        return bool(self._delivered)

    def opened(self, what: Opened) -> None:
        """Say that a request is held."""
        for see in self._opened:
            self._call(see, what)

    def closed(self, what: Closed) -> None:
        """Say that a held request has ended."""
        for see in self._closed:
            self._call(see, what)

    def polled(self, status: str) -> None:
        """Say that a poll was answered at once. On the way of each."""
        for see in self._polled:
            self._call(see, status)

    def delivered(self, what: Delivered) -> None:
        """Say that a batch was sent."""
        for see in self._delivered:
            self._call(see, what)

    def refused(self, code: str) -> None:
        """Say that a request was refused."""
        for see in self._refused:
            self._call(see, code)

    def _call(self, see: Callable[[Any], object], what: object) -> None:
        try:
            see(what)
        except Exception:
            # Once: it would fail again at each of several thousand requests a second.
            # See SECURITY.md: observers-harm-nobody
            if see not in self._failed:
                self._failed.add(see)
                logger.exception("An observer of requests failed; that is logged once. Requests go on without it.")
