"""Signs of life, made once for all equal lines of one turn of the wheel. Touched by the side loop's thread alone."""

from __future__ import annotations

import time

from .cursor import Cursor
from .line import Line
from .wire import Wire


class Signs:
    """The last sign that was made.

    Args:
        wire: gives the advice in it.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._last: tuple[object, bytes] = (None, b"")

    def of(self, line: Line, position: Cursor, now: float) -> bytes:
        """Return what a line that stands at a position is sent in a turn at a time of the loop."""
        key = (line.transport, line.transports, position, now)
        if self._last[0] != key:
            self._last = key, line.transport.keepalive(position, self._wire.advice(line.transports), time.time())
        return self._last[1]
