"""Take the picture of the board that the documents show: `python examples/board/screenshot.py [SECONDS] [FILE]`.

Serves a board of its own, in an empty folder, posts notes from one window and takes the picture in another.
It needs Playwright, and Chromium as Debian installs it. The longer it waits, the more there is on the charts.
"""

import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).resolve().parent
PICTURE = HERE.parents[1] / "docs" / "images" / "board.png"
SECONDS = 150.0
NOTES = [
    "Kettle is on, third floor.",
    "Release at four. Leave this page open while it restarts: what is posted meanwhile arrives afterwards.",
    "Pulled the network cable for a minute. Nothing missing, nothing twice.",
    "Same page on the phone, next to each other: <b>this</b> stays text there, too.",
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def take(browser: Browser, url: str, seconds: float, picture: Path) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 1000}, color_scheme="light")
    other = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="light")
    for tab in (page, other):
        tab.goto(url)
    for note in NOTES:
        other.fill("#text", note)
        other.click("#form button")
        page.wait_for_function("note => document.querySelector('#notes').textContent.includes(note)", arg=note)
        page.wait_for_timeout(1000 * seconds / len(NOTES))
    other.close()
    page.locator("[data-rung=websocket] input").click()
    page.mouse.move(0, 0)  # no switch is to look as if it were about to be flipped
    page.wait_for_function("document.querySelector('#transport').textContent === 'sse'")
    # A round that brought something, as soon as it is over: the next one begins within half a second.
    page.wait_for_function("flow.querySelector('[data-node=update][data-state=lit]')")
    page.wait_for_function("flow.dataset.current === 'waits'")
    page.screenshot(path=picture, full_page=True)


def main(seconds: float = SECONDS, picture: Path = PICTURE) -> None:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        app = f"{HERE / 'app.py'}:create_app({folder!r})"
        server = subprocess.Popen([sys.executable, "-m", "flask", "--app", app, "run", "--port", str(port)])
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
                take(browser, f"http://127.0.0.1:{port}/", seconds, picture)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((float, Path), sys.argv[1:], strict=False)))
