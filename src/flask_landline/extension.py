"""The extension object: what an app's author holds in hand."""

from __future__ import annotations

from threading import Lock
from typing import Any

from flask import Flask, current_app, has_app_context, has_request_context
from landline.channels.channel import Channel
from landline.channels.names import Channels
from landline.errors import UsageError
from landline.event import Event
from landline.hosts.wsgi.middleware import WireMiddleware
from landline.logs.base import Retention
from landline.serve.runtime import Runtime

from .flask_app import FlaskApp
from .logout import Logouts
from .pages import add_pages

_KEPT = 8
"""Open apps that the object itself holds at most. A test suite may make hundreds and close none of them."""
_NAMED = 5
"""Open apps that an error names."""


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
        self._apps = _OpenApps()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Serve an app: read its `LANDLINE_*` keys, wrap its `wsgi_app`, add its pages and template globals.

        Raises:
            UsageError: a configuration value is wrong, or the app has a Landline already.
        """
        if "landline" in app.extensions:
            raise UsageError(f"App {app.name!r} has a Landline already. Use one object for all its channels.")
        adapter = FlaskApp(app)
        runtime = Runtime(adapter, self.channels)
        app.extensions["landline"] = runtime
        app.wsgi_app = WireMiddleware(Logouts(app.wsgi_app, app, runtime), runtime)  # type: ignore[method-assign]
        adapter.keep.append(add_pages(app, runtime))
        self._apps.add(app, runtime)

    def close(self, app: Flask | None = None) -> None:
        """End what serves an app: held connections are answered, the follower ends, the log is closed.

        For tests, and for a process that has done with an app but goes on. From then on the app counts no more where
        it is asked which one is meant. It may be closed again, which changes nothing.

        Args:
            app: which one; None: the current one, or the only one.

        Raises:
            UsageError: this object does not serve the app, or it is not clear which one is meant.
        """
        runtime = self._runtime() if app is None else self._state_of(app)
        runtime.close()
        self._apps.discard(runtime)

    def channel(self, rule: str, *, keep: int | None = 1000, keep_for: float | None = 86_400.0) -> Channel:
        """Declare a channel, or with variable parts a family of them.

        Args:
            rule: a name such as `orders`, or a rule such as `room/<int:room_id>` with the converters of Flask's
                routes. Anyone may read it, as with a route, unless it is given a reader function (`Channel.reader`).
            keep: newest events kept at least, for each concrete channel; None: no limit.
            keep_for: seconds an event is kept at least; None: no limit.

        Raises:
            UsageError: the rule or a limit cannot be used, the rule is declared already, or an app that this object
                serves has had its first request: other processes of it would not know the channel.
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
        return self._runtime().publish(name, data)

    def cursor(self) -> str:
        """Return the position at the log's end: call it before you read the state that goes with it.

        In a request it takes no page down with the log: where that does not answer within a quarter of a second, it is
        the last position known in this process, and without one the empty text, which means that a position was lost.
        A client that comes with it is told so by a reset. The log says why, once a minute.

        Raises:
            UsageError: it is not clear which app is meant.
            LogError: the log cannot be read; outside of requests only.
        """
        runtime = self._runtime()
        if has_request_context():
            return runtime.position.text(runtime.position.now())
        return str(runtime.hub.tail())

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
        self._runtime().revoke(identity, channel)

    def _runtime(self) -> Runtime:
        if has_app_context():
            return self._state_of(current_app._get_current_object())  # type: ignore[attr-defined]
        return self._state_of(self._apps.only())

    def _state_of(self, app: Flask) -> Runtime:
        runtime = app.extensions.get("landline")
        if not isinstance(runtime, Runtime) or runtime.channels is not self.channels:
            raise UsageError(
                f"This Landline does not serve app {app.name!r}. Call live.init_app(app) where it is made."
            )
        return runtime


class _OpenApps:
    """The apps given to `init_app` and not closed, so that code outside of any app context has one to mean.

    Which one that is follows from those calls alone, never from what the garbage collector has got round to: an app
    that its process holds nowhere else stays. Beyond `_KEPT` open apps only the names of the oldest are kept, for the
    error that names them; should such an app be the last one open, that is an error as well.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._apps: dict[object, tuple[str, Flask | None]] = {}
        """By `Runtime.token`, in the order of `init_app`."""

    def add(self, app: Flask, runtime: Runtime) -> None:
        """Remember an app, and let go of the oldest one held, if there are too many."""
        with self._lock:
            self._apps[runtime.token] = (app.name, app)
            held = [token for token, (_, kept) in self._apps.items() if kept is not None]
            for token in held[:-_KEPT]:
                self._apps[token] = (self._apps[token][0], None)

    def discard(self, runtime: Runtime) -> None:
        """Forget an app that was closed."""
        with self._lock:
            self._apps.pop(runtime.token, None)

    def only(self) -> Flask:
        """Return the app that is open, if it is one.

        Raises:
            UsageError: none is, or several are.
        """
        with self._lock:
            apps = list(self._apps.values())
        if not apps:
            raise UsageError("This Landline has no app that is open: call live.init_app(app).")
        if len(apps) == 1 and apps[0][1] is not None:
            return apps[0][1]
        names = ", ".join(repr(name) for name, _ in apps[:_NAMED])
        more = f" and {len(apps) - _NAMED} more" if len(apps) > _NAMED else ""
        what = f"several open apps ({names}{more})" if len(apps) > 1 else f"the app {names}, once one of many"
        raise UsageError(
            f"This Landline has {what}. Where no request runs, say which one: 'with app.app_context(): …'. "
            "What is not in use any more may be closed: 'live.close(app)'."
        )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
