"""How what yields `Call` is driven: by a thread that may wait, here; by an event loop, with an executor, in `loop`.

A generator that yields a `Call` is sent what its function returned, or is thrown what it raised, and goes on where it
stood. Any thread may drive it, one at a time.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from .subscription import Call

T = TypeVar("T")


def run(steps: Generator[Call, Any, T]) -> T:
    """Drive to the end, running each function in this thread."""
    step = advance(steps)
    while isinstance(step, Call):
        step = carry_out(steps, step)
    return step


def advance(steps: Generator[Call, Any, T], value: Any = None) -> Call | T:
    """Go on with what a function returned; return the next call, or the result."""
    try:
        return steps.send(value)
    except StopIteration as end:
        result: T = end.value
        return result


def fail(steps: Generator[Call, Any, T], error: BaseException) -> Call | T:
    """Go on with what a function raised; return the next call, or the result."""
    try:
        return steps.throw(error)
    except StopIteration as end:
        result: T = end.value
        return result


def carry_out(steps: Generator[Call, Any, T], call: Call) -> Call | T:
    """Run a function in this thread, and go on with what became of it."""
    try:
        value = call.function()
    except Exception as error:  # noqa: BLE001  it is the generator's
        return fail(steps, error)
    return advance(steps, value)
