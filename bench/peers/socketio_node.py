"""Socket.IO on node, its own server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers.flask_socketio import READINGS, UNABLE
from bench.peers.peer import Peer, Server
from bench.processes import free_port, running


@contextmanager
def start(_: Path) -> Iterator[Server]:
    """Run one process."""
    port = free_port()
    with running(["node", Path(__file__).with_suffix(".mjs"), port], port) as pid:
        yield Server((pid,), port, readings=READINGS)


PEER = Peer("Socket.IO, node", start, UNABLE | {"route": "it is no Flask app"})
