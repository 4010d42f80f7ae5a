"""Tabs of a real browser share one line: who leads may leave or crash, and every tab gets every event once."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.held.servers import GTHREAD, Server, serve
from tests.processes import until

TABS = 12
LIVES = 10
PATIENCE = 30

FOLLOW = """async ({ url, cursor }) => {
  const { Landline } = await import(`${url}/landline/landline.js`);
  globalThis.got = [];
  globalThis.line = new Landline({ cursor, hiddenAfterMs: 1e9 });
  line.on("news", (number) => got.push(number));
}"""


def open_tab(context: BrowserContext, server: Server, cursor: str) -> Page:
    page = context.new_page()
    page.goto(f"{server.base}/plain")
    page.evaluate(FOLLOW, {"url": server.base, "cursor": cursor})
    return page


def transports(tabs: list[Page]) -> list[str]:
    return sorted(tab.evaluate("line.status === 'live' ? line.transport : line.status") for tab in tabs)


def shared(tabs: list[Page]) -> bool:
    return transports(tabs) == ["shared"] * (len(tabs) - 1) + ["websocket"]


def leader(tabs: list[Page]) -> Page:
    return next(tab for tab in tabs if tab.evaluate("line.transport") == "websocket")


class Tabs:
    """The tabs that are there, and from which number on each one reads."""

    def __init__(self, context: BrowserContext, server: Server) -> None:
        self._context = context
        self._server = server
        self.begun: dict[Page, int] = {}
        self.published = 0

    def fill(self) -> None:
        """Open as many as are missing."""
        while len(self.begun) < TABS:
            self.begun[open_tab(self._context, self._server, self._server.cursor())] = self.published

    def publish(self) -> None:
        self.published += 1
        self._server.publish(self.published)

    def close(self, tab: Page) -> None:
        del self.begun[tab]
        tab.close()

    def crash(self, tab: Page) -> None:
        """End a tab's renderer without a word to the page."""
        with tab.expect_event("crash"):
            # Not `goto`, which would wait for a page, nor `Page.crash`, which waits for the one that is gone.
            tab.context.new_cdp_session(tab).send("Page.navigate", {"url": "chrome://crash"})
        self.close(tab)

    def missing(self) -> dict[int, Any]:
        got = [(tab.evaluate("got"), list(range(begun + 1, self.published + 1))) for tab, begun in self.begun.items()]
        return {index: pair for index, pair in enumerate(got) if pair[0] != pair[1]}


@pytest.mark.browser
def test_twelve_tabs_have_one_line_through_ten_leaders(browser: Browser, tmp_path: Path) -> None:
    with serve(GTHREAD, tmp_path / "log") as server, browser.new_context() as context:
        tabs = Tabs(context, server)
        for life in range(LIVES):
            tabs.fill()
            until(lambda: shared(list(tabs.begun)), PATIENCE, "one line for all tabs")
            until(lambda: server.facts()["held"] == 1, PATIENCE, "one held request")
            tabs.publish()
            end = tabs.crash if life % 2 else tabs.close
            end(leader(list(tabs.begun)))
            tabs.publish()
        tabs.fill()
        until(lambda: shared(list(tabs.begun)), PATIENCE, "one line for all tabs")
        tabs.publish()
        until(lambda: not tabs.missing(), PATIENCE, "every event once and in order")
