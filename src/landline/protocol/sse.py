"""Server-sent events (WIRE §5, https://html.spec.whatwg.org/multipage/server-sent-events.html).

An `id` is what a reader comes back with, so only a block that leaves nothing unsaid behind it has one: not a
snapshot, nor a reset, whose events are still to follow. It is the block's last line: fetch-event-source takes it as
soon as it reads it, so that a connection cut between an `id` and its `data` would lose the event.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..cursor import Cursor
from ..event import Event
from ..reading import Reading
from .advice import Advice
from .reply import INCREMENTAL, Reply

RETRY = 2.0
"""Seconds an `EventSource` is told to wait before it reconnects."""


def stream_head(more: Iterable[tuple[str, str]] = ()) -> Reply:
    """Return the head of a stream; its body ends with the connection, so that an HTTP/1.0 proxy understands it too."""
    headers = [
        ("Content-Type", "text/event-stream"),
        ("Cache-Control", "no-store, no-transform"),
        ("X-Accel-Buffering", "no"),  # nginx collects the stream otherwise, and gives it out at its end
        INCREMENTAL,
        *more,
    ]
    return Reply("200 OK", headers, b"")


class SSE:
    """A stream of server-sent events.

    Args:
        keepalive: seconds of silence after which it says that it lives; its hello tells the client.
    """

    name = "sse"
    ends = False

    def __init__(self, keepalive: float = 15.0) -> None:
        self._keepalive = keepalive

    def hello(
        self, cursor: Cursor, advice: Advice, at: float, nonce: str | None, grant: Mapping[str, Any] | None
    ) -> bytes:
        """Render the first block, which proves to the client that the stream gets through."""
        more: dict[str, Any] = {"keepalive": self._keepalive}
        if nonce is not None:
            more["nonce"] = nonce
        if grant is not None:
            more["grant"] = grant
        return b"retry: %d\n" % (RETRY * 1000) + _sign(cursor, advice, at, more)

    def render(self, reading: Reading, snapshots: Sequence[Event], advice: Advice, at: float) -> bytes:
        """Render a reset, snapshots and events; the position after them, where no event brings it."""
        blocks = [_block({"reset": reading.reset._asdict()})] if reading.reset is not None else []
        for event in snapshots:
            blocks.append(_block({"snapshot": {"channel": event.channel, "offset": event.offset}}))
            blocks.append(b"event: %b\ndata: %b\n\n" % (event.channel.encode(), event.payload.encode()))
        blocks += [event.sse for event in reading.events]
        if blocks and not reading.events:
            blocks.append(_block({"cursor": str(reading.cursor)}, reading.cursor))
        return b"".join(blocks)

    def keepalive(self, cursor: Cursor, advice: Advice, at: float) -> bytes:
        """Render a sign of life, with the position up to which the channels are checked."""
        return _sign(cursor, advice, at, {})

    def goodbye(self, retry: float) -> bytes:
        """Render the end, for our client and for any `EventSource`."""
        return b"retry: %d\n" % (retry * 1000) + _block({"goodbye": {"retry": round(retry, 3)}})


def _sign(cursor: Cursor, advice: Advice, at: float, more: Mapping[str, Any]) -> bytes:
    fields = {"cursor": str(cursor), "at": round(at, 3), "advice": json.loads(advice.encoded), **more}
    return _block(fields, cursor)


def _block(fields: dict[str, Any], cursor: Cursor | None = None) -> bytes:
    tail = f"id: {cursor}\n" if cursor is not None else ""
    return f"event: landline\ndata: {json.dumps(fields)}\n{tail}\n".encode()
