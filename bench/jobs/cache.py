"""Behind a cache: polls a second at nginx's edge, and how many of them reached the app."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load import poll
from bench.peers import landline
from bench.peers.nginx import serving
from bench.peers.peer import Server
from bench.results import Results
from bench.session import Session, noting

HTTP = """
  proxy_cache_path {folder}/cache keys_zone=polls:1m;
  upstream app {{ server 127.0.0.1:{app}; keepalive 16; }}
"""
LOCATION = """
location /landline/ {
  proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";
  %s
}
"""
CACHED = "proxy_cache polls; proxy_cache_lock on; proxy_cache_use_stale updating; proxy_cache_background_update on;"
METRICS = {
    "polls/s at the edge": "{:,.0f}",
    "p99 ms": "{:.2f}",
    "requests/s at the app": "{:,.1f}",
    "polls for each": "{:,.0f}",
}
NAME = "Landline behind nginx"
CASES = {"proxy_cache_lock, LANDLINE_SHARED_CACHE=1": (CACHED, 1), "no cache": ("", None)}


def run(session: Session) -> list[Results]:
    """Poll through nginx, both on one processor."""
    results = Results("cache", "idle polls through nginx, with and without its cache", METRICS)
    for case in session.turns(CASES, str):
        with noting(results, NAME, case), _edge(session, *CASES[case]) as (port, server, log):
            seconds = session.sized(6.0, 1.5)
            poll(port, server.poll, seconds=0.5)
            before = _count(log)
            polled = poll(port, server.poll, seconds=seconds)
            # The load program warms up for a fifth longer than it counts.
            asked = (_count(log) - before) / (seconds * 1.2)
            results.add(
                NAME,
                case,
                **{
                    "polls/s at the edge": polled.rate,
                    "p99 ms": polled.p99 * 1e3,
                    "requests/s at the app": asked,
                    "polls for each": polled.rate / asked if asked else polled.rate * seconds,
                },
            )
    return [results]


@contextmanager
def _edge(session: Session, directives: str, shared_cache: int | None) -> Iterator[tuple[int, Server, Path]]:
    """Run the app, and nginx before it; gunicorn's access log says what reached the app."""
    with session.folder() as folder:
        (folder / "nginx").mkdir()
        log = folder / "access.log"
        options = ("--access-logfile", str(log))
        with (
            landline.start(folder, options=options, LANDLINE_SHARED_CACHE=shared_cache) as server,
            serving(folder / "nginx", LOCATION % directives, http=HTTP.format(folder=folder, app=server.port)) as (
                port,
                _,
            ),
        ):
            yield port, server, log


def _count(log: Path) -> int:
    return sum("/landline/poll?" in line for line in log.read_text().splitlines())
