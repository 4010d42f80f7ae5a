"""What was closed opens anew: for the next request, and the next to publish."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from flask_landline import UsageError

from tests.apps import App
from tests.processes import until


def is_open(path: Path) -> bool:
    """Return whether something accepts connections at a socket's path."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


@pytest.mark.parametrize("log", ["memory:", "sqlite:"])
def test_closed_app_answers_and_publishes_again(log: str, make_app: Callable[..., App]) -> None:
    app = make_app(log=log)
    orders = app.live.channel("orders")
    with app.flask.app_context():
        orders.publish(1)
        before = app.ask("channel=orders&cursor=start")
        assert before.data == [1]
        for number in (2, 3):
            app.runtime.close()
            app.runtime.close()
            orders.publish(number)
        assert app.ask(f"channel=orders&cursor={before.cursor}").data == [2, 3]


def test_request_held_after_closing_gets_what_is_published_meanwhile(make_app: Callable[..., App], monkeypatch) -> None:
    """Its thread waits, and is woken: not by its deadline, but by a follower that was started anew."""
    app = make_app(held_threads=1)
    orders = app.live.channel("orders")
    cursor = app.ask("channel=orders&cursor=now").cursor
    app.runtime.close()
    register = app.runtime.hub.register

    def registered(wake: Callable[[], None]) -> None:
        register(wake)
        with app.flask.app_context():
            orders.publish(7)

    monkeypatch.setattr(app.runtime.hub, "register", registered)
    assert app.ask(f"channel=orders&cursor={cursor}&wait=25", threads=True).data == [7]


def test_channels_come_too_late_again_once_a_closed_app_has_a_request(make_app: Callable[..., App]) -> None:
    app = make_app()
    app.live.channel("orders")
    app.ask("channel=orders")
    with pytest.raises(UsageError, match="too late"):
        app.live.channel("late")
    app.runtime.close()
    app.live.channel("between")
    app.ask("channel=orders&channel=between")
    with pytest.raises(UsageError, match="too late"):
        app.live.channel("late")


def test_second_door_opens_again_with_the_next_request(make_app: Callable[..., App], tmp_path: Path) -> None:
    door = tmp_path / "door"
    app = make_app(listen=f"unix:{door}")
    app.live.channel("orders")
    for _ in range(2):
        app.ask("channel=orders")
        until(lambda: is_open(door), 10.0, "the second door")
        app.runtime.close()
        assert not is_open(door)
