"""The side loop's event loop: which one that is, and who may live in it.

uvloop's where it is installed, else asyncio's own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

logger = logging.getLogger("flask_landline")


class Guest(Protocol):
    """Something that lives in the side loop without being a line."""

    def leave(self) -> None:
        """Let go of everything; called in the loop's thread when it ends."""


def new_loop() -> asyncio.AbstractEventLoop:
    """Make a loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.SelectorEventLoop()  # Windows' default one cannot watch a socket that is not its own
    return uvloop.new_event_loop()


class Soon:
    """Calls things when what is being done is done; all that come together cost one turn of the loop.

    Args:
        loop: turns. Touched by its thread alone.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: list[Callable[[], None]] = []

    def __call__(self, call: Callable[[], None]) -> None:
        """Have something called soon."""
        if not self._calls:
            self._loop.call_soon(self._call_all)
        self._calls.append(call)

    def _call_all(self) -> None:
        calls, self._calls = self._calls, []
        for call in calls:
            try:
                call()
            except Exception:  # of one line must not keep the others
                logger.exception("A connection could not go on.")
