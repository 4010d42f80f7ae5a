"""Revoked while a line is being taken over, at every place: it ends, and is told nothing of what came after.

The side loop is turned by hand (see stage.py).
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from flask import Flask
from flask_landline import Landline, LogError
from flask_landline import sideloop as sideloop_module
from flask_landline.access import Grant

from tests.held.stage import PAGE, Client, Stage

TRANSPORTS = ("sse", "websocket", "long-poll")
Play = Callable[..., int]


class Revoking(Stage):
    """A stage on which what was granted is revoked, and then something is published."""

    is_revoked = False

    def __enter__(self) -> Self:
        return self

    def revoke(self) -> None:
        self.is_revoked = True
        self.state.revoke(None, "news")
        self.publish()
        self.wake()


class Reading(Client):
    """A client that may be refused."""

    is_refused = False

    def _told(self, answer: dict[str, Any]) -> None:
        if answer.get("code") == "not-allowed":
            self.is_refused = True
        else:
            super()._told(answer)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.AbstractEventLoop]:
    monkeypatch.setattr(sideloop_module, "PAGE_EVENTS", PAGE)
    monkeypatch.setattr(sideloop_module, "RETRY_PAUSE", 0.0)
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def play(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> Play:
    """Return a function that has one client read while it is revoked at a place, and counts the places."""

    def run(transport: str, place: int, trouble: Callable[[Revoking], object] = lambda _: None) -> int:
        app = Flask(__name__, instance_path=str(tmp_path))
        app.config.update(LANDLINE_LOG="memory:", LANDLINE_WINDOW_EVENTS=3, SECRET_KEY="key")
        live = Landline(app)
        with Revoking(app, loop, {place: ["revoke"]}, here=True) as stage:
            live.channel("news").reader(lambda: not stage.is_revoked)
            for _ in range(4):
                stage.publish()
            client = Reading(stage, transport)
            client.ask()
            trouble(stage)
            stage.rest()
            stage.turn()  # for what is tried again
            client.read()
            assert stage.is_revoked
            late = stage.published[-1]
            assert late not in client.offsets, f"told what came after the revocation at place {place}"
            assert client.offsets == stage.published[: len(client.offsets)]
            assert not [line for line in stage.side._lines if line.open], f"held on, revoked at place {place}"
            return stage.places

    return run


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_revocation_at_any_place_ends_the_line_before_what_comes_after(transport: str, play: Play) -> None:
    places = play(transport, 10_000)
    for place in range(places):
        play(transport, place)
    assert places > 30


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_nothing_is_told_while_nobody_knows_what_is_revoked(transport: str, play: Play) -> None:
    """The window tells of a revocation, and the log fails just then."""
    failed: list[Grant] = []

    def trouble(stage: Revoking) -> None:
        cover = stage.state.gate.revocations.cover

        def fail_at_first(grant: Grant) -> bool:
            if stage.is_revoked and len(failed) < 3:
                failed.append(grant)
                raise LogError("out of order")
            return cover(grant)

        stage.state.gate.revocations.cover = fail_at_first  # type: ignore[method-assign]

    for place in range(60):
        failed.clear()
        play(transport, place, trouble)
        # At the first places, while it is let in, once is enough: it is sent back. A long poll is answered by then.
        assert len(failed) == 3 or place < 10 or transport == "long-poll"
