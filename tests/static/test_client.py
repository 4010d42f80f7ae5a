"""The browser client where browsers have rules of their own: six connections, dialogs, cookies to another origin."""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.examples.howto import PATIENCE
from tests.processes import Process, free_port

pytestmark = pytest.mark.browser

HERE = Path(__file__).parent
SCRIPT = HERE.parents[1] / "src" / "flask_landline" / "static" / "landline.js"
OPEN = """
async ({ script, url, channel, transports }) => {
    const { Landline } = await import(script);
    window.got = [];
    window.told = [];
    window.line = new Landline({ url, transports });
    line.on(channel, (data) => got.push(data));
    line.addEventListener("error", ({ detail }) => told.push(detail.message));
}
"""


@contextlib.contextmanager
def serve(origins: str = "") -> Iterator[Process]:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-k", "gthread", "--threads", "4", "-b", f"127.0.0.1:{port}"]
    with Process([*command, "client_app:app"], port=port, cwd=HERE, env={"ORIGINS": origins}) as process:
        yield process


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context() as context:
        context.set_default_timeout(PATIENCE)
        yield context


def publish(server: Process, channel: str, data: object) -> None:
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(f"{server.url}/publish/{channel}", json.dumps(data).encode(), headers), timeout=10) as answer:
        answer.read()


def open_line(
    page: Page,
    server: Process,
    channel: str = "news",
    script: str = "/landline/landline.js",
    transports: Sequence[str] = ("websocket", "sse", "long-poll", "poll"),
) -> None:
    url = f"{server.url}/landline"
    page.evaluate(OPEN, {"script": script, "url": url, "channel": channel, "transports": transports})


def expect_event(page: Page, data: object) -> None:
    page.wait_for_function("data => got.includes(data)", arg=data)


def test_eight_windows_without_web_locks_all_load_and_get_each_event(context: BrowserContext) -> None:
    """As over plain http, behind a proxy without sockets; Chromium has locks here, so they are taken away."""
    context.add_init_script("Object.defineProperty(navigator, 'locks', { value: undefined }); delete window.WebSocket;")
    with serve() as server:
        pages = []
        for _ in range(8):
            pages.append(page := context.new_page())
            page.goto(server.url)
            open_line(page, server)
            # The next one comes when this one reads.
            page.wait_for_function("line.cursor")
        for page in pages[:4]:
            page.wait_for_function("line.transport === 'sse'")
        publish(server, "news", "hello")
        for page in pages:
            expect_event(page, "hello")
        assert [page.evaluate("line.transport") for page in pages] == ["sse"] * 4 + ["poll"] * 4
        pages[0].close()
        pages[4].wait_for_function("line.transport === 'sse'")


def test_leader_in_a_dialog_is_missed_within_seconds(context: BrowserContext) -> None:
    with serve() as server:
        leader, other = context.new_page(), context.new_page()
        for page, transport in ((leader, "websocket"), (other, "shared")):
            page.goto(server.url)
            open_line(page, server)
            page.wait_for_function("transport => line.transport === transport", arg=transport)
        leader.on("dialog", lambda dialog: dialogs.append(dialog))
        dialogs: list[object] = []
        leader.evaluate("setTimeout(() => confirm('Really?'))")
        other.wait_for_function("line.transport !== 'shared'", timeout=12_000)
        assert dialogs
        publish(server, "news", "hello")
        expect_event(other, "hello")


@pytest.fixture(scope="module")
def home() -> Iterator[Process]:
    """Serve pages of another origin, of the same site, so that their visitors' cookies go along."""
    with serve() as process:
        yield process


@pytest.mark.parametrize("transport", ["websocket", "sse", "long-poll", "poll"])
def test_page_of_a_listed_origin_reads_with_cookies(context: BrowserContext, home: Process, transport: str) -> None:
    elsewhere = context.new_page()
    with serve(home.url) as server:
        elsewhere.goto(f"{server.url}/login")
        elsewhere.goto(home.url)
        open_line(elsewhere, server, "closed", "/landline/landline.js", [transport, "poll"])
        elsewhere.wait_for_function("transport => line.cursor && line.transport === transport", arg=transport)
        publish(server, "closed", "hello")
        expect_event(elsewhere, "hello")
        assert elsewhere.evaluate("told") == []


@pytest.mark.parametrize("transport", ["websocket", "sse", "long-poll", "poll"])
def test_page_of_any_origin_reads_public_channels_where_only_the_star_is_listed(
    context: BrowserContext, home: Process, transport: str
) -> None:
    elsewhere = context.new_page()
    with serve("*") as server:
        elsewhere.goto(home.url)
        open_line(elsewhere, server, "news", "/landline/landline.js", [transport, "poll"])
        elsewhere.wait_for_function("transport => line.cursor && line.transport === transport", arg=transport)
        publish(server, "news", "hello")
        expect_event(elsewhere, "hello")
        assert elsewhere.evaluate("told") == []


def test_sandboxed_frame_reads_public_channels(context: BrowserContext, home: Process) -> None:
    """Its origin is "null", its storage and locks are forbidden, and the script is not its own."""
    elsewhere = context.new_page()
    with serve("*") as server:
        elsewhere.goto(home.url)
        script = f"data:text/javascript,{json.dumps(SCRIPT.read_text())}"
        elsewhere.evaluate(
            """
            ([script, url]) => {
                const frame = document.createElement("iframe");
                frame.sandbox = "allow-scripts";
                frame.srcdoc = `<script type="module">
                    const address = URL.createObjectURL(new Blob([${script}], { type: "text/javascript" }));
                    const { Landline } = await import(address);
                    const line = new Landline({ url: "${url}" });
                    line.on("news", (data) => parent.postMessage(data, "*"));
                    line.addEventListener("status", ({ detail }) => parent.postMessage(detail.status, "*"));
                <\\/script>`;
                window.got = [];
                addEventListener("message", ({ data }) => got.push(data));
                document.body.append(frame);
            }
            """,
            [script.removeprefix("data:text/javascript,").replace("</", "<\\/"), f"{server.url}/landline"],
        )
        expect_event(elsewhere, "live")
        publish(server, "news", "hello")
        expect_event(elsewhere, "hello")
