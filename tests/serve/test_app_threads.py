"""App threads: few, fair, bounded, and whatever an app's function does, the next call is served.

Every wait is for a thing itself: a gate that the test opens, or a future. Exhausted is what the invariants name; the
number of threads is fixed in each test.
"""

import logging
import queue
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future

import pytest
from landline.errors import Refusal
from landline.serve.app_threads import AppThreads, Full
from landline.testing import in_child
from landline.testing.tools import PATIENCE


class Gate:
    """Functions that stand still until the test lets them go, and say when they have begun."""

    def __init__(self) -> None:
        self.begun: queue.Queue[str] = queue.Queue()
        self._open = threading.Event()

    def stop(self, name: str) -> str:
        self.begun.put(name)
        assert self._open.wait(PATIENCE)
        return name

    def next(self) -> str:
        """Return the name of the next function that has begun."""
        return self.begun.get(timeout=PATIENCE)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def threads(request: pytest.FixtureRequest, gate: Gate) -> Iterator[AppThreads]:
    """Return as many threads as the test asks for, else one; at most three calls wait, two for one share."""
    threads = AppThreads(getattr(request, "param", 1), most=3, most_of_one=2)
    yield threads
    gate.open()
    threads.close(PATIENCE)


def test_future_has_what_the_function_returned_or_raised(threads: AppThreads) -> None:
    assert threads.submit(divmod, 7, 3, share="a").result(PATIENCE) == (2, 1)
    with pytest.raises(ZeroDivisionError):
        threads.submit(divmod, 7, 0, share="a").result(PATIENCE)


def test_thread_serves_one_call_after_the_other(threads: AppThreads) -> None:
    served = {threads.submit(threading.get_ident, share=str(number)).result(PATIENCE) for number in range(5)}
    assert len(served) == 1


def test_shares_take_turns(threads: AppThreads, gate: Gate) -> None:
    """A share with many calls waits for its turn behind one with few."""
    threads.submit(gate.stop, "first", share="z")
    assert gate.next() == "first"
    order: list[str] = []
    waiting = [
        threads.submit(order.append, name, share=name[0], own=True) for name in ("a1", "a2", "a3", "b1", "b2", "c1")
    ]
    gate.open()
    for future in waiting:
        future.result(PATIENCE)
    assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]


@pytest.mark.parametrize("threads", [2, 3], indirect=True)
def test_one_share_leaves_a_thread_to_the_others(
    threads: AppThreads, gate: Gate, request: pytest.FixtureRequest
) -> None:
    most = request.node.callspec.params["threads"] - 1
    hanging = [threads.submit(gate.stop, "a", share="a", own=True) for _ in range(3)]
    assert [gate.next() for _ in range(most)] == ["a"] * most
    assert threads.submit(str, "served", share="b").result(PATIENCE) == "served"
    assert [future.running() for future in hanging].count(True) == most
    gate.open()
    assert [future.result(PATIENCE) for future in hanging] == ["a"] * 3


@pytest.mark.parametrize("threads", [3], indirect=True)
def test_all_threads_are_used_and_no_more(threads: AppThreads, gate: Gate) -> None:
    used = [threads.submit(gate.stop, share, share=share) for share in "abc"]
    assert sorted(gate.next() for _ in used) == ["a", "b", "c"]
    more = threads.submit(gate.stop, "d", share="d")
    assert not more.running()
    gate.open()
    assert more.result(PATIENCE) == "d"


def test_what_there_is_no_room_for_is_refused(threads: AppThreads, gate: Gate) -> None:
    threads.submit(gate.stop, "first", share="z")
    assert gate.next() == "first"
    threads.submit(int, share="a")
    threads.submit(int, share="a")
    with pytest.raises(Full, match="this address"):
        threads.submit(int, share="a")
    last = threads.submit(int, share="b")
    with pytest.raises(Full, match="Too many requests wait"):
        threads.submit(int, share="c")
    own = threads.submit(int, share="sources", own=True)
    gate.open()
    assert last.result(PATIENCE) == own.result(PATIENCE) == 0
    assert threads.submit(int, share="a").result(PATIENCE) == 0


