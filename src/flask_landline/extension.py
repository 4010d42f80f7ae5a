"""The extension object, which an app's author makes once and uses everywhere."""

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
from landline.times import SYSTEM

from .flask_app import FlaskApp
from .logout import Logouts
from .pages import add_pages

_KEPT = 8
"""Open apps that the object itself holds at most. A test suite may make hundreds, and never close one."""
_NAMED = 5
"""Open apps that an error names."""


class Landline:
    """Live updates for a Flask app.

    Channels belong to this object, which may serve several apps. What an app has of its own (configuration, log) is
    in `app.extensions["landline"]`.

    Args:
        app: the app to serve at once; None: call `init_app` later.

    Example:
        >>> app = Flask(__name__)
        >>> live = Landline(app)
        >>> orders = live.channel("orders")
        >>> orders.publish({"id": 7})
    """

    def __init__(self, app: Flask | None = None) -> None:
        self.channels = Channels()
        self.times = SYSTEM  # of the apps that it begins to serve from now on; tests set their own
        self._apps = _OpenApps()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Serve an app: read its `LANDLINE_*` keys, wrap its `wsgi_app`, add the client's script and template globals.

        Nothing is opened, and no thread is started, before first use. See `docs/reference/config.md` for the keys.

        Args:
            app: the app to serve.

        Raises:
            UsageError: a configuration value is wrong, or the app has a Landline already.
        """
        if "landline" in app.extensions:
            raise UsageError(f"App {app.name!r} has a Landline already. Use one object for all its channels.")
        adapter = FlaskApp(app)
        runtime = Runtime(adapter, self.channels, self.times)
        app.extensions["landline"] = runtime
        app.wsgi_app = WireMiddleware(Logouts(app.wsgi_app, app, runtime), runtime)  # type: ignore[method-assign]
        adapter.keep.append(add_pages(app, runtime))
        self._apps.add(app, runtime)

    def close(self, app: Flask | None = None) -> None:
        """End what serves an app in this process, and close its log.

        Connections that the process holds for the app are answered or end in good order; then its threads end. For
        tests, and for a process that goes on without the app. A closed app is no longer one of those that
        `docs/reference/python.md#which-app-is-meant` chooses from. Closing it again changes nothing.

        Args:
            app: the app to close; None: the current one, or the only one.

        Raises:
            UsageError: this object does not serve the app, or it is not clear which one is meant.
        """
        runtime = self._runtime() if app is None else self._state_of(app)
        runtime.close()
        self._apps.discard(runtime)

    def channel(self, rule: str, *, keep: int | None = 1000, keep_for: float | None = 86_400.0) -> Channel:
        """Declare a channel, or, by a rule with variable parts, a family of channels.

        Anyone may read a channel, as with a route, unless it has a reader function (`Channel.reader`).

        Declare channels, and their reader, snapshot and source functions, where the module is loaded. After an app's
        first request that is an error, as a late route is in Flask: the app's other processes would not know the
        channel. For channels that are made at run time, declare a rule once: `jobs = live.channel("job/<job_id>")`,
        then `jobs.publish(data, job_id=7)`.

        A name has up to 200 printable characters, is matched exactly, and has one spelling: `room/7` names a channel,
        `room/007` does not. `landline` is reserved. Printable is what `str.isprintable` says, so a name cannot hold
        zero-width joiners and non-joiners, soft hyphens or marks of writing direction: with them, two different names
        could look the same, and a name could turn a line of a log around. Emoji made with joiners, and Persian or
        Hindi words that need them, therefore cannot be in a name; declare a family by number or slug
        (`room/<int:id>`), and put the words into the data. Nothing else is unified: `é` as one character and as two
        are two names. Publishing to a name that breaks these rules is a `UsageError`; a client that asks for one is
        refused with `unknown-channel`.

        Args:
            rule: a name such as `orders`, or a rule such as `room/<int:room_id>`, with the syntax and the converters
                of Flask's routes.
            keep: newest events kept at least, for each concrete channel; None: no limit.
            keep_for: seconds for which an event is kept at least; None: no limit.

        Returns:
            The `Channel`.

        Raises:
            UsageError: the rule or a limit cannot be used, the rule is declared already, or an app that this object
                serves has had its first request.
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
        """Publish a value to a channel, from any request, thread, process, worker or shell of this machine.

        Args:
            name: the channel's concrete name, such as `orders` or `room/3`.
            data: any value that `app.json` can serialise, up to `LANDLINE_MAX_EVENT` bytes of JSON. See
                `docs/how-to/publish.md#what-can-be-published`.

        Returns:
            The `Event`, which is stored durably by now.

        Raises:
            UsageError: no channel of this name is declared, the value cannot be published, or it is not clear which
                app is meant.
            LogError: the log could not be written; nothing was published.
        """
        return self._runtime().publish(name, data)

    def cursor(self) -> str:
        """Return the position at the log's end; call it before you read the state that goes with it.

        In a request, no page goes down with the log. If the log does not answer within a quarter of a second, this
        returns the last position known in this process, or an empty text if there is none. A client that asks from
        the empty text gets a reset. The server's log says why, once a minute. See
        `docs/topics/delivery.md#the-page-and-the-feed`.

        Returns:
            The cursor, as text.

        Raises:
            UsageError: it is not clear which app is meant.
            LogError: the log cannot be read; only outside of requests.
        """
        runtime = self._runtime()
        if has_request_context():
            return runtime.position.text(runtime.position.now())
        return str(runtime.hub.tail())

    def revoke(self, identity: str | int | None = None, *, channel: str | None = None) -> None:
        """Void the grants of one reader, or those for one channel, at once and in all processes.

        Connections that are held by such a grant end; their clients come back, and the reader functions decide anew.
        So first change the rights that the reader functions look at, then revoke. See
        `docs/how-to/access.md#when-rights-are-taken`.

        Args:
            identity: the reader, as `LANDLINE_IDENTITY` returns it, or flask-login's user id.
            channel: the channel's concrete name, such as `room/3`. Give one of the two.

        Raises:
            UsageError: neither or both were given, or the channel is not declared or has no reader function.
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
    """The apps given to `init_app` and not closed; code outside of any app context uses the only one.

    The choice follows from those calls alone, and never from what the garbage collector has collected: an app that
    its process refers to nowhere else stays here. Beyond `_KEPT` open apps only the names of the oldest are kept, for
    the error that names them; if such an app is the last one open, using it is that error too.
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
            UsageError: no app is open, or several are.
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
