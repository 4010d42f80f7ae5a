"""The app's session while reader functions are called: used as in any request, and saved only where the app changed it.

Two kinds of saving do harm when a page polls beside its user:

- A session that is merely refreshed. Permanent sessions of Flask, and all of Flask-Session's, are saved and sent anew
  with each answer, so an open page would keep an idle session alive for ever. Whatever `modified` says, what is as it
  was before the request is not saved.
- What a reader function alone changes. It is called when a client polls, which no user chose.

What the app itself changes around them is saved and sent as ever: a `before_request` that renews the session's id has
made the old one void.

`open_session` and `save_session` are Flask's public face of sessions (`flask.sessions.SessionInterface`), and all that
happens to a session between them is seen here. They are replaced on the app's own interface object, at the first
question and not earlier, for extensions may set another one after Landline. Requests that are no question pass through.

Threads: an `AskedSession` belongs to its question, and only the thread that serves that one touches it. An interface is
guarded once: `_guard` runs under `_lock`, and sets the mark last, so a thread that sees the mark finds both functions
replaced. A question that begins meanwhile waits for the lock.
"""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from flask import Flask, has_request_context, request

SESSION = "landline.session"
"""Where in the WSGI environment of a question its `AskedSession` is. No header can put anything there."""
_GUARDED = "_landline_guarded"
_lock = threading.Lock()


class AskedSession:
    """The session of one question."""

    def __init__(self) -> None:
        self._session: Any = None
        self._opened: tuple[Any, Any] | None = None

    def opened(self, session: Any) -> None:
        """Note a session as it is before the app does anything with it."""
        if isinstance(session, MutableMapping):
            self._session, self._opened = session, (_ids(session), _content(session))

    def is_as_opened(self, session: Any) -> bool:
        """Whether a session has the id and the content that it was opened with."""
        return session is self._session and _is_same(self._opened, (_ids(session), _content(session)))

    @contextmanager
    def keeping_content(self) -> Iterator[None]:
        """Undo what happens to the session's content within the block; a new id stays, as the old one is void."""
        session = self._session
        if session is None:
            yield
            return
        ids, content, modified = _ids(session), _content(session), getattr(session, "modified", True)
        try:
            yield
        finally:
            # See SECURITY.md: reader-functions-change-no-session
            if not _is_same(_content(session), content):
                _restore(session, content)
            if _ids(session) == ids and getattr(session, "modified", True) != modified:
                session.modified = modified


def watch(app: Flask) -> None:
    """Have the app's sessions watched from its next request on; do nothing if they are watched already."""
    if getattr(app.session_interface, _GUARDED, False):
        return
    with _lock:
        if "session_interface" not in vars(app):
            # Flask's default is one object for all apps, and the sessions of the other apps stay unwatched.
            app.session_interface = copy.copy(app.session_interface)
        interface: Any = app.session_interface
        if not getattr(interface, _GUARDED, False):
            _guard(interface)


def _guard(interface: Any) -> None:
    open_session, save_session = interface.open_session, interface.save_session

    def open_watched(app: Flask, request: Any) -> Any:
        session = open_session(app, request)
        asked = request.environ.get(SESSION)
        if asked is not None:
            asked.opened(session)
        return session

    def save_changed(app: Flask, session: Any, response: Any) -> None:
        asked = request.environ.get(SESSION) if has_request_context() else None
        # See SECURITY.md: refreshed-sessions-are-not-saved
        if asked is None or not asked.is_as_opened(session):
            save_session(app, session, response)

    interface.open_session, interface.save_session = open_watched, save_changed
    setattr(interface, _GUARDED, True)


def _content(session: Mapping[str, Any]) -> dict[str, Any]:
    content = dict(session)
    try:
        return copy.deepcopy(content)
    except Exception:  # noqa: BLE001  whatever an app's own object raises: it is then compared as it is
        return content


def _is_same(one: Any, other: Any) -> bool:
    try:
        if one == other:
            return True
    except Exception:  # noqa: BLE001  objects of the app may compare as they like: arrays do not
        pass
    try:  # objects that cannot be compared, as far as sessions can hold them
        return pickle.dumps(one) == pickle.dumps(other)
    except Exception:  # noqa: BLE001
        return False


def _ids(session: Any) -> dict[str, Any]:
    """Return what a session on a server is found by, whatever its class calls it: `sid` in Flask-Session."""
    found = getattr(session, "__dict__", {})
    return {name: value for name, value in found.items() if type(value) in (str, bytes, int, UUID)}


def _restore(session: MutableMapping[str, Any], content: dict[str, Any]) -> None:
    # Key by key: `clear()` of some sessions keeps or adds keys of their own.
    for key in [key for key in session if key not in content]:
        del session[key]
    for key, value in content.items():
        session[key] = value
