"""A clock that stands still; threads and forked children that cannot hang a test."""

from __future__ import annotations

import json
import os
import select
import signal
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import Any

PATIENCE = 30.0
"""Seconds that anything in another thread or process may take. What takes longer has failed, not been slow."""


class Clock:
    """A clock that moves only by `advance`; pass it wherever a log, a hub or a source takes `clock`.

    Args:
        now: Unix seconds that it shows first.
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now
        """Unix seconds that it shows."""

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.now += seconds


def in_threads(*functions: Callable[[], Any]) -> list[Any]:
    """Run each function in a thread of its own, all starting together; return what they returned.

    Raises:
        TimeoutError: a function did not end within half a minute.
        BaseException: the first error that one of them raised.
    """
    results: list[Any] = [None] * len(functions)
    errors: list[BaseException] = []
    start = threading.Barrier(len(functions))

    def run(index: int, function: Callable[[], Any]) -> None:
        try:
            start.wait(PATIENCE)
            results[index] = function()
        except BaseException as error:  # noqa: BLE001  handed on below
            errors.append(error)

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    if errors:
        raise errors[0]
    if any(thread.is_alive() for thread in threads):
        raise TimeoutError(f"a thread did not end within {PATIENCE:g} s")
    return results


def in_child(function: Callable[[], Any]) -> Any:
    """Run a function in a forked child; return what it returned, which must be JSON.

    Raises:
        AssertionError: the function raised, or did not end; the message holds the child's traceback.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of forks beside threads. They are what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _report(function, writer)
    os.close(writer)
    try:
        with open(reader, "rb") as pipe:
            said = pipe.read() if select.select([pipe], [], [], PATIENCE)[0] else b""
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert said, "the child did not end"
    outcome = json.loads(said)
    assert "error" not in outcome, f"in the child:\n{outcome['error']}"
    return outcome["value"]


def _report(function: Callable[[], Any], pipe: int) -> None:
    try:
        said = json.dumps({"value": function()})
    except BaseException:  # noqa: BLE001  the parent raises it
        said = json.dumps({"error": traceback.format_exc()})
    with open(pipe, "wb") as file:
        file.write(said.encode())
    os._exit(0)  # no exit handlers: they are the parent's
