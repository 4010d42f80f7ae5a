"""What a reader at some position is told: the rules, without the reading itself (WIRE §4, §7)."""

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
    """What a reader at some position is told."""

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
        """Whether there is anything to tell."""
        return bool(self.events) or self.reset is not None


def compare(position: Position, tail: Cursor, channels: Collection[str]) -> tuple[int, Reset | None]:
    """Hold a reader's position against the log: the offset to read after, and what cannot be proven."""
    if not isinstance(position, Cursor):
        return 0, None
    if position.epoch != tail.epoch:
        return 0, Reset(tuple(channels), "epoch")
    if position.offset > tail.offset:
        return 0, Reset(tuple(channels), "ahead")
    return position.offset, None


def page(events: list[Event], here: Cursor, tail: Cursor, reset: Reset | None, limit: int) -> Reading:
    """Cut one answer's worth; `here` is the cursor if there is nothing."""
    size = 0
    for count, event in enumerate(events[:limit]):
        size += event.size
        # See SECURITY.md: pages-are-short
        if count and size > PAGE_BYTES:
            limit = count
            break
    told = events[:limit]
    cursor = Cursor(tail.epoch, told[-1].offset) if told else here
    return Reading(told, cursor, tail, len(events) > len(told), reset)
