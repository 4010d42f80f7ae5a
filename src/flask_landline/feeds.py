"""Who is owed which events: held lines by what they read. Touched by the side loop's thread alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType

from .event import Event
from .line import Line
from .protocol.request import Request
from .protocol.transport import Transport
from .wire import Hold

Key = tuple[Transport, tuple[str, ...], tuple[str, ...]]
"""What lines of one feed have in common: transport, channels, and what their clients are offered."""

_NO_REQUEST = Request("GET", "", "", MappingProxyType({}), "")
"""In place of the request that made a feed: a WSGI environment would outlive its line by as long as the feed. Grants
stay with their lines: readers of different ones are owed the same bytes."""


class Feed:
    """Lines that stand at one position and are owed the same bytes.

    They read the same channels by the same transport, through the same kind of door.
    """

    __slots__ = ("hold", "lines", "told", "written")

    def __init__(self, hold: Hold) -> None:
        self.hold = hold._replace(head=b"", first=b"", request=_NO_REQUEST, grant=None)
        """The hold that made it: its transport, names, items and transports stand for all."""
        self.lines: set[Line] = set()
        self.told = 0
        """Events told so far."""
        self.written = 0.0
        """Loop time of the last event told."""


class Feeds:
    """The feeds, by channel: an event costs what its readers cost, not what all lines cost."""

    def __init__(self) -> None:
        self._feeds: dict[Key, Feed] = {}
        self._by_channel: dict[str, set[Feed]] = {}

    def __iter__(self) -> Iterator[Feed]:
        return iter(self._feeds.values())

    def join(self, hold: Hold, lines: Iterable[Line]) -> None:
        """Put lines into their feed, which is made if there is none."""
        key = _key(hold)
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = Feed(hold)
            for name in hold.names:
                self._by_channel.setdefault(name, set()).add(feed)
        for line in lines:
            line.feed = feed
            line.told -= feed.told
            feed.lines.add(line)

    def part(self, line: Line) -> None:
        """Take a line out of its feed, if it is in one, and the feed away with its last."""
        feed = line.feed
        if feed is None:
            return
        line.feed = None
        line.told += feed.told
        feed.lines.discard(line)
        if not feed.lines:
            del self._feeds[_key(feed.hold)]
            for name in feed.hold.names:
                feeds = self._by_channel[name]
                feeds.discard(feed)
                if not feeds:
                    del self._by_channel[name]

    def owed(self, events: Iterable[Event]) -> dict[Feed, list[Event]]:
        """Return the events that each feed is owed, in their order."""
        found: dict[Feed, list[Event]] = {}
        for event in events:
            for feed in self._by_channel.get(event.channel, ()):
                found.setdefault(feed, []).append(event)
        return found


def _key(hold: Hold) -> Key:
    return hold.transport, hold.names, hold.transports
