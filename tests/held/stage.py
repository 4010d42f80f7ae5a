"""A side loop that is turned by hand, one round after the other, and clients beside it in the same thread.

Wherever it reads, and between two rounds, is a place where a test may have an event published, or the hub's wake-up
come. No timer runs, unless the test turns the loop for long enough.
"""

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from flask import Flask
from flask_landline.flask_app import FlaskApp
from landline.cursor import Cursor
from landline.loop.thread import SideLoop
from landline.protocol.reply import Reply
from landline.protocol.request import Request
from landline.serve.endpoints import Endpoints
from landline.serve.offers import ALL
from landline.serve.runtime import Runtime
from landline.serve.subscription import Subscription
from websockets.frames import Opcode

ROUNDS = 30
"""Rounds of the loop after which it is at rest: what takes longer waits for something."""
PAGE = 2
"""Events in one answer here, so that few events are many pages."""

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


def _submit_in_place(function: Callable[..., Any], *args: Any, share: str, own: bool = False) -> Future[Any]:
    """Call a function of the app in the caller's thread too, whatever its share."""
    return InPlace().submit(function, *args)


class Stage:
    """One run: a side loop to be turned by hand, and what happens at which place.

    Args:
        app: has the channels.
        loop: not running.
        moves: what is done when a place is passed, by the place's number.
        here: whether this process publishes, which its hub knows at once; else another does.
    """

    def __init__(self, app: Flask, loop: asyncio.AbstractEventLoop, moves: dict[int, list[str]], here: bool) -> None:
        self.runtime = Runtime(FlaskApp(app), app.extensions["landline"].channels)
        self.endpoints = Endpoints(self.runtime)
        self.loop = loop
        self.places = 0
        self.published: list[int] = []
        self._moves = moves
        self._here = here
        self._undo = contextlib.ExitStack()
        self._wakes: set[Move] = set()
        self._tail = self.runtime.hub.tail
        for name in ("read", "news", "peek", "tail"):
            self._watch(name)
        self.runtime.hub.register = self._wakes.add  # type: ignore[method-assign, assignment]
        self.runtime.hub.unregister = self._wakes.discard  # type: ignore[method-assign, assignment]
        self.side = SideLoop(self.runtime, self.endpoints)
        self.side.attach(loop, InPlace())  # type: ignore[arg-type]
        self.runtime.app_threads.submit = _submit_in_place  # type: ignore[method-assign]
        assert self.side.fanout is not None
        self.fanout = self.side.fanout
        self.epoch = self._tail().epoch

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        self._moves = {}
        for held in list(self.fanout.held):
            held.connection.close("left")
        for task in self.side._tasks:
            task.cancel()
        self.turn()
        if self.fanout.expiry.deadlines._timer is not None:
            self.fanout.expiry.deadlines._timer.cancel()
        self._undo.close()
        self.runtime.close()

    def _watch(self, name: str) -> None:
        """Make the begin and the end of a reading of the hub places."""
        function = getattr(self.runtime.hub, name)

        def watched(*args: Any) -> Any:
            self.pass_place()
            args = (*args, PAGE) if name == "read" else args
            result = function(*args)
            self.pass_place()
            return result

        setattr(self.runtime.hub, name, watched)

    def pass_place(self) -> None:
        here, self.places = self.places, self.places + 1
        for move in self._moves.pop(here, ()):
            getattr(self, move)()

    def publish(self) -> None:
        event = self.runtime.log.append("news", str(len(self.published)))
        if self._here:
            self.runtime.hub.invalidate()
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

    def fill(self, client: "Client") -> None:
        """Have a client's line wait: its socket takes no more, as when nobody reads."""
        (line,) = [held.connection for held in self.fanout.held if held.connection.sock.fileno() == client.line_fileno]
        # Small, so that little fills it; doubled by the kernel, and never quite none.
        line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        while line.flushed:
            line.write(b": nothing\n\n" * 100)

    def pair(self) -> tuple[socket.socket, socket.socket]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self._undo.callback(theirs.close)
        self._undo.callback(ours.close)
        return ours, theirs


class Client:
    """Reads `news` from a cursor over one transport, by the simplest means."""

    resets = False
    """Whether it may be sent a reset."""

    def __init__(self, stage: Stage, transport: str, after: int = 0) -> None:
        self.stage = stage
        self.transport = transport
        self.cursor = str(Cursor(stage.epoch, after))
        self.more = ""
        """What else stands in its queries."""
        self.offsets: list[int] = []
        self.raw = b""
        """All that was received."""
        self._end: socket.socket | None = None

    def ask(self) -> None:
        """Make a request, as a thread of the server would, and hand it over if it is held."""
        path = {"sse": "events", "websocket": "ws"}.get(self.transport, "poll")
        query = f"channel=news&cursor={self.cursor}" + ("&wait=20" if self.transport == "long-poll" else "") + self.more
        headers = {
            "host": "here",
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        outcome = self.stage.endpoints.handle(Request("GET", f"/landline/{path}", query, headers, "-"), ALL)
        self.stage.pass_place()
        if isinstance(outcome, Reply):
            self.raw += outcome.body
            self._told(json.loads(outcome.body))
            return
        assert isinstance(outcome, Subscription)
        self.stage.side.admit("here")
        ours, self._end = self.stage.pair()
        self.line_fileno = ours.fileno()
        self.stage.loop.call_soon(self.stage.side.open, ours, outcome, "here")

    def read(self) -> None:
        """Take in what has come."""
        if self._end is None:
            return
        data = received(self._end)
        self.raw += data
        if self.transport == "sse":
            self.offsets += [int(n) for n in re.findall(rb"event: news\ndata: \d+\nid: \w+-(\d+)\n\n", data)]
        elif self.transport == "websocket":
            self.offsets += offsets_of_frames(data, resets=self.resets)
        elif data:
            self._end = None
            self._told(json.loads(data.partition(b"\r\n\r\n")[2]))

    def _told(self, answer: dict[str, Any]) -> None:
        assert self.resets or "reset" not in answer, answer
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


def offsets_of_frames(data: bytes, *, resets: bool = False) -> list[int]:
    """Return the events' offsets in unmasked text frames, a handshake's answer before them left out."""
    data = data.partition(b"\r\n\r\n")[2] if data.startswith(b"HTTP/1.1 101") else data
    found: list[int] = []
    while data and data[0] & 0x0F != Opcode.CLOSE:
        length, head = data[1], 2
        if length == 126:
            length, head = int.from_bytes(data[2:4], "big"), 4
        body = json.loads(data[head : head + length])
        assert resets or "reset" not in body, body
        found += [event["offset"] for event in body["data"] or ()]
        data = data[head + length :]
    return found
