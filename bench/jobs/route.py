"""What an ordinary route of the same app loses by very many held readers, idle and busy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bench.jobs.fanout import TRANSPORTS, holding
from bench.load import poll
from bench.peers.peer import Server
from bench.processes import Unable, send
from bench.results import Results
from bench.session import Session, noting

METRICS = {"requests/s": "{:,.0f}", "p50 ms": "{:.2f}", "p99 ms": "{:.2f}"}


def run(session: Session) -> list[Results]:
    """Load an ordinary route: alone, with readers held, and with an event each second for all of them."""
    count = session.sized(10_000, 100)
    results = Results("route", "an ordinary route of the same app", METRICS)
    for peer in session.peers:
        if not peer.can("route"):
            results.add_unable(peer.name, "an ordinary route", peer.unable["route"])
    turns = [
        (peer, transport)
        for peer in session.peers
        for transport in TRANSPORTS
        if peer.can(transport) and peer.can("route")
    ]
    for peer, transport in session.turns(turns, lambda item: f"{item[0].name}, {item[1]}"):
        if any(of.startswith(transport) for name, of in results.unable if name == peer.name):
            continue
        with session.server(peer) as server:
            with noting(results, peer.name, f"{transport}, nobody held"):
                results.add(peer.name, f"{transport}, nobody held", **_load(session, server))
            with (
                noting(results, peer.name, f"{transport}, {count:,} held, idle"),
                holding(server, transport, count),
            ):
                results.add(peer.name, f"{transport}, {count:,} held, idle", **_load(session, server))
                with (
                    noting(results, peer.name, f"{transport}, {count:,} held, an event each second"),
                    _publishing(server),
                ):
                    busy = _load(session, server)
                    results.add(peer.name, f"{transport}, {count:,} held, an event each second", **busy)
    return [results]


def _load(session: Session, server: Server) -> dict[str, float]:
    polled = poll(server.port, server.route, seconds=session.sized(2.5, 1.0))
    return {"requests/s": polled.rate, "p50 ms": polled.p50 * 1e3, "p99 ms": polled.p99 * 1e3}


@contextmanager
def _publishing(server: Server) -> Iterator[None]:
    """Publish once a second until the block ends.

    Raises:
        Unable: publishing failed: what was measured was idleness.
    """
    ended = threading.Event()
    failures: list[Exception] = []

    def publish() -> None:
        while not ended.is_set():
            try:
                send(server.port, server.publish)
            except OSError as error:
                failures.append(error)
            ended.wait(1.0)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if failures:
        raise Unable(f"publishing failed: {failures[0]}")
