"""One channel loses events between two looks: its readers get a reset, and all others notice nothing.

The side loop is turned by hand, as in `test_race`. Exhausted: where the others' event stands among those that are lost,
and the transport; fixed: one channel that keeps a single event, one look after all.
"""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask_landline import Landline
from landline.logs.registry import Retention

from tests.held.stage import Client, Stage


class Losing(Stage):
    """Beside `news` there is `busy`, of which only the newest event is kept."""

    def __enter__(self) -> "Losing":
        return self

    def lose(self) -> None:
        self.runtime.log.append("busy", "1", Retention(1, None))


class Reading(Client):
    """Reads both, and may be sent a reset."""

    resets = True

    @property
    def news(self) -> list[int]:
        """The offsets of those events that are news."""
        self.read()
        return [offset for offset in self.offsets if offset in self.stage.published]


@pytest.fixture
def app() -> Flask:
    app = Flask("app")
    app.config.update(LANDLINE_LOG="memory:")
    live = Landline(app)
    live.channel("news")
    live.channel("busy")
    return app


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("transport", ["sse", "websocket", "long-poll"])
def test_only_readers_of_the_channel_that_lost_events_read_the_log_again(
    transport: str, place: int, app: Flask, loop: asyncio.AbstractEventLoop
) -> None:
    with Losing(app, loop, {}, here=False) as stage:
        idle, busy = Client(stage, transport), Reading(stage, transport)
        busy.more = "&channel=busy"
        idle.ask()
        busy.ask()
        stage.rest()
        read: list[tuple[str, ...]] = []
        hub_read = stage.runtime.hub.read

        def reading(names: tuple[str, ...], *args: Any) -> Any:
            read.append(tuple(names))
            return hub_read(names, *args)

        stage.runtime.hub.read = reading  # type: ignore[method-assign, assignment]
        for step in range(4):
            if step == place:
                stage.publish()
            elif step != 3 or place != 3:
                stage.lose()
        stage.wake()
        stage.rest()
        idle.read()
        assert idle.offsets == busy.news == stage.published
        assert ("news",) not in read
        assert ("news", "busy") in read or ("busy", "news") in read
        assert b"reset" not in idle.raw
        (reset,) = re.findall(rb'"reset": ?({[^}]*})', busy.raw)
        assert b'"busy"' in reset
        assert b'"news"' not in reset
        stage.publish()
        stage.wake()
        stage.rest()
        if transport != "long-poll":
            idle.read()
            assert idle.offsets == busy.news == stage.published


def test_channel_that_lost_all_it_had_is_reset_though_nothing_of_it_is_there(
    app: Flask, loop: asyncio.AbstractEventLoop
) -> None:
    """Its event was gone before this process looked: no event says so, only the offset that is missing."""
    with Losing(app, loop, {}, here=False) as stage:
        idle, busy = Client(stage, "sse"), Reading(stage, "sse")
        busy.more = "&channel=busy"
        idle.ask()
        busy.ask()
        stage.rest()
        stage.runtime.log.append("busy", "1", Retention(None, -1.0))
        assert stage.runtime.log.trim() == 1
        stage.wake()
        stage.rest()
        idle.read()
        busy.read()
        assert b"reset" not in idle.raw
        assert busy.raw.count(b'"trimmed"') == 1
