"""Flask's implementation of `landline.app`: all that the engine needs of a web framework."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from flask import Flask
from landline.app import Believed, Consent
from landline.channels.channel import Resolved
from landline.protocol.request import Request
from werkzeug.middleware.proxy_fix import ProxyFix

from .late_keys import LateKeys
from .reader_view import ReaderView

_LAYERS = ("app", "wsgi_app", "_wsgi_app", "application", "_app")
"""Where middlewares keep what they wrap."""
_DEEPEST = 50
"""Middlewares looked through at most, in case they refer to each other in a ring."""


class FlaskApp:
    """One Flask app, as the engine sees it.

    Args:
        flask: the app, whose `wsgi_app` is not yet wrapped by Landline.
    """

    def __init__(self, flask: Flask) -> None:
        self.flask = flask
        self._late_keys = LateKeys(flask.config)
        self._view = ReaderView(flask)
        self.keep: list[object] = []
        """What lives as long as the app and is kept nowhere else: signals hold their receivers weakly."""

    @property
    def name(self) -> str:
        """What the app is called."""
        return self.flask.name

    @property
    def folder(self) -> Path:
        """The app's instance folder."""
        return Path(self.flask.instance_path)

    @property
    def config(self) -> Mapping[str, Any]:
        """The app's configuration."""
        return self.flask.config

    def begin(self) -> None:
        """Warn of keys that were set too late."""
        self._late_keys.check()

    def keys(self) -> Sequence[str | bytes]:
        """Return `SECRET_KEY` and `SECRET_KEY_FALLBACKS`, looked up at each use: tests and apps set them late."""
        key = self.flask.secret_key
        return [key, *(self.flask.config.get("SECRET_KEY_FALLBACKS") or ())] if key else []

    def believed(self) -> Believed:
        """Return what the app's outermost `ProxyFix` believes; nothing, if no `ProxyFix` is found."""
        app: Any = self.flask.wsgi_app
        for _ in range(_DEEPEST):
            if isinstance(app, ProxyFix):
                # See SECURITY.md: proxies-are-believed-as-configured
                return Believed(int(app.x_for), app.x_proto, app.x_host, app.x_port)
            app = next((inner for name in _LAYERS if (inner := getattr(app, name, None)) is not None), None)
        return Believed()

    def dumps(self, value: Any) -> str:
        """Return a value as JSON text, by `app.json`."""
        return self.flask.json.dumps(value)

    def authorize(self, request: Request, channels: list[Resolved]) -> Consent:
        """Ask reader functions, in a view of the app; see `ReaderView`."""
        return self._view(request, channels)

    def context(self, site: str | None = None) -> AbstractContextManager[object]:
        """Return an app context; with a site an empty request context of it."""
        if site is None:
            return self.flask.app_context()
        scheme, _, host = site.partition("://")
        overrides = {"HTTP_HOST": host, "wsgi.url_scheme": scheme} if host else {}
        return self.flask.test_request_context(environ_overrides=overrides)

    def call(self, channel: Resolved, function: Any) -> Any:
        """Call a function with a channel's parts.

        By a partial: what makes an async function a plain one takes keywords of its own.
        """
        return self.flask.ensure_sync(functools.partial(function, **channel.parts))()
