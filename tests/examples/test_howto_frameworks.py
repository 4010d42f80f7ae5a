"""The pages of the how-tos for React and for Vue: two ways to write one page, held to the same."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.examples.howto import HowTo, Lines, expect_items

pytestmark = pytest.mark.browser

BUNDLE = "esbuild page.jsx --bundle --format=esm --jsx=automatic --external:/landline/* --outfile=static/page.js"

ALONE = """
import { createRoot } from "react-dom/client";
import { LandlineProvider, useChannel } from "./landline.jsx";

const Reader = () => useChannel("orders", () => {});
window.root = createRoot(document.getElementById("root"));
root.render(<LandlineProvider><Reader /></LandlineProvider>);
"""


def react(folder: Path) -> HowTo:
    howto = HowTo("react", folder)
    howto.bundle(BUNDLE)
    return howto


def vue(folder: Path) -> HowTo:
    howto = HowTo("vue", folder)
    howto.add("vue/dist/vue.esm-browser.prod.js")
    return howto


@pytest.fixture(params=[react, vue], ids=["react", "vue"])
def howto(request: pytest.FixtureRequest, tmp_path: Path) -> HowTo:
    make: Callable[[Path], HowTo] = request.param
    return make(tmp_path)


def test_page_begins_with_the_state_and_shows_each_order_once(howto: HowTo, page: Page) -> None:
    lines = Lines(page)
    howto.place("before")
    with howto.serve() as server:
        page.goto(server.url)
        expect_items(page, "li", "before")
        lines.expect_channels(["orders"])
        expect_items(page, "p", "live")
        howto.place("<b>after</b>")
        expect_items(page, "li", "before", "<b>after</b>")
        assert lines.alive() == 1
    # React's StrictMode mounts twice. Neither another line came of it nor another snapshot.
    assert lines.opened() == 1
    assert len([url for url in lines.polls if "cursor" not in url]) == 1


def test_restart_leaves_no_gap(howto: HowTo, page: Page) -> None:
    resets: list[str] = []
    page.on("console", lambda words: resets.append(words.text) if "reset" in words.text else None)
    with howto.serve() as server:
        page.goto(server.url)
        expect_items(page, "p", "live")
        howto.place("before")
        expect_items(page, "li", "before")
    howto.place("meanwhile")
    expect_items(page, "p", "offline")
    with howto.serve():
        expect_items(page, "li", "before", "meanwhile")
        howto.place("after")
        expect_items(page, "li", "before", "meanwhile", "after")
        expect_items(page, "p", "live")
        page.close()
    assert resets == []


def test_component_that_goes_leaves_no_line_and_begins_anew_when_it_comes_back(howto: HowTo, page: Page) -> None:
    lines = Lines(page)
    with howto.serve() as server:
        page.goto(server.url)
        lines.expect_channels(["orders"])
        page.click("text=Hide")
        lines.expect_channels()
        howto.place("meanwhile")
        page.click("text=Show")
        expect_items(page, "li", "meanwhile")
        lines.expect_channels(["orders"])


def test_react_closes_the_line_with_the_page(tmp_path: Path, page: Page) -> None:
    howto = HowTo("react", tmp_path)
    (tmp_path / "page.jsx").write_text(ALONE)
    howto.bundle(BUNDLE)
    check_close(howto, page, "root.unmount()")


def test_vue_closes_the_line_with_the_page(tmp_path: Path, page: Page) -> None:
    check_close(vue(tmp_path), page, "document.getElementById('root').__vue_app__.unmount()")


def check_close(howto: HowTo, page: Page, unmount: str) -> None:
    lines = Lines(page)
    with howto.serve() as server:
        page.goto(server.url)
        lines.expect_channels(["orders"])
        page.evaluate(unmount)
        lines.expect_channels()
        assert lines.alive() == 0
