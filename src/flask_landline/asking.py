"""Asks the sources of what held lines read. Touched by the side loop's thread alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from .channel import Resolved
from .feeds import Feeds
from .source import Sources


class SourceAsking:
    """One task while any line reads a channel that has a source, and none otherwise.

    Args:
        sources: are asked when they are due.
        feeds: what is read.
        call: runs a function in another thread.
        spawn: runs a coroutine to its end.
    """

    def __init__(
        self,
        sources: Sources,
        feeds: Feeds,
        call: Callable[..., Awaitable[float]],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._sources = sources
        self._feeds = feeds
        self._call = call
        self._spawn = spawn
        self._runs = False

    def ensure(self, items: Iterable[Resolved]) -> None:
        """See that these channels' sources are asked for as long as they are read."""
        if not self._runs and any(_has_source(item) for item in items):
            self._runs = True
            self._spawn(self._run())

    async def _run(self) -> None:
        try:
            while items := {item.name: item for feed in self._feeds for item in feed.hold.items if _has_source(item)}:
                await asyncio.sleep(await self._call(self._sources.ask, list(items.values())))
        finally:
            self._runs = False


def _has_source(item: Resolved) -> bool:
    return item.channel.source_function is not None
