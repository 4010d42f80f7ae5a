"""Which held requests are owed which events. Touched by the side loop's thread alone.

A group may have a hundred channels of two hundred characters that no other one reads, and there may be ten thousand
such groups. So a group of long names keeps them as one text, and nothing that is made of them: its channels are
resolved anew where they are needed, which is seldom. The index has hashes of names in their place. Two names may have
one hash, so what the index finds is held against the group's own names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..event import Event
from ..protocol.transport import Transport
from ..serve.subscription import Subscription
from .held import HeldRequest

LONG = 1024
"""Bytes of names from which a group keeps them as one text: a few usual names are quicker to have at hand."""

Key = tuple[Transport, bytes, tuple[str, ...], str]
"""What members of one group have in common: transport, channels, what their clients are offered, and the host that
snapshots are made for, where there are any."""


class Group:
    """Held requests that stand at one position and are owed the same bytes.

    They read the same channels by the same transport, through the same kind of door.
    """

    __slots__ = ("members", "sent", "subscription", "text", "written")

    def __init__(self, subscription: Subscription, text: bytes) -> None:
        # Grants stay with the members: readers of different ones are owed the same bytes.
        self.subscription = subscription._replace(head=b"", first=b"", grant=None, query="")
        """The one that made it: its transport, transports and site stand for all, and so do its names and items where
        they are short; else it has none of these."""
        # See SECURITY.md: long-names-are-kept-once
        if len(text) > LONG:
            self.subscription = self.subscription._replace(names=(), items=())
        self.text = text
        """The names, each with a NUL before and behind it, which no name has."""
        self.members: set[HeldRequest] = set()
        self.sent = 0
        """Events sent to all members so far."""
        self.written = 0.0
        """Loop time of the last event sent."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its channels."""
        return self.subscription.names or tuple(self.text.decode().strip("\0").split("\0"))

    def reads(self, name: str) -> bool:
        """Return whether it reads a channel."""
        return b"\0%b\0" % name.encode() in self.text


class Groups:
    """The groups, by channel: an event costs what its readers cost, not what all held requests cost."""

    def __init__(self) -> None:
        self._groups: dict[Key, Group] = {}
        self._by_channel: dict[int, Group | set[Group]] = {}
        """By the hash of a channel's name: one group, or several."""

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def reads(self, name: str) -> bool:
        """Return whether any group reads a channel."""
        return any(True for _ in self.reading(name))

    def join(self, subscription: Subscription, requests: Iterable[HeldRequest]) -> None:
        """Put requests into their group, which is made if there is none."""
        key = _key(subscription)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(subscription, key[1])
            for name in subscription.names:
                self._index(hash(name), group)
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
        found = self._by_channel.get(hash(channel), ())
        return [group for group in ((found,) if isinstance(found, Group) else found) if group.reads(channel)]

    def owed(self, events: Iterable[Event]) -> dict[Group, list[Event]]:
        """Return the events that each group is owed, in their order."""
        found: dict[Group, list[Event]] = {}
        for event in events:
            for group in self.reading(event.channel):
                found.setdefault(group, []).append(event)
        return found

    def _drop(self, group: Group) -> None:
        subscription = group.subscription
        del self._groups[subscription.transport, group.text, subscription.transports, subscription.site]
        for name in group.names:
            groups = self._by_channel.get(hash(name))
            if isinstance(groups, set) and len(groups) > 1:
                groups.discard(group)
            else:
                self._by_channel.pop(hash(name), None)

    def _index(self, name: int, group: Group) -> None:
        groups = self._by_channel.get(name)
        if groups is None or groups is group:
            self._by_channel[name] = group
        elif isinstance(groups, set):
            groups.add(group)
        else:
            self._by_channel[name] = {groups, group}


def _key(subscription: Subscription) -> Key:
    text = "\0".join(("", *subscription.names, "")).encode()
    # See SECURITY.md: snapshots-are-their-hosts
    return subscription.transport, text, subscription.transports, subscription.site
