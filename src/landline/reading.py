"""What is sent to a reader at some position: the rules, without the reading itself (WIRE §4, §7)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from .cursor import Cursor, Position
from .event import Event

PAGE_EVENTS = 100
"""Events in one answer at most (WIRE §4)."""
PAGE_BYTES = 256 * 1024
"""Bytes of payload after which an answer takes no further event (WIRE §4: about 256 KiB)."""


class Reset(NamedTuple):
    """The server's word that it cannot prove nothing was missed (WIRE §7)."""

    channels: tuple[str, ...]
    reason: str
    """`trimmed`, `epoch`, `ahead` or `unknown`."""


class Reading(NamedTuple):
    """What was found for a reader at some position."""

    events: Sequence[Event]
    cursor: Cursor
    """The position after `events`."""
    tail: Cursor
    """The end of the log, as seen before the reading."""
    more: bool = False
    """Whether more is waiting already."""
    reset: Reset | None = None

    @property
    def has_news(self) -> bool:
        """Whether there is anything to send."""
        return bool(self.events) or self.reset is not None


def compare(position: Position, tail: Cursor, channels: Collection[str]) -> tuple[int, Reset | None]:
    """Compare a reader's position with the log; return the offset to read after, and a reset if one is due."""
    if not isinstance(position, Cursor):
        return 0, None
    if position.epoch != tail.epoch:
        return 0, Reset(tuple(channels), "epoch")
    if position.offset > tail.offset:
        return 0, Reset(tuple(channels), "ahead")
    return position.offset, None


def page(events: list[Event], here: Cursor, tail: Cursor, reset: Reset | None, limit: int) -> Reading:
    """Return the first answer's worth of events, as a reading; `here` is its cursor if there is no event."""
    size = 0
    for count, event in enumerate(events[:limit]):
        size += event.size
        # See SECURITY.md: pages-are-short
        if count and size > PAGE_BYTES:
            limit = count
            break
    taken = events[:limit]
    cursor = Cursor(tail.epoch, taken[-1].offset) if taken else here
    return Reading(taken, cursor, tail, len(events) > len(taken), reset)
