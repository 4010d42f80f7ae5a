"""The loop in Python of the how-to for other clients, as it is written there, against a server and a bad network."""

import http.client
import io
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.apps import App
from tools.markdown import split

TEXT = (Path(__file__).parents[2] / "docs" / "how-to" / "other-clients.md").read_text()


class Network:
    """Takes the loop's requests to an app, and fails as a test says; its clock stands.

    Args:
        app: what is asked.
        failures: what comes instead of the first answers: exceptions, bodies, or None for the answer itself.
    """

    def __init__(self, app: App, *failures: Any) -> None:
        self.app = app
        self.failures = list(failures)
        self.slept: list[float] = []
        self.asked: list[dict[str, list[str]]] = []

    def urlopen(self, url: str, timeout: float) -> io.BytesIO:
        query = urlsplit(url).query
        self.asked.append(parse_qs(query, keep_blank_values=True))
        failure = self.failures.pop(0) if self.failures else None
        if isinstance(failure, Exception):
            raise failure
        if failure is not None:
            return io.BytesIO(failure)
        answer = self.app.ask(query)
        if answer.status != 200:
            raise urllib.error.HTTPError(url, answer.status, "", answer.headers, io.BytesIO(answer.body))
        return io.BytesIO(answer.body)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        assert len(self.slept) < 20, "the loop only sleeps"


def unavailable(retry_after: str | None) -> urllib.error.HTTPError:
    headers = Message()
    if retry_after is not None:
        headers["Retry-After"] = retry_after
    return urllib.error.HTTPError("http://x", 503, "Service Unavailable", headers, io.BytesIO(b""))


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Iterator[Any]]:
    (code,) = [code for _, _, code in split(TEXT)[1] if "def follow" in code]
    names: dict[str, Any] = {}
    exec(code, names)

    def run(network: Network, *arguments: str) -> Iterator[Any]:
        monkeypatch.setattr(urllib.request, "urlopen", network.urlopen)
        monkeypatch.setattr("time.sleep", network.sleep)
        found: Iterator[Any] = names["follow"]("http://x/landline", *arguments)
        return found

    return run


@pytest.fixture
def shop(app: App) -> App:
    app.live.channel("orders", keep=3)
    return app


def data(items: Iterator[Any], count: int) -> list[Any]:
    return [item.get("data", item) for item in islice(items, count)]


def test_events_come_in_order_and_once(shop: App, follow: Callable[..., Iterator[Any]]) -> None:
    network = Network(shop)
    begin = shop.live.cursor()
    for number in range(3):
        shop.live.publish("orders", number)
    items = follow(network, "orders", begin)
    assert data(items, 3) == [0, 1, 2]
    shop.live.publish("orders", 3)
    assert data(items, 1) == [3]
    assert network.slept == []


def test_loop_sleeps_as_the_server_advises_where_it_holds_nothing(
    shop: App, follow: Callable[..., Iterator[Any]]
) -> None:
    network = Network(shop)
    sleep = network.sleep

    def publish(seconds: float) -> None:
        sleep(seconds)
        shop.live.publish("orders", 1)

    network.sleep = publish  # type: ignore[method-assign]
    assert data(follow(network, "orders"), 1) == [1]
    assert network.slept == [2.0]


@pytest.mark.parametrize(("channel", "status"), [("ordres", 404), ("secret", 403)])
def test_refusal_ends_it_with_the_servers_words(
    channel: str, status: int, make_app: Callable[..., App], follow: Callable[..., Iterator[Any]]
) -> None:
    app = make_app()
    app.flask.secret_key = "not one"
    app.live.channel("orders")
    app.live.channel("secret").reader(lambda: False)
    network = Network(app)
    with pytest.raises(RuntimeError, match=rf"refuses '{channel}': {status}, .*{channel}"):
        next(follow(network, channel))
    assert network.slept == []


def test_what_is_gone_is_told_before_what_is_kept(shop: App, follow: Callable[..., Iterator[Any]]) -> None:
    begin = shop.live.cursor()
    for number in range(10):
        shop.live.publish("orders", number)
    items = list(islice(follow(Network(shop), "orders", begin), 4))
    assert items[0] == {"reset": {"channels": ["orders"], "reason": "trimmed"}}
    assert [item["data"] for item in items[1:]] == [7, 8, 9]


FAILURES = [
    ConnectionRefusedError("refused"),
    TimeoutError("timed out"),
    urllib.error.URLError("no such host"),
    http.client.IncompleteRead(b'{"da'),
    http.client.BadStatusLine("x"),
    unavailable(None),
    b"<h1>Log in</h1>",
    b'{"data": [',
    b"\xff\xfe\xff",
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: repr(failure)[:30])
def test_failing_request_is_repeated_from_the_same_position(
    failure: Any, shop: App, follow: Callable[..., Iterator[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    network = Network(shop, None, failure)
    begin = shop.live.cursor()
    shop.live.publish("orders", 1)
    items = follow(network, "orders", begin)
    assert data(items, 1) == [1]
    shop.live.publish("orders", 2)
    assert data(items, 1) == [2]
    assert network.slept == [5]
    assert network.asked[1] == network.asked[2]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: repr(failure)[:30])
def test_first_request_that_fails_leaves_no_silent_gap(
    failure: Any, shop: App, follow: Callable[..., Iterator[Any]]
) -> None:
    network = Network(shop, failure, failure)
    items = follow(network, "orders")
    shop.live.publish("orders", 1)
    assert next(items) == {"reset": {"channels": ["orders"], "reason": "unknown"}}
    shop.live.publish("orders", 2)
    assert data(items, 1) == [2]
    assert [asked["cursor"] for asked in network.asked[:3]] == [["now"], [""], [""]]


@pytest.mark.parametrize(("said", "pause"), [("7", 7), (None, 5), ("Fri, 27 Nov 2026 21:00:00 GMT", 5)])
def test_pause_is_the_servers(said: str | None, pause: int, shop: App, follow: Callable[..., Iterator[Any]]) -> None:
    network = Network(shop, unavailable(said))
    begin = shop.live.cursor()
    shop.live.publish("orders", 1)
    assert data(follow(network, "orders", begin), 1) == [1]
    assert network.slept == [pause]
