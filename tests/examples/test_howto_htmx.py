"""The page of the how-to for htmx, with htmx itself."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.examples.howto import PATIENCE, HowTo, Lines, expect_items, order

pytestmark = pytest.mark.browser


@pytest.fixture
def howto(tmp_path: Path) -> HowTo:
    howto = HowTo("htmx", tmp_path)
    howto.add("htmx.org/dist/htmx.min.js")
    return howto


def test_both_lists_follow_in_every_window(howto: HowTo, browser: Browser) -> None:
    with howto.serve() as server, browser.new_context() as context:
        one, other = context.new_page(), context.new_page()
        one.goto(server.url)
        other.goto(server.url)
        for page in (one, other):
            expect(page.get_by_role("status")).to_have_text("live", timeout=PATIENCE)
        order(one, "soup")
        order(other, "<b>bread</b>")
        for page in (one, other):
            expect_items(page, "#orders li", "1: soup", "2: <b>bread</b>")
            expect_items(page, "#ticker li", "Order 1: soup", "Order 2: <b>bread</b>")


def test_restart_leaves_no_gap(howto: HowTo, page: Page) -> None:
    with howto.serve() as server:
        page.goto(server.url)
        order(page, "before")
        expect_items(page, "#ticker li", "Order 1: before")
    howto.place("meanwhile")
    expect(page.get_by_role("status")).to_have_text("offline", timeout=PATIENCE)
    with howto.serve():
        expect_items(page, "#orders li", "1: before", "2: meanwhile")
        expect_items(page, "#ticker li", "Order 1: before", "Order 2: meanwhile")
        order(page, "after")
        expect_items(page, "#ticker li", "Order 1: before", "Order 2: meanwhile", "Order 3: after")
        page.close()


def test_no_line_is_left_when_htmx_has_removed_who_read(howto: HowTo, page: Page) -> None:
    lines = Lines(page)
    with howto.serve() as server:
        page.goto(server.url)
        lines.expect_channels(["orders", "ticker"])
        page.evaluate("htmx.swap('main', 'Closed.', { swapStyle: 'innerHTML', swapDelay: 0, settleDelay: 0 })")
        lines.expect_channels()
