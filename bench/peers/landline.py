"""Landline: one gunicorn worker with four threads and the default log, through either of its doors."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.load import UPGRADE, Reading, request
from bench.peers.peer import GUNICORN, Peer, Server
from bench.processes import ROOT, free_port, get, running

WITHOUT_UVLOOP = Path(__file__).with_name("without_uvloop")


@contextmanager
def start(
    folder: Path, *, listener: bool = False, uvloop: bool = True, options: Sequence[str] = (), **config: object
) -> Iterator[Server]:
    """Run it.

    Args:
        folder: the app's instance folder.
        listener: whether the wire is asked through the second door, as a proxy would.
        uvloop: whether it finds uvloop; else lines are held by asyncio's own loop.
        options: more of gunicorn's.
        config: `LANDLINE_…` keys.
    """
    port, door = free_port(), free_port()
    config.setdefault("LANDLINE_LISTEN", f"127.0.0.1:{door}")
    environ = {f"FLASK_{key}": json.dumps(value) for key, value in config.items()}
    if not uvloop:
        environ["PYTHONPATH"] = f"{WITHOUT_UVLOOP}{os.pathsep}{ROOT}"
    command = [*GUNICORN, "-k", "gthread", "--threads", "4", "-b", f"127.0.0.1:{port}", *options]
    with running([*command, "bench.app:app"], port, {"BENCH_FOLDER": str(folder), **environ}) as pid:
        cursor = json.loads(get(port, "/landline/poll?channel=orders")[0])["cursor"]
        if listener:
            _wait_for_door(door)
        yield Server(
            (pid,),
            door if listener else port,
            poll=request(f"/landline/poll?channel=orders&cursor={cursor}"),
            readings=readings("orders", cursor),
            publish_port=port,
        )


def readings(name: str, cursor: str) -> dict[str, Reading]:
    """Return how readers of a channel ask; `{i}` in its name stands for a reader's number."""
    again = f"/landline/poll?channel={name}&wait=20&cursor="
    return {
        "sse": Reading("sse", request(f"/landline/events?channel={name}", "Accept: text/event-stream")),
        "websocket": Reading("websocket", request(f"/landline/ws?channel={name}", *UPGRADE)),
        "long-poll": Reading("poll", request(again + cursor), request(again + "{0}"), ('"cursor": "', '"')),
    }


def _wait_for_door(port: int) -> None:
    """The first request through WSGI opens the second door; by when, its answer does not say."""
    for _ in range(100):
        try:
            get(port, "/landline/poll?channel=orders")
            return
        except OSError:
            continue


GTHREAD = Peer("Landline, gunicorn gthread", start, {})
LISTENER = Peer(
    "Landline, listener",
    functools.partial(start, listener=True),
    {"route": "it is the app's own server that has routes"},
)
