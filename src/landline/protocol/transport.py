"""What the three ways to hold a request have in common.

A transport turns what there is to tell into bytes. It holds no connection and keeps no state of one, so bytes made
once serve every line that is owed the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..cursor import Cursor
from ..event import Event
from ..reading import Reading
from .advice import Advice


class Transport(Protocol):
    """One of `long-poll`, `sse`, `websocket`."""

    name: str
    """The transport's name on the wire."""
    ends: bool
    """Whether a line of this transport ends with the first thing it is told."""

    def hello(
        self, cursor: Cursor, advice: Advice, at: float, nonce: str | None, grant: Mapping[str, Any] | None
    ) -> bytes:
        """Render the first thing a line is told, before anything it missed."""

    def render(self, reading: Reading, snapshots: Sequence[Event], advice: Advice, at: float) -> bytes:
        """Render events, a reset, snapshots."""

    def keepalive(self, cursor: Cursor, advice: Advice, at: float) -> bytes:
        """Render the sign of life that follows silence; for a transport that `ends`, the answer to silence."""

    def goodbye(self, retry: float) -> bytes:
        """Render the last thing a line is told: come back after `retry` seconds."""
