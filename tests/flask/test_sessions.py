"""Sessions beside a page that polls: nobody is logged out by it, nobody kept logged in, and a question writes nothing.

With sessions in cookies, permanent ones, and ones that are kept on the server (Flask-Session), through both doors.
"""

from collections.abc import Callable
from http.cookies import SimpleCookie
from threading import Lock
from typing import Any

import pytest
from cachelib import SimpleCache
from flask import Flask, current_app, session
from flask.sessions import SecureCookieSessionInterface
from flask_landline import Landline
from flask_session import Session
from itsdangerous import TimestampSigner
from landline.protocol.reply import Reply
from landline.protocol.request import Request
from landline.serve.offers import ALL
from landline.testing import Clock

from tests.apps import App

IDLE = 3
"""Seconds after which a session that is not used ends."""
KINDS = ["cookie", "permanent", "server"]
DOORS = ["wsgi", "listener"]


class Place:
    """An app with a login, and a channel for those who are in."""

    def __init__(self, app: App, kind: str, clock: Clock) -> None:
        self.app = app
        self.clock = clock
        self.kind = kind
        self.before: Callable[[], None] = lambda: None
        self.while_asked: Callable[[], None] = lambda: None
        flask = app.flask
        flask.config.update(SECRET_KEY="key", PERMANENT_SESSION_LIFETIME=IDLE)
        if kind == "server":  # after Landline, as an extension may come
            flask.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=SimpleCache())
            Session(flask)
        flask.before_request(lambda: self.before())
        flask.add_url_rule("/login", view_func=self._login)
        flask.add_url_rule("/me", view_func=lambda: {"user": session.get("user"), "seen": session.get("seen")})
        app.live.channel("closed").reader(self._may_read)

    def _login(self) -> str:
        session.permanent = self.kind == "permanent"
        session.update(user="ann", seen=[], since=self.clock())
        return "in"

    def _may_read(self) -> bool:
        is_in = "user" in session
        self.while_asked()
        return is_in


class Browser:
    """Keeps cookies, as browsers do."""

    def __init__(self, place: Place, door: str) -> None:
        self.place = place
        self.door = door
        self.cookies: dict[str, str] = {}
        self.told: list[str] = []
        """All `Set-Cookie` that polls brought."""

    def get(self, path: str) -> Any:
        answer = self.place.app.flask.test_client(use_cookies=False).get(path, headers=self._headers())
        self._keep(answer.headers.getlist("Set-Cookie"))
        return answer.json if answer.is_json else None

    def poll(self) -> int:
        if self.door == "wsgi":
            answer = self.place.app.poll("closed", **{k.lower(): v for k, v in self._headers().items()})
            status, cookies = answer.status, answer.headers.get_all("Set-Cookie") or []
        else:
            endpoints = self.place.app.flask.wsgi_app._endpoints  # type: ignore[attr-defined]
            headers = {k.lower(): v for k, v in self._headers().items()}
            reply = endpoints.handle(Request("GET", "/landline/poll", "channel=closed", headers, "127.0.0.9"), ALL)
            assert isinstance(reply, Reply)
            status, cookies = int(reply.status[:3]), [v for k, v in reply.headers if k == "Set-Cookie"]
        self.told += cookies
        self._keep(cookies)
        return status

    def login(self) -> "Browser":
        self.get("/login")
        return self

    @property
    def user(self) -> Any:
        return self.get("/me")["user"]

    def _headers(self) -> dict[str, Any]:
        return {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())} if self.cookies else {}

    def _keep(self, told: list[str]) -> None:
        for text in told:
            for name, morsel in SimpleCookie(text).items():
                if morsel["max-age"] == "0" or "1970" in morsel["expires"]:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value


@pytest.fixture
def make_place(make_app: Callable[..., App], clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Place]:
    """Return a function that makes an app whose sessions go by the test's clock."""
    monkeypatch.setattr("cachelib.simple.time", clock)
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: int(clock()))
    return lambda kind: Place(make_app(), kind, clock)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> Place:
    return make_place(request.param)


@pytest.fixture(params=DOORS)
def browser(request: pytest.FixtureRequest, place: Place) -> Browser:
    return Browser(place, request.param)


def test_session_that_is_only_refreshed_is_neither_saved_nor_sent(browser: Browser) -> None:
    browser.login()
    assert [browser.poll() for _ in range(3)] == [200] * 3
    assert browser.told == []


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", ["permanent", "server"])
def test_open_page_keeps_no_idle_session_alive(
    kind: str, door: str, make_place: Callable[[str], Place], clock: Clock
) -> None:
    browser = Browser(make_place(kind), door).login()
    statuses = []
    for _ in range(7):
        clock.advance(1.0)
        statuses.append(browser.poll())
    assert statuses[:2] == [200, 200]  # each store rounds the end of its seconds another way
    assert statuses[4:] == [403] * 3
    assert browser.user is None


@pytest.mark.parametrize("kind", ["permanent", "server"])
def test_user_who_visits_keeps_the_session_alive(kind: str, make_place: Callable[[str], Place], clock: Clock) -> None:
    """Saving at the app's own routes goes on as ever."""
    browser = Browser(make_place(kind), "wsgi").login()
    for _ in range(7):
        clock.advance(1.0)
        assert browser.user == "ann"
        assert browser.poll() == 200


def set_a_key() -> None:
    session["user"] = "bob"


def take_a_key() -> None:
    del session["since"]


