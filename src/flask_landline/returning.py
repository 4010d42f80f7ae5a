"""When clients come back whose lines end here."""

from __future__ import annotations

RETURN_RATE = 500
"""Lines a second that are asked to come back when this process ends: a new one opens some thousands a second."""
RETURN_LEAST = 0.1
"""Seconds after which a line that ends is asked to come back at the earliest."""
RETURN_WITHIN = 2.0
"""Seconds over which few lines are asked to come back: long enough for a server that restarts."""


def spread(count: int) -> float:
    """Return the seconds over which so many lines that end together are asked to come back."""
    return max(RETURN_WITHIN, count / RETURN_RATE)
