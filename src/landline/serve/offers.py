"""What a host can offer a client, best first, and what is advised with each offer."""

from __future__ import annotations

from ..config import Config
from ..protocol.advice import Advice
from .pressure import Pressure

ALL = ("websocket", "sse", "long-poll", "poll")
STREAM_OR_POLL = ("sse", "long-poll", "poll")
LONG_POLL = ("long-poll", "poll")
POLL_ONLY = ("poll",)


def advices(config: Config, pressure: Pressure) -> dict[tuple[str, ...], Advice]:
    """Return the advice that goes with each offer under a pressure."""
    hold = config.hold if pressure.holds else 0.0
    return {
        offer: Advice(
            pressure.interval,
            hold if "long-poll" in offer else 0.0,
            offer if hold else tuple(name for name in offer if name != "long-poll"),
        )
        for offer in (ALL, STREAM_OR_POLL, LONG_POLL, POLL_ONLY)
    }