def change_within() -> None:
    session["seen"].append("closed")
    session.modified = True


def clear() -> None:
    session.clear()


def claim_a_change() -> None:
    session.modified = True


@pytest.mark.parametrize("change", [set_a_key, take_a_key, change_within, clear, claim_a_change])
def test_what_a_reader_function_changes_in_the_session_is_not_saved(
    change: Callable[[], None], browser: Browser
) -> None:
    browser.login()
    before = browser.get("/me")
    browser.place.while_asked = change
    assert browser.poll() == 200
    assert browser.told == []
    browser.place.while_asked = lambda: None
    assert browser.get("/me") == before
    assert browser.poll() == 200


def test_reader_function_that_changes_and_raises_changes_nothing(browser: Browser) -> None:
    browser.login()

    def fail() -> None:
        session["user"] = "bob"
        raise ValueError("broken")

    browser.place.while_asked = fail
    assert browser.poll() == 503
    assert (browser.told, browser.user) == ([], "ann")


def test_what_the_app_changes_before_the_question_is_saved_and_sent(browser: Browser) -> None:
    browser.login()

    def count() -> None:
        session["seen"] = [*session["seen"], "again"]

    browser.place.before = count
    browser.place.while_asked = set_a_key  # of what both change only the app's part is kept
    assert browser.poll() == 200
    assert len(browser.told) == 1
    assert browser.get("/me") == {"user": "ann", "seen": ["again", "again"]}


def test_session_that_the_app_ends_is_ended(browser: Browser) -> None:
    browser.login()
    browser.place.before = clear
    assert browser.poll() == 403
    browser.place.before = lambda: None
    assert browser.user is None
    assert len(browser.told) == 1


def test_stranger_is_given_no_session(browser: Browser) -> None:
    assert browser.poll() == 403
    assert browser.told == []


# The id of a session on the server.


@pytest.fixture(params=DOORS)
def member(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> Browser:
    """Return a browser that is logged in where sessions are kept on the server."""
    return Browser(make_place("server"), request.param).login()


def regenerate() -> None:
    current_app.session_interface.regenerate(session)  # type: ignore[attr-defined]


def test_id_that_the_app_renews_each_second_reaches_the_client(member: Browser, clock: Clock) -> None:
    def renew() -> None:
        if "user" in session and clock() - session["since"] >= 1:
            session["since"] = clock()
            regenerate()

    member.place.before = renew
    ids = {member.cookies["session"]}
    for number in range(1, 6):
        clock.advance(1.0)
        assert member.poll() == 200  # renews
        assert len(member.told) == number
        assert member.poll() == 200  # does not
        assert len(member.told) == number
        ids.add(member.cookies["session"])
        assert member.user == "ann"
    assert len(ids) == 6


def test_id_that_a_reader_function_renews_reaches_the_client(member: Browser) -> None:
    """It is void under the old one, so this cannot be undone; what else it changed is."""

    def renew() -> None:
        regenerate()
        session["user"] = "bob"

    member.place.while_asked = renew
    assert member.poll() == 200
    assert len(member.told) == 1
    assert member.user == "ann"


# The app's own objects.


def test_other_apps_sessions_are_left_alone(make_place: Callable[[str], Place]) -> None:
    """Flask's default interface is one object for all apps."""
    default = Flask.session_interface
    before = dict(vars(default))
    Browser(make_place("cookie"), "wsgi").login().poll()
    assert Flask.session_interface is default
    assert vars(default) == before
    assert Flask("other").session_interface is default


def test_interface_of_several_apps_is_watched_once(make_app: Callable[..., App]) -> None:
    class Interface(SecureCookieSessionInterface):
        opened = 0

        def open_session(self, *arguments: Any) -> Any:
            Interface.opened += 1
            return super().open_session(*arguments)

    interface = Interface()
    for _ in range(3):
        app = make_app()
        app.flask.secret_key = "key"
        app.flask.session_interface = interface
        app.live.channel("closed").reader(lambda: bool(session.get("user")) or True)
        for _ in range(2):
            assert app.poll("closed").status == 200
    assert Interface.opened == 6


class Profile:
    """What a session on a server may hold: it is pickled, and not compared."""

    def __init__(self) -> None:
        self.name = "ann"


@pytest.mark.parametrize("held", [Profile(), Lock(), [Profile(), {"deep": {1, 2}}]])
def test_session_with_what_cannot_be_compared_or_copied_is_not_saved_either(
    held: object, make_app: Callable[..., App]
) -> None:
    class Interface(SecureCookieSessionInterface):
        def open_session(self, *_: Any) -> Any:
            return self.session_class({"lock": held})

        def save_session(self, *_: Any) -> None:
            raise AssertionError("not to be saved")

    app = make_app()
    app.flask.secret_key = "key"
    app.flask.session_interface = Interface()
    app.live.channel("closed").reader(lambda: "lock" in session)
    assert app.poll("closed").status == 200


def test_app_without_sessions_is_asked_all_the_same(make_app: Callable[..., App]) -> None:
    class Interface(SecureCookieSessionInterface):
        def open_session(self, *_: Any) -> None:
            return None

    flask = Flask(__name__)
    flask.config.update(SECRET_KEY="key", LANDLINE_LOG="memory:")
    flask.session_interface = Interface()
    live = Landline(flask)
    live.channel("closed").reader(lambda: True)
    try:
        assert flask.test_client().get("/landline/poll?channel=closed").status_code == 200
    finally:
        flask.extensions["landline"].close()
