"""The engine of one app in one process: configuration, log, hub, sources, and who may read."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..access.apps import Apps
from ..access.authorizer import Authorizer
from ..access.forwarded import Forwarded
from ..access.grants import Grant
from ..access.revocations import keep_for
from ..app import App
from ..channels.channel import Resolved
from ..channels.names import MAX_NAME, RESERVED, Channels
from ..channels.sources import Sources
from ..config import Config, bits
from ..cursor import Cursor
from ..errors import LogError, Refusal, UsageError
from ..event import Event
from ..follow.hub import Hub
from ..follow.position import PagePosition
from ..logs.base import Retention
from ..logs.memory import MemoryLog
from ..logs.registry import open_log
from ..payload import encode
from ..protocol.problem import app_failed, unknown_channels
from ..reading import Reading
from ..times import SYSTEM, Times
from .access_log import AccessLog
from .app_threads import AppThreads
from .observers import Observers

TRIM_INTERVAL = 60.0
"""Seconds between two looks, by a publishing process, for events past their `keep_for`."""

logger = logging.getLogger("flask_landline")


class Runtime:
    """What one app has of Landline in one process. Opens nothing before first use; safe for threads and forks.

    Args:
        app: the app, whose configuration is read now.
        channels: the channels, which may still grow.
        times: the clocks and the randomness that everything here goes by.
    """

    def __init__(self, app: App, channels: Channels, times: Times = SYSTEM) -> None:
        self.app = app
        self.times = times
        self.observers = Observers(AccessLog())
        """See what becomes of requests."""
        self.channels = channels
        self.config = Config.read(app.config)
        self.log = open_log(
            self.config.log,
            folder=app.folder,
            synchronous=self.config.synchronous,
            mode=bits(self.config.log_mode),
            clock=times.wall,
        )
        self.hub = Hub(
            self.log,
            window_events=self.config.window_events,
            window_bytes=self.config.window_bytes,
            keep_for=self._keep_for,
            clock=times.clock,
            wall=times.wall,
        )
        self.position = PagePosition(self.log, self.hub, clock=times.clock)
        self.sources = Sources(
            self.log, call=self._call_source, publish=self.publish, encode=self.encode, clock=times.clock
        )
        self.apps = Apps(app.name, channels, self.log, self.hub, self.config, clock=times.wall, monotonic=times.clock)
        self.forwarded = Forwarded(self.config.trusted_hops, app.believed)
        self.authorizer = Authorizer(app, self.hub, self.config, forwarded=self.forwarded, times=times)
        self.app_threads = AppThreads(self.config.app_threads)
        """Run functions of the app where no thread of the server does."""
        self.closing: list[Callable[[], None]] = []
        """What to call before the log is closed: others who read it."""
        self.token = object()
        """Stands for this runtime where that must not be kept alive."""
        self.has_begun = False
        """Whether a request was served, since it was made or closed."""
        self._has_published = False
        self._next_trim = 0.0

    def begin(self, environ: Mapping[str, Any]) -> None:
        """Take notice of the first request: from here on nothing may change, and what is wrong by now shows.

        Args:
            environ: the WSGI environment that the server made.
        """
        self.has_begun = True  # first: requests that come at the same time need not warn twice
        self.channels.serving.add(self.token)
        self.app.begin()
        # Not from the environment made for a request through the second door: that has no server behind it.
        if isinstance(self.log, MemoryLog) and environ.get("wsgi.multiprocess"):
            logger.warning(
                "LANDLINE_LOG is 'memory:', and the server says that several processes serve this app "
                "(wsgi.multiprocess): each has a log of its own, so that an event reaches the readers of one process "
                "alone. Set LANDLINE_LOG to 'sqlite:', or serve with one process."
            )

    def publish(self, name: str, data: Any) -> Event:
        """Store an event; see `Landline.publish`."""
        if not self._has_published:
            self._has_published = True
            self.app.begin()  # a worker that only publishes gets no request
        resolved = self.channels.require(name)
        payload = self.encode(data, self.config.max_event)
        # See SECURITY.md: guarding-is-said-before-the-event
        self.apps.say()  # before the event: in the log's order, what is guarded comes after the word that it is
        self.apps.require_own(resolved)
        began = self.times.clock()
        event = self.log.append(name, payload, resolved.channel.retention)
        self.position.appended(Cursor(event.epoch, event.offset), began)
        self.hub.invalidate()
        self._trim_if_due()
        return event

    def revoke(self, identity: str | int | None, channel: str | None) -> None:
        """Void what was granted to a reader, or for a channel; see `Landline.revoke`."""
        if (identity is None) == (channel is None):
            raise UsageError("revoke() takes a reader's identity or channel='room/3', one of the two.")
        what: dict[str, tuple[str, ...]]
        if channel is not None:
            if self.channels.require(channel).channel.reader_function is None:
                raise UsageError(f"Channel {channel!r} is public: there is nothing to revoke. See Channel.reader.")
            what = {"channel": (channel,)}
        elif isinstance(identity, bool) or not isinstance(identity, (str, int)):
            raise UsageError(f"revoke({identity!r}): an identity is a str or an int, as LANDLINE_IDENTITY returns it.")
        else:
            what = {"who": self.authorizer.keys.marks(identity)}
        self.log.append(RESERVED, self.encode(what), Retention(None, keep_for(self.config)))
        self.hub.invalidate()
        self._trim_if_due()

    def is_closed(self, items: Iterable[Resolved], grant: Grant | None, *, ask_log: bool = False) -> bool:
        """Tell whether what was read must not be sent: the reader was revoked, or another app guards what is open here.

        On every path this is asked between reading and sending; see `Authorizer.is_revoked`.

        Raises:
            LogError: the log cannot be read, so nothing may be sent.
        """
        return self.authorizer.is_revoked(grant, ask_log=ask_log) or self.apps.closes(items)

    def encode(self, data: Any, max_bytes: int | None = None) -> str:
        """Return the JSON text of a value."""
        return encode(data, self.app.dumps, max_bytes=max_bytes)

    def resolve(self, names: Iterable[str]) -> list[Resolved]:
        """Find the channels a client asked for.

        Raises:
            Refusal: `unknown-channel`, naming all that are not declared.
        """
        # By length first: `resolve` remembers names, and a stranger's long ones shall not fill its memory.
        # See SECURITY.md: strangers-names-are-not-remembered
        found = {name: self.channels.resolve(name) if len(name) <= MAX_NAME else None for name in names}
        missing = [name for name, resolved in found.items() if resolved is None]
        if missing:
            raise unknown_channels(missing)
        return [resolved for resolved in found.values() if resolved is not None]

    def snapshots(
        self,
        items: Iterable[Resolved],
        reading: Reading,
        site: str,
        *,
        newcomer: bool = False,
    ) -> list[Event]:
        """Run the snapshot functions of the channels whose whole state a reader needs (WIRE §8).

        They run in a request context that has the host of the reader's request, and nothing else of it: what they
        return may be sent to other readers of that host, and kept by a cache. No `ContextVar` that a middleware has
        set for one reader is seen either.

        Args:
            items: the channels it reads.
            reading: what it is told; made before this call, so a snapshot includes at least what is before its tail.
            site: scheme and host of the reader's request, as the app has them; empty: not known.
            newcomer: whether it has no state of any of them; else only those that a reset names.

        Raises:
            Refusal: `app-failed`; the client keeps its position and asks again.
        """
        reset = reading.reset.channels if reading.reset is not None else ()
        needed = [item for item in items if item.channel.snapshot_function and (newcomer or item.name in reset)]
        if not needed:
            return []
        try:
            # See SECURITY.md: snapshots-see-no-reader
            return contextvars.Context().run(self._snapshots, needed, reading.tail, site)
        except Refusal:
            raise
        except Exception as error:  # what the app does around its requests: open a session, tear down
            logger.exception("The request context of a snapshot failed.")
            raise app_failed() from error

    def _snapshots(self, items: Iterable[Resolved], position: Cursor, site: str) -> list[Event]:
        with self.app.context(site):
            return [self._snapshot(item, position) for item in items]

    def close(self) -> None:
        """Answer held connections, end all threads and close the log.

        Nothing is closed for good: the next request, or the next to publish, opens what it needs. A request that is
        held in a thread or greenlet of the server ends in its own time, and reads from the log at the end of it.
        """
        self.has_begun = False
        self.channels.serving.discard(self.token)
        for close in self.closing:
            close()
        self.app_threads.close()
        self.hub.close()
        self.position.close()
        self.log.close()

    def _snapshot(self, item: Resolved, position: Cursor) -> Event:
        function = item.channel.snapshot_function
        assert function is not None
        try:
            payload = self.encode(self.app.call(item, function))
        except Exception as error:
            # Never an empty state in its place: the reader would believe it.
            logger.exception("The snapshot of channel %r failed.", item.name)
            raise app_failed() from error
        return Event(item.name, position.offset, round(self.times.wall(), 3), payload, position.epoch, snapshot=True)

    def _keep_for(self, name: str) -> float | None:
        resolved = self.channels.resolve(name)
        return None if resolved is None else resolved.channel.retention.keep_for

    def _call_source(self, function: Callable[..., Any], item: Resolved) -> Any:
        with self.app.context():
            return self.app.call(item, function)

    def _trim_if_due(self) -> None:
        now = self.times.clock()
        if now < self._next_trim:
            return
        self._next_trim = now + TRIM_INTERVAL
        try:
            if self.log.trim() > 0:
                self._next_trim = now  # a little at each publish until there is nothing left
        except LogError as error:  # the event is stored: publishing it has not failed
            logger.warning("Old events were not trimmed. %s", error)
