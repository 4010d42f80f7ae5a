"""An answer's steps: each thing is looked at once, and what takes its time is a call for the host to make."""

import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from landline.protocol.reply import Reply
from landline.protocol.request import Request, parse_poll
from landline.serve.endpoints import Endpoints
from landline.serve.offers import ALL, POLL_ONLY
from landline.serve.poll_key import PollKey
from landline.serve.steps import advance, fail, run
from landline.serve.subscription import Call, Subscription

from tests.apps import App
from tests.doors import DOORS, listening, through


@pytest.fixture
def live(make_app: Callable[..., App]) -> App:
    """Return an app with a channel of each kind; every function of it runs in a thread that `seen` names."""
    app = listening(make_app)
    app.flask.secret_key = "key"
    app.live.channel("news")
    app.live.channel("closed").reader(lambda: note("reader", True))
    app.live.channel("whole").snapshot(lambda: note("snapshot", [1]))
    app.live.channel("asked").source(every=0.001)(lambda: note("source", None))
    seen.clear()
    return app


seen: dict[str, str] = {}


def note(what: str, value: Any) -> Any:
    seen[what] = threading.current_thread().name
    return value


def endpoints_of(app: App) -> Endpoints:
    endpoints: Endpoints = app.flask.wsgi_app._endpoints  # type: ignore[attr-defined]
    return endpoints


def request(query: str, path: str = "poll", **headers: str) -> Request:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("GET", f"/landline/{path}", query, names, "192.0.2.1")


def calls(app: App, query: str) -> Iterator[Call]:
    """Yield what a poll has its host call, and call it."""
    endpoints = endpoints_of(app)
    asked = request(query)
    steps = endpoints.steps(asked, POLL_ONLY, endpoints.poll_key(asked))
    step = advance(steps)
    while isinstance(step, Call):
        yield step
        step = advance(steps, step.function())
    assert isinstance(step, Reply)
    assert step.status == "200 OK"


@pytest.mark.parametrize("door", DOORS)
def test_functions_of_the_app_never_run_in_the_loops_thread(door: str, live: App) -> None:
    ask = through(door, live)
    for channel in ("closed", "whole", "asked"):
        assert ask("poll", f"channel={channel}").status == 200
    assert set(seen) == {"reader", "snapshot", "source"}
    assert "landline-loop" not in seen.values()


def test_what_may_take_its_time_is_a_call_and_nothing_else_is(live: App) -> None:
    cursor = live.live.publish("news", 1)
    live.poll("news")  # says what this app guards, and fills the window
    position = f"{cursor.epoch}-{cursor.offset}"
    assert [call.is_apps for call in calls(live, f"channel=news&cursor={position}")] == []
    assert [call.is_apps for call in calls(live, "channel=news")] == []
    assert [call.is_apps for call in calls(live, "channel=news&cursor=start")] == [False]
    assert [call.is_apps for call in calls(live, "channel=closed")] == [True]
    assert [call.is_apps for call in calls(live, "channel=whole")] == [True]
    assert [call.is_apps for call in calls(live, f"channel=whole&cursor={position}")] == []
    assert [call.is_apps for call in calls(live, f"channel=asked&cursor={position}")] == [True]


@pytest.mark.parametrize("door", DOORS)
def test_each_thing_is_looked_at_once(door: str, live: App, monkeypatch: pytest.MonkeyPatch) -> None:
    ask, counted = through(door, live), []
    token = ask("poll", "channel=closed").json["grant"]["token"]
    authorizer = endpoints_of(live).authorizer

    def counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def count(*arguments: Any, **more: Any) -> Any:
            counted.append(name)
            return function(*arguments, **more)

        return count

    monkeypatch.setattr(authorizer, "check", counting("check", authorizer.check))
    monkeypatch.setattr(live.runtime, "resolve", counting("resolve", live.runtime.resolve))
    monkeypatch.setattr("landline.protocol.endpoints.parse_poll", counting("parse", parse_poll))
    assert ask("poll", f"channel=closed&grant={token}").status == 200
    assert sorted(counted) == ["check", "parse", "resolve"]


def test_question_is_a_plain_poll_or_none(live: App) -> None:
    """What is no plain GET is answered for itself: its answer depends on more than query and grant."""
    key = endpoints_of(live).poll_key
    assert key(request("channel=a")) == PollKey("channel=a", ())
    assert key(request("channel=a&grant=x", host="h", cookie="c")) == PollKey("channel=a&grant=x", ("h", "c", None))
    assert key(request("channel=a&grant=x", host="h", cookie="d")) != key(request("channel=a&grant=x", host="h"))
    assert key(request("channel=a", cookie="c", sec_fetch_site="same-origin")) == PollKey("channel=a", ())
    assert key(request("channel=a", path="events")) is None
    assert key(request("channel=a")._replace(method="HEAD")) is None
    for header in (
        {"if_none_match": "x"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_dest": "embed"},
    ):
        assert key(request("channel=a", **header)) is None


def test_what_a_call_raises_is_raised_where_it_was_yielded() -> None:
    def steps() -> Generator[Call, Any, str]:
        try:
            yield Call(lambda: 1 / 0)
        except ZeroDivisionError:
            return "caught"
        return "not"

    assert run(steps()) == "caught"
    stepping = steps()
    assert isinstance(advance(stepping), Call)
    assert fail(stepping, ZeroDivisionError()) == "caught"


def test_calls_are_carried_out_in_order_in_the_calling_thread() -> None:
    def steps() -> Generator[Call, Any, list[object]]:
        return [(yield Call(threading.current_thread)), (yield Call(lambda: 2))]

    assert run(steps()) == [threading.current_thread(), 2]


def test_stream_that_cannot_be_held_is_refused_before_anything_is_read(live: App) -> None:
    outcome = endpoints_of(live).handle(request("channel=whole", path="events"), POLL_ONLY)
    assert isinstance(outcome, Reply)
    assert outcome.status.startswith("503")
    assert seen == {}
    assert isinstance(endpoints_of(live).handle(request("channel=whole", path="events"), ALL), Subscription)
