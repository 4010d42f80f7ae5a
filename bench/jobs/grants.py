"""Grants: what a poll of a channel that has a reader costs, beside one of a public channel."""

from __future__ import annotations

import json
from contextlib import ExitStack
from urllib.parse import quote

from bench.load import poll, request
from bench.peers import landline
from bench.peers.peer import Server
from bench.processes import cpu, get
from bench.results import Results
from bench.session import Session

COOKIE = "Cookie: session=eyJfdXNlcl9pZCI6IjcifQ.Z0CkYQ.4pHq3F6nUj4Jd7vB4l3m0nKfQ8w"
"""Both send it: a browser does not know which of them asks who it is."""
PUBLIC, GRANTED, ASKED = "public", "with a grant", "without one: the app is asked"
METRICS = {"µs of processor": "{:.1f}", "polls/s": "{:,.0f}"}


def run(session: Session) -> list[Results]:
    """Ask one process in turns, through either door."""
    results = Results("grants", "an idle poll of a channel that is public, and of one that has a reader", METRICS)
    with ExitStack() as stack:
        asks: dict[tuple[str, str], tuple[Server, str]] = {}
        for peer in (landline.GTHREAD, landline.LISTENER):
            server = stack.enter_context(peer.start(stack.enter_context(session.folder())))
            for case, text in _polls(server).items():
                asks[peer.name, case] = server, text
        for peer_name, case in session.turns(asks, " ".join):
            server, text = asks[peer_name, case]
            before = cpu(server.pids)
            polled = poll(server.port, text, seconds=session.sized(3.0, 0.5))
            used = (cpu(server.pids) - before) / polled.answers * 1e6
            results.add(peer_name, case, **{"µs of processor": used, "polls/s": polled.rate})
    return [results]


def _polls(server: Server) -> dict[str, str]:
    name, _, value = COOKIE.partition(": ")
    answer = json.loads(get(server.port, "/landline/poll?channel=mine", {name: value})[0])
    public = f"/landline/poll?channel=orders&cursor={answer['cursor']}"
    private = f"/landline/poll?channel=mine&cursor={answer['cursor']}"
    granted = f"{private}&grant={quote(answer['grant']['token'])}"
    return {PUBLIC: request(public, COOKIE), GRANTED: request(granted, COOKIE), ASKED: request(private, COOKIE)}
