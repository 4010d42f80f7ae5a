"""The log's contract.

What a log guarantees, and `landline.testing.LogContract` checks:

- `append` is atomic, and durable before it returns. What it raised for is not in the log.
- Offsets order exactly as appends became visible: a process that has seen offset n never later finds a new event
  at or below n. They need not be gapless (a gap costs the hub one question, `lost`).
- `epoch` changes whenever offsets could repeat: a new file, a lost store, a forked memory.
- Reads never consume, and never wait for writers longer than a moment.
- Everything may be called from any thread, and from a forked child; each process has its own connections.
- A trim stores the channel's new floor in the same transaction. So a thread that first reads events and then calls
  `floor()` knows that it has all events above that floor.

What a log need not do: wake other processes quickly (`wait` may poll), keep order between logs, or
remember its readers.
"""

from __future__ import annotations

import secrets
import string
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import NamedTuple

from ..cursor import Cursor
from ..event import Event

_EPOCH_ALPHABET = string.digits + string.ascii_lowercase


class Retention(NamedTuple):
    """How much of a channel is kept at least, whether or not a client reads it."""

    keep: int | None = 1000
    """Newest events kept. Up to a tenth more may be kept, so that trimming is cheap. None: no limit."""
    keep_for: float | None = 86_400.0
    """Seconds for which an event is kept; the next trim removes it. None: no limit."""

    def trim_above(self) -> float:
        """Return the number of kept events above which a channel is cut back to `keep`."""
        if self.keep is None:
            return float("inf")
        return self.keep + self.keep // 10


class ChannelInfo(NamedTuple):
    """What a log holds of one channel."""

    name: str
    """The channel's concrete name."""
    kept: int
    """Number of events kept."""
    oldest: int | None
    """Offset of the oldest event kept, None when there is none."""
    newest: int | None
    """Offset of the newest event kept, None when there is none."""


LEASE_REST = 60.0
"""Seconds that a lease may have left, however short a time is asked for: a source that fails rests so long."""


def lease_limit(seconds: float) -> float:
    """Return the seconds that a lease may have left at most, where `seconds` are asked for."""
    return max(seconds, LEASE_REST) + 1.0  # sums of times are rounded, and clocks set by fractions


class Log(ABC):
    """Stores and reads the events of all channels, numbered in one sequence.

    All methods raise `LogError` when the store fails.
    """

    @abstractmethod
    def append(self, channel: str, payload: str, retention: Retention = Retention()) -> Event:  # noqa: B008
        """Store one event durably, and trim its channel as `retention` allows.

        Args:
            channel: the channel's concrete name.
            payload: the value as JSON text on one line.
            retention: how much of the channel must be kept.
        """

    @abstractmethod
    def read(self, after: int, limit: int, channels: Collection[str] | None = None) -> list[Event]:
        """Return up to `limit` kept events after an offset, in log order; of all channels if `channels` is None."""

    @abstractmethod
    def tail(self) -> Cursor:
        """Return the epoch and the newest offset given (0: none yet), both of the same moment.

        Called on every poll, so it has to be cheap.
        """

    @abstractmethod
    def floor(self, channels: Collection[str]) -> dict[str, int]:
        """Return for each channel the newest offset that was removed; channels never trimmed may be missing."""

    @abstractmethod
    def newest(self, channel: str) -> Event | None:
        """Return the newest kept event of a channel, None if there is none."""

    @abstractmethod
    def channels(self) -> list[ChannelInfo]:
        """Return what is kept of each channel that was ever published to, ordered by name."""

    @abstractmethod
    def trim(self, limit: int = 500) -> int:
        """Remove up to `limit` events past their `keep_for`; return the number removed."""

    @abstractmethod
    def wait(self, after: Cursor, timeout: float) -> bool:
        """Block until `tail()` is no longer `after`, and return True.

        Return False after `timeout` seconds, or when `wake()` is called.
        """

    @abstractmethod
    def wake(self) -> None:
        """End the `wait` calls under way in this process."""

    @abstractmethod
    def lease(self, name: str, seconds: float, holder: str) -> bool:
        """Take or extend a lease; return whether `holder` has it now, for `seconds`, alone among all processes.

        All processes ask for a name's lease for about the same time. So another holder's lease that has more time left
        than `lease_limit` allows was given while a clock was ahead; treat it as ended. Otherwise, once the clock is
        set right, the source would stop for as long as the clock had been wrong.
        """

    @abstractmethod
    def close(self) -> None:
        """Release connections and end waits. A later call opens anew."""

    # What follows has answers made of the above. A log that has better ones gives its own.

    def read_page(self, channels: Collection[str], after: int, limit: int, max_bytes: int) -> list[Event]:
        """Return what `read` does; it may end with the second or a later event by which payloads exceed `max_bytes`.

        For readers that are far behind: of a hundred channels with long histories they need a page, and no more.
        """
        return self.read(after, limit, channels)

    def lost(self, after: int) -> dict[str, int]:
        """Return the floors that are above an offset: those of all channels that have lost an event after it.

        It is asked whenever an offset is missing among those that were read, some hundred times a second at worst.
        """
        names = [info.name for info in self.channels()]
        return {name: floor for name, floor in self.floor(names).items() if floor > after}

    @property
    def epoch(self) -> str:
        """The present life of the log: 8 characters of `0-9a-z`."""
        return self.tail().epoch


def new_epoch() -> str:
    """Return a random name for a new life of a log. There are 36^8: two lives do not get the same one by chance."""
    return "".join(secrets.choice(_EPOCH_ALPHABET) for _ in range(8))
