"""Delivery: what fails loses itself alone, and the position moves when all were served."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask_landline import Landline
from landline.errors import LogError
from landline.loop.held import HeldConnection
from landline.protocol.sse import SSE

from tests.held.stage import Client, Stage


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def app(tmp_path: Any) -> Flask:
    app = Flask(__name__, instance_path=str(tmp_path))
    app.config.update(LANDLINE_LOG="memory:")
    Landline(app).channel("news")
    return app


def reading(stage: Stage, *transports: str) -> list[Client]:
    clients = [Client(stage, transport) for transport in transports]
    for client in clients:
        client.ask()
        stage.turn(3)
    return clients


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_connection_that_fails_in_a_delivery_loses_itself_alone(
    failing: int, app: Flask, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Stage(app, loop, {}, here=True) as stage:
        clients = reading(stage, "sse", "sse", "sse")
        (broken,) = [
            held.connection
            for held in stage.fanout.held
            if held.connection.sock.fileno() == clients[failing].line_fileno
        ]
        write = HeldConnection.write

        def fail(connection: HeldConnection, data: bytes) -> None:
            if connection is broken:
                raise MemoryError
            write(connection, data)

        monkeypatch.setattr(HeldConnection, "write", fail)
        stage.publish()
        stage.wake()
        stage.turn()
        stage.publish()
        stage.wake()
        stage.rest()
        for client in clients:
            client.read()
        assert [client.offsets for client in clients] == [
            [] if number == failing else stage.published for number in range(3)
        ]
        assert len(stage.fanout.held) == 2


def test_group_that_cannot_be_rendered_gets_what_is_new_from_the_log(
    app: Flask, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Stage(app, loop, {}, here=True) as stage:
        clients = reading(stage, "sse", "websocket", "sse")
        render, failures = SSE.render, [MemoryError()]

        def fail_once(self: SSE, *args: Any) -> bytes:
            if failures:
                raise failures.pop()
            return render(self, *args)

        monkeypatch.setattr(SSE, "render", fail_once)
        stage.publish()
        stage.wake()
        stage.rest()
        stage.publish()
        stage.wake()
        stage.rest()
        for client in clients:
            client.read()
        assert not failures
        assert [client.offsets for client in clients] == [stage.published] * 3


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), LogError("x"), ValueError("x")])
def test_nothing_that_is_called_ends_the_loop(error: BaseException, app: Flask) -> None:
    """Whatever a function raises that is called for a request, or a callback of the loop's own."""
    side = app.wsgi_app.sideloop  # type: ignore[attr-defined]

    def fail() -> None:
        raise error

    def close_loop() -> None:
        """Raise it where asyncio passes it on, out of `run_forever`."""
        side.start().call_soon_threadsafe(fail)

    async def answer() -> str:
        try:
            await side.call(fail)
        except Exception as raised:  # noqa: BLE001  its kind is what is tested
            return type(raised).__name__
        return "nothing"

    try:
        if not isinstance(error, Exception):  # else asyncio has it in its log, which the app's tests mind
            close_loop()
        found = asyncio.run_coroutine_threadsafe(answer(), side.start()).result(10)
        again = asyncio.run_coroutine_threadsafe(answer(), side.start()).result(10)
    finally:
        side.close()
    expected = type(error).__name__ if isinstance(error, Exception) else "Refusal"
    assert (found, again) == (expected, expected)


def test_loop_whose_thread_has_died_is_started_anew(app: Flask) -> None:
    side = app.wsgi_app.sideloop  # type: ignore[attr-defined]
    first = side.start()
    thread = side._thread
    first.call_soon_threadsafe(first.stop)  # as if it had: no public way leads there
    thread.join()
    try:
        second = side.start()
        assert second is not first
        assert asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "alive"), second).result(10) == "alive"
    finally:
        side.close()


def test_closed_loop_opens_anew(app: Flask) -> None:
    side = app.wsgi_app.sideloop  # type: ignore[attr-defined]
    for _ in range(2):
        assert asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "alive"), side.start()).result(10) == "alive"
        side.close()
        side.close()


def test_revocation_costs_what_it_touches(tmp_path: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Forty readers of forty rooms: one is revoked, then one room, and no other grant is looked at."""
    numbers = iter(range(1000))
    app = Flask(__name__, instance_path=str(tmp_path))
    app.config.update(LANDLINE_LOG="memory:", SECRET_KEY="key", LANDLINE_IDENTITY=lambda: str(next(numbers)))
    live = Landline(app)
    live.channel("news")
    live.channel("room/<int:number>").reader(lambda **_: True)
    with Stage(app, loop, {}, here=True) as stage:
        clients = []
        for number in range(40):
            client = Client(stage, "sse")
            client.more = f"&channel=room/{number}"
            client.ask()
            stage.turn(3)
            clients.append(client)
        assert len(stage.fanout.held) == 40
        looked_at, is_revoked = [], stage.runtime.authorizer.is_revoked

        def counted(grant: Any, **more: Any) -> bool:
            looked_at.append(grant)
            return is_revoked(grant, **more)

        stage.runtime.authorizer.is_revoked = counted  # type: ignore[method-assign]
        for left, what in ((39, {"identity": "3"}), (38, {"channel": "room/7"})):
            looked_at.clear()
            stage.runtime.revoke(what.get("identity"), what.get("channel"))
            stage.wake()
            stage.turn()
            assert len([held for held in stage.fanout.held if held.open]) == left
            assert len(looked_at) == 1
        for number, client in enumerate(clients):
            client.read()
            assert (b"goodbye" in client.raw) == (number in (3, 7))
