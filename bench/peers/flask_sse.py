"""Flask-SSE on a gunicorn gevent worker, with Redis: a greenlet and a connection to Redis for each reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.load import Reading, request
from bench.peers.peer import GUNICORN, Peer, Server, speaks_only
from bench.processes import free_port, running


def make(redis: int) -> Any:
    """Make the app."""
    from flask import Flask, jsonify, request
    from flask_sse import sse

    app = Flask(__name__)
    app.config["REDIS_URL"] = f"redis://127.0.0.1:{redis}"
    app.register_blueprint(sse, url_prefix="/events")

    @app.get("/plain")
    def plain() -> Any:
        return jsonify({"data": None})

    @app.post("/publish")
    def publish() -> str:
        sse.publish(request.get_json(), type="orders")
        return ""

    return app


@contextmanager
def start(folder: Path) -> Iterator[Server]:
    """Run one worker and a Redis, both on the servers' processor."""
    port, redis = free_port(), free_port()
    store = ["redis-server", "--port", redis, "--bind", "127.0.0.1", "--save", "", "--maxclients", 30_000]
    options = ["-k", "gevent", "--worker-connections", 20_000, "-b", f"127.0.0.1:{port}"]
    with (
        running([*store, "--dir", folder], redis) as store_pid,
        running([*GUNICORN, *options, f"{__name__}:make({redis})"], port) as pid,
    ):
        readings = {"sse": Reading("sse", request("/events", "Accept: text/event-stream"))}
        yield Server((pid, store_pid), port, readings=readings)


PEER = Peer("Flask-SSE, gunicorn gevent and Redis", start, speaks_only("sse", "it speaks SSE", polls="it speaks SSE"))
