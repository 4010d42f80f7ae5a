"""Catching up: the log is read for held requests that stand behind their group's position. In the loop's thread alone.

Several requests at one position catch up together, by one `progress` (see `serve.subscription`): what it yields is
carried out for all of them. One that is slow to take what it is sent goes on alone, with a progress of its own.

Invariants:

- A request that catches up is in no group, and is sent nothing but what its progress yields.
- Between a progress's `Send` or `Wait` and its next step all requests stand at that step's cursor. There they may join
  their group, go on alone, or end; nowhere else.
- `Wait` means that the log has no more: they try to join. Where the window does not reach back so far, the next
  reading finds out why.
- Keepalives, a poll's time and a grant's end are seen to by `deadlines` for all that is held, so the progress is given
  no such terms, and waits for a log that fails for as long as it takes.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from typing import Any, Protocol

from ..cursor import Cursor
from ..errors import LogError
from ..event import Event
from ..reading import Reading
from ..serve.runtime import Runtime
from ..serve.subscription import (
    Call,
    Check,
    Finish,
    Pause,
    Send,
    Services,
    Step,
    Subscription,
    Terms,
    Wait,
    progress,
)
from .deadlines import TICK
from .held import HeldRequest

Progress = Generator[Step, Any, None]

_TERMS = Terms(sources=False, patient=True)

logger = logging.getLogger("flask_landline")


class Host(Protocol):
    """What the side loop does for a task that catches up."""

    def call(self, function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        """Run something that may take its time in another thread."""

    def call_app(self, function: Callable[..., Any], *args: Any, share: str, own: bool = False) -> Awaitable[Any]:
        """Run something that calls functions of the app, in threads that are for nothing else."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine to its end, or to the loop's."""


class FanOut(Protocol):
    """Where those that have caught up go."""

    def join(self, subscription: Subscription, requests: list[HeldRequest], cursor: Cursor) -> bool:
        """Let requests join their group, if the window has all that they missed."""

    def send_to(
        self, subscription: Subscription, requests: list[HeldRequest], reading: Reading, snapshots: Sequence[Event]
    ) -> None:
        """Send requests what was read for them."""

    def say_goodbye(self, requests: list[HeldRequest], spread: float | None = None) -> None:
        """End requests."""


class CatchingUp:
    """Tasks that read the log.

    Args:
        runtime: the app's Landline.
        fanout: takes those that have caught up.
        host: runs tasks and calls.
    """

    def __init__(self, runtime: Runtime, fanout: FanOut, host: Host) -> None:
        self._runtime = runtime
        self._hub = runtime.hub
        self._fanout = fanout
        self._host = host
        self.requests: set[HeldRequest] = set()
        """Those that are catching up now."""
        self._services = Services(
            lambda names, position: self._hub.read(names, position),
            runtime.snapshots,
            runtime.sources.run_due,
        )

    def begin(self, subscription: Subscription, requests: list[HeldRequest], cursor: Cursor) -> None:
        """Have the log read for requests that only it can bring up to date."""
        for held in requests:
            held.is_catching_up = True
        self.requests.update(requests)
        self._host.spawn(self._run(subscription, requests, cursor))

    def done(self, held: HeldRequest) -> None:
        """Take note that a request has caught up, or was answered."""
        held.is_catching_up = False
        self.requests.discard(held)

    async def _run(self, subscription: Subscription, requests: list[HeldRequest], cursor: Cursor) -> None:
        """Carry out one progress for requests at `cursor`, until they can join their group."""
        steps = progress(subscription, self._services, _TERMS, cursor)
        try:
            requests = await self._with_room(subscription, requests, cursor)
            step = next(steps)
            while requests and not isinstance(step, Finish):
                if isinstance(step, Call):
                    step = await self._call(steps, step)
                elif isinstance(step, Check):
                    requests, step = await self._check(steps, step, subscription, requests)
                elif isinstance(step, Pause):
                    self._hub.warn("A held connection waits until it can be sent more.", step.error)
                    await asyncio.sleep(step.seconds)
                    step = next(steps)
                else:
                    assert isinstance(step, Send | Wait)  # signs of life are given to all held requests alike
                    if self._take(subscription, requests, step):
                        return
                    requests = await self._with_room(subscription, requests, _cursor_of(step))
                    step = next(steps)
            if isinstance(step, Finish):
                self._finish(subscription, requests, step)
        except Exception:
            logger.exception("Held connections could not be brought up to date; their clients come back.")
            for held in requests:
                held.connection.close("failed")

    async def _call(self, steps: Progress, step: Call) -> Step:
        try:
            if step.is_apps:
                value = await self._host.call_app(step.function, share="snapshots", own=True)
            else:
                value = await self._host.call(step.function)
        except Exception as error:  # noqa: BLE001  it is the generator's
            return steps.throw(error)
        return steps.send(value)

    async def _check(
        self, steps: Progress, step: Check, subscription: Subscription, requests: list[HeldRequest]
    ) -> tuple[list[HeldRequest], Step]:
        """Take out those whose grants are revoked: the wake-up that has `deliver` end them may be late."""
        try:
            # See SECURITY.md: catching-up-looks-again
            requests = await self._without_closed(subscription, requests, ask_log=step.at_end)
        except LogError as error:
            return requests, steps.throw(error)
        return requests, steps.send(bool(requests))

    def _take(self, subscription: Subscription, requests: list[HeldRequest], step: Send | Wait) -> bool:
        """Send what was found; return whether all of them could join their group behind it."""
        if isinstance(step, Send):
            self._fanout.send_to(subscription, requests, step.reading, step.snapshots)
            if step.reading.more:
                return False
        return self._fanout.join(subscription, requests, _cursor_of(step))

    def _finish(self, subscription: Subscription, requests: list[HeldRequest], step: Finish) -> None:
        if step.why == "answered" and step.reading is not None:
            self._fanout.send_to(subscription, requests, step.reading, step.snapshots)
        else:  # a snapshot failed: clients still stand before the reset, and their next polls say why
            for held in requests:
                self.done(held)  # nothing reads for it any more, so its connection may go on after the answer
            self._fanout.say_goodbye(requests)

    async def _with_room(
        self, subscription: Subscription, requests: list[HeldRequest], cursor: Cursor
    ) -> list[HeldRequest]:
        """Wait until clients have taken what they were sent; one that takes long goes on alone, at its own pace."""
        if any(_is_slow(held) for held in requests):
            await asyncio.sleep(TICK)
        slow = [held for held in requests if _is_slow(held)]
        if len(slow) == len(requests) == 1:
            while _is_slow(requests[0]):
                await asyncio.sleep(TICK)
        else:
            for held in slow:
                self.begin(subscription, [held], cursor)
        return [held for held in requests if held.open and held.connection.flushed]

    async def _without_closed(
        self, subscription: Subscription, requests: list[HeldRequest], *, ask_log: bool
    ) -> list[HeldRequest]:
        """Say goodbye to those requests to which what was read must not be sent, and return the others.

        Raises:
            LogError: nothing can say which are.
        """
        grants = {held.grant for held in requests}
        is_closed = functools.partial(self._runtime.is_closed, subscription.items, ask_log=ask_log)
        closed = await self._host.call(lambda: {grant for grant in grants if is_closed(grant)})
        self._fanout.say_goodbye([held for held in requests if held.grant in closed])
        return [held for held in requests if held.grant not in closed]


def _is_slow(held: HeldRequest) -> bool:
    return held.open and not held.connection.flushed


def _cursor_of(step: Send | Wait) -> Cursor:
    return step.reading.cursor if isinstance(step, Send) else step.cursor
