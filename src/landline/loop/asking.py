"""Runs the sources of what held requests read, each on a schedule of its own. Touched by the side loop's thread alone.

Invariants:

- A channel with a source has one task here while any group reads it, and none otherwise: `_asked` has the names of
  those with a task. A task ends by itself when it finds no group, and takes its name out without waiting in between.
- A task waits for its own source alone. One that takes three seconds delays no other.
- A task outlives whatever its source does: what a source fails with is its schedule's business (`Sources`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from ..channels.channel import Resolved
from ..channels.sources import Sources
from ..errors import Refusal
from .groups import Groups

AGAIN = 1.0
"""Seconds until the next look at a source whose call did not come to its end; its own pause may be longer."""


class Asking:
    """A task for each channel that is read and has a source.

    Args:
        sources: run what is due.
        groups: what is read.
        call: runs a function of the app in another thread.
        spawn: runs a coroutine to its end.
    """

    def __init__(
        self,
        sources: Sources,
        groups: Groups,
        call: Callable[..., Awaitable[float]],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._sources = sources
        self._groups = groups
        self._call = call
        self._spawn = spawn
        self._asked: set[str] = set()

    def ensure(self, items: tuple[Resolved, ...]) -> None:
        """See that each of these channels that has a source is asked."""
        for item in items:
            if item.channel.source_function is not None and item.name not in self._asked:
                self._asked.add(item.name)
                self._spawn(self._run(item))

    async def _run(self, item: Resolved) -> None:
        try:
            while self._groups.reads(item.name):
                try:
                    pause = await self._call(self._sources.run_due, [item], share="sources", own=True)
                except Refusal:  # it was logged
                    pause = AGAIN
                await asyncio.sleep(pause)
        finally:
            self._asked.discard(item.name)
