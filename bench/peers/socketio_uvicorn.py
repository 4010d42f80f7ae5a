"""python-socketio as an ASGI app on uvicorn, with uvloop and httptools."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.peers.flask_socketio import READINGS, UNABLE
from bench.peers.peer import Peer, Server
from bench.processes import free_port, running


def make() -> Any:
    """Make the app."""
    import socketio

    sio = socketio.AsyncServer(async_mode="asgi")

    async def rest(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while scope["path"] == "/publish":
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                await sio.emit("orders", json.loads(body))
                break
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    return socketio.ASGIApp(sio, rest)


@contextmanager
def start(_: Path) -> Iterator[Server]:
    """Run one process."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "--port", port, "--backlog", 4096, "--no-access-log"]
    with running([*command, f"{__name__}:make"], port) as pid:
        yield Server((pid,), port, readings=READINGS)


PEER = Peer("python-socketio, uvicorn", start, UNABLE | {"route": "it is no Flask app"})
