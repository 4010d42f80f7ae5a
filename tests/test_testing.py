"""The contract's own tests: they say the same whichever of their threads comes first."""

from threading import Event, Lock
from typing import Any

import pytest
from flask_landline import testing
from landline import cursor
from landline.logs.memory import MemoryLog
from landline.testing import Clock


class OneByOne(MemoryLog):
    """A log on a busy machine: its second waiter begins to wait when the first has ended."""

    def __init__(self) -> None:
        super().__init__(clock=Clock())
        self._taking = Lock()
        self._waits = 0
        self._first_ended = Event()

    def wait(self, after: cursor.Cursor, timeout: float) -> bool:
        with self._taking:
            self._waits += 1
            is_first = self._waits == 1
        if not is_first:
            self._first_ended.wait(timeout)
        try:
            return super().wait(after, timeout)
        finally:
            self._first_ended.set()


class NotFloored(MemoryLog):
    """A log that never writes down what it has trimmed."""

    def floor(self, channels: Any) -> dict[str, int]:
        return {}


@pytest.mark.parametrize("ending", ["wake", "close"])
def test_waiter_that_begins_late_is_ended_too(ending: str) -> None:
    """The order of the waiters is fixed here; when each of the wake-ups comes is not."""
    log = OneByOne()
    testing.PrivateLogContract().test_wake_and_close_end_a_wait(log, ending)
    log.close()


def test_log_without_a_floor_fails_the_contract_of_threads() -> None:
    """The reader looks while events are being trimmed, however late its thread begins."""
    with pytest.raises(AssertionError):
        testing.PrivateLogContract().test_events_read_before_the_floor_are_complete_down_to_it(
            NotFloored(clock=Clock())
        )
