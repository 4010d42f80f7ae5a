"""Run threads one at a time, in every order that a bounded number of switches allows.

Code under test calls `Schedule.point` wherever the next step of another thread could matter: before each operation on a
log, a lock or an event that the threads share. Between two points a thread runs alone. Nothing waits for time: a thread
that waits for something is not run until it has come, and when none can run, a wake-up was lost.

Most races need one switch at the wrong place, nearly all of them two (Musuvathi and Qadeer, "Iterative context
bounding", 2007), so the orders with few switches are all tried.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any

PATIENCE = 10.0
"""Seconds until a thread that calls no point is given up: it waits for something that no schedule knows."""


class Stuck(AssertionError):
    """No thread can run, and what was to end has not."""


class _Task:
    def __init__(self, name: str) -> None:
        self.name = name
        self.go = threading.Semaphore(0)
        self.ready: Callable[[], bool] = lambda: True
        self.done = False


class Schedule:
    """One run: follows `plan` as far as it goes, then lets each thread run as long as it can.

    Args:
        plan: names of the threads to run, step by step.
    """

    def __init__(self, plan: list[str]) -> None:
        self._plan = plan
        self._tasks: dict[str, _Task] = {}
        self._here = threading.local()
        self._yielded = threading.Semaphore(0)
        self._over = False
        self.steps: list[tuple[str, list[str], bool]] = []
        """Of each step: who ran, who could have, and whether running another would have been a switch."""
        self.error: BaseException | None = None

    def spawn(self, name: str, function: Callable[[], Any]) -> threading.Thread:
        """Make a thread that takes part; it runs when it is its turn. The caller starts it."""
        task = self._tasks[name] = _Task(name)

        def run() -> None:
            self._here.task = task
            task.go.acquire()
            try:
                if not self._over:
                    function()
            except SystemExit:
                pass
            except BaseException as error:  # noqa: BLE001  raised by `run`
                self.error = error
            task.done = True
            self._yielded.release()

        return threading.Thread(target=run, name=f"landline-test-{name}", daemon=True)

    def point(self, ready: Callable[[], bool] = lambda: True) -> None:
        """Let others run here; go on when it is this thread's turn and `ready()` holds."""
        task = getattr(self._here, "task", None)
        if task is None:
            return  # not a thread of the schedule: the test itself
        if self._over:
            raise SystemExit
        task.ready = ready
        self._yielded.release()
        task.go.acquire()
        if self._over:
            raise SystemExit

    def run(self, until: str) -> None:
        """Run all threads until the named one has ended.

        Raises:
            Stuck: none can run.
        """
        current = ""
        try:
            while not self._tasks[until].done:
                able = [name for name, task in self._tasks.items() if not task.done and task.ready()]
                if not able:
                    raise Stuck(f"nobody can run after {' '.join(name for name, *_ in self.steps)}")
                kept = current in able
                current = self._choose(able, current if kept else able[0])
                self.steps.append((current, able, kept))
                self._tasks[current].go.release()
                if not self._yielded.acquire(timeout=PATIENCE):
                    raise Stuck(f"{current} neither ends nor calls a point")
                if self.error is not None:
                    raise self.error
        finally:
            self._over = True
            for task in self._tasks.values():
                task.go.release()

    def _choose(self, able: list[str], default: str) -> str:
        step = len(self.steps)
        return self._plan[step] if step < len(self._plan) and self._plan[step] in able else default


class Lock:
    """A lock that a schedule knows."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._held = False

    def acquire(self, blocking: bool = True) -> bool:
        """Take the lock; False where it is held, and that is not waited for."""
        self._schedule.point(lambda: not (blocking and self._held))
        taken, self._held = not self._held, True
        return taken

    def release(self) -> None:
        """Let go of the lock."""
        self._held = False

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Event:
    """An event that a schedule knows, and whose waits have no timeout."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._set = False

    def set(self) -> None:
        self._schedule.point()
        self._set = True

    def clear(self) -> None:
        self._schedule.point()
        self._set = False

    def wait(self, timeout: float | None = None) -> None:
        self._schedule.point(lambda: self._set)


def every_order(run: Callable[[list[str]], Schedule], switches: int) -> Iterator[Schedule]:
    """Call `run` with one plan after the other, until every order with up to so many switches was tried."""
    plans: list[tuple[list[str], int]] = [([], 0)]
    while plans:
        plan, spent = plans.pop()
        schedule = run(plan)
        yield schedule
        ran = [name for name, *_ in schedule.steps]
        for step in range(len(plan), len(ran)):
            _, able, kept = schedule.steps[step]
            cost = spent + kept
            if cost <= switches:
                plans += [([*ran[:step], other], cost) for other in able if other != ran[step]]
