"""What the server asks of a client (WIRE §4)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Advice:
    """How often to ask, how long a request may be held, and by which transports."""

    interval: float
    """Seconds before the next short poll; 0: more is waiting."""
    hold: float
    """Seconds of `wait` granted at most; 0: none."""
    transports: tuple[str, ...]
    """What can be served to this client now, best first, `poll` last."""

    @cached_property
    def encoded(self) -> bytes:
        """The advice as a JSON object."""
        fields = {"interval": self.interval, "hold": self.hold, "transports": self.transports}
        return json.dumps(fields).encode()

    @cached_property
    def at_once(self) -> Advice:
        """The same advice for a client for whom more is waiting."""
        return Advice(0, self.hold, self.transports)
