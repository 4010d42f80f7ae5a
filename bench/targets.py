"""What must be reached: ratios within one run on one processor, and what was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from bench.jobs import cache, fanout, grants, growth, polls, publish
from bench.peers import PEERS, flask_plain, landline, nchan, nginx
from bench.results import Results, ratio

GTHREAD, LISTENER, NCHAN = landline.GTHREAD.name, landline.LISTENER.name, nchan.PEER.name
PER_CPU = "per second of processor"
NATIVE = (LISTENER, GTHREAD, NCHAN)
"""What is not among the Python and node peers: Landline by each door, as those are two set-ups, and nchan."""
READERS = 10_000
DISTINCT = 1.1
"""Within ten per cent."""


class Target(NamedTuple):
    """One of them."""

    what: str
    job: str
    least: float
    """The worst that is good enough."""
    aim: float | None
    reached: Callable[[Results], float | None]
    at_most: bool = False
    """Whether less is better."""

    def verdict(self, value: float) -> str:
        """Say in a word or two how it went."""

        def passes(bound: float) -> bool:
            return value <= bound if self.at_most else value >= bound

        if not passes(self.least):
            return "missed"
        return "reached" if self.aim is None or passes(self.aim) else "at least reached"


def table(found: Mapping[str, Results]) -> list[list[str]]:
    """Return a line for each target whose job was run: what, at least, aim, reached, verdict."""
    lines = [["", "at least", "aim", "reached", "verdict"]]
    for target in TARGETS:
        if target.job not in found:
            continue
        value = target.reached(found[target.job])
        sign = "≤ " if target.at_most else ""
        bounds = [f"{sign}{bound:,.10g} ×" if bound else "" for bound in (target.least, target.aim)]
        told = [f"{value:,.2f} ×", target.verdict(value)] if value is not None else ["", "not measured"]
        lines.append([target.what, *bounds, *told])
    return lines


def _polls(one: str, other: str, metric: str = "polls/s") -> Callable[[Results], float | None]:
    return lambda results: ratio(results.values(one, polls.CASE, metric), results.values(other, polls.CASE, metric))


def _fanout(transport: str, one: str) -> Callable[[Results], float | None]:
    case = fanout.case(transport, READERS)
    return lambda results: ratio(results.values(one, case, "deliveries/s"), results.values(NCHAN, case, "deliveries/s"))


def _best_of_others(results: Results) -> float | None:
    """Return Landline's event streams against the best of Python's and node's, by whatever transport that has."""
    mine = results.values(GTHREAD, fanout.case("sse", READERS), "deliveries/s")
    cases = [fanout.case(transport, READERS) for transport in fanout.TRANSPORTS]
    theirs = [
        ratio(mine, results.values(peer.name, case, "deliveries/s"))
        for peer in PEERS
        if peer.name not in NATIVE
        for case in cases
    ]
    return min((each for each in theirs if each is not None), default=None)


def _memory(transport: str) -> Callable[[Results], float | None]:
    return lambda results: ratio(results.values(GTHREAD, transport, "KB"), results.values(NCHAN, transport, "KB"))


def _publish(one: tuple[str, str], other: tuple[str, str]) -> Callable[[Results], float | None]:
    return lambda results: ratio(results.values(*one, "events/s"), results.values(*other, "events/s"))


def _growth(what: str, many: str, few: str) -> Callable[[Results], float | None]:
    metric = next(iter(growth.METRICS))
    return lambda results: ratio(results.values(what, many, metric), results.values(what, few, metric))


def _granted(peer: str) -> Callable[[Results], float | None]:
    metric = next(iter(grants.METRICS))
    return lambda results: ratio(
        results.values(peer, grants.GRANTED, metric), results.values(peer, grants.PUBLIC, metric)
    )


def _at_edge(results: Results) -> float | None:
    """Return the polls for each request at the app; 0 where there were too few a second for that to mean anything."""
    case = next(iter(cache.CASES))
    rates, each = (results.values(cache.NAME, case, metric) for metric in ("polls/s at the edge", "polls for each"))
    if not rates:
        return None
    return min(each) if min(rates) >= EDGE_RATE else 0.0


EDGE_RATE = 50_000
FULL_1, FULL_8 = (publish.case("FULL", threads, 1) for threads in (1, 8))
LOG_MANY, LOG_FEW = (growth.case("events in the log", count) for count in (10_000_000, 10))
OTHERS_MANY, OTHERS_NONE = (growth.case("readers of other channels", count) for count in (10_000, 0))

TARGETS = (
    Target("idle polls, listener : nginx `return 200`", "polls", 0.6, 0.8, _polls(LISTENER, nginx.PEER.name, PER_CPU)),
    Target("idle polls, listener : Flask route", "polls", 15, None, _polls(LISTENER, flask_plain.GTHREAD.name)),
    Target("idle polls, gunicorn : Flask route", "polls", 1.8, 2, _polls(GTHREAD, flask_plain.GTHREAD.name)),
    Target("SSE to 10,000 : nchan", "fanout", 1.1, 1.25, _fanout("sse", GTHREAD)),
    Target("SSE to 10,000 : best Python or node peer", "fanout", 2, None, _best_of_others),
    Target("long poll to 10,000, listener : nchan", "fanout", 0.9, 1.1, _fanout("long-poll", LISTENER)),
    Target("WebSocket to 10,000 : nchan", "fanout", 0.9, 1.1, _fanout("websocket", GTHREAD)),
    Target("memory of an SSE reader : nchan's", "memory", 0.4, 0.25, _memory("sse"), at_most=True),
    Target("memory of a WebSocket reader : nchan's", "memory", 0.8, 0.5, _memory("websocket"), at_most=True),
    Target(
        "publish, SQLite FULL, 1 thread : bare INSERT",
        "publish",
        0.6,
        0.8,
        _publish((publish.LANDLINE, FULL_1), (publish.BARE, FULL_1)),
    ),
    Target(
        "publish, SQLite FULL, 8 threads : 1 thread",
        "publish",
        3,
        None,
        _publish((publish.LANDLINE, FULL_8), (publish.LANDLINE, FULL_1)),
    ),
    Target(
        "poll, log of 10,000,000 : log of 10",
        "growth",
        DISTINCT,
        None,
        _growth(growth.ANEW, LOG_MANY, LOG_FEW),
        at_most=True,
    ),
    Target(
        "delivery, 10,000 readers of other channels : none",
        "growth",
        DISTINCT,
        None,
        _growth(growth.DELIVERY, OTHERS_MANY, OTHERS_NONE),
        at_most=True,
    ),
    Target("poll with a grant, gunicorn : public poll", "grants", 1.3, None, _granted(GTHREAD), at_most=True),
    Target("poll with a grant, listener : public poll", "grants", 1.3, None, _granted(LISTENER), at_most=True),
    Target("polls at the edge : requests at the app, at 50,000 polls/s", "cache", 10_000, None, _at_edge),
)
