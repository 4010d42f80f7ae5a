"""Event streams read by clients that nobody here wrote, over a wire that is cut again and again.

Each comes back by itself, with the last id it saw; what it then knows must be every event, once, in order.
"""

import json
import sys
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page

from tests.held.proxy import Cuts, Proxy
from tests.held.servers import GTHREAD, ROOT, Publisher, Server, serve
from tests.processes import Process

COUNT = 120
CUTS = 4
"""Cuts at least in a run; there are about ten."""
BETWEEN = (560, 1800)
"""A head and a hello are some 500 bytes, an event some 45: cuts fall inside events, lines and words."""

NODE = ("eventsource", "eventsource-client", "fetch-event-source")
PYTHON = ("httpx-sse", "launchdarkly-eventsource", "aiohttp-sse-client", "curl")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(GTHREAD, tmp_path_factory.mktemp("log"), HELD_RETRY="0.05") as server:
        yield server


@pytest.fixture
def cuts() -> Cuts:
    return Cuts(*BETWEEN)


@pytest.fixture
def proxy(server: Server, cuts: Cuts) -> Iterator[Proxy]:
    with Proxy(server.port, cuts) as proxy:
        yield proxy


def ledger(printed: str) -> list[tuple[str, int]]:
    return [(entry["id"], entry["data"]) for entry in map(json.loads, printed.splitlines())]


@pytest.mark.parametrize("name", NODE + PYTHON)
def test_client_gets_every_event_once_and_in_order(
    name: str, server: Server, proxy: Proxy, cuts: Cuts, require: Callable[[str], str]
) -> None:
    if name == "fetch-event-source":
        # It takes an id for read before the event is: where a cut falls between an id's line and the empty one
        # that ends the block, the event is lost to it. Our ids stand last, so one byte of a block is left.
        cuts.spare = b"\n\n"
    cursor = server.cursor()
    url = f"{proxy.base}/landline/events?channel=news&cursor={cursor}"
    if name in NODE:
        command = [require("node"), str(ROOT / "tests/held/sse_client.mjs")]
    else:
        if name == "curl":
            require("curl")
        command = [sys.executable, "-W", "ignore", str(ROOT / "tests/held/sse_client.py")]
    with Publisher(server, pause=0.004) as publisher, Process([*command, name, url, str(COUNT)], cwd=ROOT) as client:
        assert client.wait(60) == 0
        told = ledger(client.stdout)
    epoch = cursor.partition("-")[0]
    expected = [(f"{epoch}-{offset}", n) for n, offset in enumerate(publisher.published, 1)]
    assert told == expected[:COUNT]
    assert cuts.made >= CUTS


@pytest.mark.browser
def test_browser_gets_every_event_once_and_in_order(server: Server, proxy: Proxy, cuts: Cuts, page: Page) -> None:
    cursor = server.cursor()
    page.goto(f"{proxy.base}/plain")
    listen = """url => {
        window.told = [];
        window.source = new EventSource(url);
        source.addEventListener("news", event => told.push([event.lastEventId, JSON.parse(event.data)]));
    }"""
    page.evaluate(listen, f"/landline/events?channel=news&cursor={cursor}")
    with Publisher(server, pause=0.004) as publisher:
        page.wait_for_function("count => told.length >= count", arg=COUNT, timeout=60_000)
        told = [tuple(entry) for entry in page.evaluate("(source.close(), told)")]
    epoch = cursor.partition("-")[0]
    expected = [(f"{epoch}-{offset}", n) for n, offset in enumerate(publisher.published, 1)]
    assert told == expected[: len(told)]
    assert cuts.made >= CUTS
