"""Which event loop the side loop runs: uvloop's where it is installed, else asyncio's own."""

from __future__ import annotations

import asyncio
from typing import Protocol


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
