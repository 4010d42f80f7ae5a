"""Who is owed which events: held lines by what they read. Touched by the side loop's thread alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..event import Event
from ..protocol.transport import Transport
from ..serve.endpoints import Hold
from .held import HeldConnection

Key = tuple[Transport, tuple[str, ...], tuple[str, ...], str]
"""What lines of one feed have in common: transport, channels, what their clients are offered, and the host that
snapshots are made for, where there are any."""


class Feed:
    """Lines that stand at one position and are owed the same bytes.

    They read the same channels by the same transport, through the same kind of door.
    """

    __slots__ = ("hold", "lines", "told", "written")

    def __init__(self, hold: Hold) -> None:
        # Grants stay with their lines: readers of different ones are owed the same bytes.
        self.hold = hold._replace(head=b"", first=b"", grant=None)
        """The hold that made it: its transport, names, items, transports and site stand for all."""
        self.lines: set[HeldConnection] = set()
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

    def join(self, hold: Hold, lines: Iterable[HeldConnection]) -> None:
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

    def part(self, line: HeldConnection) -> None:
        """Take a line out of its feed, if it is in one, and the feed away with its last."""
        feed = line.feed
        if feed is None:
            return
        line.feed = None
        line.told += feed.told
        feed.lines.discard(line)
        if not feed.lines:
            self._drop(feed)

    def take(self, feed: Feed) -> Iterable[HeldConnection]:
        """Take all lines out of a feed at once, and the feed away."""
        lines, feed.lines = feed.lines, set()
        for line in lines:
            line.feed = None
            line.told += feed.told
        self._drop(feed)
        return lines

    def owed(self, events: Iterable[Event]) -> dict[Feed, list[Event]]:
        """Return the events that each feed is owed, in their order."""
        found: dict[Feed, list[Event]] = {}
        for event in events:
            for feed in self._by_channel.get(event.channel, ()):
                found.setdefault(feed, []).append(event)
        return found

    def _drop(self, feed: Feed) -> None:
        del self._feeds[_key(feed.hold)]
        for name in feed.hold.names:
            feeds = self._by_channel[name]
            feeds.discard(feed)
            if not feeds:
                del self._by_channel[name]


def _key(hold: Hold) -> Key:
    # See SECURITY.md: snapshots-are-their-hosts
    return hold.transport, hold.names, hold.transports, hold.site
