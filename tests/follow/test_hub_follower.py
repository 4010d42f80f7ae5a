"""The hub: who is woken, and when."""

import threading
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from landline.cursor import Cursor, Word
from landline.follow.follower import CHECK_INTERVAL
from landline.follow.hub import Hub
from landline.testing import in_child

from tests.processes import until
from tests.spy_log import SpyLog, offsets, publish


@pytest.fixture
def log(spy_log: SpyLog) -> SpyLog:
    return spy_log


def follower() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "landline-follower"]


def test_follower_lives_while_somebody_waits(hub: Hub, log: SpyLog) -> None:
    assert follower() == []
    with hub.listening(lambda: None), hub.listening(lambda: None):
        assert follower() == ["landline-follower"]
    with hub.listening(lambda: None):
        assert follower() == ["landline-follower"]
    until(lambda: log.wake() or not follower(), 5.0, "the follower's end")  # type: ignore[func-returns-value]


def test_everybody_who_waits_is_woken(hub: Hub, log: SpyLog) -> None:
    hints = [threading.Event() for _ in range(3)]
    with hub.listening(hints[0].set), hub.listening(hints[1].set), hub.listening(hints[2].set):
        for hint in hints:
            hint.clear()
        publish(log, "a")
        assert all(hint.wait(5.0) for hint in hints)


def test_nobody_is_woken_after_they_left(hub: Hub, log: SpyLog) -> None:
    early, late = threading.Event(), threading.Event()
    with hub.listening(late.set):
        with hub.listening(early.set):
            pass
        early.clear()
        publish(log, "a")
        until(lambda: hub.tail().offset == 1 and late.is_set(), 5.0, "a wake-up")
    assert not early.is_set()


def test_close_wakes_everybody_and_ends_the_follower(hub: Hub) -> None:
    hint = threading.Event()
    with hub.listening(hint.set):
        hint.clear()
        hub.close()
        assert hint.is_set()
        assert follower() == []


def test_closed_hub_follows_anew_for_the_next_who_waits(hub: Hub, log: SpyLog) -> None:
    """And for those who have waited since before: none of them sleeps for ever."""
    before, after = threading.Event(), threading.Event()
    with hub.listening(before.set):
        hub.close()
        assert follower() == []
        with hub.listening(after.set):
            assert follower() == ["landline-follower"]
            for hint in (before, after):
                until(hint.is_set, 5.0, "the first look")
                hint.clear()
            publish(log, "a")
            assert before.wait(5.0)
            assert after.wait(5.0)
    hub.close()
    hub.close()
    assert follower() == []
    assert offsets(hub.read(["a"], Word.START)) == [1]


def test_hub_that_closes_while_others_come_leaves_them_a_follower(hub: Hub, log: SpyLog, monkeypatch) -> None:
    """A thread registers while another waits in `close` for the old follower: that one ends, and the new one stays."""
    ending, closed = threading.Event(), threading.Event()
    wake = log.wake
    hint = threading.Event()

    def waking() -> None:
        ending.set()
        assert registered.wait(5.0)
        wake()

    monkeypatch.setattr(log, "wake", waking)
    registered = threading.Event()

    def close() -> None:
        hub.close()
        closed.set()

    with hub.listening(lambda: None):
        closer = threading.Thread(target=close)
        closer.start()
        assert ending.wait(5.0)
        with hub.listening(hint.set):
            registered.set()
            assert closed.wait(5.0)
            closer.join()
            assert follower() == ["landline-follower"]
            until(hint.is_set, 5.0, "the first look")
            hint.clear()
            publish(log, "a")
            assert hint.wait(5.0)


def test_lost_hint_costs_seconds_and_not_for_ever(make_hub, log: SpyLog, monkeypatch) -> None:
    """A log whose wait never notices anything: the follower looks for itself (nchan #442)."""
    monkeypatch.setattr(log, "wait", lambda *_: False)
    hint = threading.Event()
    hub = make_hub()
    with hub.listening(hint.set):
        until(lambda: len(log.asked) > 3, 5.0, "looks at the log")
        hint.clear()
        publish(log, "a")
        assert hint.wait(5.0)


