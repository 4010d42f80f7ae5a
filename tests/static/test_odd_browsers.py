"""The browser client in a browser that is not as one thinks: it throws, it caches, its address has a password."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page

from tests.processes import Process, free_port

pytestmark = pytest.mark.browser

PATIENCE = 20_000
"""Milliseconds for what comes within two intervals on a machine with nothing else to do."""

LINE = """<script type="module">
import {{ Landline }} from "/landline/landline.js";
window.got = [];
window.said = [];
window.answers = 0;
window.line = new Landline({0});
line.addEventListener("error", ({{ detail }}) => said.push(detail.message));
line.addEventListener("trace", ({{ detail }}) => detail.phase === "answer" && answers++);
line.on("orders", (data) => got.push(data));
{1}
</script>"""

THROWS = """
window.BroadcastChannel = class {
  constructor() { throw new DOMException("The operation is insecure.", "SecurityError"); }
};
"""

CACHE_FIRST = """
self.addEventListener("install", () => skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(clients.claim()));
self.addEventListener("fetch", (event) => event.respondWith(caches.open("all").then(async (cache) => {
  const kept = await cache.match(event.request);
  if (kept) return kept;
  const answer = await fetch(event.request);
  await cache.put(event.request, answer.clone());
  return answer;
})));
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    port = free_port()
    command = [sys.executable, "-m", "flask", "--app", "app.py", "run", "--port", str(port)]
    with Process(command, port=port, cwd=Path(__file__).parent) as process:
        yield process


def publish(server: Process, data: object) -> None:
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(f"{server.url}/publish/orders", json.dumps(data).encode(), headers), timeout=10):
        pass


def address(server: Process, options: str = "", more: str = "") -> str:
    return f"{server.url}/?{urlencode({'body': LINE.format(options, more)})}"


def expect_status(page: Page, status: str, transport: str) -> None:
    condition = "([status, transport]) => window.line?.status === status && line.transport === transport"
    page.wait_for_function(condition, arg=[status, transport], timeout=PATIENCE)


def expect_event(page: Page, data: object) -> None:
    page.wait_for_function("data => got.includes(data)", arg=data, timeout=PATIENCE)


def test_broadcast_channel_that_throws_leaves_the_line_live(server: Process, page: Page) -> None:
    """As Firefox does where cookies are blocked."""
    page.add_init_script(THROWS)
    page.goto(address(server))
    expect_status(page, "live", "websocket")
    publish(server, "hello")
    expect_event(page, "hello")
    said = page.evaluate("said")
    assert said == ["The client failed: SecurityError: The operation is insecure.. Trying again."]


@pytest.mark.parametrize("url", ["undefined", "'/landline'", "'landline/'"])
def test_password_in_the_page_s_address_is_left_out(server: Process, page: Page, url: str) -> None:
    words: list[str] = []
    page.on("console", lambda word: words.append(word.text))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address(server, f"{{ url: {url} }}").replace("http://", "http://me:hush@"))
    assert "hush" in page.evaluate("document.baseURI"), "the browser hides it itself, and the test proves nothing"
    expect_status(page, "live", "websocket")
    publish(server, url)
    expect_event(page, url)
    said = page.evaluate("said")
    assert said == []
    assert not [text for text in [*words, *asked[1:]] if "hush" in text]


def test_cache_first_service_worker_is_noticed_on_short_polls(server: Process, page: Page) -> None:
    page.context.route("**/worker.js", lambda route: route.fulfill(body=CACHE_FIRST, content_type="text/javascript"))
    page.goto(address(server))
    page.evaluate("navigator.serviceWorker.register('/worker.js').then(() => navigator.serviceWorker.ready)")
    page.wait_for_function("navigator.serviceWorker.controller", timeout=PATIENCE)
    page.goto(address(server, "{ transports: ['poll'] }"))
    # The second is the first from its position: "nothing new", which the cache has from here on.
    page.wait_for_function("window.answers >= 2", timeout=PATIENCE)
    publish(server, "fresh")
    expect_event(page, "fresh")


def loads(server: Process, page: Page, more: str = "line.reloadOnReset();") -> tuple[int, list[str]]:
    """Open a page that a cache keeps with a position from another life of the log; count its loads until it rests."""
    documents: list[str] = []
    page.on("request", lambda request: documents.append(request.url) if request.is_navigation_request() else None)
    page.goto(address(server, "{ cursor: 'aaaaaaaa-5' }", more))
    page.wait_for_function("window.said?.length", timeout=PATIENCE)
    return len(documents), page.evaluate("said")


def test_cached_page_is_loaded_again_once_and_says_why_no_more(server: Process, page: Page) -> None:
    count, said = loads(server, page)
    assert count == 2
    assert "Reset at aaaaaaaa-5 again after a reload" in said[0]


def test_cached_page_without_storage_is_loaded_again_once(server: Process, page: Page) -> None:
    denied = "{ get() { throw new DOMException('no', 'SecurityError'); } }"
    page.add_init_script(f"Object.defineProperty(window, 'sessionStorage', {denied})")
    count, said = loads(server, page)
    assert count == 2
    assert "a cache has the page" in said[0]
