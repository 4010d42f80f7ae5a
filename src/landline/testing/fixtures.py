"""What the parts of the contract have in common: logs, fresh for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ..event import Event
from ..logs.base import Log, Retention
from .tools import Clock

FOR_EVER = Retention(keep=None, keep_for=None)
"""Nothing is trimmed."""


def offsets_of(events: list[Event]) -> list[int]:
    """Return where events stand in the log."""
    return [event.offset for event in events]


class LogFixtures:
    """The fixtures of a contract's test."""

    @pytest.fixture
    def make_log(self) -> Callable[[Clock], Log]:
        """Return a function that opens a log whose clock is the one it is given. Yours to write."""
        raise NotImplementedError("give your subclass of LogContract a fixture `make_log`")

    @pytest.fixture
    def clock(self) -> Clock:
        """Return the clock of `log`."""
        return Clock()

    @pytest.fixture
    def log(self, make_log: Callable[[Clock], Log], clock: Clock) -> Iterator[Log]:
        """Return an empty log, closed after the test."""
        log = make_log(clock)
        yield log
        log.close()