def test_cancelled_call_is_not_made_and_takes_no_room(threads: AppThreads, gate: Gate) -> None:
    threads.submit(gate.stop, "first", share="z")
    assert gate.next() == "first"
    called: list[int] = []
    for number in range(100):
        assert threads.submit(called.append, number, share="a").cancel()
    kept = threads.submit(called.append, 100, share="a")
    gate.open()
    kept.result(PATIENCE)
    assert called == [100]


def test_call_cancelled_just_as_a_worker_takes_it_is_not_made(
    threads: AppThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has it already when its future is cancelled: the future decides."""
    begin = Future.set_running_or_notify_cancel
    called: list[int] = []

    def cancel_first(future: Future[object]) -> bool:
        future.cancel()
        return begin(future)

    with monkeypatch.context() as patched:
        patched.setattr(Future, "set_running_or_notify_cancel", cancel_first)
        cancelled = threads.submit(called.append, 1, share="a")
        with pytest.raises(CancelledError):
            cancelled.result(PATIENCE)
    assert threads.submit(int, share="a").result(PATIENCE) == 0
    assert called == []


def test_call_that_has_begun_is_not_cancelled(threads: AppThreads, gate: Gate) -> None:
    begun = threads.submit(gate.stop, "first", share="a")
    assert gate.next() == "first"
    assert not begun.cancel()
    gate.open()
    assert begun.result(PATIENCE) == "first"


@pytest.mark.parametrize("error", [SystemExit("a library's"), KeyboardInterrupt(), GeneratorExit()])
def test_exit_of_a_function_fails_its_call_and_nothing_else(
    threads: AppThreads, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    before = threads.submit(threading.get_ident, share="a").result(PATIENCE)

    def leave() -> None:
        raise error

    with caplog.at_level(logging.ERROR), pytest.raises(Refusal) as refused:
        threads.submit(leave, share="a").result(PATIENCE)
    assert refused.value.code == "app-failed"
    assert type(error).__name__ in caplog.text
    assert threads.submit(threading.get_ident, share="a").result(PATIENCE) == before


def test_closed_threads_open_anew(threads: AppThreads, gate: Gate) -> None:
    running = threads.submit(gate.stop, "first", share="a")
    assert gate.next() == "first"
    waiting = threads.submit(int, share="a")
    threads.close(0.0)
    assert waiting.cancelled()
    later = threads.submit(int, share="a", own=True)  # its share has the thread that is still at work
    gate.open()
    assert later.result(PATIENCE) == 0
    assert running.result(PATIENCE) == "first"


def test_closing_ends_idle_threads(threads: AppThreads) -> None:
    thread = threads.submit(threading.current_thread, share="a").result(PATIENCE)
    threads.close(PATIENCE)
    assert not thread.is_alive()


def test_forked_child_has_threads_of_its_own(threads: AppThreads, gate: Gate) -> None:
    threads.submit(gate.stop, "first", share="a")
    assert gate.next() == "first"
    assert in_child(lambda: threads.submit(int, share="b").result(PATIENCE)) == 0


def test_call_without_a_thread_is_refused_and_not_made_later(
    threads: AppThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[int] = []

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="can't start"):
            threads.submit(called.append, 1, share="a")
    threads.submit(called.append, 2, share="a").result(PATIENCE)
    assert called == [2]


def test_no_call_is_left_lying_whatever_the_order() -> None:
    """More shares than threads, and threads that change places all the time: each call is made. A probe, no proof."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = AppThreads(3)
    try:
        futures = [threads.submit(int, str(number), share=str(number % 5), own=True) for number in range(2000)]
        assert [future.result(PATIENCE) for future in futures] == list(range(2000))
    finally:
        sys.setswitchinterval(interval)
        threads.close(PATIENCE)
