"""A reader for each transport, with one face: what is new, and where it stands.

They are as simple as WIRE allows a client to be, and strict: what is not of the wire's form fails the test.
"""

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx
import httpx_sse
from websockets.sync.client import ClientConnection, connect

NO_PINGS: dict[str, Any] = {} if version("websockets").startswith("14.") else {"ping_interval": None}
"""So that a client sends no pings of its own; that of websockets 14 sends none anyway."""
PATIENCE = 10.0
"""Seconds after which what was expected is missing: some hundred times what it takes."""
CURSOR = re.compile(r"[0-9a-z]{8}-[0-9]+")


class Told(NamedTuple):
    """An event, as a reader got it."""

    channel: str
    offset: int
    data: Any


class Reader:
    """Reads one channel over one transport.

    Args:
        base: the server's address.
        cursor: where to begin; None for "now".
        channel: what to read.
        headers: of the request.
        grant: what lets it read; the newest that it is told takes its place.
    """

    name = ""

    def __init__(
        self,
        base: str,
        cursor: str | None = None,
        channel: str = "news",
        nonce: str | None = None,
        headers: Mapping[str, str] | None = None,
        grant: str | None = None,
    ) -> None:
        self.base = base
        self.cursor = cursor
        self.channel = channel
        self.nonce = nonce
        self.headers = dict(headers or {})
        self.grant = grant
        self.signs: list[dict[str, Any]] = []
        """Hellos, keepalives, resets and goodbyes."""
        self._undo = contextlib.ExitStack()
        self._told: Iterator[list[Told]] = iter(())

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cut()

    @property
    def parameters(self) -> dict[str, str]:
        given = {"channel": self.channel, "cursor": self.cursor, "grant": self.grant}
        if self.name in ("sse", "websocket"):
            given["nonce"] = self.nonce
        return {name: value for name, value in given.items() if value is not None}

    def open(self) -> None:
        """Begin to read; a stream has said hello when this returns."""
        self._told = self._read()

    def cut(self) -> None:
        """Leave without a word."""
        self._undo.close()

    def more(self) -> list[Told]:
        """Return what comes next; nothing, if that was a sign only."""
        return next(self._told)

    def take(self, count: int, patience: float = PATIENCE) -> list[Told]:
        """Return what comes until it is `count` events or more."""
        found: list[Told] = []
        deadline = time.monotonic() + patience
        while len(found) < count:
            assert time.monotonic() < deadline, f"{self.name}: {found} after {patience:g} s, not {count} events"
            found += self.more()
        return found

    def sign(self, patience: float = PATIENCE) -> dict[str, Any]:
        """Return the next sign; no event may come before it."""
        before = len(self.signs)
        deadline = time.monotonic() + patience
        while len(self.signs) == before:
            assert time.monotonic() < deadline, f"{self.name}: no sign within {patience:g} s"
            told = self.more()
            assert not told, told
        return self.signs[-1]

    def _read(self) -> Iterator[list[Told]]:
        raise NotImplementedError

    def _answer(self, answer: dict[str, Any]) -> list[Told]:
        """Take in the body of a poll's answer, or a socket's message."""
        assert CURSOR.fullmatch(answer["cursor"]), answer
        self.cursor = answer["cursor"]
        self._note_grant(answer)
        if answer["data"] is None or "reset" in answer:
            self.signs.append(answer)
        return [Told(event["channel"], event["offset"], event["data"]) for event in answer["data"] or ()]

    def _note_grant(self, answer: dict[str, Any]) -> None:
        if "grant" in answer:
            assert set(answer["grant"]) == {"token", "expires"}, answer
            self.grant = answer["grant"]["token"]


class Polls(Reader):
    """Asks again and again."""

    name = "poll"
    wait: float | None = None

    def open(self) -> None:
        # No TLS here, and reading the authorities of a certificate takes longer than most tests.
        self._client = self._undo.enter_context(httpx.Client(timeout=PATIENCE, verify=False))
        super().open()

    def _read(self) -> Iterator[list[Told]]:
        while True:
            parameters = self.parameters if self.wait is None else self.parameters | {"wait": f"{self.wait:g}"}
            answer = self._client.get(f"{self.base}/landline/poll", params=parameters, headers=self.headers)
            assert answer.status_code == 200, answer.text
            yield self._answer(answer.json())


class LongPolls(Polls):
    """Asks, and lets the server wait."""

    name = "long-poll"
    wait = 5.0


class Events(Reader):
    """Reads an event stream; comes back with the last id, as an `EventSource` would."""

    name = "sse"
    last_id: str | None = None

    def open(self) -> None:
        client = self._undo.enter_context(httpx.Client(timeout=PATIENCE, verify=False))
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self.last_id} if self.last_id else {})
        headers |= self.headers
        address = f"{self.base}/landline/events"
        answer = self._undo.enter_context(client.stream("GET", address, params=self.parameters, headers=headers))
        assert answer.status_code == 200, answer.read()
        self._source = httpx_sse.EventSource(answer)
        super().open()
        hello = self.sign()
        assert hello.get("nonce") == self.nonce, hello

    def _read(self) -> Iterator[list[Told]]:
        for block in self._source.iter_sse():
            if not block.data:
                continue
            if block.id:
                assert CURSOR.fullmatch(block.id), block
                self.cursor = self.last_id = block.id
            if block.event == "landline":
                self.signs.append(block.json())
                self._note_grant(block.json())
                yield []
            else:
                yield [Told(block.event, int(block.id.rpartition("-")[2]), block.json())]


class Socket(Reader):
    """Reads a WebSocket."""

    name = "websocket"
    connection: ClientConnection

    def open(self) -> None:
        address = str(httpx.URL(f"{self.base}/landline/ws", params=self.parameters)).replace("http", "ws", 1)
        self.connection = self._undo.enter_context(
            connect(
                address,
                additional_headers=self.headers,
                compression=None,
                **NO_PINGS,
                close_timeout=1,
                open_timeout=PATIENCE,
            )
        )
        self._undo.callback(self._drop)
        super().open()
        hello = self.sign()
        assert hello.get("nonce") == self.nonce, hello

    def _drop(self) -> None:
        # As a cut wire would: no close frame. The connection's own thread then ends by itself.
        with contextlib.suppress(OSError):
            self.connection.socket.shutdown(socket.SHUT_RDWR)

    def _read(self) -> Iterator[list[Told]]:
        while True:
            yield self._answer(json.loads(self.connection.recv(timeout=PATIENCE)))


READERS: dict[str, Callable[..., Reader]] = {kind.name: kind for kind in (Socket, Events, LongPolls, Polls)}
