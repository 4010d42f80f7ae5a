"""Fan-out: how long until each of very many held readers has been told of one event; and what holding one takes."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager

from bench.load import Readers
from bench.peers.peer import Peer, Server
from bench.processes import Unable, cpu, pss, wait_until_quiet
from bench.results import Results
from bench.session import Session

TRANSPORTS = ("sse", "websocket", "long-poll")
METRICS = {
    "deliveries/s": "{:,.0f}",
    "per second of processor": "{:,.0f}",
    "p50 ms": "{:.1f}",
    "p99 ms": "{:.1f}",
    "last ms": "{:.1f}",
}
READY_WITHIN = 120.0
"""Seconds in which all readers must be held; a peer that is slower cannot do it."""


def run(session: Session) -> list[Results]:
    """Hold readers of each peer by each transport it knows, some thousands at a time, and publish to them."""
    sizes = session.sized((1_000, 5_000, 10_000), (50, 200))
    fanout = Results("fanout", "one event to all held readers", METRICS)
    memory = Results("memory", "memory for each held reader (PSS)", {"KB": "{:.2f}"})
    for transport in TRANSPORTS:
        for peer in session.peers:
            if not peer.can(transport):
                fanout.add_unable(peer.name, case(transport, sizes[-1]), peer.unable[transport])
    turns = [(transport, peer) for transport in TRANSPORTS for peer in session.peers if peer.can(transport)]
    failed: set[tuple[str, str]] = set()
    for transport, peer in session.turns(turns, lambda item: f"{item[1].name}, {item[0]}"):
        if (transport, peer.name) not in failed:
            try:
                _measure(session, fanout, memory, peer, transport, sizes)
            except Unable as error:
                failed.add((transport, peer.name))
                session.tell(f"{peer.name}: {error}")
    return [fanout, memory]


def case(transport: str, count: int) -> str:
    """Return the name of a case."""
    return f"{transport}, {count:,} readers"


@contextmanager
def holding(server: Server, transport: str, count: int) -> Iterator[Readers]:
    """Hold readers, all of them subscribed, the server at rest."""
    with server.readers(transport) as readers:
        grow(readers, server, count)
        yield readers


def grow(readers: Readers, server: Server, count: int) -> None:
    """Add readers, and wait until all of them are subscribed and the server is at rest."""
    readers.open(count)
    readers.ready(READY_WITHIN)
    wait_until_quiet(server.pids)


def _measure(
    session: Session, fanout: Results, memory: Results, peer: Peer, transport: str, sizes: tuple[int, ...]
) -> None:
    """Measure one peer by one transport, at each size.

    Raises:
        Unable: it could not do a size, and so none that is larger.
    """
    held = 0
    with session.server(peer) as server:
        before = pss(server.pids)
        with server.readers(transport) as readers:
            for size in sizes:
                try:
                    grow(readers, server, size - held)
                    held = size
                    fanout.add(peer.name, case(transport, size), **_publish(session, server, readers, size))
                except Unable as error:
                    for larger in sizes[sizes.index(size) :]:
                        fanout.add_unable(peer.name, case(transport, larger), str(error))
                    memory.add_unable(peer.name, transport, str(error))
                    raise
            memory.add(peer.name, transport, KB=(pss(server.pids) - before) / held / 1024)


def _publish(session: Session, server: Server, readers: Readers, count: int) -> dict[str, float]:
    told, busy = [], []
    for _ in range(session.sized(3, 2)):
        before = cpu(server.pids)
        told.append(readers.round())
        wait_until_quiet(server.pids)
        busy.append(cpu(server.pids) - before)
    return {
        "deliveries/s": statistics.median(count / each.last for each in told),
        "per second of processor": count / statistics.median(busy),
        "p50 ms": statistics.median(each.p50 for each in told) * 1e3,
        "p99 ms": statistics.median(each.p99 for each in told) * 1e3,
        "last ms": statistics.median(each.last for each in told) * 1e3,
    }
