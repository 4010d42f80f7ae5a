"""The status and the board in Safari's engine: today's, and that of Safari 16.0."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.examples.boards import post
from tests.examples.boards import serve as serve_board
from tests.examples.howto import PATIENCE, HowTo
from tests.processes import until
from tests.webdriver import OLD, TODAY, Engine, WebDriver, webkit

pytestmark = [pytest.mark.browser, pytest.mark.night]

LISTEN = """
    window.uncaught = [];
    addEventListener("error", ({ message }) => uncaught.push(message));
    addEventListener("unhandledrejection", ({ reason }) => uncaught.push(`${reason}`));
"""
MARK = "getComputedStyle(document.querySelector('landline-status').shadowRoot.querySelector('[part=mark]'))"
WORD = "document.querySelector('landline-status').shadowRoot?.querySelector('[part=word]').textContent"


@pytest.fixture(scope="module", params=[TODAY, OLD], ids=["today", "16.0"])
def driver(request: pytest.FixtureRequest, require: Callable[[str], str]) -> Iterator[WebDriver]:
    engine: Engine = request.param
    with webkit(engine, require) as driver:
        yield driver


def expect(driver: WebDriver, script: str, value: object) -> None:
    """Wait until a script returns this."""
    found: list[object] = []

    def look() -> bool:
        found[:] = [driver.run(f"return {script}")]
        return found == [value]

    try:
        until(look, PATIENCE / 1000, script)
    except TimeoutError:
        assert found == [value], script


def test_status_says_what_is_and_has_a_mark(driver: WebDriver, tmp_path: Path) -> None:
    """As the how-to shows it, beside a handler in the same module."""
    howto = HowTo("status", tmp_path)
    template = tmp_path / "templates" / "page.html"
    template.write_text(template.read_text().replace("--landline-offline: crimson;", ""))
    with howto.serve() as server:
        driver.open(server.url)
        expect(driver, WORD, "up to date")
        assert driver.run(f"return {MARK}.borderTopStyle") == "solid"
        assert driver.run(f"return {MARK}.borderTopColor") in {"rgb(18, 112, 63)", "rgb(31, 138, 82)"}
    expect(driver, WORD, "no connection")
    assert driver.run(f"return {MARK}.borderTopColor") in {"rgb(179, 38, 30)", "rgb(217, 71, 60)"}


def test_board_is_live_and_in_colour(driver: WebDriver, tmp_path: Path) -> None:
    with serve_board(tmp_path) as server:
        driver.open(server.url)
        driver.run(LISTEN)
        expect(driver, "document.getElementById('status').textContent", "live")
        post(server, "By another window.")
        expect(driver, "document.querySelector('#notes p')?.textContent", "By another window.")
        driver.run(
            "document.getElementById('text').value = 'By this one.'; document.querySelector('#form button').click()"
        )
        expect(driver, "document.querySelector('#notes p').textContent", "By this one.")
        expect(driver, "document.getElementById('flow').dataset.current", "waits")
        look = "return (of => getComputedStyle(document.querySelector(of)))"
        assert driver.run(f"{look}('body').backgroundColor") == "rgb(243, 242, 237)"
        assert driver.run(f"{look}('#status').color") == "rgb(27, 28, 31)"
        assert driver.run(f"{look}('.node[data-node=asks]').borderTopColor") != driver.run(f"{look}('body').color")
        assert driver.run(f"{look}('.area').fill") == "rgb(15, 107, 98)"
        assert driver.run("return uncaught") == []


def test_boards_wires_are_cut_and_mended(driver: WebDriver, tmp_path: Path) -> None:
    with serve_board(tmp_path) as server:
        driver.open(server.url)
        driver.run(LISTEN)
        expect(driver, "document.getElementById('transport').textContent", "websocket")
        driver.run("document.querySelector('[data-rung=websocket] input').click()")
        expect(driver, "document.getElementById('transport').textContent", "sse")
        post(server, "Meanwhile.")
        expect(driver, "document.querySelector('#notes p')?.textContent", "Meanwhile.")
        driver.run("document.querySelector('[data-rung=websocket] input').click()")
        expect(driver, "document.getElementById('transport').textContent", "websocket")
        assert driver.run("return uncaught") == []
