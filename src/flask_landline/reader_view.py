"""Asking the app whether a request may read: an ordinary request to an ordinary view of it.

So everything is there that a route has, and nothing had to be written again: the app's middlewares, its session,
`before_request` and `after_request` functions, signals, teardown. What answers in the view's place has refused.

What comes out is a verdict, and the cookies that the app sets: what it sets in place of an old one, such as a session's
new id, the client must get, or it is logged out by a poll. Sessions are saved only where they changed (`sessions.py`).
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from io import BytesIO
from typing import Any

from flask import Blueprint, Flask, abort, current_app, request
from landline.app import Consent, Cookies
from landline.channels.channel import Resolved
from landline.errors import Refusal, UsageError
from landline.hosts.wsgi.middleware import VISIT
from landline.protocol.problem import app_failed, not_allowed
from landline.protocol.request import Request
from werkzeug.exceptions import HTTPException
from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Response

from . import sessions

MOST_REFUSED = 10
"""Refusals in one request after which nothing more is asked. A reader is refused few channels, unless somebody makes
the app look up a hundred that are not theirs, which is the app's time."""
_YES = 204
"""The view's own status: with another one, somebody else has answered."""

logger = logging.getLogger("flask_landline")
Identity = Callable[[], Any]


class ReaderView:
    """Asks one app.

    Args:
        app: the app, whose `wsgi_app` is not yet wrapped: requests that come through WSGI have passed what will be.
            Its `LANDLINE_IDENTITY` tells who reads; without one flask-login does, if the app has it.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._inner = app.wsgi_app
        self._identity: Identity | None = app.config.get("LANDLINE_IDENTITY")

    def __call__(self, request: Request, items: list[Resolved]) -> Consent:
        """Return the identity of a reader that may read these channels, and the cookies it is to get.

        Raises:
            Refusal: `not-allowed` or `app-failed`, with the cookies; the client keeps its position and asks again.
        """
        visit = ReaderCheck(items, self._identity)
        if request.environ is None:  # the second door: as if the request had come through the first
            ask, environ = self._app.wsgi_app, _environ(request)
        else:
            ask, environ = self._inner, dict(request.environ)
        # Werkzeug would look for a route that is a socket's.
        environ.pop("HTTP_UPGRADE", None)
        environ[VISIT], environ[sessions.SESSION] = visit, visit.session
        try:
            sessions.watch(self._app)
            _, status, headers = run_wsgi_app(ask, environ, buffered=True)
        except Exception as error:  # Flask passes them on where it is told to, as in debug mode
            logger.exception("The app could not be asked who may read.")
            raise app_failed() from error
        # See SECURITY.md: cookies-come-with-the-answer
        cookies: Cookies = tuple(("Set-Cookie", value) for value in headers.getlist("Set-Cookie"))
        try:
            return Consent(visit.outcome(int(status[:3])), cookies)
        except Refusal as refusal:
            refusal.headers += cookies
            raise


def add_view(blueprint: Blueprint) -> None:
    """Add the view in which reader functions are asked, at the wire's own addresses."""
    for name in ("poll", "events", "ws"):
        blueprint.add_url_rule(f"/{name}", "read", _read)


def _read() -> tuple[str, int]:
    visit = request.environ.get(VISIT)
    if visit is None:
        abort(404)
    visit.ask()
    return "", _YES


class ReaderCheck:
    """One question to the app: may this request read these channels, and who is it?"""

    def __init__(self, items: list[Resolved], identity: Identity | None) -> None:
        self._items = items
        self._identity_function = identity
        self.session = sessions.AskedSession()
        self._identity: str | int | None = None
        self._refused: dict[str, int] | None = None
        """The refused channels' statuses; None: the view was not asked, or failed."""
        self._is_routed = True
        """False: the app's router will not have the request."""

    def ask(self) -> None:
        """Ask each reader function; called by the view, and what it raises is the view's error."""
        with self.session.keeping_content():
            refused: dict[str, int] = {}
            for item in self._items:
                status = _verdict(item)
                if status is not None:
                    refused[item.name] = status
                # See SECURITY.md: ten-refusals-are-enough
                if len(refused) >= MOST_REFUSED:
                    break  # the rest is refused with them, unasked
            if not refused:
                self._identity = _identity(self._identity_function)
        self._refused = refused

    def not_routed(self) -> None:
        """Take note that the app's router will not have the request; called before any function of the app's."""
        self._is_routed = False

    def outcome(self, status: int) -> str | int | None:
        """Return the identity, if all have said yes: the functions, and nobody in their place."""
        refused = self._refused
        if not self._is_routed:
            raise app_failed()
        # See SECURITY.md: what-answers-before-refuses, what-answers-after-refuses
        if refused is None or status != _YES:
            instead = _refusal(status)
            if instead is None:
                raise app_failed()
            refused = {item.name: instead for item in self._items}
        # See SECURITY.md: all-or-nothing
        if refused:
            # 401 if there is one: who logs in may come further, though perhaps not all the way.
            raise not_allowed(list(refused), min(refused.values()))
        return self._identity


def _verdict(item: Resolved) -> int | None:
    """Ask one reader function: None for yes, else a status."""
    function = item.channel.reader_function
    assert function is not None
    try:
        # A partial: what makes an async function a plain one takes keywords of its own.
        answer = current_app.ensure_sync(functools.partial(function, **item.parts))()
    except HTTPException as error:
        answer = error.get_response()
    except Exception as error:
        error.add_note(f"Raised by the reader function of channel {item.name!r}.")
        raise
    # See SECURITY.md: only-true-opens
    if isinstance(answer, bool):
        return None if answer else 403
    # What a login decorator returns in the function's place is a response, such as a redirect.
    refused = _refusal(answer.status_code) if isinstance(answer, Response) else None
    if refused is None or answer.status_code < 300:
        raise UsageError(
            f"The reader function of channel {item.name!r} returned {answer!r}. Return True or False, or abort(403)."
        )
    return refused


def _refusal(status: int) -> int | None:
    """Return the refusal that an answer's status stands for; None if it is a failure, and may be another soon."""
    if status == 401 or 300 <= status < 400:  # login pages are redirected to
        return 401
    return None if status == 429 or status >= 500 else 403


def _identity(function: Identity | None) -> str | int | None:
    if function is not None:
        identity = current_app.ensure_sync(function)()
    elif hasattr(current_app, "login_manager") and "flask_login" in sys.modules:
        # See SECURITY.md: identity-is-who-reads-now
        identity = sys.modules["flask_login"].current_user.get_id()
    else:
        return None
    # See SECURITY.md: identity-is-a-name
    if identity is None or (isinstance(identity, (str, int)) and not isinstance(identity, bool)):
        return identity
    raise UsageError(f"LANDLINE_IDENTITY returned {identity!r}. Return the reader's id, a str or an int, or None.")


def _environ(request: Request) -> dict[str, Any]:
    """Return the WSGI environment (PEP 3333) of a request that came through the second door."""
    host, _, port = request.headers.get("host", "").partition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query,
        "SERVER_NAME": host or "localhost",
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": request.remote,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        # `X_Real_Ip` would become the header that a proxy sets and a client may not; servers drop it too.
        # See SECURITY.md: second-door-drops-underscores
        if "_" not in name and name not in ("content-length", "content-type"):
            environ["HTTP_" + name.upper().replace("-", "_")] = value
    return environ
