"""The page of the how-to for a plain EventSource: what the browser does by itself, and what it leaves to the page."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route

from tests.examples.howto import HowTo, Lines, expect_items

pytestmark = pytest.mark.browser


@pytest.fixture
def howto(tmp_path: Path) -> HowTo:
    return HowTo("eventsource", tmp_path)


def test_page_begins_with_the_state_and_shows_each_order_once(howto: HowTo, page: Page) -> None:
    lines = Lines(page)
    howto.place("before")
    with howto.serve() as server:
        page.goto(server.url)
        lines.expect_channels(["orders"])
        howto.place("<b>after</b>")
        expect_items(page, "li", "before", "<b>after</b>")
        page.close()


def test_restart_leaves_no_gap(howto: HowTo, page: Page) -> None:
    lines = Lines(page)
    with howto.serve() as server:
        page.goto(server.url)
        lines.expect_channels(["orders"])
        howto.place("before")
        expect_items(page, "li", "before")
    howto.place("meanwhile")
    with howto.serve():
        expect_items(page, "li", "before", "meanwhile")
        howto.place("after")
        expect_items(page, "li", "before", "meanwhile", "after")
        page.close()


def test_refusal_is_not_the_end(howto: HowTo, page: Page) -> None:
    """The browser gives a stream up for good at any answer but 200."""
    refused: list[str] = []

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        route.fulfill(status=503)

    page.route("**/landline/events?*", refuse, times=2)
    page.add_init_script("Math.random = () => 0")  # of its pauses, the shortest
    with howto.serve() as server:
        page.goto(server.url)
        howto.place("meanwhile")
        expect_items(page, "li", "meanwhile")
        assert len(refused) == 2
        page.close()


def test_silence_is_the_end_of_the_stream_and_not_of_the_feed(howto: HowTo, page: Page) -> None:
    lines = Lines(page)
    page.clock.install()
    with howto.serve() as server:
        page.goto(server.url)
        lines.expect_channels(["orders"])
        howto.place("before")
        expect_items(page, "li", "before")
        # For the page there is no sign in all this time.
        page.clock.fast_forward(30_001)
        page.wait_for_function("opened.length === 2")
        lines.expect_channels(["orders"])
        howto.place("after")
        expect_items(page, "li", "before", "after")
        cursors = page.evaluate("opened.map(({ url }) => new URL(url).searchParams.get('cursor'))")
        assert cursors[0] != cursors[1], "the second stream begins where the first ended, not with the page"
        page.close()


def test_reset_loads_the_page_again(howto: HowTo, page: Page) -> None:
    lines = Lines(page)
    with howto.serve() as server:
        page.goto(server.url)
        lines.expect_channels(["orders"])
        page.evaluate("window.isOld = true")
    # The log is lost, the orders are not.
    for file in (howto.folder / "instance").iterdir():
        file.unlink()
    howto.place("after")
    with howto.serve():
        expect_items(page, "li", "after")
        page.wait_for_function("!window.isOld")
        page.close()
