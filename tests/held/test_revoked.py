"""Revoked while a connection is brought up to date: it ends, and is sent nothing of what came after.

The side loop is turned by hand (see stage.py). Exhausted are, together: *where* a revocation by another process falls,
at every place of a run, and *when its wake-up comes* (at the same place, a few places later, or only when everything
else is at rest: another process's publish is noticed 10 to 50 ms late); and how the hub looks at the log (never
without a wake-up, as within `hub.FRESH`, and at every read). Fixed are the one reader, the one channel, and that the
revocation and what comes after it are appended together.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from flask import Flask
from flask_landline import Landline, LogError
from flask_landline.flask_app import FlaskApp
from landline.access.grants import Grant
from landline.hosts.wsgi import in_place as places_module
from landline.hosts.wsgi import takeover as detach
from landline.logs.registry import Retention
from landline.loop import fanout
from landline.serve import subscription
from landline.serve import subscription as subscription_module
from landline.serve.runtime import Runtime
from werkzeug.test import EnvironBuilder, run_wsgi_app

from tests.held.stage import PAGE, ROUNDS, Client, Stage

TRANSPORTS = ("sse", "websocket", "long-poll", "poll")
LATE = (0, 3, 10_000)
"""Places that the wake-up lags behind the revocation; the last one: it comes when everything else is at rest."""
LOOKS = ("never", "always")
"""When the hub asks the log for news without being woken."""
Play = Callable[..., int]


class Revoking(Stage):
    """A stage on which another process revokes what was granted, and then publishes something."""

    is_revoked = False
    keep = Retention()

    def __enter__(self) -> Self:
        return self

    def look(self, when: str) -> None:
        """Have the hub ask the log at each look, or never by itself."""
        seconds = iter(range(10**9))
        self.runtime.hub._clock = (lambda: float(next(seconds))) if when == "always" else (lambda: 0.0)
        read = self.runtime.log.read

        def read_at_a_place(*arguments: Any) -> Any:
            if len(arguments) == 3:  # of some channels, past the window; the hub has taken note of the end before
                self.pass_place()
            return read(*arguments)

        self.runtime.log.read = read_at_a_place  # type: ignore[method-assign, assignment]

    def publish(self) -> None:
        self.published.append(self.runtime.log.append("news", str(len(self.published)), self.keep).offset)

    def revoke(self) -> None:
        """Do what `Runtime.revoke` does in another process: this one's hub hears of it by the wake-up alone."""
        self.is_revoked = True
        app = Flask(__name__)
        app.config.update(LANDLINE_LOG=self.runtime.log, SECRET_KEY="key")
        Runtime(FlaskApp(app), self.runtime.channels).revoke(None, "news")
        self.publish()


class Reading(Client):
    """A client that may be refused, and brings the grant it was given."""

    is_refused = False
    resets = True

    def _told(self, answer: dict[str, Any]) -> None:
        if "code" in answer:
            self.is_refused = True
            return
        if answer.get("grant"):
            self.more = f"&grant={answer['grant']['token']}"
        super()._told(answer)

    def check(self) -> None:
        """Make sure that nothing came after the revocation, neither as an event nor in a snapshot."""
        late = self.stage.published[-1]
        assert late not in self.offsets
        assert f"state {late}".encode() not in self.raw


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.AbstractEventLoop]:
    monkeypatch.setattr(fanout, "PAGE_EVENTS", PAGE)
    for module in (subscription, fanout):
        monkeypatch.setattr(module, "RETRY_PAUSE", 0.0)
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def behind(stage: Revoking, client: Reading) -> None:
    """Read from four events behind, in pages; the window has three."""
    client.ask()
    for _ in range(4 if client.transport == "poll" else 0):
        if not client.is_refused:
            client.ask()


def burst(stage: Revoking, client: Reading) -> None:
    """Fall out of the window and behind what is kept, so that there is a reset, with the whole state."""
    client.cursor = str(stage._tail())
    client.ask()
    stage.turn(3)
    stage.keep = Retention(1)
    for _ in range(5):
        stage.publish()
    stage.wake()
    if client.transport == "poll" and not client.is_refused:
        client.ask()


