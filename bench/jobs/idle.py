"""Idleness: what holding very many readers costs while nothing happens but keepalives."""

from __future__ import annotations

import time

from bench.jobs.fanout import holding
from bench.processes import cpu
from bench.results import Results
from bench.session import Session, noting


def run(session: Session) -> list[Results]:
    """Hold readers of one peer after the other, and look at its processor time for some keepalives."""
    count, seconds = session.sized((10_000, 15.0), (100, 1.0))
    results = Results(
        "idle",
        f"processor time of a server that holds {count:,} readers and has nothing to tell",
        {"of a processor": "{:.2%}"},
    )
    # Not long polls: those are answered each twenty seconds, and come again.
    for transport in ("sse", "websocket"):
        for peer in session.peers:
            if not peer.can(transport):
                continue
            session.tell(f"{peer.name}, {transport}")
            with (
                noting(results, peer.name, transport),
                session.server(peer) as server,
                holding(server, transport, count),
            ):
                for _ in range(session.rounds):
                    begin, before = time.monotonic(), cpu(server.pids)
                    time.sleep(seconds)
                    share = (cpu(server.pids) - before) / (time.monotonic() - begin)
                    results.add(peer.name, transport, **{"of a processor": share})
    return [results]
