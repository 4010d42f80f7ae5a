"""Apps that match hosts or subdomains: Landline's own addresses are there on every host."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, g, render_template_string, request, url_for

from tests.apps import PREFIX, App
from tests.doors import DOORS, listening, through

HOSTS = ("site.test", "acme.site.test", "a.b.site.test", "other.test", "127.0.0.1:8000", "[::1]:8000")
FILES = ("landline.js", "landline-htmx.js", "landline-status.js", "landline.d.ts", "openapi.json")
PAGE = "{{ landline_script() }}|{{ url_for('landline.htmx') }}"


def page(**_: Any) -> str:
    return render_template_string(PAGE)


def matches_hosts(flask: Flask) -> None:
    """One host, all of whose paths are the app's own, and another one with all of any other name."""
    for host in ("site.test", "<name>.test"):
        flask.add_url_rule("/", f"page {host}", page, host=host)
        flask.add_url_rule("/<path:rest>", f"all {host}", lambda **_: "the app's own", host=host)


def matches_subdomains(flask: Flask) -> None:
    flask.config["SERVER_NAME"] = "site.test"
    for subdomain in ("", "<tenant>"):
        flask.add_url_rule("/", f"page {subdomain}", page, subdomain=subdomain)
        flask.add_url_rule("/<path:rest>", f"all {subdomain}", lambda **_: "the app's own", subdomain=subdomain)


def has_a_name(flask: Flask) -> None:
    flask.config["SERVER_NAME"] = "site.test"
    flask.add_url_rule("/", "page", page)


KINDS: dict[str, tuple[dict[str, Any], Callable[[Flask], None]]] = {
    "hosts": ({"host_matching": True, "static_host": "site.test"}, matches_hosts),
    "subdomains": ({"subdomain_matching": True}, matches_subdomains),
    "name": ({}, has_a_name),
}


@pytest.fixture(params=KINDS)
def app(request: pytest.FixtureRequest, make_app: Callable[..., App]) -> App:
    how, prepare = KINDS[request.param]
    app = listening(make_app, how=how, prepare=prepare)
    app.flask.secret_key = "key"
    app.live.channel("room").reader(lambda: True)
    app.live.channel("closed").reader(lambda: False)
    return app


# Werkzeug warns of each request to a host that is not below SERVER_NAME.
pytestmark = pytest.mark.filterwarnings("ignore:Current server name")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("door", DOORS)
def test_closed_channels_are_asked_for_on_every_host(door: str, host: str, app: App) -> None:
    ask = through(door, app)
    for path in ("poll", "events"):
        assert ask(path, "channel=closed", host=host).status == 403
    assert ask("poll", "channel=room", host=host).status == 200


@pytest.mark.parametrize("host", HOSTS)
def test_files_are_there_on_every_host(host: str, app: App) -> None:
    for name in FILES:
        answer = app.ask("", path=f"{PREFIX}/{name}", host=host)
        assert (answer.status, answer.body == b"the app's own") == (200, False)
        tag = answer.headers["ETag"]
        assert app.ask("", path=f"{PREFIX}/{name}", method="HEAD", host=host).headers["ETag"] == tag
        assert tag is None or app.ask("", path=f"{PREFIX}/{name}", host=host, if_none_match=tag).status == 304
    assert app.ask("", path=f"{PREFIX}/landline.js", method="POST", host="nowhere").json["code"] == "method"


@pytest.mark.parametrize(
    ("kind", "host"),
    [
        ("hosts", "site.test"),
        ("hosts", "acme.test"),
        ("subdomains", "site.test"),
        ("subdomains", "acme.site.test"),
        ("subdomains", "site.test:8000"),
        ("name", "site.test"),
        ("name", "other.test"),
    ],
)
def test_page_loads_the_script_from_its_own_host(kind: str, host: str, make_app: Callable[..., App]) -> None:
    how, prepare = KINDS[kind]
    app = make_app(how=how, prepare=prepare)
    script, htmx = app.ask("", path="/", host=host).body.decode().split("|")
    assert script == f'<script type="module" src="{PREFIX}/landline.js"></script>'
    assert htmx == f"{PREFIX}/landline-htmx.js"


@pytest.mark.parametrize(("kind", "host"), [("hosts", "acme.test:8000"), ("subdomains", "acme.site.test")])
def test_whole_addresses_are_of_the_pages_host(kind: str, host: str, make_app: Callable[..., App]) -> None:
    how, prepare = KINDS[kind]
    app = make_app(how=how, prepare=prepare)
    with app.flask.test_request_context(headers={"Host": host}):
        assert url_for("landline.script", _external=True) == f"http://{host}{PREFIX}/landline.js"


def test_addresses_are_built_outside_of_requests_too(app: App) -> None:
    app.flask.config["SERVER_NAME"] = "site.test"
    with app.flask.app_context():
        assert url_for("landline.script") == f"http://site.test{PREFIX}/landline.js"


def test_view_has_no_parts_but_its_own(make_app: Callable[..., App]) -> None:
    """What the app does with the parts of its own rules goes on as on any other route of another blueprint."""
    how, prepare = KINDS["subdomains"]
    app = make_app(how=how, prepare=prepare)
    app.flask.secret_key = "key"
    seen: list[Any] = []

    @app.flask.url_value_preprocessor
    def take_tenant(endpoint: str | None, values: dict[str, Any] | None) -> None:
        g.tenant = (values or {}).pop("tenant", None)
        seen.append(endpoint)

    app.live.channel("room").reader(lambda: (g.tenant, request.view_args, request.host) == (None, {}, "acme.site.test"))
    assert app.poll("room", host="acme.site.test").status == 200
    assert app.ask("", path=f"{PREFIX}/landline.js", host="acme.site.test").status == 200
    assert len(seen) == 2


def test_app_may_put_a_file_of_its_own_in_the_place_of_one(make_app: Callable[..., App]) -> None:
    def first(flask: Flask) -> None:
        flask.add_url_rule(f"{PREFIX}/landline-status.js", "mine", lambda: "mine")

    app = make_app(prepare=first)
    assert app.ask("", path=f"{PREFIX}/landline-status.js").body == b"mine"


@pytest.mark.parametrize("door", DOORS)
def test_host_that_the_router_will_not_have_is_the_authors_error(
    door: str, make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    """Most often a proxy that does not pass Host on: no reader can do anything about it."""
    app = listening(make_app)
    app.flask.config.update(SECRET_KEY="key", TRUSTED_HOSTS=["site.test"])
    app.live.channel("room").reader(lambda: True)
    ask = through(door, app)
    answer = ask("poll", "channel=room", host="upstream")
    assert (answer.status, answer.json["code"], answer.headers["Retry-After"]) == (503, "app-failed", "2")
    assert "upstream" not in answer.json["detail"]
    assert "TRUSTED_HOSTS" in caplog.text
    assert "'upstream'" in caplog.text
    assert app.ask("", path=f"{PREFIX}/landline.js", host="upstream").status == 400
    assert ask("poll", "channel=room", host="site.test").status == 200