@pytest.fixture
def play(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> Play:
    """Return a function that has one client read while it is revoked at a place, and counts the places."""

    def run(
        transport: str,
        place: int,
        late: int = 0,
        looks: str = "never",
        scene: Callable[[Revoking, Reading], None] = behind,
        trouble: Callable[[Revoking], object] = lambda _: None,
    ) -> int:
        app = Flask(__name__, instance_path=str(tmp_path))
        app.config.update(LANDLINE_LOG="memory:", LANDLINE_WINDOW_EVENTS=3, SECRET_KEY="key")
        live = Landline(app)
        moves = {place: ["revoke"]}
        moves.setdefault(place + late, []).append("wake")
        with Revoking(app, loop, moves, here=False) as stage:
            news = live.channel("news")

            @news.reader
            def may_read() -> bool:
                stage.pass_place()
                return not stage.is_revoked

            @news.snapshot
            def runtime() -> str:
                stage.pass_place()
                return f"state {stage.published[-1]}"

            stage.look(looks)
            for _ in range(4):
                stage.publish()
            client = Reading(stage, transport)
            trouble(stage)
            scene(stage, client)
            stage.rest()
            stage.turn()  # for what is tried again
            client.read()
            assert stage.is_revoked
            try:
                client.check()
                assert not [held for held in stage.fanout.held if held.open], "held on"
            except AssertionError as error:
                error.add_note(f"revoked at place {place}, the wake-up {late} places later, the hub looks {looks}")
                raise
            return stage.places

    return run


ALWAYS = (("sse", burst), ("websocket", behind), ("long-poll", burst), ("poll", behind))
"""Each transport and each scene for each change; the other pairs at night."""


@pytest.mark.parametrize(
    ("transport", "scene"),
    [
        pytest.param(transport, scene, marks=[] if (transport, scene) in ALWAYS else [pytest.mark.night])
        for transport in TRANSPORTS
        for scene in (behind, burst)
    ],
)
def test_revocation_at_any_place_ends_the_line_before_what_comes_after(
    transport: str, scene: Callable[[Revoking, Reading], None], play: Play
) -> None:
    # Of the rounds in which the loop is at rest, twice at the end, a few are enough.
    places = play(transport, 10_000, scene=scene) - 2 * ROUNDS + 6
    for looks in LOOKS:
        for late in LATE:
            for place in range(places):
                play(transport, place, late, looks, scene)
    assert places > 20


@pytest.mark.parametrize("transport", ["sse", "websocket", "long-poll"])
def test_nothing_is_told_while_nobody_knows_what_is_revoked(transport: str, play: Play) -> None:
    """The log fails just when the reader's grant is held against it."""
    failed: list[Grant] = []
    counts: list[int] = []

    def trouble(stage: Revoking) -> None:
        cover = stage.runtime.authorizer.revocations.cover

        def fail_at_first(grant: Grant) -> bool:
            if stage.is_revoked and len(failed) < 3:
                failed.append(grant)
                raise LogError("out of order")
            return cover(grant)

        stage.runtime.authorizer.revocations.cover = fail_at_first  # type: ignore[method-assign]

    for place in range(60):
        failed.clear()
        play(transport, place, trouble=trouble)
        counts.append(len(failed))
    # While it is let in, once is enough: it is sent back. A long poll is answered by then.
    assert 1 in counts
    assert 3 in counts or transport == "long-poll"


class Held:
    """A request held in its thread or greenlet, one step after the other in the test's own thread.

    What its thread would sleep through is passed here at once: at each wait the next move is made, and with it the
    wake-up if it is due.
    """

    def __init__(self, folder: Path, moves: dict[int, list[str]], looks: str) -> None:
        self.app = Flask(__name__, instance_path=str(folder))
        self.app.config.update(LANDLINE_LOG="memory:", LANDLINE_WINDOW_EVENTS=3, SECRET_KEY="key")
        self.news = Landline(self.app).channel("news")
        self.news.reader(self._may_read)
        self.news.snapshot(self._runtime)
        self.runtime = self.app.extensions["landline"]
        self.published: list[int] = []
        self.is_revoked = False
        self.places, self._moves = 0, moves
        self._wakes: set[Callable[[], None]] = set()
        hub = self.runtime.hub
        seconds = iter(range(10**9))
        hub._clock = (lambda: float(next(seconds))) if looks == "always" else (lambda: 0.0)
        self._tail = hub.tail
        for name in ("read", "tail"):
            setattr(hub, name, self._watched(getattr(hub, name)))
        hub.register, hub.unregister = self._wakes.add, self._wakes.discard

    def _watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any) -> Any:
            self.pass_place()
            result = function(*arguments)
            self.pass_place()
            return result

        return watched

    def pass_place(self) -> None:
        here, self.places = self.places, self.places + 1
        for move in self._moves.pop(here, ()):
            getattr(self, move)()

    def pass_time(self) -> None:
        """Make the next move; without one, what waits would wait for ever."""
        assert self._moves, "waits for ever"
        for move in self._moves.pop(min(self._moves)):
            getattr(self, move)()

    def publish(self, keep: int = 1000) -> None:
        self.published.append(self.runtime.log.append("news", str(len(self.published)), Retention(keep)).offset)

    def burst(self) -> None:
        """Publish more than the window has and is kept: the reader gets a reset, and the whole state."""
        for _ in range(5):
            self.publish(keep=1)

    def revoke(self) -> None:
        self.is_revoked = True
        app = Flask(__name__)
        app.config.update(LANDLINE_LOG=self.runtime.log, SECRET_KEY="key")
        Runtime(FlaskApp(app), self.runtime.channels).revoke(None, "news")
        self.publish()

    def wake(self) -> None:
        self._tail()
        for wake in list(self._wakes):
            wake()

    def _may_read(self) -> bool:
        self.pass_place()
        return not self.is_revoked

    def _runtime(self) -> str:
        self.pass_place()
        return f"state {self.published[-1] if self.published else 0}"

    def request(self, path: str, query: str) -> bytes:
        """Make a request through WSGI, and read its answer to the end."""
        environ = EnvironBuilder(path=path, query_string=query).get_environ()
        environ["wsgi.multithread"] = True
        body, _, _ = run_wsgi_app(self.app.wsgi_app, environ)
        try:
            return b"".join(body)
        finally:
            getattr(body, "close", lambda: None)()  # as a server does: the place is free then


