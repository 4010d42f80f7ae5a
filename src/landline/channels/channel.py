"""A channel as the app's author declares it, and publishes to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from ..errors import UsageError
from ..event import Event
from ..logs.base import Retention

F = TypeVar("F", bound=Callable[..., Any])


class Registry(Protocol):
    """Where channels are declared: `names.Channels`."""

    guarded: bool
    guards: int

    def build(self, channel: Channel, parts: Mapping[str, Any]) -> str:
        """Return the name that a channel has with these parts."""

    def require_setup(self, what: str) -> None:
        """Refuse a change once requests are served."""


class Publisher(Protocol):
    """What a channel belongs to: a framework's extension object."""

    @property
    def channels(self) -> Registry:
        """Where it is declared."""

    def publish(self, name: str, data: Any) -> Event:
        """Publish a value to a channel by its concrete name."""

    def revoke(self, identity: str | int | None = None, *, channel: str | None = None) -> None:
        """Void the grants of one reader, or those for one channel."""


class SourceFunction(NamedTuple):
    """What `Channel.source` declared."""

    function: Callable[..., Any]
    every: float
    only_changes: bool


class Channel:
    """A channel, or a family of channels, declared with `Landline.channel`."""

    def __init__(self, publisher: Publisher, rule: str, retention: Retention) -> None:
        self.rule = rule
        """The rule as declared, such as `room/<int:room_id>`."""
        self.retention = retention
        """How much is kept at least: the named tuple `Retention`."""
        self.reader_function: Callable[..., Any] | None = None
        """Decides whether a request may read; None: each one may."""
        self.snapshot_function: Callable[..., Any] | None = None
        self.source_function: SourceFunction | None = None
        self._publisher = publisher

    def __repr__(self) -> str:
        return f"<Channel {self.rule!r}>"

    def publish(self, data: Any, /, **parts: Any) -> Event:
        """Publish a value to this channel.

        Args:
            data: any value that `app.json` can serialise; see `docs/how-to/publish.md#what-can-be-published`.
            parts: the variable parts of the rule, such as `room_id=3`.

        Returns:
            The `Event`, which is stored durably by now.

        Raises:
            UsageError: the value cannot be published, or the parts do not fit the rule.
            LogError: the log could not be written; nothing was published.
        """
        return self._publisher.publish(self._publisher.channels.build(self, parts), data)

    def reader(self, function: F) -> F:
        """Decorate the function that decides whether a request may read this channel (WIRE §9).

        Landline calls it with the rule's parts in a request context of the app, after the `before_request` functions,
        so it sees the client's session and user. It returns True or False; `abort(403)` and what a login decorator
        returns mean False too. A True is good for `LANDLINE_GRANT_AGE` seconds, unless it is revoked. Anything else
        that it returns or raises is logged, and the client is asked to come back later.

        Returns the function it got. See `docs/how-to/access.md`.
        """
        self._publisher.channels.require_setup(f"The reader function of {self!r}")
        self.reader_function = function
        self._publisher.channels.guarded = True
        self._publisher.channels.guards += 1
        return function

    def revoke(self, /, **parts: Any) -> None:
        """Void the grants for this channel, at once and in all processes; see `Landline.revoke`.

        Args:
            parts: the variable parts of the rule, such as `room_id=3`.

        Raises:
            UsageError: the parts do not fit the rule, or the channel has no reader function.
            LogError: the log could not be written; nothing was revoked.
        """
        self._publisher.revoke(channel=self._publisher.channels.build(self, parts))

    def snapshot(self, function: F) -> F:
        """Decorate the function that returns the channel's whole state, for newcomers and after a reset (WIRE §8).

        Landline calls it with the rule's parts in a request context, and it returns what `publish` takes. An event
        may be both in the snapshot and after it, so apply events idempotently.

        Returns the function it got. See `docs/how-to/snapshots.md`.
        """
        self._publisher.channels.require_setup(f"The snapshot function of {self!r}")
        self.snapshot_function = function
        return function

    def source(self, every: float, *, only_changes: bool = False) -> Callable[[F], F]:
        """Decorate a function that returns what is new, or None; one process calls it for all clients of all processes.

        Landline calls it with the rule's parts in an app context, only while a client reads the channel, and publishes
        what it returns. An exception is logged, does not reach readers, and delays the next call.

        The decorator returns the function it got. See `docs/how-to/sources.md`.

        Args:
            every: seconds between two calls, at least.
            only_changes: whether a value equal to the newest event's counts as nothing new.

        Raises:
            UsageError: `every` is not a positive number.
        """
        if isinstance(every, bool) or not isinstance(every, (int, float)) or not 0 < every < float("inf"):
            raise UsageError(f"source(every={every!r}): give a positive number of seconds, like every=2.0.")

        def decorate(function: F) -> F:
            self._publisher.channels.require_setup(f"The source of {self!r}")
            self.source_function = SourceFunction(function, float(every), only_changes)
            return function

        return decorate


class Resolved(NamedTuple):
    """A channel's concrete name, with its rule."""

    name: str
    channel: Channel
    parts: Mapping[str, Any]
