"""Fan-out: what is new is rendered once for all that are owed it, and its bytes are written to each connection.

Held requests that read the same channels by the same transport stand at the same position and are owed the same bytes:
they form a `Group`. An event costs one rendering for each group that reads its channel, and one `send` for each member.

Everything here belongs to the loop's thread. Invariants:

- All members of all groups stand at `position`, and none of them has missed an event before it. A request that stands
  elsewhere is in no group: it is catching up (see `catching_up`), and joins in the same step of the loop in which it is
  sent what lies between. As reading and joining happen in one thread, no event falls in between.
- The position moves when all groups were served. A connection that fails loses only itself. A group that cannot be
  served leaves its group whole and reads on from the log, from the last page that all of its members were sent.
- A revocation is acted upon before anything is sent that stands behind it in the log.
- The hub is asked to wake this for as long as anything is held; with the last request the position is given up, because
  nothing keeps it up to date from then on.
- Nothing that runs within a delivery may hold a new request or deliver again: see `Soon`.

Known weakness: a group's rendering and its sends are one step of the loop, however many members it has.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, Protocol

from ..channels.channel import Resolved
from ..channels.names import RESERVED
from ..cursor import Cursor
from ..errors import LogError
from ..event import Event
from ..follow.hub import News
from ..protocol.transport import Transport
from ..reading import PAGE_EVENTS, Reading, page
from ..serve.endpoints import Endpoints
from ..serve.observers import Delivered
from ..serve.runtime import Runtime
from ..serve.subscription import RETRY_PAUSE, Subscription
from .asking import Asking
from .catching_up import CatchingUp
from .deadlines import RETURN_WITHIN, Expiry, spread_of
from .groups import Group, Groups
from .held import HeldRequest

_LOST = "A held connection failed and is closed; its client comes back with its cursor."

logger = logging.getLogger("flask_landline")


class Host(Protocol):
    """What the side loop does for its held requests."""

    def call_app(self, function: Callable[..., Any], *args: Any, share: str, own: bool = False) -> Awaitable[Any]:
        """Run something that calls functions of the app, in threads that are for nothing else."""

    def call(self, function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        """Run something that may take its time in another thread."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine to its end, or to the loop's."""

    def wake(self) -> None:
        """Have `FanOut.deliver` called; may be called by any thread."""


