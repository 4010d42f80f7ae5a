"""What one address may have, and whose address it is."""

from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask_landline import Refusal
from flask_landline.flask_app import FlaskApp
from landline.access.limits import ADDRESSES, Limits
from landline.config import Config
from landline.testing import Clock
from landline.times import Times
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.apps import Answer, App

OTHERS = "198.51.100.7"


def limits_of(clock: Clock, **keys: object) -> Limits:
    config = Config(**keys)  # type: ignore[arg-type]
    return Limits(config, lambda: config.trusted_hops or 0, times=Times(clock=clock))


def believed(app: object) -> int:
    """Return how many proxies' word on a client's address an app believes that is wrapped like this."""
    flask = Flask(__name__)
    flask.wsgi_app = app  # type: ignore[method-assign, assignment]
    return FlaskApp(flask).believed().address


def address(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def asked(limits: Limits, remote: str, times: int) -> int:
    """Ask several times at once; return how many were let through."""
    return sum(limits.allow(remote) for _ in range(times))


def test_address_may_ask_at_its_rate_and_some_at_once(clock: Clock) -> None:
    limits = limits_of(clock, max_polls_per_address=4.0)
    assert asked(limits, "192.0.2.1", 100) == 40
    for _ in range(20):
        clock.advance(1)
        assert asked(limits, "192.0.2.1", 100) == 4
    assert asked(limits, OTHERS, 100) == 40
    clock.advance(3600)
    assert asked(limits, "192.0.2.1", 100) == 40


def test_slow_rate_still_lets_a_page_be_opened(clock: Clock) -> None:
    limits = limits_of(clock, max_polls_per_address=0.1)
    assert asked(limits, "192.0.2.1", 100) == 10
    clock.advance(10.001)
    assert asked(limits, "192.0.2.1", 100) == 1


def test_who_asks_too_often_is_told_when_to_come_back(clock: Clock) -> None:
    limits = limits_of(clock, max_polls_per_address=0.5)
    asked(limits, "192.0.2.1", 100)
    waits = set()
    for _ in range(200):
        with pytest.raises(Refusal, match=r"More than 0\.5 requests a second") as caught:
            limits.check("192.0.2.1")
        assert (caught.value.code, caught.value.status) == ("slow-down", 429)
        waits.add(caught.value.retry_after)
    assert waits == set(range(3, 13))  # two seconds until there is a turn; and not all of them at that moment
    limits.check(OTHERS)


def test_channels_about_which_the_app_is_asked_count_each_but_never_shut_a_page_out(clock: Clock) -> None:
    limits = limits_of(clock, max_polls_per_address=4.0)  # forty at once
    limits.check("192.0.2.1", 15)
    assert asked(limits, "192.0.2.1", 100) == 25
    clock.advance(3600)
    for _ in range(2):
        limits.check("192.0.2.1", 1000)  # as twenty
    with pytest.raises(Refusal):
        limits.check("192.0.2.1", 1000)
    clock.advance(5)
    limits.check("192.0.2.1", 1000)


def test_poll_of_many_closed_channels_has_the_app_asked_about_as_many_as_its_address_may(
    make_app: Callable[..., App],
) -> None:
    """With a grant the app is not asked, and it is one request again."""
    app = make_app(max_polls_per_address=1)
    app.flask.secret_key = "key"
    functions: list[int] = []

    def may_read(room_id: int) -> bool:
        functions.append(room_id)
        return True

    app.live.channel("room/<int:room_id>").reader(may_read)

    def ask(first: int, remote: str, **more: str) -> Answer:
        return app.ask(
            urlencode([("channel", f"room/{first + number}") for number in range(4)] + list(more.items())),
            remote=remote,
        )

    first = ask(0, "192.0.2.1")
    statuses = [first.status] + [ask(first, "192.0.2.1").status for first in range(10, 100, 10)]
    assert statuses[:2] == [200, 200]
    assert set(statuses[3:]) == {429}
    assert len(functions) == 4 * statuses.count(200)
    grant = first.json["grant"]["token"]
    statuses = [ask(0, "192.0.2.2", grant=grant, cursor="start").status for _ in range(12)]
    assert statuses[:10] == [200] * 10
    assert 429 in statuses


def test_no_limit_counts_nobody(clock: Clock) -> None:
    limits = limits_of(clock)
    assert asked(limits, "192.0.2.1", 10_000) == 10_000
    assert all(limits.hold("192.0.2.1") for _ in range(10_000))
    assert (limits._seen, limits._held) == ({}, {})


def test_very_many_addresses_take_no_more_memory_than_some(clock: Clock) -> None:
    limits = limits_of(clock, max_polls_per_address=1.0)

    for number in range(6 * ADDRESSES):
        assert limits.allow(address(number))
        assert len(limits._seen) + len(limits._seen_before) <= 2 * ADDRESSES


def test_who_keeps_asking_is_not_forgotten_among_very_many(clock: Clock) -> None:
    limits = limits_of(clock, max_polls_per_address=0.01)
    assert asked(limits, "192.0.2.1", 100) == 10
    for number in range(3 * ADDRESSES):
        limits.allow(address(number))
        if number % 1000 == 0:
            assert not limits.allow("192.0.2.1")


def test_address_holds_no_more_than_it_may_until_it_lets_go(clock: Clock) -> None:
    limits = limits_of(clock, max_held_per_address=2)
    assert [limits.hold("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert limits.hold(OTHERS)
    limits.release("192.0.2.1")
    assert [limits.hold("192.0.2.1") for _ in range(2)] == [True, False]
    for remote in ("192.0.2.1", "192.0.2.1", OTHERS):
        limits.release(remote)
    assert limits._held == {}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_network_of_one_subscriber_is_one_address(one: str, other: str, same: bool, clock: Clock) -> None:
    limits = limits_of(clock, max_held_per_address=1)
    assert limits.hold(one)
    assert limits.hold(other) != same


@pytest.mark.parametrize("peer", ["unix", "-"])
def test_who_has_no_address_is_not_taken_for_everybody_else(
    peer: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Behind a Unix socket all are the same. The operator is told, once; nobody is shut out."""
    limits = limits_of(clock, max_held_per_address=1, max_polls_per_address=1.0)
    assert asked(limits, peer, 100) == 100
    assert limits.hold(peer)
    assert limits.hold(peer)
    limits.release(peer)
    (record,) = caplog.records
    assert "LANDLINE_TRUSTED_HOPS" in record.message


def test_child_counts_its_own(clock: Clock) -> None:
    limits = limits_of(clock, max_held_per_address=1, max_polls_per_address=1.0)
    asked(limits, "192.0.2.1", 100)
    limits.hold("192.0.2.1")
    limits.after_fork()
    assert limits.hold("192.0.2.1")
    assert limits.allow("192.0.2.1")


@pytest.mark.parametrize(
    ("hops", "forwarded", "address"),
    [
        (0, "192.0.2.9", "10.0.0.1"),
        (1, None, "10.0.0.1"),
        (1, "", "10.0.0.1"),
        (1, "192.0.2.9", "192.0.2.9"),
        (1, "203.0.113.5, 192.0.2.9", "192.0.2.9"),  # what a client has written stands before what the proxy adds
        (2, "203.0.113.5, 192.0.2.9", "203.0.113.5"),
        (2, "192.0.2.9", "10.0.0.1"),  # it did not come through both
        (1, "2001:DB8::0001", "2001:db8::1"),
        (1, "unknown", "10.0.0.1"),
        (1, "1 GET /evil", "10.0.0.1"),
        (1, "x" * 10_000, "10.0.0.1"),
        (1, ",", "10.0.0.1"),
        (1, "192.0.2.9:567", "192.0.2.9"),
        (1, "203.0.113.5:1, 192.0.2.9:65535", "192.0.2.9"),
        (2, "203.0.113.5:1,[2001:db8::1]:2", "203.0.113.5"),
        (1, "[2001:DB8::0001]:567", "2001:db8::1"),
        (1, "[::1]", "::1"),
        (1, '"[2001:db8::1]:567"', "2001:db8::1"),
        (1, "192.0.2.9:port", "10.0.0.1"),
        (1, "192.0.2.9:", "10.0.0.1"),
        (1, "192.0.2.9:123456", "10.0.0.1"),
        (1, "[192.0.2.9", "10.0.0.1"),
        (1, "[::1]567", "10.0.0.1"),
        (1, "fe80::1%\x1b]0;owned", "10.0.0.1"),  # a zone may hold anything
    ],
)
def test_address_is_what_trusted_proxies_say(hops: int, forwarded: str | None, address: str, clock: Clock) -> None:
    assert limits_of(clock, trusted_hops=hops).address("10.0.0.1", forwarded) == address


@pytest.mark.parametrize(
    ("peer", "address"),
    [("192.0.2.9:567", "192.0.2.9"), ("[::1]:567", "::1"), ("unix", "unix"), ("-", "-"), ("", "")],
)
def test_peer_may_have_a_port(peer: str, address: str, clock: Clock) -> None:
    """A `ProxyFix` that wraps the app where it cannot be seen takes what the proxy wrote as it is."""
    assert limits_of(clock).address(peer, None) == address


def wrapped(times: int, app: object = None) -> object:
    return ProxyFix(app or Flask(__name__).wsgi_app, x_for=times)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "hops"),
    [
        (lambda: Flask(__name__).wsgi_app, 0),
        (lambda: wrapped(1), 1),
        (lambda: wrapped(2), 2),
        (lambda: wrapped(0), 0),
        (lambda: DispatcherMiddleware(wrapped(3)), 3),  # type: ignore[arg-type]
        (lambda: None, 0),
    ],
)
def test_proxies_are_believed_as_the_app_believes_them(make: Callable[[], object], hops: int) -> None:
    assert believed(make()) == hops


def test_ring_of_wrappers_ends() -> None:
    class Ring:
        app: object = None

    ring = Ring()
    ring.app = ring
    assert believed(ring) == 0


def ask_from(app: App, peer: str, forwarded: str, path: str = "/landline/poll") -> int:
    """Ask through the whole of the app, as it is wrapped by now; return the status."""
    headers = {"X-Forwarded-For": forwarded}
    answer = app.flask.test_client().get(f"{path}?channel=orders", headers=headers, environ_base={"REMOTE_ADDR": peer})
    return answer.status_code


@pytest.mark.parametrize("first", ["ProxyFix", "Landline"])
def test_client_behind_a_proxy_is_counted_by_its_own_address(
    first: str, make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of the two was wrapped around the app first."""
    if first == "ProxyFix":
        initialise = Flask.__init__

        def with_proxy_fix(self: Flask, *arguments: object, **named: object) -> None:
            initialise(self, *arguments, **named)  # type: ignore[arg-type]
            self.wsgi_app = ProxyFix(self.wsgi_app)  # type: ignore[method-assign]

        monkeypatch.setattr(Flask, "__init__", with_proxy_fix)
    app = make_app(max_polls_per_address=1.0)
    app.live.channel("orders")
    if first == "Landline":
        app.flask.wsgi_app = ProxyFix(app.flask.wsgi_app)  # type: ignore[method-assign]
    mine = [ask_from(app, "127.0.0.1", "203.0.113.66, 192.0.2.1") for _ in range(12)]
    assert mine == [200] * 10 + [429] * 2
    # Whoever writes another address before the proxy's word is the same one.
    assert ask_from(app, "127.0.0.1", "203.0.113.67, 192.0.2.1") == 429
    assert ask_from(app, "127.0.0.1", "192.0.2.2") == 200


def test_idle_answers_are_counted_by_address_too(make_app: Callable[..., App]) -> None:
    app = make_app(max_polls_per_address=2.0)
    app.live.channel("orders")
    cursor = app.poll("orders").cursor
    answers = [app.poll("orders", cursor=cursor) for _ in range(30)]
    assert [answer.status for answer in answers] == [200] * 19 + [429] * 11
    refused = answers[-1]
    assert (refused.json["code"], refused.headers["Cache-Control"]) == ("slow-down", "no-store")
    assert 1 <= int(refused.headers["Retry-After"]) <= 11
