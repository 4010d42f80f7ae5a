"""Published while a line is being taken over: told at once, once, and in order, at every interleaving.

The side loop is not run in a thread here but turned by hand, one round after the other; wherever it reads, and between
two rounds, an event may be published and the hub's wake-up may come. Each test goes through all such places. No timer
runs: an event that nobody brings is not brought by a keepalive either, and the test says so.
"""

import asyncio
import itertools
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask_landline import Landline, LogError
from landline.cursor import Cursor
from landline.loop import fanout
from landline.loop.deadlines import Deadlines
from landline.loop.held import HeldConnection
from landline.loop.http import Connection
from landline.loop.listener import Listener
from landline.protocol.request import Request
from landline.reading import Reading
from landline.serve.offers import ALL
from landline.serve.subscription import Subscription

from tests.held.stage import PAGE, ROUNDS, Client, Stage, received

STREAMS = ("sse", "websocket")
LATE = (0, 1, 3)
"""Places that the wake-up of an event may lag behind it; afterwards it comes in any case."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    app = Flask(__name__, instance_path=str(tmp_path_factory.mktemp("race")))
    app.config.update(LANDLINE_LOG="memory:", LANDLINE_WINDOW_EVENTS=3)
    Landline(app).channel("news")
    return app


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.AbstractEventLoop]:
    monkeypatch.setattr(fanout, "PAGE_EVENTS", PAGE)
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def plans(count: int, places: int) -> Iterator[dict[int, list[str]]]:
    """Yield every way to publish `count` events among so many places, each with its wake-up, prompt or late."""
    for where in itertools.combinations_with_replacement(range(places), count):
        for late in LATE:
            moves: dict[int, list[str]] = {}
            for place in where:
                moves.setdefault(place, []).append("publish")
            for place in where:
                moves.setdefault(place + late, []).append("wake")
            yield moves


def places_of(app: Flask, loop: asyncio.AbstractEventLoop, play: Callable[[Stage], None]) -> int:
    """Return how many places a run has in which nothing is published, and those of a few rounds more."""
    with Stage(app, loop, {}, here=True) as stage:
        play(stage)
        return stage.places - ROUNDS + 6


def play_all(app: Flask, loop: asyncio.AbstractEventLoop, count: int, play: Callable[[Stage], None]) -> None:
    runs = 0
    for moves in plans(count, places_of(app, loop, play)):
        for here in (True, False):
            with Stage(app, loop, {place: list(names) for place, names in moves.items()}, here) as stage:
                try:
                    play(stage)
                except AssertionError as error:
                    error.add_note(f"with {moves}, published {'here' if here else 'elsewhere'}")
                    raise
            runs += 1
    assert runs > 50


def follow(client: Client) -> None:
    """Read to the end; a long poll is asked again, as often as it takes."""
    for _ in range(20):
        client.stage.rest()
        client.read()
        if client.waits:
            return
        client.ask()
    raise AssertionError("a poll that is answered at once for ever")


@pytest.mark.parametrize("transport", ["long-poll", *STREAMS])
@pytest.mark.parametrize("count", [1, 2])
def test_published_while_the_first_line_is_taken_over(
    app: Flask, loop: asyncio.AbstractEventLoop, transport: str, count: int
) -> None:
    def play(stage: Stage) -> None:
        client = Client(stage, transport)
        client.ask()
        follow(client)
        assert client.offsets == stage.published

    play_all(app, loop, count, play)


@pytest.mark.parametrize("transport", ["long-poll", *STREAMS])
def test_published_while_a_line_joins_another(app: Flask, loop: asyncio.AbstractEventLoop, transport: str) -> None:
    def play(stage: Stage) -> None:
        first = Client(stage, "sse")
        first.ask()
        stage.turn(3)
        client = Client(stage, transport)
        client.ask()
        follow(client)
        first.read()
        assert client.offsets == stage.published
        assert first.offsets == stage.published

    play_all(app, loop, 2, play)


@pytest.mark.parametrize("transport", STREAMS)
def test_published_while_a_line_catches_up_from_the_log(
    app: Flask, loop: asyncio.AbstractEventLoop, transport: str
) -> None:
    """It is seven events behind: four pages, and the window holds three."""

    def play(stage: Stage) -> None:
        for _ in range(7):
            stage.publish()
        first = Client(stage, "sse", after=7)
        first.ask()
        client = Client(stage, transport)
        client.ask()
        follow(client)
        first.read()
        assert client.offsets == stage.published
        assert first.offsets == stage.published[7:]

    play_all(app, loop, 1, play)


@pytest.mark.parametrize("transport", ["long-poll", *STREAMS])
@pytest.mark.parametrize("burst", [3, 5])
def test_many_published_at_once(app: Flask, loop: asyncio.AbstractEventLoop, transport: str, burst: int) -> None:
    """Three are two pages; of five the window holds three, and the loop reads on from the log. Then comes one more."""

    def play(stage: Stage) -> None:
        client, second = Client(stage, transport), Client(stage, "sse")
        client.ask()
        second.ask()
        stage.turn(2)
        for _ in range(burst):
            stage.publish()
        stage.wake()
        follow(client)
        second.read()
        assert client.offsets == stage.published
        assert second.offsets == stage.published

    play_all(app, loop, 1, play)


def test_published_while_a_client_asks_ahead_on_one_connection(app: Flask, loop: asyncio.AbstractEventLoop) -> None:
    """A held poll's answer lets the next request of its connection in, in the middle of telling an event."""

    def play(stage: Stage) -> None:
        stream = Client(stage, "sse")
        stream.ask()
        listener = Listener("127.0.0.1:1", stage.endpoints, stage.side)
        listener.loop, listener._started = loop, True
        listener.deadlines = Deadlines(loop, lambda connection, now: connection.expire(now))
        ours, theirs = stage.pair()
        connection = Connection(listener, ours, "-")
        target = f"/landline/poll?channel=news&wait=20&cursor={stage.epoch}"
        polls = [f"GET {target}-{n} HTTP/1.1\r\nHost: x\r\n\r\n" for n in range(3)]
        theirs.sendall(polls[0].encode())
        stage.turn(2)
        theirs.sendall("".join(polls[1:]).encode())
        stage.rest()
        stream.read()
        bodies = re.findall(rb'\{"data": .*\}(?=HTTP|$)', received(theirs).replace(b"\r\n", b"\n"))
        connection.close("left")
        assert listener.deadlines._timer is not None
        listener.deadlines._timer.cancel()
        told = [[event["offset"] for event in json.loads(body)["data"]] for body in bodies]
        assert [offsets[0] for offsets in told] == stage.published
        assert stream.offsets == stage.published

    play_all(app, loop, 2, play)


