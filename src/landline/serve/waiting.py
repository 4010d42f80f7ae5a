"""Carrying out a subscription's steps in the calling thread, or greenlet. The side loop has its own way, in `loop/`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from ..errors import LogError, Refusal
from .subscription import Call, Check, Finish, Pause, Send, Sign, Step, Wait


def drive(
    steps: Generator[Step, Any, None], *, check: Callable[[bool], bool], wait: Callable[[float], None]
) -> Iterator[Send | Sign | Pause | Finish]:
    """Carry out steps, and yield what is to be sent; the caller waits out a `Pause` itself.

    The caller has registered with the hub before the first step, and `wait` clears its hint when it returns: an event
    published after the last reading has set it, and is found by the next one.

    Args:
        steps: what `progress` yields.
        check: whether a reader is left, its grant held against the log's end if the argument is true.
        wait: waits for news, at most until a time of the subscription's clock.
    """
    answer: Any = None
    error: Exception | None = None
    while True:
        step = steps.send(answer) if error is None else steps.throw(error)
        answer = error = None
        try:
            if isinstance(step, Call):
                answer = step.function()
            elif isinstance(step, Check):
                answer = check(step.at_end)
            elif isinstance(step, Wait):
                wait(step.until)
        except (LogError, Refusal) as raised:
            error = raised
        if isinstance(step, (Send, Sign, Pause, Finish)):
            yield step
        if isinstance(step, Finish):
            return