def test_followers_outlive_any_outage(make_hub, log: SpyLog, monkeypatch, caplog) -> None:
    """The log fails more often than a pause can double, and is then read again; one warning tells of it."""
    hub = make_hub()
    pauses: list[float] = []
    hint = threading.Event()

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        log.failing = len(pauses) < 1100
        return False

    monkeypatch.setattr(hub._follower._closing, "wait", pause)
    log.failing = True
    with hub.listening(hint.set):
        assert hint.wait(10.0)
        hint.clear()
        publish(log, "a")
        assert hint.wait(5.0)
    assert pauses[:7] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert pauses[-1] == 5.0
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_follower_survives_what_no_log_should_raise(make_hub, log: SpyLog, monkeypatch, caplog) -> None:
    """A log of somebody else's with a mistake in it: logged with its traceback, and tried again."""
    hub, hint = make_hub(), threading.Event()
    errors = [ZeroDivisionError("their mistake"), ZeroDivisionError("their mistake")]
    monkeypatch.setattr(hub._follower._closing, "wait", lambda _: False)
    tail = log.tail

    def mistaken() -> Cursor:
        if errors:
            raise errors.pop()
        return tail()

    monkeypatch.setattr(log, "tail", mistaken)
    with hub.listening(hint.set):
        assert hint.wait(5.0)
        hint.clear()
        publish(log, "a")
        assert hint.wait(5.0)
    assert caplog.text.count("Traceback") == 1  # not for each try
    assert "their mistake" in caplog.text


def test_reader_that_cannot_be_woken_keeps_nobody_asleep(hub: Hub, log: SpyLog, caplog) -> None:
    def broken() -> None:
        raise RuntimeError("Event loop is closed")

    hints = [threading.Event() for _ in range(8)]
    with ExitStack() as stack:
        for hint in hints:
            stack.enter_context(hub.listening(hint.set))
            stack.enter_context(hub.listening(partial(broken)))
        for _ in range(3):
            for hint in hints:
                hint.clear()
            publish(log, "a")
            assert all(hint.wait(5.0) for hint in hints)
    assert "could not be woken" in caplog.text


def test_readers_are_woken_as_soon_as_the_log_is_back(hub: Hub, log: SpyLog, monkeypatch) -> None:
    """Not only when a wait for news is over: they may have been refused meanwhile."""
    steps: list[str] = []
    back = threading.Event()

    def wait(after: Cursor, timeout: float) -> bool:
        steps.append("wait")
        if "pause" in steps:
            return back.wait(10.0)
        log.failing = True
        return True

    def pause(seconds: float) -> bool:
        steps.append("pause")
        log.failing = steps.count("pause") < 3
        return False

    monkeypatch.setattr(log, "wait", wait)
    monkeypatch.setattr(hub._follower._closing, "wait", pause)
    woken: list[int] = []
    with hub.listening(lambda: woken.append(len(steps))):
        until(lambda: len(steps) == 5, 5.0, "a wait after the outage")
        back.set()
    assert steps[:5] == ["wait", "pause", "pause", "pause", "wait"]
    assert woken[:2] == [0, 4]


def test_process_out_of_threads_tries_again_with_the_next_reader(hub: Hub, log: SpyLog, monkeypatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    hint = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError), hub.listening(hint.set):
            pass
    with hub.listening(hint.set):
        publish(log, "a")
        assert hint.wait(5.0)


def test_forked_child_follows_for_itself(hub: Hub, log: SpyLog) -> None:
    """The parent's follower and waiters are not the child's, nor its window."""
    publish(log, "a")
    at = hub.read(["a"], Word.START).cursor

    def child() -> list[Any]:
        names, ours[:] = follower(), []
        hint = threading.Event()
        with hub.listening(hint.set):
            hint.wait(5.0)
            hint.clear()
            publish(log, "aa")
            woken = hint.wait(5.0)
            reading = hub.read(["a"], at)
        return [names, woken, ours, offsets(reading), reading.reset and reading.reset.reason]

    ours: list[str] = []
    with hub.listening(lambda: ours.append("woken")):
        assert in_child(child) == [[], True, [], [1, 2], "epoch"]


def test_follower_sleeps_while_nothing_happens(hub: Hub, log: SpyLog, monkeypatch) -> None:
    """A quiet log is looked at once, and then when the wait for it ends."""
    timeouts: list[float] = []
    asleep, awake = threading.Event(), threading.Event()

    def wait(after: Cursor, timeout: float) -> bool:
        timeouts.append(timeout)
        asleep.set()
        return awake.wait(10.0)

    monkeypatch.setattr(log, "wait", wait)
    with hub.listening(lambda: None):
        assert asleep.wait(5.0)
        assert (log.asked, timeouts) == (["tail"], [CHECK_INTERVAL])
    awake.set()
