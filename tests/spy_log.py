"""A log in memory that a test watches, interrupts and breaks."""

from collections.abc import Callable, Collection
from typing import Any

from flask_landline import Event, LogError
from landline.cursor import Cursor
from landline.logs.memory import MemoryLog
from landline.logs.registry import Log, Retention
from landline.reading import Reading
from landline.testing import Clock

FOR_EVER = Retention(None, None)


class SpyLog(MemoryLog):
    """Counts what is asked, runs what a test puts in between, and fails when told to."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.clock = clock
        self.hasty = False
        """Whether no time passes from an append to the next look."""
        self.asked: list[str] = []
        self.before: dict[str, Callable[[], Any]] = {}
        self.failing = False

    def _asked(self, what: str) -> None:
        self.asked.append(what)
        action = self.before.pop(what, None)
        if action is not None:
            action()
        if self.failing:
            raise LogError("out of order")

    def append(self, channel: str, payload: str, retention: Retention = FOR_EVER) -> Event:
        event = super().append(channel, payload, retention)
        if not self.hasty:
            self.clock.advance(1.0)
        return event

    def tail(self) -> Cursor:
        self._asked("tail")
        return super().tail()

    def read(self, after: int, limit: int, channels: Collection[str] | None = None) -> list[Event]:
        self._asked("read")
        return super().read(after, limit, channels)

    def floor(self, channels: Collection[str]) -> dict[str, int]:
        self._asked("floor")
        return super().floor(channels)

    def reborn(self) -> None:
        """Begin another life, as a replaced file does."""
        self.after_fork()


def publish(log: Log, names: str, retention: Retention = FOR_EVER) -> list[int]:
    return [log.append(name, "1", retention).offset for name in names]


def offsets(reading: Reading) -> list[int]:
    return [event.offset for event in reading.events]
