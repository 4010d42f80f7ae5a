"""Who is owed which events: held lines by what they read. Touched by the side loop's thread alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..event import Event
from ..protocol.transport import Transport
from ..serve.subscription import Subscription
from .held import HeldConnection

Key = tuple[Transport, tuple[str, ...], tuple[str, ...], str]
"""What lines of one feed have in common: transport, channels, what their clients are offered, and the host that
snapshots are made for, where there are any."""


class Group:
    """Lines that stand at one position and are owed the same bytes.

    They read the same channels by the same transport, through the same kind of door.
    """

    __slots__ = ("hold", "lines", "told", "written")

    def __init__(self, subscription: Subscription) -> None:
        # Grants stay with their lines: readers of different ones are owed the same bytes.
        self.hold = subscription._replace(head=b"", first=b"", grant=None)
        """The hold that made it: its transport, names, items, transports and site stand for all."""
        self.lines: set[HeldConnection] = set()
        self.told = 0
        """Events told so far."""
        self.written = 0.0
        """Loop time of the last event told."""


class Groups:
    """The feeds, by channel: an event costs what its readers cost, not what all lines cost."""

    def __init__(self) -> None:
        self._groups: dict[Key, Group] = {}
        self._by_channel: dict[str, set[Group]] = {}

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def join(self, subscription: Subscription, lines: Iterable[HeldConnection]) -> None:
        """Put lines into their feed, which is made if there is none."""
        key = _key(subscription)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(subscription)
            for name in subscription.names:
                self._by_channel.setdefault(name, set()).add(group)
        for line in lines:
            line.group = group
            line.told -= group.told
            group.lines.add(line)

    def part(self, line: HeldConnection) -> None:
        """Take a line out of its feed, if it is in one, and the feed away with its last."""
        group = line.group
        if group is None:
            return
        line.group = None
        line.told += group.told
        group.lines.discard(line)
        if not group.lines:
            self._drop(group)

    def take(self, group: Group) -> Iterable[HeldConnection]:
        """Take all lines out of a feed at once, and the feed away."""
        lines, group.lines = group.lines, set()
        for line in lines:
            line.group = None
            line.told += group.told
        self._drop(group)
        return lines

    def owed(self, events: Iterable[Event]) -> dict[Group, list[Event]]:
        """Return the events that each feed is owed, in their order."""
        found: dict[Group, list[Event]] = {}
        for event in events:
            for group in self._by_channel.get(event.channel, ()):
                found.setdefault(group, []).append(event)
        return found

    def _drop(self, group: Group) -> None:
        del self._groups[_key(group.hold)]
        for name in group.hold.names:
            groups = self._by_channel[name]
            groups.discard(group)
            if not groups:
                del self._by_channel[name]


def _key(subscription: Subscription) -> Key:
    # See SECURITY.md: snapshots-are-their-hosts
    return subscription.transport, subscription.names, subscription.transports, subscription.site
