"""What an app's author declares of a channel, and holds in hand."""

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
        """Have a reader, or all readers of a channel, asked anew."""


class SourceFunction(NamedTuple):
    """What `Channel.source` declared."""

    function: Callable[..., Any]
    every: float
    only_changes: bool


class Channel:
    """A named feed, or a family of them, declared with `Landline.channel`."""

    def __init__(self, publisher: Publisher, rule: str, retention: Retention) -> None:
        self.rule = rule
        """The rule as declared, such as `room/<int:room_id>`."""
        self.retention = retention
        """How much is kept at least."""
        self.reader_function: Callable[..., Any] | None = None
        """Who may read; None: everybody."""
        self.snapshot_function: Callable[..., Any] | None = None
        self.source_function: SourceFunction | None = None
        self._publisher = publisher

    def __repr__(self) -> str:
        return f"<Channel {self.rule!r}>"

    def publish(self, data: Any, /, **parts: Any) -> Event:
        """Publish a value to this channel.

        Args:
            data: anything `app.json` can serialise.
            parts: the variable parts of the rule, such as `room_id=3`.

        Returns:
            The event, stored durably.

        Raises:
            UsageError: the value cannot be published, or the parts do not fit the rule.
            LogError: the log could not be written; nothing was published.
        """
        return self._publisher.publish(self._publisher.channels.build(self, parts), data)

    def reader(self, function: F) -> F:
        """Decorate the function that decides who may read, as the request's session and user have it (WIRE §9).

        It is called with the rule's parts in a request context of the app, after the `before_request` functions,
        and returns True or False; `abort(403)` and what a login decorator returns are a no as well. Its yes is good
        for `LANDLINE_GRANT_AGE` seconds, unless it is revoked. Whatever else it returns or raises is logged, and
        the client is told to ask again later.
        """
        self._publisher.channels.require_setup(f"The reader function of {self!r}")
        self.reader_function = function
        self._publisher.channels.guarded = True
        self._publisher.channels.guards += 1
        return function

    def revoke(self, /, **parts: Any) -> None:
        """Have every reader of this channel asked anew, at once and in all processes; first change who may read.

        Args:
            parts: the variable parts of the rule, such as `room_id=3`.

        Raises:
            UsageError: the parts do not fit the rule, or the channel has no reader function.
            LogError: the log could not be written; nothing was revoked.
        """
        self._publisher.revoke(channel=self._publisher.channels.build(self, parts))

    def snapshot(self, function: F) -> F:
        """Decorate the function that tells the whole state, for newcomers and after a reset (WIRE §8).

        It is called with the rule's parts in a request context, and returns what `publish` takes. An event may
        be both in the snapshot and after it: apply events idempotently.
        """
        self._publisher.channels.require_setup(f"The snapshot function of {self!r}")
        self.snapshot_function = function
        return function

    def source(self, every: float, *, only_changes: bool = False) -> Callable[[F], F]:
        """Decorate a function that is asked for something new, once for all clients of all processes.

        It is called with the rule's parts in an app context, only while somebody reads the channel, and at
        most once per `every`. What it returns is published; None is nothing new. An exception is logged,
        does not reach readers, and makes the next call later.

        Args:
            every: seconds between two calls, at least.
            only_changes: whether a value equal to the newest event's is nothing new either.

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
