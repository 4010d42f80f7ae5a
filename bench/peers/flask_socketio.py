"""Flask-SocketIO, in one gunicorn worker: with a thread for each reader, and with a greenlet for each."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.load import UPGRADE, Reading, request
from bench.peers.peer import GUNICORN, Peer, Server, speaks_only
from bench.processes import free_port, running

THREADS = 10_100
"""A reader is a thread; and a few for publishing and the ordinary route."""
READINGS = {"websocket": Reading("socketio", request("/socket.io/?EIO=4&transport=websocket", *UPGRADE))}
UNABLE = speaks_only(
    "websocket",
    "Socket.IO speaks WebSocket; its own long polls need a session of several requests",
    polls="a poll of Socket.IO's is held until there is something",
)


def make(mode: str) -> Any:
    """Make the app."""
    from flask import Flask, jsonify, request
    from flask_socketio import SocketIO

    app = Flask(__name__)
    socketio = SocketIO(app, async_mode=mode)

    @app.get("/plain")
    def plain() -> Any:
        return jsonify({"data": None})

    @app.post("/publish")
    def publish() -> str:
        socketio.emit("orders", request.get_json())
        return ""

    return app


@contextmanager
def start(_: Path, *, mode: str) -> Iterator[Server]:
    """Run one worker."""
    port = free_port()
    worker = ["-k", "gthread", "--threads", THREADS] if mode == "threading" else ["-k", "gevent"]
    options = ["--worker-connections", 20_000, "-b", f"127.0.0.1:{port}", f"{__name__}:make({mode!r})"]
    with running([*GUNICORN, *worker, *options], port) as pid:
        yield Server((pid,), port, readings=READINGS)


THREADING, GEVENT = (
    Peer(f"Flask-SocketIO, {mode}", functools.partial(start, mode=mode), UNABLE) for mode in ("threading", "gevent")
)
