"""Catching up: the log is read for held requests that stand behind their group's position. In the loop's thread alone.

Several requests at one position catch up together. One that is slow to take what it is sent goes on alone.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from ..cursor import Cursor
from ..errors import LogError, Refusal
from ..event import Event
from ..reading import Reading
from ..serve.runtime import Runtime
from ..serve.subscription import RETRY_PAUSE, Subscription
from .deadlines import TICK
from .held import HeldRequest


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
        self, subscription: Subscription, requests: list[HeldRequest], reading: Reading, snapshots: list[Event]
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

    def begin(self, subscription: Subscription, requests: list[HeldRequest], cursor: Cursor) -> None:
        """Have the log read for requests that only it can bring up to date."""
        for held in requests:
            held.is_catching_up = True
        self._host.spawn(self._run(subscription, requests, cursor))

    async def _run(self, subscription: Subscription, requests: list[HeldRequest], cursor: Cursor) -> None:
        """Read from the log for requests at `cursor` until they can join their group."""
        while requests := await self._with_room(subscription, requests, cursor):
            try:
                reading = await self._host.call(self._hub.read, subscription.names, cursor)
                snapshots: list[Event] = []
                if reading.reset is not None:
                    snapshots = await self._host.call_app(
                        self._runtime.snapshots,
                        subscription.items,
                        reading,
                        subscription.site,
                        share="snapshots",
                        own=True,
                    )
                # After reading, and before anything is sent: what came behind a revocation may be in the reading, and
                # the wake-up that has `deliver` end its requests may be late.
                # See SECURITY.md: catching-up-looks-again
                requests = await self._without_closed(subscription, requests, ask_log=bool(snapshots))
            except LogError as error:
                self._hub.warn("A held connection waits until it can be sent more.", error)
                await asyncio.sleep(RETRY_PAUSE)
                continue
            except Refusal:
                # A snapshot failed. The clients still stand before the reset, and their next polls say why.
                self._fanout.say_goodbye(requests)
                return
            if reading.has_news:
                self._fanout.send_to(subscription, requests, reading, snapshots)
            cursor = reading.cursor
            if not reading.more and self._fanout.join(subscription, requests, cursor):
                return

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