def test_late_wake_up_leaves_no_position_behind(app: Flask, loop: asyncio.AbstractEventLoop) -> None:
    """Nobody would keep it up to date, and who is held next would wait past what comes meanwhile."""
    with Stage(app, loop, {}, here=True) as stage:
        stream = Client(stage, "sse")
        stream.ask()
        stage.turn(2)
        assert stage.fanout.position is not None
        for held in list(stage.fanout.held):
            held.connection.close("gone")
        assert not stage.fanout.held
        stage.fanout.deliver()
        assert stage.fanout.position is None


def test_connection_is_looked_at_for_the_poll_it_holds_now(app: Flask, loop: asyncio.AbstractEventLoop) -> None:
    """One held poll after the other on one connection: each is answered in its time, and no look outlives its use."""
    with Stage(app, loop, {}, here=True) as stage:
        ours, _ = stage.pair()
        line = HeldConnection(loop, ours, 1000, stage.side)
        hold = stage.endpoints.handle(Request("GET", "/landline/poll", "channel=news&wait=20", {}, "-"), ALL)
        assert isinstance(hold, Subscription)
        for wait, looks in ((20.0, 1), (30.0, 1), (10.0, 2), (12.0, 2)):
            stage.side.admit("-")
            stage.side.begin(line, hold._replace(wait=wait), "-")
            assert sum(map(len, stage.fanout.expiry.deadlines._due.values())) == looks, wait
            assert line.held is not None
            line.held.end("done")
        stage.side.admit("-")
        stage.side.begin(line, hold._replace(wait=15.0), "-")
        now = loop.time()
        stage.fanout.expiry.expire(line, now + 11)  # the earliest: too early for this one, which gets a look of its own
        assert line.held
        assert not line.finishing
        stage.fanout.expiry.expire(line, now + 14)  # of one that is over
        assert not line.finishing
        stage.fanout.expiry.expire(line, now + 16)
        assert line.finishing


@pytest.mark.parametrize("finds", ["news", "nothing", "a failure"])
def test_who_reads_for_an_answered_poll_tells_nothing_to_the_next_one(
    app: Flask, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, finds: str
) -> None:
    """The log is slow, the poll's time is up, and on the connection comes a request that may be somebody else's."""
    with Stage(app, loop, {}, here=True) as stage:
        listener = Listener("127.0.0.1:1", stage.endpoints, stage.side)
        listener.loop, listener._started = loop, True
        listener.deadlines = Deadlines(loop, lambda connection, now: connection.expire(now))
        ours, theirs = stage.pair()
        connection = Connection(listener, ours, "-")
        slow: Future[Any] = Future()
        monkeypatch.setattr(stage.runtime.hub, "peek", lambda *_: None)
        monkeypatch.setattr(stage.endpoints, "_is_at_hand", lambda *_: True)  # its own look comes before the slow one
        monkeypatch.setattr(stage.side, "_executor", SimpleNamespace(submit=lambda *_: slow))
        cursor = Cursor(stage.epoch, 0)
        theirs.sendall(f"GET /landline/poll?channel=news&cursor={cursor}&wait=20 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        stage.turn(3)
        assert connection.held
        stage.fanout.expiry.expire(connection, loop.time() + 21)
        theirs.sendall(b"GET /landline/poll?channel=news&wait=20 HTTP/1.1\r\nHost: x\r\n\r\n")
        stage.turn(3)
        assert received(theirs).count(b"HTTP/1.1 200 OK") == 1
        monkeypatch.undo()
        stage.publish()
        if finds == "a failure":
            slow.set_exception(LogError("out of order"))
        else:
            slow.set_result(
                stage.runtime.hub.read(("news",), cursor) if finds == "news" else Reading((), cursor, cursor)
            )
        stage.turn()
        assert received(theirs) == b""
        assert not connection.open
        connection.close("left")
        assert listener.deadlines._timer is not None
        listener.deadlines._timer.cancel()
