"""An event: one published thing, and its bytes on the wire (WIRE §3)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Event:
    """One published thing, as the log took it. Immutable."""

    channel: str
    """The channel's concrete name, such as `room/3`."""
    offset: int
    """Its position in the log: 1 and up, across all channels. Of a snapshot: the position that it includes."""
    at: float
    """When the log took it: Unix seconds, to the millisecond."""
    payload: str
    """The published value as JSON text on one line, encoded once, at publish."""
    epoch: str = ""
    """The life of the log that gave the offset."""
    snapshot: bool = False
    """Whether it stands for the channel's whole state (WIRE §8). Never true of what `publish` returns."""

    @property
    def cursor(self) -> str:
        """The position just after this event."""
        return f"{self.epoch}-{self.offset}"

    @property
    def data(self) -> Any:
        """The published value, decoded from JSON anew at each access."""
        return json.loads(self.payload)

    @property
    def size(self) -> int:
        """Bytes of the payload on the wire."""
        return len(self.payload) if self.payload.isascii() else len(self.payload.encode())

    @cached_property
    def encoded(self) -> bytes:
        """The event as a JSON object; made once for all readers of this process."""
        head = f'{{"channel": {json.dumps(self.channel)}, "offset": {self.offset}, "at": {self.at!r}'
        tail = ', "snapshot": true}' if self.snapshot else "}"
        return f'{head}, "data": {self.payload}{tail}'.encode()

    @cached_property
    def sse(self) -> bytes:
        """The event as a block of an event stream (WIRE §5); made once for all readers of this process."""
        # The id comes last: some clients keep it as soon as they read it, so a cut right after it would lose the event.
        return f"event: {self.channel}\ndata: {self.payload}\nid: {self.cursor}\n\n".encode()
