"""The second door's connection without a loop: bytes in, answers out, in one call.

What would be held is told so, in place of the side loop, and the connection used on as after a held poll's answer.
"""

import asyncio
import math
import re
import socket
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from email.parser import Parser
from types import SimpleNamespace, TracebackType
from typing import Any, NamedTuple, Self, cast

from flask import Flask
from landline.loop.buffered import Pool
from landline.loop.held import HeldRequest, Holder, Owner
from landline.loop.http import Connection
from landline.loop.listener import Listener
from landline.loop.thread import SideLoop
from landline.serve.subscription import Subscription

_HEAD = re.compile(rb"HTTP/1\.1 ([0-9]{3}) [A-Za-z -]+\r\n((?:[A-Za-z-]+: [!-~ ]*\r\n)*)\r\n")
"""A head that is in one piece: nothing but printable ASCII, and no line that is no field."""
_HELD = re.compile(rb"held by ([a-z-]+)\r\n")


class Answer(NamedTuple):
    """One answer, or what was held instead of one."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def detail(self) -> str:
        """What the answer says, to find words in."""
        return self.body.decode()


class _Loop:
    """Watches nothing, and forgets whatever is to be done later."""

    time = staticmethod(time.monotonic)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class _Side:
    """Holds nothing."""

    full = False
    pool = Pool(math.inf, math.inf)

    def admit(self, remote: str) -> None:
        pass

    async def call(self, function: Callable[[], Any]) -> Any:
        return function()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run(work)

    def open(self, sock: socket.socket, hold: Subscription, remote: str) -> None:
        sock.sendall(_held(hold))
        sock.close()

    def begin(self, connection: Holder, hold: Subscription, remote: str) -> None:
        connection.held = HeldRequest(connection, hold, remote, None, cast(Owner, self))
        connection.finish(_held(hold))

    def soon(self, call: Callable[[], None]) -> None:
        call()

    def ended(self, held: HeldRequest, reason: str) -> None:
        pass


def _held(hold: Subscription) -> bytes:
    return b"held by %b\r\n" % hold.transport.name.encode()


class Door:
    """One client's connection to the second door of an app.

    Args:
        app: has a Landline, and no channels whose functions would have to be asked.
    """

    def __init__(self, app: Flask) -> None:
        endpoints: Any = app.wsgi_app
        self.listener = Listener("127.0.0.1:1", endpoints._endpoints, cast(SideLoop, _Side()))
        self.listener.loop, self.listener._started = cast(asyncio.AbstractEventLoop, _Loop()), True
        self.listener.deadlines = SimpleNamespace(add=lambda *_: None)  # type: ignore[assignment]
        self._ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._connection = Connection(self.listener, theirs, "127.0.0.1")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close("done")
        self._ours.close()

    def exchange(self, pieces: Iterable[bytes]) -> list[Answer]:
        """Send bytes piece by piece, and return what was answered to them."""
        out = b""
        for piece in pieces:
            if piece and self._connection.sock.fileno() >= 0:
                self._connection._received(piece)
                out += self._take()
        return parse(out)

    def _take(self) -> bytes:
        self._ours.setblocking(False)
        taken = b""
        try:
            while part := self._ours.recv(1 << 20):
                taken += part
        except BlockingIOError:
            pass
        return taken


def parse(out: bytes) -> list[Answer]:
    """Part what came into answers; whatever is not one whole answer after the other fails."""
    answers = []
    while out:
        held = _HELD.match(out)
        if held:
            answers.append(Answer(200, {}, held[1]))
            out = out[held.end() :]
            continue
        head = _HEAD.match(out)
        assert head, f"no head of an answer: {out[:200]!r}"
        headers = dict(Parser().parsestr(head[2].decode()).items())
        out = out[head.end() :]
        length = int(headers.get("Content-Length", 0))
        if out.startswith(b"HTTP/1.1 ") or not out:
            length = 0  # of HEAD, or 304
        assert len(out) >= length
        del headers["Date"]  # so that answers can be compared, as the next one is drawn by lot
        if "Retry-After" in headers:
            headers["Retry-After"] = str(min(1, int(headers["Retry-After"])))
        answers.append(Answer(int(head[1]), headers, out[:length]))
        out = out[length:]
    return answers
