"""The extension object: what an app's author holds in hand."""

from __future__ import annotations

import weakref
from typing import Any

from flask import Flask, current_app, has_app_context

from .channel import Channel, Channels
from .errors import UsageError
from .event import Event
from .logs.base import Retention
from .state import State
from .wsgi.middleware import WireMiddleware
from .wsgi.pages import add_pages


class Landline:
    """Live updates for a Flask app.

    Channels belong to this object, which may serve several apps; what an app has of its own (configuration, log)
    is in `app.extensions["landline"]`.

    Args:
        app: the app; or call `init_app` later.

    Example:
        >>> app = Flask(__name__)
        >>> live = Landline(app)
        >>> orders = live.channel("orders")
        >>> orders.publish({"id": 7})
    """

    def __init__(self, app: Flask | None = None) -> None:
        self.channels = Channels()
        # Weak, and only for publishing where no app context is: a bare thread of a process with one app.
        self._apps: weakref.WeakSet[Flask] = weakref.WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Serve an app: read its `LANDLINE_*` keys, wrap its `wsgi_app`, add its pages and template globals.

        Raises:
            UsageError: a configuration value is wrong, or the app has a Landline already.
        """
        if "landline" in app.extensions:
            raise UsageError(f"App {app.name!r} has a Landline already. Use one object for all its channels.")
        state = State(app, self.channels)
        app.extensions["landline"] = state
        app.wsgi_app = WireMiddleware(app.wsgi_app, state)  # type: ignore[method-assign]
        add_pages(app, state)
        self._apps.add(app)

    def channel(self, rule: str, *, keep: int | None = 1000, keep_for: float | None = 86_400.0) -> Channel:
        """Declare a channel, or with variable parts a family of them.

        Args:
            rule: a name such as `orders`, or a rule such as `room/<int:room_id>` with the converters of Flask's
                routes. Anyone may read it, as with a route, unless it is given a reader function (`Channel.reader`).
            keep: newest events kept at least, for each concrete channel; None: no limit.
            keep_for: seconds an event is kept at least; None: no limit.

        Raises:
            UsageError: the rule or a limit cannot be used, or the rule is declared already.
        """
        if keep is not None and (not _is_number(keep) or not isinstance(keep, int) or keep < 1):
            raise UsageError(f"channel(keep={keep!r}): give a whole number of events, 1 or more, or None for no limit.")
        if keep_for is not None and (not _is_number(keep_for) or not 0 < keep_for < float("inf")):
            raise UsageError(
                f"channel(keep_for={keep_for!r}): give a positive number of seconds, or None for no limit."
            )
        channel = Channel(self, rule, Retention(keep, keep_for))
        self.channels.declare(channel)
        return channel

    def publish(self, name: str, data: Any) -> Event:
        """Publish a value to a channel, from anywhere: a request, a thread, another process, a worker, a shell.

        Args:
            name: the channel's concrete name, such as `orders` or `room/3`.
            data: anything `app.json` can serialise, up to `LANDLINE_MAX_EVENT` bytes of JSON.

        Returns:
            The event. It is stored durably when this returns.

        Raises:
            UsageError: no such channel, the value cannot be published, or it is not clear which app is meant.
            LogError: the log could not be written; nothing was published.
        """
        return self._state().publish(name, data)

    def cursor(self) -> str:
        """Return the position at the log's end: what a page rendered now shows everything up to.

        Raises:
            LogError: the log cannot be read.
        """
        return str(self._state().hub.tail())

    def revoke(self, identity: str | int | None = None, *, channel: str | None = None) -> None:
        """Have a reader, or all readers of a channel, asked anew, at once and in all processes.

        What was granted is void, and lines that it holds open end; they come back, and the reader functions decide.
        So change first who may read, and then revoke.

        Args:
            identity: whose: what `LANDLINE_IDENTITY` returns, or flask-login's user id.
            channel: or of which channel: its concrete name, such as `room/3`.

        Raises:
            UsageError: not one of the two was given, or the channel is not declared or has no reader function.
            LogError: the log could not be written; nothing was revoked.
        """
        self._state().revoke(identity, channel)

    def _state(self) -> State:
        apps = [current_app._get_current_object()] if has_app_context() else list(self._apps)  # type: ignore[attr-defined]
        if len(apps) != 1:
            what = "no app yet: call live.init_app(app)" if not apps else "several apps"
            raise UsageError(
                f"This Landline has {what}. Where no request runs, say which: 'with app.app_context(): …'."
            )
        state = apps[0].extensions.get("landline")
        if not isinstance(state, State) or state.channels is not self.channels:
            raise UsageError(
                f"This Landline does not serve app {apps[0].name!r}. Call live.init_app(app) where it is made."
            )
        return state


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
