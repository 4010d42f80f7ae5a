"""Who logs out with Flask-Login is asked about anew, everywhere, once the logout is answered."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from flask import Flask, Response, abort, session
from flask_landline import LogError
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

from tests.apps import App


class User(UserMixin):  # type: ignore[misc]
    def __init__(self, user_id: str) -> None:
        self.id = user_id


class Members:
    """An app with a login by name, a logout, and a channel for members; cookies from before a logout still say yes."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.asked: list[str] = []
        flask = app.flask
        flask.secret_key = "key"
        LoginManager(flask).user_loader(User)
        flask.add_url_rule("/in/<name>", "in", lambda name: str(login_user(User(name))))
        flask.add_url_rule("/out", "out", lambda: str(logout_user()))
        app.live.channel("closed").reader(self._may_read)
        app.live.channel("open")

    def _may_read(self) -> bool:
        self.asked.append(current_user.get_id())
        return bool(current_user.is_authenticated)

    def log_in(self, name: str) -> dict[str, Any]:
        answer = self.app.flask.test_client(use_cookies=False).get(f"/in/{name}")
        return {"cookie": answer.headers["Set-Cookie"].partition(";")[0]}

    def grant(self, headers: dict[str, Any]) -> str:
        token: str = self.app.poll("closed", **headers).json["grant"]["token"]
        return token

    def is_good(self, grant: str, headers: dict[str, Any]) -> bool:
        """Whether the app need not be asked."""
        self.asked.clear()
        assert self.app.poll("closed", grant=grant, **headers).status == 200
        return not self.asked

    def log_out(self, headers: dict[str, Any], path: str = "/out") -> Any:
        """Begin to answer; the server closes what is returned."""
        return self.app.flask.test_client(use_cookies=False).get(path, headers=headers)


@pytest.fixture
def make_members(make_app: Callable[..., App]) -> Callable[..., Members]:
    return lambda **config: Members(make_app(**config))


@pytest.fixture
def members(make_members: Callable[..., Members]) -> Members:
    return make_members()


def test_logout_revokes_what_was_granted_to_the_user_and_nothing_else(members: Members) -> None:
    ann, bob = members.log_in("ann"), members.log_in("bob")
    grants = members.grant(ann), members.grant(bob)
    with closing(members.log_out(ann)):
        pass
    assert not members.is_good(grants[0], ann)
    assert members.is_good(grants[1], bob)


def test_logout_revokes_when_its_answer_is_sent_and_not_before(members: Members) -> None:
    """A line that ended before would come back with the old cookie."""
    sent: list[bool] = []
    ann = members.log_in("ann")
    grant = members.grant(ann)

    def leave() -> Response:
        logout_user()

        def body() -> Iterator[bytes]:
            sent.append(members.is_good(grant, ann))
            yield b"out"

        return Response(body())

    members.app.flask.view_functions["out"] = leave
    answer = members.log_out(ann)
    assert b"".join(answer.response) == b"out"
    sent.append(members.is_good(grant, ann))
    answer.close()
    assert sent == [True, True]
    assert not members.is_good(grant, ann)


def test_logout_whose_answer_the_app_replaces_revokes(members: Members) -> None:
    replaces: list[bool] = []
    members.app.flask.after_request(lambda response: Response("another") if replaces else response)
    ann = members.log_in("ann")
    grant = members.grant(ann)
    replaces.append(True)
    with closing(members.log_out(ann)) as answer:
        assert answer.data == b"another"
    replaces.clear()
    assert not members.is_good(grant, ann)


def test_logout_in_a_request_that_fails_revokes(members: Members) -> None:
    def leave() -> str:
        logout_user()
        abort(500)

    members.app.flask.view_functions["out"] = leave
    ann = members.log_in("ann")
    grant = members.grant(ann)
    with closing(members.log_out(ann)) as answer:
        assert answer.status_code == 500
    assert not members.is_good(grant, ann)


def test_logout_while_the_app_is_asked_revokes(members: Members) -> None:
    """As where a function before each request logs out those who were idle."""
    idle: list[bool] = []
    members.app.flask.before_request(lambda: logout_user() and None if idle else None)
    ann = members.log_in("ann")
    grant = members.grant(ann)
    idle.append(True)
    assert members.app.poll("closed", **ann).status == 403
    idle.clear()
    assert not members.is_good(grant, ann)


@pytest.mark.parametrize("identity", [lambda: session.get("member"), lambda: f"member {current_user.get_id()}"])
def test_logout_revokes_by_the_apps_own_identity(
    identity: Callable[[], Any], make_members: Callable[..., Members]
) -> None:
    members = make_members(identity=identity)
    members.app.flask.before_request(lambda: session.setdefault("member", 7) and None)
    ann = members.log_in("ann")
    grant = members.grant(ann)
    with closing(members.log_out(ann)):
        pass
    assert not members.is_good(grant, ann)


def test_logout_where_nobody_knows_who_it_was_is_a_warning(
    make_members: Callable[..., Members], caplog: pytest.LogCaptureFixture
) -> None:
    broken: list[bool] = []
    members = make_members(identity=lambda: 1 / 0 if broken else "ann")
    ann = members.log_in("ann")
    grant = members.grant(ann)
    broken.append(True)
    with closing(members.log_out(ann)) as answer:
        assert answer.status_code == 200
    assert "revokes less than it should" in caplog.text
    broken.clear()
    assert not members.is_good(grant, ann)  # by Flask-Login's id


def test_log_that_fails_is_a_warning_and_the_logout_goes_on(
    members: Members, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise LogError("The log /srv/landline.db is read-only.")

    ann = members.log_in("ann")
    monkeypatch.setattr(members.app.runtime.log, "append", fail)
    with closing(members.log_out(ann)) as answer:
        assert answer.status_code == 200
    (record,) = [record for record in caplog.records if "/srv/landline.db" in record.getMessage()]
    assert record.levelname == "WARNING"


def test_logout_without_closed_channels_writes_nothing(app: App) -> None:
    app.flask.secret_key = "key"
    LoginManager(app.flask).user_loader(User)
    app.flask.add_url_rule("/out", view_func=lambda: str(logout_user()))
    app.live.channel("open")
    assert app.ask("", path="/out").status == 200
    assert app.runtime.log.tail().offset == 0


def test_logout_from_another_app_of_the_process_revokes_nothing_here(members: Members) -> None:
    ann = members.log_in("ann")
    grant = members.grant(ann)
    other = Flask("other")
    other.secret_key = "key"
    LoginManager(other).user_loader(User)
    other.add_url_rule("/out", view_func=lambda: str(logout_user()))
    assert other.test_client(use_cookies=False).get("/out", headers=ann).status_code == 200
    assert members.is_good(grant, ann)
