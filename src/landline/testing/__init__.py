"""For tests of a log of your own: the contract of `landline.logs.base` as a suite, and a clock that stands still.

Needs pytest, and nothing else of the package imports it. To see the values behind a failed assert, put
`pytest.register_assert_rewrite("landline.testing")` into your `conftest.py`.
"""

from .reading import ReadingContract
from .retention import RetentionContract
from .store import PrivateStoreContract, SharedStoreContract
from .threads import ThreadsContract
from .tools import Clock, in_child, in_threads
from .waiting import WaitingContract

__all__ = ["Clock", "LogContract", "PrivateLogContract", "in_child", "in_threads"]


class LogContract(ReadingContract, RetentionContract, WaitingContract, ThreadsContract, SharedStoreContract):
    """What every log must do that several processes share. Subclass it in a test file, with a fixture `make_log`.

    `make_log` returns a function that opens a log whose clock is the one it is given; two logs made in one test are
    two processes' views of one store. Each test must begin with an empty store.

    Example:
        >>> class TestMyLog(LogContract):
        ...     @pytest.fixture
        ...     def make_log(self, tmp_path):
        ...         return lambda clock: MyLog(tmp_path / "log", clock=clock)
    """


class PrivateLogContract(ReadingContract, RetentionContract, WaitingContract, ThreadsContract, PrivateStoreContract):
    """The same for a log that belongs to one process, such as one in memory."""
