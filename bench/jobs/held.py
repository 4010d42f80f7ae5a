"""What holding one more reader takes, by how many are held already, through each door and by each event loop."""

from __future__ import annotations

from bench.jobs.fanout import grow
from bench.peers import landline
from bench.processes import pss
from bench.results import Results
from bench.session import Session

DOORS = {landline.LISTENER.name: True, landline.GTHREAD.name: False}
LOOPS = {"uvloop": True, "asyncio's own loop": False}
METRICS = {"KB each": "{:.1f}", "KB for each further one": "{:.1f}"}


def case(loop: str, count: int) -> str:
    """Return the name of a case."""
    return f"{count:,} readers, {loop}"


def run(session: Session) -> list[Results]:
    """Hold event streams, more and more of them, and look at the server's memory."""
    sizes = session.sized((1_000, 6_000, 10_000), (50, 200))
    results = Results("held", "memory for each held event stream (PSS), by their number", METRICS)
    turns = [(loop, door) for loop in LOOPS for door in DOORS]
    for loop, door in session.turns(turns, lambda turn: f"{turn[1]}, {turn[0]}"):
        with session.folder() as folder, landline.start(folder, listener=DOORS[door], uvloop=LOOPS[loop]) as server:
            empty = before = pss(server.pids)
            with server.readers("sse") as readers:
                held = 0
                for size in sizes:
                    grow(readers, server, size - held)
                    now = pss(server.pids)
                    each, further = (now - empty) / size / 1024, (now - before) / (size - held) / 1024
                    results.add(door, case(loop, size), **dict(zip(METRICS, (each, further), strict=True)))
                    held, before = size, now
    return [results]
