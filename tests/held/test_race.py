"""Published while a line is being taken over: told at once, once, and in order, at every interleaving.

The side loop is not run in a thread here but turned by hand, one round after the other; wherever it reads, and between
two rounds, an event may be published and the hub's wake-up may come. Each test goes through all such places. No timer
runs: an event that nobody brings is not brought by a keepalive either, and the test says so.
"""

import asyncio
import contextlib
import itertools
import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from flask import Flask
from flask_landline import Landline
from flask_landline import sideloop as sideloop_module
from flask_landline.cursor import Cursor
from flask_landline.listener import Connection, Listener
from flask_landline.protocol.reply import Reply
from flask_landline.protocol.request import Request
from flask_landline.sideloop import SideLoop
from flask_landline.state import State
from flask_landline.wheel import Wheel
from flask_landline.wire import ALL, Hold, Wire

ROUNDS = 30
"""Rounds of the loop after which it is at rest: what takes longer waits for something."""
PAGE = 2
"""Events in one answer here, so that few events are many pages."""
STREAMS = ("sse", "websocket")
LATE = (0, 1, 2, 4)
"""Places that the wake-up of an event may lag behind it; afterwards it comes in any case."""

Move = Callable[[], None]


class InPlace:
    """An executor that works in the caller's thread; its results still take a round of the loop to arrive."""

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:  # noqa: BLE001  a thread's errors arrive with its result
            future.set_exception(error)
        return future


class Stage:
    """One run: a side loop to be turned by hand, and what happens at which place.

    Args:
        app: has the channels.
        loop: not running.
        moves: what is done when a place is passed, by the place's number.
        here: whether this process publishes, which its hub knows at once; else another does.
    """

    def __init__(self, app: Flask, loop: asyncio.AbstractEventLoop, moves: dict[int, list[str]], here: bool) -> None:
        self.state = State(app, app.extensions["landline"].channels)
        self.wire = Wire(self.state)
        self.loop = loop
        self.places = 0
        self.published: list[int] = []
        self._moves = moves
        self._here = here
        self._undo = contextlib.ExitStack()
        self._wakes: set[Move] = set()
        self._tail = self.state.hub.tail
        for name in ("read", "since", "peek", "tail"):
            self._watch(name)
        self.state.hub.register = self._wakes.add  # type: ignore[method-assign, assignment]
        self.state.hub.unregister = self._wakes.discard  # type: ignore[method-assign, assignment]
        self.side = SideLoop(self.state, self.wire)
        self.side._loop = loop
        self.side._executor = InPlace()  # type: ignore[assignment]
        self.side._tasks = set()
        self.side._wheel = Wheel(loop, self.side._serve)
        self.epoch = self._tail().epoch

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        self._moves = {}
        for line in list(self.side._lines):
            line.close("left")
        for task in self.side._tasks:
            task.cancel()
        self.turn()
        if self.side._wheel._timer is not None:
            self.side._wheel._timer.cancel()
        self._undo.close()
        self.state.close()

    def _watch(self, name: str) -> None:
        """Make the begin and the end of a reading of the hub places."""
        function = getattr(self.state.hub, name)

        def watched(*args: Any) -> Any:
            self.pass_place()
            args = (*args, PAGE) if name == "read" else args
            result = function(*args)
            self.pass_place()
            return result

        setattr(self.state.hub, name, watched)

    def pass_place(self) -> None:
        here, self.places = self.places, self.places + 1
        for move in self._moves.pop(here, ()):
            getattr(self, move)()

    def publish(self) -> None:
        event = self.state.log.append("news", str(len(self.published)))
        if self._here:
            self.state.hub.stale()
        self.published.append(event.offset)

    def wake(self) -> None:
        """Do what the hub's follower does: look into the log, then tell everybody."""
        if self._wakes:
            self._tail()
            for wake in list(self._wakes):
                wake()

    def turn(self, rounds: int = ROUNDS) -> None:
        """Turn the loop as many rounds as it can have something to do, whatever still happens on the way."""
        for _ in range(rounds):
            self.pass_place()
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def rest(self) -> None:
        """Let everything happen that is still to happen."""
        self.turn()
        while self._moves:
            for move in self._moves.pop(min(self._moves)):
                getattr(self, move)()
            self.turn()

    def pair(self) -> tuple[socket.socket, socket.socket]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self._undo.callback(theirs.close)
        self._undo.callback(ours.close)
        return ours, theirs


