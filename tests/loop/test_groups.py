"""Which group is owed what, also where its names are long and where two names have one hash."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_landline import Landline
from landline.loop import groups

from tests.held.stage import Client, Stage

LONG = "&channel=room/" + "&channel=room/".join(f"{number}".rjust(190, "x") for number in range(8))
"""Channels whose names a group keeps as one text."""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    app = Flask(__name__, instance_path=str(tmp_path))
    app.config.update(LANDLINE_LOG="memory:", LANDLINE_WINDOW_EVENTS=3)
    live = Landline(app)
    live.channel("news")
    live.channel("room/<name>")
    live.channel("other")
    loop = asyncio.new_event_loop()
    with Stage(app, loop, {}, here=True) as stage:
        yield stage
    loop.close()


def reading(stage: Stage, transport: str, more: str) -> Client:
    client = Client(stage, transport)
    client.more = more
    client.ask()
    stage.turn(3)
    return client


@pytest.mark.parametrize("transport", ["sse", "websocket"])
@pytest.mark.parametrize("burst", [1, 3, 7])
def test_group_of_long_names_is_sent_what_it_is_owed(stage: Stage, transport: str, burst: int) -> None:
    """Seven at once are more than the window has: then it reads on from the log, by names that it has as text."""
    client = reading(stage, transport, LONG)
    other = reading(stage, transport, "")
    for _ in range(3):
        for _ in range(burst):
            stage.publish()
        stage.wake()
        stage.turn()
    stage.rest()
    client.read()
    other.read()
    assert client.offsets == other.offsets == stage.published
    assert len(list(stage.fanout.groups)) == 2


@pytest.mark.parametrize("more", ["", LONG])
def test_names_of_one_hash_are_told_apart(stage: Stage, monkeypatch: pytest.MonkeyPatch, more: str) -> None:
    monkeypatch.setattr(groups, "hash", lambda _: 1, raising=False)
    client = reading(stage, "sse", more)
    second = reading(stage, "sse", "&channel=other" + more)
    stage.runtime.log.append("other", "1")
    stage.runtime.hub.invalidate()
    stage.wake()
    stage.turn()
    stage.publish()
    stage.wake()
    stage.rest()
    client.read()
    second.read()
    assert client.offsets == second.offsets == stage.published
    assert (b"event: other" in client.raw, b"event: other" in second.raw) == (False, True)


def test_groups_leave_nothing_behind(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "hash", lambda name: len(name), raising=False)
    for more in ("", "&channel=other", LONG, LONG + "&channel=other"):
        reading(stage, "sse", more)
    assert stage.fanout.groups.reads("other")
    for held in list(stage.fanout.held):
        held.connection.close("gone")
    assert not stage.fanout.groups.reads("other")
    assert not stage.fanout.groups._by_channel
