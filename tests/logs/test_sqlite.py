"""The SQLite log keeps the log's contract."""

from collections.abc import Callable
from pathlib import Path

import pytest
from landline.logs.sqlite.log import SQLiteLog
from landline.testing import Clock, LogContract


class TestContract(LogContract):
    @pytest.fixture
    def make_log(self, tmp_path: Path) -> Callable[[Clock], SQLiteLog]:
        return lambda clock: SQLiteLog(tmp_path / "log.db", clock=clock)
