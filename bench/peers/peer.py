"""What a peer is to the jobs: something that starts, and how its readers and polls ask."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import BODY, Readers, Reading, request

# Ten thousand handshakes may keep a worker from its heartbeat for longer than the 30 s after which it is killed.
GUNICORN = (sys.executable, "-m", "gunicorn", "--no-control-socket", "--backlog", "4096", "--timeout", "300")


@dataclass(frozen=True)
class Server:
    """A running peer."""

    pids: tuple[int, ...]
    """Its processes; their children count too."""
    port: int
    poll: str = ""
    """An idle poll: "is there anything new?" where there is not."""
    readings: Mapping[str, Reading] = field(default_factory=dict)
    """How readers read, by transport: `sse`, `websocket`, `long-poll`."""
    publish: str = request("/publish", method="POST", body=BODY)
    publish_port: int = 0
    """Where publishing goes, if not to `port`."""
    route: str = request("/plain")
    """An ordinary route of the same app."""

    def readers(self, transport: str) -> Readers:
        """Return what holds readers of it."""
        return Readers(self.port, self.readings[transport], self.publish, self.publish_port or self.port)


@dataclass(frozen=True)
class Peer:
    """Somebody who does the same work."""

    name: str
    start: Callable[[Path], AbstractContextManager[Server]]
    """Starts it, given an empty folder of its own."""
    unable: Mapping[str, str]
    """What it cannot do, of `polls`, `sse`, `websocket`, `long-poll`, `route`, and why."""

    def can(self, what: str) -> bool:
        """Whether it takes part."""
        return what not in self.unable

    @property
    def readable(self) -> bool:
        """Whether it holds readers at all."""
        return any(self.can(transport) for transport in ("sse", "websocket", "long-poll"))


def holds_nothing(why: str) -> dict[str, str]:
    """Return that a peer answers at once and holds nobody."""
    return dict.fromkeys(("sse", "websocket", "long-poll", "route"), why)


def speaks_only(what: str, why: str, *, polls: str) -> dict[str, str]:
    """Return that a peer knows one transport."""
    return {name: why for name in ("sse", "websocket", "long-poll") if name != what} | {"polls": polls}
