"""Latency: from before an event is published until its reader has it."""

from __future__ import annotations

import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.load import Readers
from bench.peers import landline
from bench.processes import SERVER_CPU, Unable, pinned, post
from bench.publisher import GAPS
from bench.results import Results
from bench.session import Session, noting

NAME = "Landline"
METRICS = {"p50 ms": "{:.2f}", "p99 ms": "{:.2f}"}
HTTP = "by an HTTP request to a stream"
CHROMIUM = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync")


def run(session: Session) -> list[Results]:
    """Publish now and then, and see when it comes."""
    count = session.sized(100, 10)
    results = Results("latency", "from publishing to the reader's handler", METRICS)
    for _ in session.turns([NAME], str):
        with session.folder() as folder, landline.start(folder) as server:
            for transport in ("sse", "websocket"):
                with server.readers(transport) as reader:
                    reader.open(1)
                    reader.ready()
                    reader.begin_watch(count, 60.0)
                    for _ in range(count):
                        time.sleep(random.uniform(*GAPS))
                        post(server.port, "/publish/now", b"{}")
                    told = reader.end_watch()
                    _add(results, f"same process, {transport}", told.p50, told.p99)
                    told = _from_other_process(reader, folder, count)
                    _add(results, f"other process, {transport}", told.p50, told.p99)
            with noting(results, NAME, "other process, in the browser"):
                delays = statistics.quantiles(_in_browser(server.port, folder, count), n=100)
                _add(results, "other process, in the browser", delays[49], delays[98])
    for peer in session.turns([peer for peer in session.peers if peer.readable], lambda peer: peer.name):
        with noting(results, peer.name, HTTP), session.server(peer) as server:
            with server.readers(next(iter(server.readings))) as reader:
                reader.open(1)
                reader.ready()
                rounds = [reader.round().last for _ in range(count)]
            delays = statistics.quantiles(rounds, n=100)
            results.add(peer.name, HTTP, **{"p50 ms": delays[49] * 1e3, "p99 ms": delays[98] * 1e3})
    return [results]


def _add(results: Results, case: str, p50: float, p99: float) -> None:
    results.add(NAME, case, **{"p50 ms": p50 * 1e3, "p99 ms": p99 * 1e3})


def _publishing(folder: Path, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench.publisher", "moments", f"sqlite:///{folder}/landline.db", count]
    return subprocess.Popen(pinned(SERVER_CPU, command))


def _from_other_process(reader: Readers, folder: Path, count: int) -> Any:
    reader.begin_watch(count, 60.0)
    publishing = _publishing(folder, count)
    told = reader.end_watch()
    publishing.wait()
    return told


def _in_browser(port: int, folder: Path, count: int) -> Sequence[float]:
    """Return the seconds until a page's handler was called, by the browser's clock, which is the machine's."""
    browser_path = shutil.which("chromium")
    if browser_path is None:
        raise Unable("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=list(CHROMIUM))
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/page")
        page.wait_for_function("line.transport === 'websocket'")
        publishing = _publishing(folder, count)
        page.wait_for_function(f"delays.length >= {count}")
        delays: list[float] = page.evaluate("delays")
        publishing.wait()
        browser.close()
    return delays
