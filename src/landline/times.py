"""The time and chance that the engine goes by, passed in once, to `Runtime`, so that tests have their own."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import NamedTuple


class Times(NamedTuple):
    """Clocks and randomness. Each may be called by any thread."""

    clock: Callable[[], float] = time.monotonic
    """Monotonic seconds: for durations and deadlines. Nobody sets it, and it means nothing to another machine."""
    wall: Callable[[], float] = time.time
    """Unix seconds: for what others read, such as an event's time and a grant's end. It may be set at any moment."""
    random: Callable[[], float] = random.random
    """Draws from 0 to 1: spreads those who would otherwise come back together. Not for secrets."""

    def between(self, least: float, most: float) -> float:
        """Draw from `least` to `most`."""
        return least + (most - least) * self.random()


SYSTEM = Times()
"""The machine's own."""
