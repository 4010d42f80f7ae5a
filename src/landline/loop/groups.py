"""Which held requests are owed which events. Touched by the side loop's thread alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..event import Event
from ..protocol.transport import Transport
from ..serve.subscription import Subscription
from .held import HeldRequest

Key = tuple[Transport, tuple[str, ...], tuple[str, ...], str]
"""What members of one group have in common: transport, channels, what their clients are offered, and the host that
snapshots are made for, where there are any."""


class Group:
    """Held requests that stand at one position and are owed the same bytes.

    They read the same channels by the same transport, through the same kind of door.
    """

    __slots__ = ("members", "sent", "subscription", "written")

    def __init__(self, subscription: Subscription) -> None:
        # Grants stay with the members: readers of different ones are owed the same bytes.
        self.subscription = subscription._replace(head=b"", first=b"", grant=None, query="")
        """The one that made it: its transport, names, items, transports and site stand for all."""
        self.members: set[HeldRequest] = set()
        self.sent = 0
        """Events sent to all members so far."""
        self.written = 0.0
        """Loop time of the last event sent."""


class Groups:
    """The groups, by channel: an event costs what its readers cost, not what all held requests cost."""

    def __init__(self) -> None:
        self._groups: dict[Key, Group] = {}
        self._by_channel: dict[str, set[Group]] = {}

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def reads(self, name: str) -> bool:
        """Return whether any group reads a channel."""
        return name in self._by_channel

    def join(self, subscription: Subscription, requests: Iterable[HeldRequest]) -> None:
        """Put requests into their group, which is made if there is none."""
        key = _key(subscription)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(subscription)
            for name in subscription.names:
                self._by_channel.setdefault(name, set()).add(group)
        for held in requests:
            held.group = group
            held.sent -= group.sent
            group.members.add(held)

    def part(self, held: HeldRequest) -> None:
        """Take a request out of its group, if it is in one, and the group away with its last."""
        group = held.group
        if group is None:
            return
        held.group = None
        held.sent += group.sent
        group.members.discard(held)
        if not group.members:
            self._drop(group)

    def take(self, group: Group) -> list[HeldRequest]:
        """Take all members out of a group at once, and the group away."""
        members, group.members = list(group.members), set()
        for held in members:
            held.group = None
            held.sent += group.sent
        self._drop(group)
        return members

    def reading(self, channel: str) -> Iterable[Group]:
        """Return the groups that read a channel."""
        return self._by_channel.get(channel, ())

    def owed(self, events: Iterable[Event]) -> dict[Group, list[Event]]:
        """Return the events that each group is owed, in their order."""
        found: dict[Group, list[Event]] = {}
        for event in events:
            for group in self.reading(event.channel):
                found.setdefault(group, []).append(event)
        return found

    def _drop(self, group: Group) -> None:
        del self._groups[_key(group.subscription)]
        for name in group.subscription.names:
            groups = self._by_channel[name]
            groups.discard(group)
            if not groups:
                del self._by_channel[name]


def _key(subscription: Subscription) -> Key:
    # See SECURITY.md: snapshots-are-their-hosts
    return subscription.transport, subscription.names, subscription.transports, subscription.site