class Client:
    """Reads `news` from a cursor over one transport, by the simplest means."""

    def __init__(self, stage: Stage, transport: str, after: int = 0) -> None:
        self.stage = stage
        self.transport = transport
        self.cursor = str(Cursor(stage.epoch, after))
        self.offsets: list[int] = []
        self._end: socket.socket | None = None

    def ask(self) -> None:
        """Make a request, as a thread of the server would, and hand it over if it is held."""
        path = {"sse": "events", "websocket": "ws", "long-poll": "poll"}[self.transport]
        query = f"channel=news&cursor={self.cursor}" + ("&wait=20" if self.transport == "long-poll" else "")
        headers = {
            "host": "here",
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        outcome = self.stage.wire.handle(Request("GET", f"/landline/{path}", query, headers, "-"), ALL)
        self.stage.pass_place()
        if isinstance(outcome, Reply):
            self._told(json.loads(outcome.body))
            return
        assert isinstance(outcome, Hold)
        self.stage.side.admit()
        ours, self._end = self.stage.pair()
        self.stage.loop.call_soon(self.stage.side.open, ours, outcome)

    def read(self) -> None:
        """Take in what has come."""
        if self._end is None:
            return
        data = received(self._end)
        if self.transport == "sse":
            self.offsets += [int(n) for n in re.findall(rb"event: news\ndata: \d+\nid: \w+-(\d+)\n\n", data)]
        elif self.transport == "websocket":
            self.offsets += offsets_of_frames(data)
        elif data:
            self._end = None
            self._told(json.loads(data.partition(b"\r\n\r\n")[2]))

    def _told(self, answer: dict[str, Any]) -> None:
        assert "reset" not in answer, answer
        self.cursor = answer["cursor"]
        self.offsets += [event["offset"] for event in answer["data"] or ()]

    @property
    def waits(self) -> bool:
        return self._end is not None


def received(end: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(BlockingIOError):
        while part := end.recv(65536):
            data += part
    return data


def offsets_of_frames(data: bytes) -> list[int]:
    """Return the events' offsets in unmasked text frames, a handshake's answer before them left out."""
    data = data.partition(b"\r\n\r\n")[2] if data.startswith(b"HTTP/1.1 101") else data
    found: list[int] = []
    while data:
        length, head = data[1], 2
        if length == 126:
            length, head = int.from_bytes(data[2:4], "big"), 4
        body = json.loads(data[head : head + length])
        assert "reset" not in body, body
        found += [event["offset"] for event in body["data"] or ()]
        data = data[head + length :]
    return found


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    app = Flask(__name__, instance_path=str(tmp_path_factory.mktemp("race")))
    app.config.update(LANDLINE_LOG="memory:", LANDLINE_WINDOW_EVENTS=3)
    Landline(app).channel("news")
    return app


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.AbstractEventLoop]:
    monkeypatch.setattr(sideloop_module, "PAGE_EVENTS", PAGE)
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
    assert runs > 100


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
        listener = Listener("127.0.0.1:1", stage.wire, stage.side)
        listener.loop, listener._started = loop, True
        listener.wheel = Wheel(loop, lambda connection, now: connection.serve(now))
        ours, theirs = stage.pair()
        connection = Connection(listener, ours, "-")
        polls = [f"GET /landline/poll?channel=news&cursor={stage.epoch}-{n}&wait=20 HTTP/1.1\r\n\r\n" for n in range(3)]
        theirs.sendall(polls[0].encode())
        stage.turn(2)
        theirs.sendall("".join(polls[1:]).encode())
        stage.rest()
        stream.read()
        bodies = re.findall(rb'\{"data": .*\}(?=HTTP|$)', received(theirs).replace(b"\r\n", b"\n"))
        connection.close("left")
        assert listener.wheel._timer is not None
        listener.wheel._timer.cancel()
        told = [[event["offset"] for event in json.loads(body)["data"]] for body in bodies]
        assert [offsets[0] for offsets in told] == stage.published
        assert stream.offsets == stage.published

    play_all(app, loop, 2, play)
