"""The log in memory keeps the log's contract."""

from collections.abc import Callable

import pytest
from landline.logs.memory import MemoryLog
from landline.testing import Clock, PrivateLogContract


class TestContract(PrivateLogContract):
    @pytest.fixture
    def make_log(self) -> Callable[[Clock], MemoryLog]:
        return lambda clock: MemoryLog(clock=clock)
