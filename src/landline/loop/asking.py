"""Runs the sources of what held requests read, when each is due. Touched by the side loop's thread alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from ..channels.channel import Resolved
from ..channels.sources import Sources
from .groups import Groups


class Asking:
    """One task, for as long as any group reads a channel that has a source.

    Args:
        sources: run what is due.
        groups: what is read.
        call: runs a function in another thread.
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
        self._is_running = False

    def ensure(self, items: tuple[Resolved, ...]) -> None:
        """Begin, unless it has begun, if one of these channels has a source."""
        if not self._is_running and any(_has_source(item) for item in items):
            self._is_running = True
            self._spawn(self._run())

    async def _run(self) -> None:
        try:
            while items := {
                item.name: item for group in self._groups for item in group.subscription.items if _has_source(item)
            }:
                await asyncio.sleep(await self._call(self._sources.run_due, list(items.values())))
        finally:
            self._is_running = False


def _has_source(item: Resolved) -> bool:
    return item.channel.source_function is not None
