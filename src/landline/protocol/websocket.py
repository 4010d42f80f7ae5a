"""The socket (WIRE §6, RFC 6455). Frames and handshake are `websockets`' own, without its I/O."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from websockets.datastructures import Headers
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from ..cursor import Cursor
from ..errors import Refusal
from ..event import Event
from ..reading import Reading
from .advice import Advice
from .poll import body, grant_member

SUBPROTOCOL = Subprotocol("landline.v1")
MAX_MESSAGE = 4096
"""Bytes of a client's message: clients have nothing to say here, so nobody needs to be read at length."""
LONGEST_FIELD = 256
"""Characters of a handshake's `Connection`, `Upgrade` and `Sec-WebSocket-*`: `websockets` takes lists apart in Python,
40 ms for as much as a head may hold. Browsers and proxies send some dozens."""
LONGEST_SUBPROTOCOLS = 512
"""The same of `Sec-WebSocket-Protocol`, in which some clients send a token along."""
CONTROL_BURST = 20
"""Pings and pongs that a client may send at once: a client answers one ping with one pong, and no library sends more
than some at once (the conformance suite ten)."""
CONTROL_RATE = 2.0
"""Pings and pongs a second that a client may send after these; libraries send one in some seconds."""
_PIECE = 512
"""Bytes that are parsed before control frames are counted: at most 85 frames of a flood are parsed in vain."""
_SHOWN = 200
"""Characters of what is wrong with a handshake that a refusal repeats."""

_quiet = logging.getLogger("flask_landline.frames")
_quiet.setLevel(logging.CRITICAL)  # what a client does wrong is answered to it, and lines have an access log


class WebSocket:
    """A socket whose messages are the answers of polls that nobody had to ask for.

    Args:
        keepalive: seconds of silence after which it says that it lives; its hello tells the client.
    """

    name = "websocket"
    ends = False

    def __init__(self, keepalive: float = 15.0) -> None:
        self._keepalive = keepalive

    def hello(
        self, cursor: Cursor, advice: Advice, at: float, nonce: str | None, grant: Mapping[str, Any] | None
    ) -> bytes:
        """Render the first message, which proves to the client that the socket gets through."""
        extra = b"" if nonce is None else b', "nonce": ' + json.dumps(nonce).encode()
        return _sign(cursor, advice, at, extra + b', "keepalive": %g' % self._keepalive + grant_member(grant))

    def render(self, reading: Reading, snapshots: Sequence[Event], advice: Advice, at: float) -> bytes:
        """Render one message."""
        return text_frame(body(reading, None, snapshots))

    def keepalive(self, cursor: Cursor, advice: Advice, at: float) -> bytes:
        """Render a message without data."""
        return _sign(cursor, advice, at, b"")

    def goodbye(self, retry: float) -> bytes:
        """Close: going away; the reason is the pause, in seconds."""
        return close_frame(CloseCode.GOING_AWAY, f"{retry:.3f}")


def accept(path: str, headers: Mapping[str, str], more: Iterable[tuple[str, str]] = ()) -> bytes:
    """Answer a handshake.

    Args:
        path: the request's target.
        headers: the request's headers, names in any case.
        more: further headers of the answer, such as cookies (RFC 6455 §4.2.2).

    Returns:
        The bytes of the 101 answer.

    Raises:
        Refusal: `bad-request`, saying what of the handshake is missing, wrong or too long.
    """
    # See SECURITY.md: handshakes-are-short
    if (name := _too_long(headers)) is not None:
        raise _no_handshake(f"{name} has {len(headers[name])} characters")
    protocol = ServerProtocol(select_subprotocol=_select, logger=_quiet)
    response = protocol.accept(Request(path, Headers(headers)))
    if response.status_code != 101:
        # See SECURITY.md: handshake-refusals-quote
        why = ascii(str(protocol.handshake_exc))[1:-1][:_SHOWN]  # it repeats headers as they came
        raise _no_handshake(why)
    for name, value in more:
        response.headers[name] = value  # beside others of this name, not in their place
    protocol.send_response(response)
    return b"".join(protocol.data_to_send())


def _too_long(headers: Mapping[str, str]) -> str | None:
    """Return the name of a field of a handshake that is longer than it need be."""
    for name, value in headers.items():
        if len(value) > LONGEST_FIELD and name.lower().startswith(("connection", "upgrade", "sec-websocket-")):
            most = LONGEST_SUBPROTOCOLS if name.lower() == "sec-websocket-protocol" else LONGEST_FIELD
            if len(value) > most:
                return name
    return None


def _no_handshake(why: str) -> Refusal:
    detail = f"This address speaks WebSocket, and the request is no handshake: {why}. "
    return Refusal(
        "bad-request",
        400,
        detail + "A proxy may have taken Upgrade and Connection out; use /events or /poll instead.",
        headers=(("Upgrade", "websocket"),),
    )


def _select(_protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


class Incoming:
    """What a client sends on an open socket: pongs, pings, a close; anything else ends it with 1003.

    Made when the first byte comes, which on most sockets is never: a whole `Protocol` for each would be most of a
    socket's memory.

    Args:
        on_frame: what to do with a data frame instead of closing; for conformance tests.
        max_message: bytes of a client's message at most.
    """

    def __init__(
        self,
        on_frame: Callable[[Protocol, Frame], None] | None = None,
        max_message: int = MAX_MESSAGE,
    ) -> None:
        # See SECURITY.md: socket-message-size
        self._protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=max_message, logger=_quiet)
        self._on_frame = on_frame or _refuse
        self._full_at = 0.0
        """When the client may send a whole burst again (GCRA, ATM Forum, TM 4.0, 1996)."""

    def receive(self, data: bytes, now: float) -> tuple[bytes, bool]:
        """Take bytes from the client, none at its end of stream.

        Args:
            data: the bytes.
            now: monotonic seconds.

        Returns:
            The bytes to send, and whether the connection ends after them.
        """
        protocol = self._protocol
        if not data:
            protocol.receive_eof()
        for begin in range(0, len(data), _PIECE):
            if protocol.state is not State.OPEN:
                break
            protocol.receive_data(data[begin : begin + _PIECE])
            for frame in protocol.events_received():
                assert isinstance(frame, Frame)  # handshakes are for protocols that are not open yet
                self._take(frame, now)
        out = protocol.data_to_send()
        return b"".join(out), b"" in out or not data

    def _take(self, frame: Frame, now: float) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._on_frame(self._protocol, frame)
            return
        self._full_at = max(self._full_at, now) + 1 / CONTROL_RATE
        # See SECURITY.md: control-frames-are-few
        if self._full_at - now > CONTROL_BURST / CONTROL_RATE and self._protocol.state is State.OPEN:
            self._protocol.fail(CloseCode.POLICY_VIOLATION, "too many pings or pongs")


def _refuse(protocol: Protocol, _frame: Frame) -> None:
    if protocol.state is State.OPEN:
        # See SECURITY.md: socket-says-nothing
        protocol.fail(CloseCode.UNSUPPORTED_DATA, "nothing to say here: send requests to the app's own routes")


def text_frame(payload: bytes) -> bytes:
    """Render an unmasked text frame."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


def close_frame(code: int, reason: str = "") -> bytes:
    """Render a close frame."""
    return Frame(Opcode.CLOSE, code.to_bytes(2, "big") + reason.encode()).serialize(mask=False)


def _sign(cursor: Cursor, advice: Advice, at: float, extra: bytes) -> bytes:
    extra = b'%b, "at": %.3f' % (extra, at)
    return text_frame(body(Reading((), cursor, cursor), advice, extra=extra))
