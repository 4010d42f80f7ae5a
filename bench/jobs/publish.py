"""Publishing: events a second, by log, threads and processes, beside a loop of bare INSERTs."""

from __future__ import annotations

import subprocess
import sys
import time

from bench.processes import SERVER_CPU, pinned
from bench.results import Results
from bench.session import Session

BARE = "bare INSERT loop"
LANDLINE = "Landline"
START = 1.5
"""Seconds for processes to start in, before they begin together."""


def run(session: Session) -> list[Results]:
    """Publish without a pause."""
    results = Results("publish", "events published a second, on one processor", {"events/s": "{:,.0f}"})
    turns = [(LANDLINE, "memory", threads, 1) for threads in (1, 8)]
    for synchronous in ("FULL", "NORMAL"):
        turns.append((BARE, synchronous, 1, 1))
        turns += [(LANDLINE, synchronous, threads, processes) for processes in (1, 4) for threads in (1, 8)]
    for kind, log, threads, processes in session.turns(turns, lambda turn: f"{turn[0]}, {case(*turn[1:])}"):
        rate = _measure(session, kind, log, threads, processes)
        results.add(kind, case(log, threads, processes), **{"events/s": rate})
    return [results]


def case(log: str, threads: int, processes: int) -> str:
    """Return the name of a case."""
    name = log if log == "memory" else f"SQLite {log}"
    of = f"{threads} thread" + "s" * (threads > 1)
    return f"{name}, {of}" if processes == 1 else f"{name}, {processes} processes of {of}"


def _measure(session: Session, kind: str, log: str, threads: int, processes: int) -> float:
    seconds = session.sized(3.0, 0.5)
    with session.folder() as folder:
        url = "memory:" if log == "memory" else f"sqlite:///{folder}/log.db#{log}"
        begin = time.monotonic() + START * processes
        command = [sys.executable, "-m", "bench.publisher", "landline" if kind == LANDLINE else "bare"]
        command += [url, str(threads), str(begin), str(seconds)]
        running = [
            subprocess.Popen(pinned(SERVER_CPU, command), stdout=subprocess.PIPE, text=True) for _ in range(processes)
        ]
        return sum(int(process.communicate()[0]) for process in running) / seconds
