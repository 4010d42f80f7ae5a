"""Calls reader functions to find out whether a request may read, in an ordinary request to an ordinary view of the app.

So everything is there that a route has, and nothing had to be written again: the app's middlewares, its session,
`before_request` and `after_request` functions, signals, teardown. Whatever answers in the view's place has refused.

The outcome is a verdict, and the cookies that the app sets. The client must get a cookie that replaces an old one, such
as a session's new id, or a poll would log it out. Sessions are saved only where they changed (`sessions.py`).
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
from landline.protocol.endpoints import ENDPOINTS
from landline.protocol.problem import app_failed, not_allowed
from landline.protocol.request import Request
from werkzeug.exceptions import HTTPException
from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Response

from . import sessions

MOST_REFUSED = 10
"""Refusals in one request after which no further function is called. An honest reader is refused few channels; a client
that asks for a hundred of other readers' would cost the app a hundred look-ups."""
_YES = 204
"""The view's own status: with any other, something else has answered."""

logger = logging.getLogger("flask_landline")
Identity = Callable[[], Any]


class ReaderView:
    """Calls the reader functions of one app.

    Args:
        app: the app, whose `wsgi_app` is not yet wrapped: requests that come through WSGI have passed what will be.
            Its `LANDLINE_IDENTITY` returns a reader's identity; without it Flask-Login does, if the app has it.
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
        except Exception as error:  # Flask passes them on where it is configured to, as in debug mode
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
    """Add the view in which reader functions are called, at the wire's own addresses."""
    for endpoint in ENDPOINTS:
        blueprint.add_url_rule(f"/{endpoint.name}", "read", _read)


def _read() -> tuple[str, int]:
    visit = request.environ.get(VISIT)
    if visit is None:
        abort(404)
    visit.ask()
    return "", _YES


class ReaderCheck:
    """One question to the app: may this request read these channels, and what is its reader's identity?"""

    def __init__(self, items: list[Resolved], identity: Identity | None) -> None:
        self._items = items
        self._identity_function = identity
        self.session = sessions.AskedSession()
        self._identity: str | int | None = None
        self._refused: dict[str, int] | None = None
        """The refused channels' statuses; None: the view was not reached, or failed."""
        self._is_routed = True
        """Whether the app's router takes the request."""

    def ask(self) -> None:
        """Call each reader function. The view calls this, and what this raises is the view's error."""
        with self.session.keeping_content():
            refused: dict[str, int] = {}
            for item in self._items:
                status = _verdict(item)
                if status is not None:
                    refused[item.name] = status
                # See SECURITY.md: ten-refusals-are-enough
                if len(refused) >= MOST_REFUSED:
                    break  # the rest is refused with them, and their functions are not called
            if not refused:
                self._identity = _identity(self._identity_function)
        self._refused = refused

    def not_routed(self) -> None:
        """Note that the app's router rejects the request; called before any function of the app."""
        self._is_routed = False

    def outcome(self, status: int) -> str | int | None:
        """Return the identity, if every function returned True and nothing else answered in the view's place.

        Raises:
            Refusal: a function refused, or the app failed.
        """
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
            # 401 if there is one: a login may help, though perhaps not for every channel.
            raise not_allowed(list(refused), min(refused.values()))
        return self._identity


def _verdict(item: Resolved) -> int | None:
    """Call one reader function; return None for yes, else the refusal's status."""
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
    """Return the refusal that an answer's status stands for; None if it stands for a failure that may pass."""
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
