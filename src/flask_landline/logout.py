"""A logout by Flask-Login revokes the user's grants, in all processes.

It does so when the logout's answer is sent, and not before: until then the browser still has the old cookie, and a
client whose connection ends comes back with it at once. An app that keeps sessions in cookies would let it in again.

Flask-Login sends a signal within the request. The identities are collected in the request's WSGI environment, and
revoked when the server closes the answer, which it does also when the client has left (PEP 3333). If the log or a
function of the app fails then, that is logged as a warning: the logout itself was answered already.

Threads: a request's list of identities is in its own environment, and only its thread touches it. Two first requests at
once may both connect to the signal, which is the same as once.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, after_this_request, current_app, request
from landline.errors import LandlineError
from landline.serve.runtime import Runtime
from werkzeug.wrappers import Response
from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LOGOUTS = "landline.logouts"
"""Where the WSGI environment holds the identities that log out in this request. No header can put anything there."""

logger = logging.getLogger("flask_landline")


class Logouts:
    """Revokes at logouts from one app; a WSGI application around it.

    Args:
        wsgi_app: what was there before.
        flask: the app.
        runtime: the app's Landline.
    """

    def __init__(self, wsgi_app: WSGIApplication, flask: Flask, runtime: Runtime) -> None:
        self._wsgi_app = wsgi_app
        self._flask = flask
        self._runtime = runtime
        self._watches = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Have the app answer, and revoke the grants of readers that log out in this request."""
        if not self._watches:
            self._watch()
        logouts: list[str | int] = []
        environ[LOGOUTS] = logouts
        body = self._wsgi_app(environ, start_response)
        # See SECURITY.md: logout-revokes
        return ClosingIterator(body, functools.partial(self._revoke, logouts)) if logouts else body

    def _watch(self) -> None:
        """Listen to Flask-Login, if the app has it by now; it may come after Landline."""
        flask_login = sys.modules.get("flask_login")
        if flask_login is not None:
            # blinker keeps the method weakly: this listens for as long as the app has its middleware.
            flask_login.user_logged_out.connect(self._logged_out, sender=self._flask)
            self._watches = True

    def _logged_out(self, _sender: Any, user: Any = None, **_: Any) -> None:
        if not self._runtime.channels.guarded:
            return
        names = self._names(user)
        logouts = request.environ.get(LOGOUTS)
        if logouts is not None:
            # See SECURITY.md: logout-revokes-when-it-is-answered
            logouts += names
            return

        # A request that passed no middleware of ours, such as the one in which reader functions are called.
        @after_this_request
        def when_sent(response: Response) -> Response:
            response.call_on_close(functools.partial(self._revoke, names))
            return response

    def _names(self, user: Any) -> list[str | int]:
        """Return the identities that a reader's grants may have."""
        identity = self._runtime.config.identity
        found: list[Any] = []
        for ask in (getattr(user, "get_id", None), identity and current_app.ensure_sync(identity)):
            if ask is not None:
                try:
                    found.append(ask())
                except Exception:  # the logout goes on
                    logger.warning(
                        "A logout revokes less than it should: its user's id could not be had.", exc_info=True
                    )
        return list(dict.fromkeys(name for name in found if name is not None))

    def _revoke(self, names: list[str | int]) -> None:
        for name in names:
            try:
                self._runtime.revoke(name, None)
            except LandlineError as error:
                logger.warning(
                    "A logout revoked nothing: what its reader has open goes on until its grants end. %s", error
                )