class FanOut:
    """The held requests of one loop.

    Args:
        loop: where they are held.
        runtime: the app's Landline.
        endpoints: gives the advice that is sent with events.
        host: the side loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, runtime: Runtime, endpoints: Endpoints, host: Host) -> None:
        self._loop = loop
        self._runtime = runtime
        self._hub = runtime.hub
        self._endpoints = endpoints
        self._host = host
        self.held: set[HeldRequest] = set()
        self.groups = Groups()
        self.position: Cursor | None = None
        self.expiry = Expiry(loop, runtime, endpoints, self.groups, lambda: self.position)
        self._asking = Asking(runtime.sources, self.groups, host.call_app, host.spawn)
        self._catching_up = CatchingUp(runtime, self, host)
        self._is_retrying = False
        self._readers: dict[str, set[HeldRequest]] = {}
        """Of each reader's mark what is held for it."""

    def begin(self, held: HeldRequest, subscription: Subscription, *, leaving: bool) -> None:
        """Hold a request: send what it missed, bring it up to date, and let it join its group.

        Args:
            held: the request.
            subscription: what it asked for.
            leaving: whether the process ends, and it is asked to come back at once.
        """
        is_first = not self.held
        self.held.add(held)
        for mark in _marks(held):
            self._readers.setdefault(mark, set()).add(held)
        try:
            if is_first:
                self._hub.register(self._host.wake)
        except BaseException:  # no thread can be had
            held.connection.close("failed")
            raise
        is_closed = self._is_closed(held, subscription)
        if subscription.head:
            held.connection.write(subscription.head if is_closed else subscription.head + subscription.first)
        if is_closed or leaving:
            self.expiry.say_goodbye(held, RETURN_WITHIN)
            return
        # What was sent, and what is logged, is not kept for as long as catching up may take.
        subscription = subscription._replace(head=b"", first=b"", query="")
        self.expiry.watch(held)
        if subscription.more or not self.join(subscription, [held], subscription.cursor):
            self._catching_up.begin(subscription, [held], subscription.cursor)

    def ended(self, held: HeldRequest) -> None:
        """Forget a request that is held no more."""
        self.groups.part(held)
        self.held.discard(held)
        self._catching_up.requests.discard(held)
        for mark in _marks(held):
            theirs = self._readers[mark]
            theirs.discard(held)
            if not theirs:
                del self._readers[mark]
        if not self.held:
            self._hub.unregister(self._host.wake)
            self.position = None

    def deliver(self) -> None:
        """Send all groups what is new, and bring the position up to the hub's window."""
        if not self.held:
            return  # woken late: while nothing is registered, a position would not be kept up to date
        here = self.position
        news = self._hub.news(here) if here is not None else None
        if here is None or news is None:
            self._resync()
        elif news.end != here and self._end_revoked(news):
            # First: a group of which something may be missing must not be sent what comes after that.
            self._read_on({group for name in news.lost for group in self.groups.reading(name)}, here)
            for group, theirs in self.groups.owed(news.events).items():
                self._send(group, theirs, here, news.end)
            self._move(news.end)

    def join(self, subscription: Subscription, requests: list[HeldRequest], cursor: Cursor) -> bool:
        """Let requests at `cursor` join their group, and send them what lies between; False: only the log has that."""
        self.deliver()
        if self.position is None:
            return False
        events = self._hub.peek(subscription.names, cursor, self.position.offset)
        if events is None or len(events) > PAGE_EVENTS:
            return False
        # `deliver` looks at all grants, but for what other apps guard only at groups, and these are in none yet.
        try:
            # See SECURITY.md: what-another-app-guards-ends-lines
            if self._runtime.apps.closes(subscription.items):
                self.say_goodbye(requests)
                return True
        except LogError:
            return False  # catching up finds the same, and waits
        if events:
            reading = page(events, cursor, self.position, None, PAGE_EVENTS)
            if reading.more:
                return False
            self.send_to(subscription, requests, reading, [])
        requests = [held for held in requests if held.open]
        for held in requests:
            self._catching_up.done(held)
        if requests:
            self.groups.join(subscription, requests)
            self._asking.ensure(subscription.items)
        return True

    def send_to(
        self, subscription: Subscription, requests: list[HeldRequest], reading: Reading, snapshots: Sequence[Event]
    ) -> None:
        """Send requests that are in no group what was read for them."""
        data = self._render(subscription, reading, snapshots)
        for held in requests:
            held.sent += len(reading.events)
            held.written = self._loop.time()
            if subscription.transport.ends:
                self._catching_up.done(held)
        self._write(requests, data, subscription.transport, len(reading.events))

    def say_goodbye(self, requests: Iterable[HeldRequest], spread: float | None = None) -> None:
        """End requests, those of streams with the request to come back, within `spread` seconds or what fits."""
        still_open = [held for held in requests if held.open]
        for held in still_open:
            try:
                self.expiry.say_goodbye(held, spread or spread_of(len(still_open)))
            except Exception:
                logger.exception(_LOST)
                held.connection.close("failed")

    def _is_closed(self, held: HeldRequest, subscription: Subscription) -> bool:
        """Whether its reader was revoked since it was let through, or nothing can say."""
        try:
            return self._runtime.is_closed(subscription.items, held.grant)
        except LogError as error:
            self._hub.warn("A held request ends, as the log cannot say whether its grant is revoked.", error)
            # See SECURITY.md: nothing-is-told-while-nobody-knows
            return True  # its client may ask again

    def _send(self, group: Group, events: list[Event], here: Cursor, tail: Cursor) -> None:
        """Render events once, in pages as the wire wants them, and write the bytes to each member of a group."""
        ends = group.subscription.transport.ends
        while events and group.members:
            try:
                reading = page(events, tail, tail, None, PAGE_EVENTS)
                data = self._render(group.subscription, reading, [])
            except Exception:
                logger.exception("What is new could not be rendered; the clients that it is for get it from the log.")
                self._read_on((group,), here)
                return
            group.sent += len(reading.events)
            group.written = self._loop.time()
            events, here = events[len(reading.events) :], reading.cursor
            requests = list(self.groups.take(group) if ends else group.members)
            self._write(requests, data, group.subscription.transport, len(reading.events))

    def _write(self, requests: list[HeldRequest], data: bytes, transport: Transport, events: int) -> None:
        for held in requests:
            try:
                if transport.ends:
                    held.connection.finish(data)
                else:
                    held.connection.write(data)
            except Exception:
                logger.exception(_LOST)
                held.connection.close("failed")

        if self._runtime.observers.wants_deliveries:
            self._runtime.observers.delivered(Delivered(transport.name, events, len(requests), len(data)))

    def _render(self, subscription: Subscription, reading: Reading, snapshots: Sequence[Event]) -> bytes:
        advice = self._endpoints.advice(subscription.transports)
        return subscription.transport.render(reading, snapshots, advice, self._runtime.times.wall())

    def _move(self, position: Cursor) -> None:
        if self.held:  # else the last one has ended meanwhile
            self.position = position

    def _resync(self) -> None:
        """Find a position when the window does not reach back to ours: each group reads on for itself."""
        before = self.position
        try:
            tail = self._hub.tail()
        except LogError as error:
            self._hub.warn("Held connections wait until the log can be read again.", error)
            self._retry_later()
            return
        if not self._end_revoked():
            return
        self._move(tail)
        if before is None:
            return
        self._read_on(list(self.groups), before)

    def _read_on(self, groups: Iterable[Group], position: Cursor) -> None:
        """Have the log read, from a position, for groups of whose channels the window has not everything after it."""
        for group in groups:
            items = tuple(self._items_of(group))
            subscription = group.subscription._replace(names=group.names, items=items)
            self._catching_up.begin(subscription, self.groups.take(group), position)

    def _end_revoked(self, news: News | None = None) -> bool:
        """Say goodbye to requests whose grants are revoked, or whose channels another app guards now.

        Args:
            news: what is new; None: not known.

        Returns:
            False if the log cannot say which, and it is tried again soon.
        """
        # See SECURITY.md: revocation-ends-lines
        if news is not None and RESERVED not in {*news.lost, *(event.channel for event in news.events)}:
            return True
        is_known = news is not None and RESERVED not in news.lost
        said = [event.data for event in news.events if event.channel == RESERVED] if news and is_known else []
        try:
            closed = self._closed_by_other_apps() if not is_known or any("app" in one for one in said) else set()
            looked_at = self._touched_by(said) if is_known else self.held
            revoked = {held for held in looked_at if held.open and self._is_revoked(held)}
            revoked.update(held for group in closed for held in group.members)
        except LogError as error:
            self._hub.warn("Held connections wait until the log can say which grants are revoked.", error)
            self._retry_later()
            return False
        self.say_goodbye(revoked)
        return True

    def _items_of(self, group: Group) -> Iterator[Resolved]:
        """Yield a group's channels, resolved anew where they are not kept."""
        yield from group.subscription.items or self._runtime.resolve(group.names)

    def _closed_by_other_apps(self) -> set[Group]:
        return {group for group in self.groups if self._runtime.apps.closes(self._items_of(group))}

    def _touched_by(self, said: list[dict[str, Any]]) -> set[HeldRequest]:
        """Return what revocations may end: what is held for these readers, and what reads these channels.

        Those that catch up are in no group; they are few.
        """
        touched = set(self._catching_up.requests)
        for one in said:
            for mark in one.get("who", ()):
                touched |= self._readers.get(mark, set())
            for name in one.get("channel", ()):
                touched.update(held for group in self.groups.reading(name) for held in group.members)
        return touched

    def _is_revoked(self, held: HeldRequest) -> bool:
        return self._runtime.authorizer.is_revoked(held.grant)

    def _retry_later(self) -> None:
        if not self._is_retrying:
            self._loop.call_later(RETRY_PAUSE, self._retry)
            self._is_retrying = True

    def _retry(self) -> None:
        self._is_retrying = False
        self.deliver()


def _marks(held: HeldRequest) -> tuple[str, ...]:
    return held.grant.who if held.grant is not None else ()
