"""The route that people write by hand: it looks whether there is something new, and answers that there is not.

Beside it, on the same server, an application that is nothing but a constant answer: what the server itself takes.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.load import request
from bench.peers.peer import GUNICORN, Peer, Server, holds_nothing
from bench.processes import free_port, running


def make() -> Any:
    """Make the app."""
    from flask import Flask, jsonify

    app = Flask(__name__)

    @app.get("/poll")
    def poll() -> Any:
        return jsonify({"data": None})

    return app


def constant(_: object, start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer what a plain WSGI application (PEP 3333) can answer soonest."""
    body = b'{"data":null}\n'
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return (body,)


@contextmanager
def start(_: Path, *, server: str, app: str = "make") -> Iterator[Server]:
    """Run one worker."""
    port = free_port()
    command: dict[str, list[object]] = {
        "gthread": [*GUNICORN, "-k", "gthread", "--threads", "4", "-b", f"127.0.0.1:{port}"],
        "gevent": [*GUNICORN, "-k", "gevent", "-b", f"127.0.0.1:{port}"],
        "granian": [
            *(Path(sys.executable).with_name("granian"), "--interface", "wsgi", "--port", port),
            *("--blocking-threads", 4, "--no-access-log", "--factory"),
        ],
    }
    name = f"{__name__}:{app}" + ("()" if app == "make" and server != "granian" else "")
    with running([*command[server], name], port) as pid:
        yield Server((pid,), port, poll=request("/poll"))


GTHREAD, GEVENT, GRANIAN = (
    Peer(
        f"Flask route, {name}", functools.partial(start, server=server), holds_nothing("a plain route answers at once")
    )
    for server, name in (("gthread", "gunicorn gthread"), ("gevent", "gunicorn gevent"), ("granian", "granian"))
)
CONSTANT = Peer(
    "a constant, gunicorn gthread",
    functools.partial(start, server="gthread", app="constant"),
    holds_nothing("it answers at once"),
)