@pytest.mark.parametrize("greenlet", [False, True], ids=["thread", "greenlet"])
@pytest.mark.parametrize("path", ["poll", "events"])
def test_request_held_in_place_is_sent_nothing_of_what_comes_after(
    path: str, greenlet: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path == "events" and not greenlet:
        return  # a thread holds polls alone
    monkeypatch.setattr(subscription_module, "RETRY_PAUSE", 0.0)

    def run(place: int, late: int, looks: str, bursts: int) -> int:
        moves: dict[int, list[str]] = {bursts: ["burst", "wake"]} if bursts else {}
        moves.setdefault(place, []).append("revoke")
        moves.setdefault(place + late, []).append("wake")
        held = Held(tmp_path, moves, looks)

        class Hint:
            is_set = False

            def set(self) -> None:
                self.is_set = True

            def clear(self) -> None:
                self.is_set = False

            def wait(self, timeout: float) -> None:
                while not self.is_set:
                    held.pass_time()

        stepped = SimpleNamespace(**{**vars(threading), "Event": Hint})
        monkeypatch.setattr(places_module, "threading", stepped)
        monkeypatch.setattr(detach, "is_greenlet", lambda _: greenlet)
        held.app.wsgi_app._greenlets._is_ending = None  # type: ignore[attr-defined]
        held.publish()
        query = f"channel=news&cursor={held._tail()}" + ("&wait=20" if path == "poll" else "")
        body = held.request(f"/landline/{path}", query)
        try:
            if held.is_revoked:
                late_event = held.published[-1]
                assert f'"offset": {late_event},'.encode() not in body
                assert f"-{late_event}\n\n".encode() not in body
                assert f"state {late_event}".encode() not in body
        except AssertionError as error:
            error.add_note(f"revoked at {place}, the wake-up {late} later, the hub looks {looks}, burst at {bursts}")
            raise
        finally:
            held.runtime.close()
        return held.places

    for looks in LOOKS:
        for bursts in (0, 6, 10):
            for late in LATE:
                for place in range(20):
                    run(place, late, looks, bursts)
