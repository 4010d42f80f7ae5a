"""Idle polls: how many of "is there anything new?" one processor answers when there is not."""

from __future__ import annotations

from contextlib import ExitStack

from bench.load import poll, request, target
from bench.peers import landline, nginx
from bench.peers.peer import Server
from bench.processes import cpu
from bench.results import Results
from bench.session import Session, noting

CEILING = "trivial C server"
"""What the load program itself can do: against the least that a server can be."""
TOLD_APART = (nginx.PEER.name, landline.LISTENER.name, landline.GTHREAD.name)
"""Whom it may matter to whether two requests have the same bytes."""
METRICS = {
    "polls/s": "{:,.0f}",
    "per second of processor": "{:,.0f}",
    "p50 ms": "{:.2f}",
    "p99 ms": "{:.2f}",
    "load program busy": "{:.0%}",
}
CASE = "32 connections"
NEVER_THE_SAME = "32 connections, with an X-Request-Id"
"""What equals what came before is answered without being read anew. So also this: no two requests have the same bytes,
as where a proxy gives each a name of its own."""
NAMED = "\r\nX-Request-Id: {number}\r\nHost:"


def run(session: Session) -> list[Results]:
    """Ask all of them in turns."""
    results = Results("polls", "idle polls a second, on one processor", METRICS)
    with ExitStack() as stack:
        port, pid = stack.enter_context(target())
        servers = {CEILING: Server((pid,), port, poll=request("/"))}
        for peer in session.peers:
            if not peer.can("polls"):
                results.add_unable(peer.name, CASE, peer.unable["polls"])
                continue
            with noting(results, peer.name, CASE):
                servers[peer.name] = stack.enter_context(session.server(peer))
        turns = [(CASE, name) for name in servers]
        turns += [(NEVER_THE_SAME, name) for name in TOLD_APART if name in servers]
        for case, name in session.turns(turns, ", ".join):
            with noting(results, name, case):
                text = servers[name].poll
                if case == NEVER_THE_SAME:
                    text = text.replace("\r\nHost:", NAMED)
                results.add(name, case, **measure(servers[name], text, session.sized(3.0, 0.5)))
    return [results]


def measure(server: Server, text: str, seconds: float) -> dict[str, float]:
    """Ask one server.

    What it does in a second of its processor's time is beside what it does in a second: the load program has one
    processor too, and nginx is nearly as quick as that.
    """
    before = cpu(server.pids)
    polled = poll(server.port, text, seconds=seconds)
    used = cpu(server.pids) - before
    return {
        "polls/s": polled.rate,
        "per second of processor": polled.answers / used,
        "p50 ms": polled.p50 * 1e3,
        "p99 ms": polled.p99 * 1e3,
        "load program busy": polled.client,
    }
