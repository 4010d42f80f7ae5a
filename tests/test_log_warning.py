"""A log that fails is in the server's log, with its cause, once a minute at most; whatever it was that failed."""

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from flask_landline import LogError
from flask_landline.log_warning import EVERY, LogWarning
from flask_landline.testing import Clock, in_threads

from tests.apps import App
from tests.processes import free_port, until

CAUSE = "The log /srv/landline.db could not be opened."


def fail(*_: object) -> Any:
    raise LogError(CAUSE)


def break_log(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have whatever asks the log fail from now on; no answer from before stands for it."""
    for name in ("tail", "read", "wait"):
        monkeypatch.setattr(app.state.log, name, fail)
    app.state.hub.stale()


def causes(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if CAUSE in record.getMessage()]


def test_it_is_said_at_once_and_then_once_a_minute(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    warn = LogWarning(clock=clock)
    for _ in range(3):
        warn("Something failed.", LogError(CAUSE))
    clock.advance(EVERY - 0.001)
    warn("Something failed.", LogError(CAUSE))
    assert len(causes(caplog)) == 1
    clock.advance(0.002)
    warn("Something failed.", LogError(CAUSE))
    assert len(causes(caplog)) == 2
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_many_threads_say_it_once(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    warn = LogWarning(clock=clock)
    in_threads(*[lambda: warn("Something failed.", LogError(CAUSE))] * 16)
    assert len(causes(caplog)) == 1


def poll_again_and_again(app: App) -> None:
    for number in range(5):
        assert app.poll("news", cursor="start" if number % 2 else None).status == 503


def open_stream(app: App) -> None:
    assert app.ask("channel=news", path="/landline/events").status == 503


@pytest.mark.parametrize("act", [poll_again_and_again, open_stream])
def test_request_that_fails_leaves_one_warning(
    act: Callable[[App], None], app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app.live.channel("news")
    break_log(app, monkeypatch)
    act(app)
    assert len(causes(caplog)) == 1


def test_poll_whose_answer_was_remembered_leaves_one_warning(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app.live.channel("news")
    cursor = app.live.cursor()
    for _ in range(2):
        assert app.poll("news", cursor=cursor).status == 200
    break_log(app, monkeypatch)
    for _ in range(2):
        assert app.poll("news", cursor=cursor).status == 503
    assert len(causes(caplog)) == 1


def test_held_poll_leaves_one_warning(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app.live.channel("news")
    cursor = app.live.cursor()
    statuses: list[int] = []
    poll = threading.Thread(
        target=lambda: statuses.append(app.poll("news", cursor=cursor, wait="20", threads=True).status)
    )
    poll.start()
    places = app.flask.wsgi_app._threads  # type: ignore[attr-defined]
    until(lambda: places.taken > 0, 10, "the poll to be held")
    break_log(app, monkeypatch)
    for hint in list(places._hints):
        hint.set()
    poll.join(10)
    assert statuses == [503]
    assert len(causes(caplog)) == 1


def test_streams_that_wait_in_greenlets_leave_one_warning(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(keepalive=0.1)
    app.live.channel("news")
    monkeypatch.setattr("flask_landline.wsgi.places.RETRY_PAUSE", 0.01)
    greenlets = type("Socket", (), {"__module__": "gevent.socket"})
    answer = app.flask.test_client().get(
        "/landline/events?channel=news", environ_overrides={"gunicorn.socket": greenlets()}
    )
    blocks: Iterator[Any] = iter(answer.response)
    next(blocks)
    break_log(app, monkeypatch)
    ended = threading.Event()

    def read_on() -> None:
        next(blocks)
        ended.set()

    reading = threading.Thread(target=read_on)
    reading.start()
    until(lambda: bool(causes(caplog)), 10, "the warning")
    monkeypatch.undo()
    app.state.hub.stale()
    assert ended.wait(10)  # it carries on, with a keepalive
    reading.join()
    answer.close()
    assert len(causes(caplog)) == 1


def test_held_lines_of_the_second_door_leave_one_warning(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.held.readers import Events, Socket

    port = free_port()
    app = make_app(listen=f"127.0.0.1:{port}", keepalive=0.1)
    app.live.channel("news")
    app.poll("news")  # the first request opens the door
    base = f"http://127.0.0.1:{port}"

    def opens() -> bool:
        try:
            with Events(base):
                return True
        except (OSError, httpx.TransportError):
            return False

    until(opens, 10, "the second door")
    with Events(base) as events, Socket(base) as socket:
        break_log(app, monkeypatch)
        app.state.hub._wake_all()
        until(lambda: bool(causes(caplog)), 10, "the warning")
        for reader, _ in itertools.product((events, socket), range(3)):
            reader.sign()
        monkeypatch.undo()
        app.live.publish("news", 1)
        assert [event.data for event in (*events.take(1), *socket.take(1))] == [1, 1]
    assert len(causes(caplog)) == 1
